"""The training of our own vision encoder: it learns to tell which triplets an image shows.

The paper takes MedCLIP, which was trained on images and their reports; this replaces it where there are no
weights. The classifier is thrown away, the vector before it is kept.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from kgp_models.generator.records import Study
from kgp_models.generator.settings import SmallSettings
from kgp_models.towers.small_vision import SIZE, WIDTH, SmallVision
from kgp_models.towers.vision import Vision, small
from kgp_models.training.augmentation import varied
from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.precision import is_bfloat16_faster
from kgp_models.training.training_state import TrainingState
from kgplatform.errors import InputError
from kgplatform.interrupt import checkpoints
from kgplatform.progress import Progress, no_progress
from kgplatform.triplets.text import Triplet

logger = logging.getLogger(__name__)
STATE: Final = "vision.state"
LEAST: Final = 5  # studies that show a triplet, for it to be a label
WARM: Final = 0.15  # of the steps, in which the rate rises


def training_labels(studies: Sequence[Study]) -> list[Triplet]:
    """The triplets that enough studies have: of what is drawn, else of their reports."""
    triplet_counts = Counter(triplet for study in studies for triplet in set(_image_triplets(study)))
    return sorted(triplet for triplet, study_count in triplet_counts.items() if study_count >= LEAST)


def _image_triplets(study: Study) -> Sequence[Triplet]:
    return study.record().triplets if study.image_triplets is None else study.image_triplets


def train_vision(
    studies: Sequence[Study],
    settings: SmallSettings,
    folder: Path,
    seed: int,
    device: str = "cpu",
    progress: Progress = no_progress,
) -> Vision:
    """Train the encoder on the studies whose image can be read; `folder` keeps where it is, by the minute, in a file
    that may go when the encoder's weights are safe.

    Raises `InputError` for studies that show nothing.
    """
    torch.manual_seed(seed)
    encoder = SmallVision()
    studies, grey_images = _read(studies, small(encoder))
    labels = training_labels(studies)
    if not labels:
        raise InputError("the studies have no triplet that several images show", "Give more studies.")
    network = nn.Sequential(encoder, nn.Linear(WIDTH, len(labels))).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    label_numbers = {triplet: label_number for label_number, triplet in enumerate(labels)}
    label_targets = torch.zeros(len(studies), len(labels))
    for row_index, study in enumerate(studies):
        label_targets[
            row_index, [label_numbers[triplet] for triplet in set(_image_triplets(study)) if triplet in label_numbers]
        ] = 1.0
    batches_per_epoch = math.ceil(len(studies) / settings.vision_batch)
    epochs = math.ceil(settings.vision_epochs)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.vision_learning_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.vision_learning_rate, total_steps=batches_per_epoch * epochs, pct_start=WARM
    )
    state_parts: dict[str, Any] = {"net": network, "optimizer": optimizer, "schedule": schedule}
    studies_hash = hashlib.sha256("\n".join(study.id for study in studies).encode()).hexdigest()
    training_state = TrainingState(folder / STATE, state_parts, batches_per_epoch, epochs, studies_hash)
    step_progress = LossProgress(progress)
    training_state.resume()
    network.train()
    with checkpoints() as checkpoint_clock:
        while len(training_state.history) < epochs:
            rng = torch.Generator().manual_seed(
                seed * 1_000 + len(training_state.history)
            )  # so that a kill changes nothing
            batch_order = torch.split(torch.randperm(len(studies), generator=rng), settings.vision_batch)
            for batch_rows in training_state.epoch(batch_order, checkpoint_clock, rng, step_progress):
                pixels = varied(grey_images[batch_rows], rng).to(device, memory_format=torch.channels_last)
                with torch.autocast(device, torch.bfloat16, enabled=is_bfloat16_faster(device)):
                    logits = network(pixels)
                loss = nn.functional.binary_cross_entropy_with_logits(
                    logits.float(), label_targets[batch_rows].to(device)
                )
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                step_progress.add(loss)
            training_state.end_epoch(checkpoint_clock)
    encoder.eval().requires_grad_(False)
    return small(encoder.to(memory_format=torch.contiguous_format))


def _read(studies: Sequence[Study], vision: Vision) -> tuple[list[Study], Tensor]:
    """The studies whose image can be read, and the images in a byte a pixel: (studies, 1, 256, 256)."""
    readable_studies, image_rows = [], []
    for study_index, pixels in readable_pixels(studies, vision.pixels):
        readable_studies.append(studies[study_index])
        image_rows.append((pixels * 127.5 + 127.5).round().to(torch.uint8))
    return readable_studies, torch.stack(image_rows) if image_rows else torch.zeros(0, 1, SIZE, SIZE, dtype=torch.uint8)


def readable_pixels(
    studies: Sequence[Study], pixels: Callable[[Path], Tensor], before: int = 0
) -> Iterator[tuple[int, Tensor]]:
    """The images that can be read, as `pixels` reads them, each with its study's number; how many cannot is reported.
    `before` is how many images of the training were read earlier, and are not among these.

    Raises `InputError` where most cannot: then it is not the images that are wrong.
    """
    problems = []
    for study_index, study in enumerate(studies):
        try:
            if study.image is not None:
                yield study_index, pixels(study.image)
        except InputError as error:
            problems.append(error)
    if problems:
        image_total = before + len(studies)
        problem_text = (
            f"{len(problems):,} of {image_total:,} images cannot be read, the first of them {problems[0].path}: "
        )
        problem_text += problems[0].message
        if 2 * len(problems) > image_total:
            raise InputError(problem_text, "Check data.images.")
        logger.warning(f"{problem_text}; they are left out")
