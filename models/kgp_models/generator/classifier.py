"""Triplets that the vector of an image tells, without a language model: a logistic regression for each triplet.

A language model that reads a vector has to learn from a few thousand images what a regression learns from as many
numbers: on OpenI's radiographs, VLM-KG writes nothing of an image alone, or less than the regressions do
(docs/decisions/0016-image-alone.md). Which of the two answers for images alone is decided on the validation part.
Triplets above a threshold of probability are the best set for F1 (Lipton et al. 2014).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kgp_models.images.calibrate import fit_calibration
from kgp_models.training.model_files import check_files, regular_file_sha256, save_tensors
from kgp_models.training.regression import fit_regressions
from kgplatform.errors import InputError
from kgplatform.generate.backend import Scored
from kgplatform.triplets.text import Relation, Triplet

FILE: Final = "classifier.safetensors"
ENTRY: Final = "triplet_classifier"  # of the model's description
LEAST: Final = 3  # training studies that have a triplet, for it to be learnt
MOST: Final = 500  # triplets that are learnt: the most frequent ones
STUDIES: Final = 20_000  # that are learnt from, at most: a random sample
PENALTIES: Final = (0.03, 0.1, 0.3, 1.0)  # of the weights, chosen on validation with the threshold
THRESHOLDS: Final = tuple(round(0.05 + 0.025 * step, 3) for step in range(23))
_AGAIN: Final = "Train or fetch it again."

Targets = Sequence[Sequence[Triplet]]


@dataclass(frozen=True, eq=False)
class TripletClassifier:
    """The probability of each triplet, and the threshold above which it is written: `weights` (triplets, width) and
    `biases` (triplets,) of vectors as the encoder gives them.
    """

    triplets: Sequence[Triplet]
    weights: Tensor
    biases: Tensor
    threshold: float

    @classmethod
    def from_training(
        cls, vectors: Tensor, targets: Targets, held_out: Tensor, held_out_targets: Targets, seed: int = 0
    ) -> TripletClassifier | None:
        """Fitted to vectors (n, width) of the training's images with their triplets, and calibrated on images that it
        did not use; penalty and threshold are those of the highest exact micro-F1 on these. None where there are none,
        or no triplet is frequent.
        """
        counts = Counter(triplet for study_triplets in targets for triplet in set(study_triplets))
        by_frequency = sorted(counts, key=lambda triplet: (-counts[triplet], triplet))
        learnt = [triplet for triplet in by_frequency[:MOST] if counts[triplet] >= LEAST]
        if not learnt or not len(held_out):
            return None
        rows = torch.randperm(len(vectors), generator=torch.Generator().manual_seed(seed))[:STUDIES]
        sample = vectors[rows].float()
        mean, deviation = sample.mean(0), sample.std(0).clamp(min=1e-6)
        sample_targets = _as_matrix([targets[row] for row in rows.tolist()], learnt)
        references = _as_matrix(held_out_targets, learnt)
        reference_count = sum(len(set(study_triplets)) for study_triplets in held_out_targets)
        best: tuple[float, TripletClassifier] | None = None
        for penalty in PENALTIES:
            weights, biases = fit_regressions((sample - mean) / deviation, sample_targets, penalty)
            weights = (weights / deviation[:, None]).T.contiguous()
            logits = held_out.float() @ weights.T + biases - weights @ mean
            calibration = fit_calibration(logits, references)
            probabilities = calibration.probabilities(logits)
            for threshold in THRESHOLDS:
                predicted = probabilities >= threshold
                right_count = float((predicted * references).sum())
                f1 = 2.0 * right_count / max(1.0, float(predicted.sum()) + reference_count)
                if best is None or f1 > best[0]:
                    best = f1, cls(learnt, *calibration.folded(weights, biases - weights @ mean), threshold)
        return None if best is None else best[1]

    def probabilities(self, vectors: Tensor) -> Tensor:
        """Of each triplet, (n, triplets), for vectors (n, width)."""
        return torch.sigmoid(vectors.float() @ self.weights.T + self.biases)

    def scored(self, vectors: Tensor) -> list[tuple[Scored, ...] | None]:
        """Of each vector (n, width) the triplets above the threshold, the most probable first; None of a vector that is
        no numbers.
        """
        written: list[tuple[Scored, ...] | None] = []
        for row in self.probabilities(vectors):
            if not row.isfinite().all():
                written.append(None)
                continue
            order = row.argsort(descending=True, stable=True).tolist()
            above = [index for index in order if row[index] >= self.threshold]
            written.append(tuple(Scored(self.triplets[index], float(row[index])) for index in above))
        return written

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the weights into a model's folder; returns the entry of its description."""
        save_tensors({"weights": self.weights.contiguous(), "biases": self.biases.contiguous()}, folder / FILE)
        return {
            "threshold": self.threshold,
            "sha256": regular_file_sha256(folder / FILE),
            "triplets": [[triplet.head, triplet.relation.value, triplet.tail] for triplet in self.triplets],
        }

    @classmethod
    def load(cls, folder: Path, description: Mapping[str, Any]) -> TripletClassifier | None:
        """That of a model's folder; None where its description has none. Raises `InputError` for a changed file."""
        entry = description.get(ENTRY)
        if not isinstance(entry, dict):
            return None
        path = folder / FILE
        try:
            check_files(folder, {FILE: entry["sha256"]})
            tensors = load_file(path)
            triplets = [Triplet(head, Relation(relation), tail) for head, relation, tail in entry["triplets"]]
            if not len(tensors["weights"]) == len(tensors["biases"]) == len(triplets):
                raise ValueError
            return cls(triplets, tensors["weights"], tensors["biases"], float(entry["threshold"]))
        except (OSError, KeyError, TypeError, ValueError, SafetensorError):
            raise InputError("a file of the model is missing or changed", _AGAIN, path=path) from None


def _as_matrix(targets: Targets, triplets: Sequence[Triplet]) -> Tensor:
    """Which study has which triplet, (studies, triplets): 1 or 0."""
    columns = {triplet: column for column, triplet in enumerate(triplets)}
    matrix = torch.zeros(len(targets), len(triplets))
    for row, study_triplets in enumerate(targets):
        matrix[row, [columns[triplet] for triplet in study_triplets if triplet in columns]] = 1.0
    return matrix
