"""A whole training of an image encoder: pictures, classifier, training, calibration, reference and test."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from kgp_models.images.calibrate import Calibration, fit_calibration
from kgp_models.images.combine import Combination, fit_combination, make_terms, neighbour_shares, related_links
from kgp_models.images.examples import ImageExamples, Link
from kgp_models.images.metrics import (
    Array,
    Interval,
    auc_intervals,
    expected_calibration_error,
    negative_log_likelihood,
    with_interval,
)
from kgp_models.images.model import ImageModel, LinkClassifier, image_outputs
from kgp_models.images.projection import fit_projection
from kgp_models.images.reports import read_report_vectors
from kgp_models.images.settings import ImageSettings
from kgp_models.images.train import TrainedClassifier, class_logits, train_classifier
from kgp_models.retrieval.inputs import read_pictures
from kgp_models.towers.backbone import Backbone
from kgp_models.training.reference_vectors import ReferenceVectors
from kgp_models.training.training_state import claim
from kgplatform.errors import InputError
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.trained_on import merge_trained_on

TRAIN, VALIDATION, TEST = "train", "validate", "test"


@dataclass(frozen=True, eq=False)
class PartOutputs:
    """What a model makes of a part's images that can be read: vectors, logits, and the targets."""

    examples: ImageExamples
    vectors: Tensor
    logits: Tensor
    targets: Tensor


@dataclass(frozen=True, eq=False)
class TrainedImages:
    """A trained encoder, its training, and its outputs by part."""

    model: ImageModel
    trained: TrainedClassifier
    outputs: Mapping[str, PartOutputs]


def train_image_model(
    settings: ImageSettings,
    backbone: Backbone,
    spec: str,
    parts: Mapping[str, ImageExamples],
    folder: Path,
    seed: int,
    relations: Sequence[tuple[str, str]] = (),
    progress: SubjectProgress = silent_progress,
) -> TrainedImages:
    """Train the image tower of a backbone, which `spec` names, on the images of the training part; the epoch is chosen
    and probabilities are fitted on the validation part. `relations` are pairs of related concepts by CUI. `folder`
    keeps pictures and the state of the training.

    Raises `InputError` where too few images have a link, none can be read, or `folder` has another training.
    """
    links = parts[TRAIN].frequent_links(settings.least, settings.stances)
    if not links:
        hint = "Load more reports or images, or lower `least` in the settings."
        raise InputError(f"no link is that of {settings.least:,} training studies", hint)
    if settings.pixels:
        backbone.picture = replace(backbone.picture, size=settings.pixels)
    claim(
        folder,
        {
            "settings": settings.as_dict(),
            "backbone": backbone.kind,
            "images": {part: examples.sha256 for part, examples in parts.items()},
            "seed": seed,
        },
    )
    readable: dict[str, tuple[ImageExamples, Tensor]] = {}
    for part, examples in parts.items():
        if not examples.images:
            continue
        paths = [image.path for image in examples.images]
        pictures = read_pictures(paths, backbone.picture, folder, progress(f"images, {part}"), part=part)
        readable[part] = examples.select(list(pictures.readable)), pictures.values
    reports = None
    if settings.report_weight:
        texts = [image.report for image in readable[TRAIN][0].images]
        if not any(texts):
            hint = "Give a data set with reports as the images' folder, or leave out report_weight."
            raise InputError("no image of the training has a report", hint)
        reports = read_report_vectors(texts, backbone, folder)
    classifier = make_classifier(backbone, readable[TRAIN][0], links, settings.dropout, seed)
    nothing = torch.empty(0, 1, backbone.picture.size, backbone.picture.size, dtype=torch.uint8)
    validation_examples, validation_pictures = readable.get(VALIDATION, (ImageExamples([]), nothing))
    targets = {
        part: torch.from_numpy(examples.targets(links))
        for part, examples in ((TRAIN, readable[TRAIN][0]), (VALIDATION, validation_examples))
    }
    classifier.to("cuda" if torch.cuda.is_available() else "cpu")
    trained = train_classifier(
        classifier,
        backbone.picture,
        (readable[TRAIN][1], validation_pictures),
        (targets[TRAIN], targets[VALIDATION]),
        settings,
        folder,
        seed,
        readable[TRAIN][0].sha256,
        progress("training"),
        reports,
    )
    outputs = {
        part: PartOutputs(
            examples,
            *image_outputs(trained.classifier, backbone.picture, grey, progress(f"vectors, {part}")),
            torch.from_numpy(examples.targets(links)),
        )
        for part, (examples, grey) in readable.items()
    }
    validation = outputs.get(VALIDATION)
    has_calibration = settings.calibrated and validation is not None
    calibration = (
        fit_calibration(validation.logits, validation.targets) if has_calibration and validation else Calibration()
    )
    reference = ReferenceVectors.from_training(
        outputs[TRAIN].vectors, None if validation is None else validation.vectors, seed
    )
    shares = torch.from_numpy(training_shares(outputs[TRAIN])).float()
    projection = fit_projection(outputs[TRAIN].vectors)
    model = ImageModel(
        trained.classifier.cpu(),
        backbone.picture,
        links,
        calibration,
        spec,
        shares,
        projection,
        _combination(outputs, projection, shares, related_links(links, relations)) if has_calibration else None,
        reference,
        merge_trained_on(backbone.trained_on, readable[TRAIN][0].sources),
    )
    return TrainedImages(model, trained, outputs)


