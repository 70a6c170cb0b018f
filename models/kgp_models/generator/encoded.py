"""The vectors of a training's images: the vision encoder is frozen, so they are computed once, and kept in files."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from kgp_models.generator.records import Study
from kgp_models.generator.train_vision import readable_pixels
from kgp_models.towers import vision as vision_of
from kgp_models.towers.vision import Vision
from kgp_models.training import model_files
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped, checkpoints

if TYPE_CHECKING:
    from kgp_models.generator.train import Work

logger = logging.getLogger(__name__)
ENCODED_AT_A_TIME: Final = 64


def encoded(vision: Vision, with_image: Sequence[Study], cache: Path, work: Work) -> tuple[list[Study], Tensor]:
    """The studies whose images can be read, and the images' vectors, (studies, width); the encoder is frozen, so they
    are computed once. `cache` keeps them, by the minute.

    Raises `InputError` where there is none, and `Stopped` on an interrupt.
    """
    identity = json.dumps([vision_of.weights_sha256(vision.module), [study.id for study in with_image]])
    cache_folder = cache / f"encoded-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    vectors = [torch.zeros(0, vision.width)]
    study_indices: list[int] = []
    for part_path in sorted(cache_folder.glob("*.safetensors")):
        saved_part = model_files.read_cached_tensors(part_path)
        if saved_part is None:  # damaged: its images are encoded again
            part_path.unlink(missing_ok=True)
            continue
        vectors.append(saved_part["vectors"])
        study_indices += saved_part["rows"].tolist()
    if len(study_indices) < len(with_image):
        for encoded_part in _encode(vision, with_image, study_indices, cache_folder, work):
            vectors.append(encoded_part["vectors"])
            study_indices += encoded_part["rows"].tolist()
    if not study_indices:
        raise InputError("no study of the training has an image that can be read", "Check data.images.", path=work.base)
    order = torch.tensor(study_indices).argsort()
    return [with_image[study_index] for study_index in sorted(study_indices)], torch.cat(vectors)[order]


def studies_with_image(studies: Sequence[Study]) -> list[Study]:
    """Those whose image file exists."""
    return [study for study in studies if study.image is not None and study.image.is_file()]


def encoded_validation(
    vision: Vision, training_studies: Sequence[Study], cache: Path, work: Work
) -> tuple[list[Study], Tensor]:
    """The studies of the validation part, and the vectors of their images, which a trained encoder has not learnt by
    heart; none where none can be read.
    """
    validation_studies = studies_with_image(work.validation(training_studies))
    try:
        return encoded(vision, validation_studies, cache / "validation", work)
    except InputError:
        return [], torch.zeros(0, vision.width)


def _encode(
    vision: Vision, with_image: Sequence[Study], encoded_indices: Sequence[int], folder: Path, work: Work
) -> Iterator[dict[str, Tensor]]:
    """Encode the images whose rows are not `encoded_indices`, and save them: vectors and rows of about a minute in each
    file.
    """
    remaining = sorted({*range(len(with_image))} - {*encoded_indices})
    if encoded_indices:
        logger.info(f"images encoded: {len(encoded_indices):,} of {len(with_image):,} exist already")
    vision.module.to(work.device)
    report_progress = work.progress("images encoded")
    readable_images = readable_pixels([with_image[index] for index in remaining], vision.pixels, len(encoded_indices))
    encoded_count, part_number = (
        len(encoded_indices),
        max((int(part_path.stem) for part_path in folder.glob("*.safetensors")), default=-1) + 1,
    )
    unsaved: list[tuple[list[int], Tensor]] = []
    with checkpoints() as checkpoint_timer:
        while image_chunk := list(islice(readable_images, ENCODED_AT_A_TIME)):
            vectors = vision.encode([pixels for _, pixels in image_chunk]).cpu()
            unsaved.append(([remaining[index] for index, _ in image_chunk], vectors))
            encoded_count += len(image_chunk)
            report_progress(encoded_count, len(with_image))
            if checkpoint_timer.due() or len(image_chunk) < ENCODED_AT_A_TIME:
                yield _save_encoded(unsaved, folder / f"{part_number:06}.safetensors")
                unsaved, part_number = [], part_number + 1
                checkpoint_timer.saved()
            if checkpoint_timer.stopping:
                raise Stopped(
                    f"stopped after {encoded_count:,} of {len(with_image):,} images were encoded, saved in {folder}"
                )
        if unsaved:
            yield _save_encoded(unsaved, folder / f"{part_number:06}.safetensors")
    vision.module.cpu()


def _save_encoded(unsaved: Sequence[tuple[list[int], Tensor]], part_path: Path) -> dict[str, Tensor]:
    study_indices = torch.tensor([study_index for indices, _ in unsaved for study_index in indices])
    part_tensors = {"rows": study_indices, "vectors": torch.cat([vectors for _, vectors in unsaved])}
    model_files.save_tensors(part_tensors, part_path)
    return part_tensors
