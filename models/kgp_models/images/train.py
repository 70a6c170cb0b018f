"""The training of an image encoder: a backbone's image tower learns which links images have."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kgp_models.images.examples import ImageExamples, Link
from kgp_models.images.losses import known_loss
from kgp_models.images.metrics import auc_by_link
from kgp_models.images.model import LinkClassifier, image_outputs, training_precision
from kgp_models.images.reports import Reports, ReportTarget
from kgp_models.images.settings import ImageSettings
from kgp_models.towers.backbone import Picture
from kgp_models.training.augmentation import mixed, varied
from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.training_state import STATE, TrainingState
from kgplatform.interrupt import checkpoints
from kgplatform.progress import Progress, no_progress

CHECKED: Final = "validation AUC"


@dataclass(frozen=True)
class TrainedClassifier:
    """The classifier with the weights of the epoch of the highest validation AUC, the last of equal ones, and the
    history by epoch.
    """

    classifier: LinkClassifier
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


def train_classifier(
    classifier: LinkClassifier,
    picture: Picture,
    pictures: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    settings: ImageSettings,
    folder: Path,
    seed: int,
    data_name: str = "",
    progress: Progress = no_progress,
    reports: Reports | None = None,
) -> TrainedClassifier:
    """Train on `pictures` (grey, in bytes, (n, 1, size, size)) and `targets` ((n, links), NaN where it is not known) of
    the training part, and on their `reports` where these are a target, too; the second of each are the validation
    part's, by which the epoch is chosen. `folder` keeps where the training is, by the minute.
    """
    torch.manual_seed(seed)
    train_pictures, train_targets = pictures[0], targets[0]
    device = next(classifier.parameters()).device
    classifier.to(memory_format=torch.channels_last)
    running_mean = get_ema_multi_avg_fn(settings.average)  # type: ignore[no-untyped-call]
    average = AveragedModel(classifier, multi_avg_fn=running_mean, use_buffers=True)
    steps = math.ceil(len(train_pictures) / settings.batch)
    groups = _groups(classifier, settings)
    report_target = None
    if reports is not None:
        report_target = ReportTarget(classifier.layer.in_features, reports.vectors).to(device)
        groups.append({"params": list(report_target.parameters()), "weight_decay": settings.weight_decay})
    trained_parameters = [*classifier.parameters(), *([] if report_target is None else report_target.parameters())]
    optimizer = torch.optim.AdamW(groups, settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate_share(steps * settings.epochs, settings.warmup))
    parts = {"classifier": classifier, "average": average, "optimizer": optimizer, "schedule": schedule}
    if report_target is not None:
        parts["reports"] = report_target
    state = TrainingState(folder / STATE, parts, steps, settings.epochs, data_name)
    step_progress = LossProgress(progress)
    state.resume()
    with checkpoints() as checkpoint_clock:
        while len(state.history) < settings.epochs:
            rng = torch.Generator().manual_seed(seed * 1_000 + len(state.history))  # so that a kill changes nothing
            classifier.train()
            order = torch.split(torch.randperm(len(train_pictures), generator=rng), settings.batch)
            for rows in state.epoch(order, checkpoint_clock, rng, step_progress):
                grey, row_targets = train_pictures[rows], train_targets[rows]
                if settings.variation:
                    grey = ((varied(grey, rng, settings.variation) + 1.0) * 127.5).clamp(0.0, 255.0)
                if settings.mixup:
                    grey, row_targets = mixed(grey, row_targets, rng, settings.mixup)
                pixels = picture.scaled(grey.to(device)).contiguous(memory_format=torch.channels_last)
                with training_precision(device):
                    vectors = classifier.vectors(pixels)
                    logits = classifier.tell(vectors)
                loss = known_loss(logits.float(), row_targets.to(device))
                if report_target is not None and reports is not None:
                    loss = loss + settings.report_weight * report_target(vectors.float(), reports.rows[rows].to(device))
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                nn.utils.clip_grad_norm_(trained_parameters, settings.clip)
                optimizer.step()
                schedule.step()
                average.update_parameters(classifier)
                state.add({"loss": loss})
                step_progress.add(loss)
            averaged: LinkClassifier = average.module  # type: ignore[assignment]
            figure = validation_auc(averaged, picture, pictures[1], targets[1])
            if figure >= max((epoch_row[CHECKED] for epoch_row in state.history), default=figure):
                state.best = copy.deepcopy(averaged.state_dict())
            state.end_epoch(checkpoint_clock, {CHECKED: figure})
    classifier.load_state_dict(state.best)
    figures = [epoch_row[CHECKED] for epoch_row in state.history]
    best_epoch = max(range(len(figures)), key=lambda epoch: (figures[epoch], epoch)) + 1
    return TrainedClassifier(classifier.eval(), best_epoch, state.history, state.seconds)


def validation_auc(classifier: LinkClassifier, picture: Picture, pictures: Tensor, targets: Tensor) -> float:
    """The mean AUC over links of both classes; 0.5 where there is none."""
    if not len(pictures):
        return 0.5
    _, logits = image_outputs(classifier, picture, pictures)
    aucs = auc_by_link(logits.double().numpy(), targets.double().numpy())
    scored_aucs = aucs[~np.isnan(aucs)]
    return float(scored_aucs.mean()) if len(scored_aucs) else 0.5


def class_logits(examples: ImageExamples, links: list[Link]) -> Tensor:
    """The log-odds of each link in the training part: where the last layer's biases begin."""
    targets = torch.from_numpy(examples.targets(links))
    shares = ((targets == 1).sum(0) + 0.5) / ((~targets.isnan()).sum(0) + 1.0)
    return torch.logit(shares)


def _groups(classifier: LinkClassifier, settings: ImageSettings) -> list[dict[str, object]]:
    """The tower and the last layer with their learning rates; norms and biases do not decay."""
    layer_rate = settings.learning_rate * settings.layer_rate
    groups: list[dict[str, object]] = []
    for module, rate in ((classifier.tower, settings.learning_rate), (classifier.layer, layer_rate)):
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        for weight_decay, decays in ((settings.weight_decay, True), (0.0, False)):
            chosen = [parameter for parameter in parameters if (parameter.dim() > 1) == decays]
            groups.append({"params": chosen, "lr": rate, "weight_decay": weight_decay})
    return groups


def _rate_share(total_steps: int, warmup: float) -> Callable[[int], float]:
    """Of the learning rate in a step."""
    warmup_steps = max(1, round(total_steps * warmup))

    def share(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))))

    return share
