"""Triplets from an image's vector: what is learnt, which are written, and how it is stored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from kgp_models.generator.classifier import ENTRY, FILE, LEAST, MOST, THRESHOLDS, TripletClassifier
from kgp_models.images.calibrate import Calibration, fit_calibration
from kgp_models.training.regression import fit_regressions
from kgplatform.errors import InputError
from kgplatform.generate.backend import Scored
from kgplatform.triplets.metrics import count, score_documents
from kgplatform.triplets.text import Relation, Triplet

WIDTH = 8
SEEN = Triplet("opacity", Relation.LOCATED_AT, "lung")  # an image's first number decides whether it has this
NOISE = Triplet("severe", Relation.MODIFY, "opacity")  # a third has it, whatever the image
RARE = Triplet("mild", Relation.MODIFY, "opacity")


def drawn(images: int, seed: int) -> tuple[torch.Tensor, list[tuple[Triplet, ...]]]:
    """Vectors, and the triplets of their images."""
    rng = torch.Generator().manual_seed(seed)
    vectors = 3.0 * torch.randn(images, WIDTH, generator=rng) + 5.0
    has_noise = torch.rand(images, generator=rng) < 0.3
    targets: list[tuple[Triplet, ...]] = []
    for vector, noisy in zip(vectors, has_noise.tolist(), strict=True):
        targets.append((SEEN,) * bool(vector[0] > 5.0) + (NOISE,) * noisy)
    return vectors, targets


def fitted(training: int = 400, held_out: int = 200) -> TripletClassifier:
    classifier = TripletClassifier.from_training(*drawn(training, 1), *drawn(held_out, 2))
    assert classifier is not None
    return classifier


def scored_rows(classifier: TripletClassifier, vectors: torch.Tensor) -> list[tuple[Scored, ...]]:
    """The triplets of vectors that are numbers."""
    return [rows for rows in classifier.scored(vectors) if rows is not None]


def test_a_vector_that_is_no_numbers_is_not_taken_for_one_that_shows_nothing() -> None:
    vectors, _ = drawn(3, 3)
    vectors[1, 4] = torch.nan
    assert [rows is None for rows in fitted().scored(vectors)] == [False, True, False]


def test_what_an_image_tells_is_written_with_its_probability_and_what_it_does_not_tell_is_not() -> None:
    vectors, targets = drawn(100, 3)
    written = scored_rows(fitted(), vectors)
    right = [
        (SEEN in {row.triplet for row in rows}) == (SEEN in target)
        for rows, target in zip(written, targets, strict=True)
    ]
    assert sum(right) > 90
    scores = [row.score for rows in written for row in rows if row.score is not None]
    assert len(scores) == sum(map(len, written))
    assert all(0.0 < score <= 1.0 for score in scores)
    for rows in written:
        row_scores = [row.score or 0.0 for row in rows]
        assert row_scores == sorted(row_scores, reverse=True)
    noise_probabilities = fitted().probabilities(vectors)[:, list(fitted().triplets).index(NOISE)]
    assert noise_probabilities.mean() == pytest.approx(0.3, abs=0.1), (
        "what an image does not show has its share as probability"
    )


def test_the_threshold_is_that_of_the_highest_f1_on_images_that_the_training_did_not_use() -> None:
    """By the platform's own scores, which count triplets one study at a time."""
    classifier = fitted()
    vectors, targets = drawn(200, 2)

    def f1(threshold: float) -> float:
        at_threshold = TripletClassifier(classifier.triplets, classifier.weights, classifier.biases, threshold)
        written = [[row.triplet for row in rows] for rows in scored_rows(at_threshold, vectors)]
        return score_documents([count(*pair) for pair in zip(written, targets, strict=True)]).f1

    assert f1(classifier.threshold) == pytest.approx(max(map(f1, THRESHOLDS)))


def test_a_triplet_of_too_few_studies_is_not_learnt_and_without_validation_nothing_is() -> None:
    vectors, targets = drawn(60, 1)
    targets[: LEAST - 1] = [(*target, RARE) for target in targets[: LEAST - 1]]
    held_out = drawn(60, 2)
    classifier = TripletClassifier.from_training(vectors, targets, *held_out)
    assert classifier is not None
    assert set(classifier.triplets) == {SEEN, NOISE}
    targets[LEAST - 1] = (*targets[LEAST - 1], RARE)
    classifier = TripletClassifier.from_training(vectors, targets, *held_out)
    assert classifier is not None
    assert RARE in classifier.triplets
    assert TripletClassifier.from_training(vectors, targets, torch.zeros(0, WIDTH), []) is None
    assert TripletClassifier.from_training(vectors, [()] * 60, *held_out) is None


def test_the_most_frequent_triplets_are_learnt_where_there_are_too_many() -> None:
    many = [Triplet(f"finding {number}", Relation.LOCATED_AT, "lung") for number in range(MOST + 5)]
    targets = [tuple(many)] * LEAST + [tuple(many[5:])]
    classifier = TripletClassifier.from_training(
        torch.randn(LEAST + 1, WIDTH), targets, torch.randn(2, WIDTH), [(), ()]
    )
    assert classifier is not None
    assert set(classifier.triplets) == set(many[5:])


def test_it_is_stored_and_a_changed_file_is_refused(tmp_path: Path) -> None:
    classifier = fitted()
    description = json.loads(json.dumps({ENTRY: classifier.save(tmp_path)}))
    loaded = TripletClassifier.load(tmp_path, description)
    assert loaded is not None
    vectors, _ = drawn(20, 4)
    assert loaded.scored(vectors) == classifier.scored(vectors)
    assert TripletClassifier.load(tmp_path, {}) is None
    (tmp_path / FILE).write_bytes(b"changed")
    with pytest.raises(InputError, match="changed"):
        TripletClassifier.load(tmp_path, description)
    (tmp_path / FILE).unlink()
    with pytest.raises(InputError):
        TripletClassifier.load(tmp_path, description)


def test_the_regressions_are_those_of_scikit_learn() -> None:
    """An independent oracle: a penalty p of the mean loss is C = 1 / (2 n p)."""
    vectors, targets = drawn(300, 1)
    labels = torch.tensor([[SEEN in row, NOISE in row] for row in targets]).float()
    standard = (vectors - vectors.mean(0)) / vectors.std(0)
    weights, biases = fit_regressions(standard, labels, 0.03)
    for column in range(2):
        oracle = LogisticRegression(C=1.0 / (2 * 300 * 0.03), tol=1e-8, max_iter=1_000)
        oracle.fit(standard.numpy(), labels[:, column].numpy())
        np.testing.assert_allclose(weights[:, column].numpy(), oracle.coef_[0], atol=2e-3)
        assert float(biases[column]) == pytest.approx(float(oracle.intercept_[0]), abs=2e-3)


def test_a_folded_calibration_gives_the_same_probabilities() -> None:
    rng = torch.Generator().manual_seed(0)
    vectors, weights = torch.randn(50, WIDTH, generator=rng), torch.randn(3, WIDTH, generator=rng)
    biases = torch.randn(3, generator=rng)
    logits = vectors @ weights.T + biases
    labels = (torch.rand(50, 3, generator=rng) < 0.4).float()
    for calibration in (fit_calibration(logits, labels), Calibration(), Calibration(0.5)):
        folded_weights, folded_biases = calibration.folded(weights, biases)
        folded = torch.sigmoid(vectors @ folded_weights.T + folded_biases)
        torch.testing.assert_close(folded, calibration.probabilities(logits))
