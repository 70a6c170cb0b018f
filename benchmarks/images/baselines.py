"""What an image encoder has to beat: popularity, similar radiographs, and a regression on untrained vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.images import build, metrics
from kgp_models.images.calibrate import fit_calibration
from kgp_models.images.combine import neighbour_shares, smoothed_shares
from kgp_models.images.examples import ImageExamples, Link
from kgp_models.images.metrics import Array
from kgp_models.images.settings import ImageSettings
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.inputs import image_features, read_pictures
from kgp_models.training.regression import fit_regressions
from kgplatform.cli.output import progress

PENALTIES: Final = (0.001, 0.003, 0.01, 0.03, 0.1)  # of the logistic regression, chosen on validation


def baseline_predictions(
    frozen: Mapping[str, Tensor], examples: Mapping[str, ImageExamples], links: Sequence[Link], part: str
) -> dict[str, Array]:
    """Popularity, neighbours by the backbone before the training, and logistic regression on its vectors."""
    targets = {name: torch.from_numpy(examples[name].targets(links)) for name in examples}
    shares = torch.from_numpy(training_shares(examples[build.TRAIN], links)).float()
    near = neighbour_shares(frozen[part], frozen[build.TRAIN], targets[build.TRAIN], shares)
    weights, bias, mean, deviation = fit_regression(
        frozen[build.TRAIN], targets[build.TRAIN], frozen[build.VALIDATION], targets[build.VALIDATION]
    )

    def logits(name: str) -> Tensor:
        return ((frozen[name] - mean) / deviation) @ weights + bias

    calibration = fit_calibration(logits(build.VALIDATION), targets[build.VALIDATION])
    predicted = {
        "popularity": shares.expand(len(frozen[part]), -1),
        "nearest neighbours": near,
        "frozen": calibration.probabilities(logits(part)),
    }
    return {name: probabilities.double().numpy() for name, probabilities in predicted.items()}


def fit_regression(
    vectors: Tensor, targets: Tensor, validation_vectors: Tensor, validation_targets: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights (width, links) and biases of logistic regressions on standardised vectors, with mean and deviation; the
    L2 penalty is that of the highest validation AUC.
    """
    mean, deviation = vectors.mean(0), vectors.std(0).clamp(min=1e-6)
    standard, validation = (vectors - mean) / deviation, (validation_vectors - mean) / deviation
    best: tuple[float, Tensor, Tensor] | None = None
    for penalty in PENALTIES:
        weights, bias = fit_regressions(standard, targets, penalty)
        logits = validation @ weights + bias
        auc = float(np.nanmean(metrics.auc_by_link(logits.double().numpy(), validation_targets.double().numpy())))
        if best is None or auc > best[0]:
            best = auc, weights, bias
    assert best is not None
    return best[1], best[2], mean, deviation


def frozen_vectors(settings: ImageSettings, examples: Mapping[str, ImageExamples], folder: Path) -> dict[str, Tensor]:
    """The backbone's vectors before the training, by part; `folder` keeps the pictures."""
    backbone = open_frozen_backbone(settings.backbone)
    return {
        part: image_features(
            backbone,
            read_pictures([image.path for image in part_examples.images], backbone.picture, folder).values,
            progress(f"frozen vectors, {part}"),
        )
        for part, part_examples in examples.items()
    }


def training_shares(examples: ImageExamples, links: Sequence[Link]) -> Array:
    """The share of the radiographs that have each link, (links,), smoothed."""
    targets = torch.from_numpy(examples.targets(links))
    return smoothed_shares(targets[None], torch.full((len(links),), 0.5 / 10))[0].double().numpy()