def _combination(
    outputs: Mapping[str, PartOutputs], projection: Tensor, shares: Tensor, related: Tensor
) -> Combination:
    """How much the encoder and the training images, which stand for the graph's, count on the validation part; images
    are compared as embeddings are.
    """
    training, validation = outputs[TRAIN], outputs[VALIDATION]
    subjects = validation.examples.subjects, training.examples.subjects
    embeddings, graph_embeddings = (part.vectors.float() @ projection.T for part in (validation, training))
    shares_nearby = neighbour_shares(embeddings, graph_embeddings, training.targets, shares, subjects)
    return fit_combination(make_terms(validation.logits, shares_nearby, shares, related), validation.targets)


def make_classifier(
    backbone: Backbone, training: ImageExamples, links: list[Link], dropout: float, seed: int
) -> LinkClassifier:
    """The backbone's image tower with a new last layer, whose biases begin at the links' log-odds in the training."""
    torch.manual_seed(seed)
    tower = backbone.image_tower
    tower.requires_grad_(True)
    size = backbone.picture.size
    try:
        with torch.no_grad():
            width = tower.eval()(backbone.picture.scaled(torch.zeros(1, 1, size, size))).shape[1]
    except (RuntimeError, ValueError, AssertionError):  # as towers that know the place of each patch raise
        message = f"the backbone {backbone.kind} does not take pictures of {size} pixels"
        raise InputError(message, "Leave pixels out of the settings.") from None
    classifier = LinkClassifier(tower, width, len(links), dropout)
    with torch.no_grad():
        classifier.layer.weight.mul_(0.1)
        classifier.layer.bias.copy_(class_logits(training, links))
    return classifier


@dataclass(frozen=True)
class ImageScores:
    """Figures of a part: macro AUC over the links that have both classes there, and how good probabilities are.

    `gain` is by how much of the negative log-likelihood of the training's shares that of the model is lower.
    """

    images: int
    links: int
    auc: Interval
    auc_by_link: Mapping[Link, Interval]
    likelihood: float
    likelihood_of_shares: float
    gain: Interval
    calibration_error: float

    def as_dict(self) -> dict[str, float]:
        """The figures of a model card, without those of which there is nothing to measure (no link of both classes)."""
        figures = {
            "images": self.images,
            "links": self.links,
            "macro AUC": round(self.auc.value, 4),
            "macro AUC, low": round(self.auc.low, 4),
            "macro AUC, high": round(self.auc.high, 4),
            "gain in log-likelihood": round(self.gain.value, 4),
            "calibration error": round(self.calibration_error, 4),
        }
        return {name: figure for name, figure in figures.items() if not math.isnan(figure)}


def score_probabilities(
    probabilities: Array, targets: Array, shares: Array, links: list[Link], subjects: list[str]
) -> ImageScores:
    """The scores of probabilities (images, links); `shares` are the links' shares in the training, (links,)."""
    has_both = np.array([len(set(column[~np.isnan(column)].tolist())) == 2 for column in targets.T])
    auc, aucs = auc_intervals(probabilities[:, has_both], targets[:, has_both], subjects)
    likelihood = negative_log_likelihood(probabilities, targets)
    by_shares = negative_log_likelihood(np.broadcast_to(shares, targets.shape), targets)
    unit_weights = np.ones((1, len(targets)))
    return ImageScores(
        len(targets),
        int(has_both.sum()),
        auc,
        dict(zip((link for link, is_scored in zip(links, has_both, strict=True) if is_scored), aucs, strict=True)),
        float(likelihood(unit_weights)[0]),
        float(by_shares(unit_weights)[0]),
        with_interval(lambda weights: 1.0 - likelihood(weights) / by_shares(weights), subjects),
        expected_calibration_error(probabilities, targets),
    )


def training_shares(outputs: PartOutputs) -> Array:
    """The share of the images that have each link, (links,), smoothed by half an image."""
    targets = outputs.targets.double().numpy()
    shares: Array = (np.nansum(targets, 0) + 0.5) / ((~np.isnan(targets)).sum(0) + 1.0)
    return shares
