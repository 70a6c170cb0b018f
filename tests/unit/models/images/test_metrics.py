"""Figures of predicted links agree with scikit-learn and with calculations by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from kgp_models.images import build, metrics
from kgp_models.images.examples import Link

LINK = Link("POSITIVE", "C1", "effusion")

scored = st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), min_size=2, max_size=40)


@given(scored)
@example_settings(max_examples=200, deadline=None)
def test_the_weighted_auc_is_that_of_scikit_learn(rows: list[tuple[int, bool, int]]) -> None:
    scores, targets, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    [auc] = metrics.weighted_auc(scores, targets, weights[None])
    if weights[targets == 1].sum() == 0 or weights[targets == 0].sum() == 0:
        assert math.isnan(auc)
    else:
        assert auc == pytest.approx(roc_auc_score(targets, scores, sample_weight=weights))


@given(scored)
@example_settings(max_examples=100, deadline=None)
def test_images_of_which_it_is_not_known_do_not_count(rows: list[tuple[int, bool, int]]) -> None:
    scores, targets, _ = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    known = metrics.auc_by_link(scores[:, None], targets[:, None])
    with_unknown = metrics.auc_by_link(np.r_[scores, 3.0][:, None], np.r_[targets, np.nan][:, None])
    assert known == pytest.approx(with_unknown, nan_ok=True)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_average_precision_is_that_of_scikit_learn(order: list[int], targets: list[bool]) -> None:
    precision = metrics.average_precision(np.array(order, float), np.array(targets, float))
    if any(targets):
        assert precision == pytest.approx(average_precision_score(targets, order))
    else:
        assert math.isnan(precision)


def test_the_likelihood_is_that_of_scikit_learn_and_unknown_targets_do_not_count() -> None:
    rng = np.random.default_rng(0)
    probabilities, targets = rng.random((30, 4)), rng.integers(0, 2, (30, 4)).astype(float)
    figure = metrics.negative_log_likelihood(probabilities, targets)
    expected = np.mean([log_loss(targets[:, link], probabilities[:, link], labels=[0, 1]) for link in range(4)])
    assert figure(np.ones((1, 30)))[0] == pytest.approx(expected)
    targets[0] = np.nan
    figure = metrics.negative_log_likelihood(probabilities, targets)
    rest = np.mean([log_loss(targets[1:, link], probabilities[1:, link], labels=[0, 1]) for link in range(4)])
    assert figure(np.ones((1, 30)))[0] == pytest.approx(rest)


def test_the_calibration_error_by_hand() -> None:
    probabilities, targets = np.array([[0.1], [0.1], [0.9], [0.9]]), np.array([[0.0], [1.0], [1.0], [1.0]])
    assert metrics.expected_calibration_error(probabilities, targets) == pytest.approx(0.5 * 0.4 + 0.5 * 0.1)
    assert metrics.expected_calibration_error(np.full((50, 1), 0.5), np.tile([[0.0], [1.0]], (25, 1))) == 0.0


def test_subjects_are_drawn_whole_and_intervals_hold_the_value() -> None:
    subjects = ["a", "a", "b", "c", "c", "c"]
    weights = metrics.bootstrap_weights(subjects, seed=1, samples=50)
    assert weights.shape == (50, 6)
    assert (weights[:, 0] == weights[:, 1]).all()
    assert (weights[:, 3] == weights[:, 5]).all()
    assert (weights[:, 0] + weights[:, 2] + weights[:, 3] == 3).all()
    assert (weights == metrics.bootstrap_weights(subjects, seed=1, samples=50)).all()
    values = np.arange(6.0)
    interval = metrics.with_interval(lambda sample: sample @ values / sample.sum(1), subjects)
    assert interval.low <= interval.value <= interval.high
    assert interval.value == 2.5


def test_each_link_has_an_interval_by_the_samples_of_the_mean() -> None:
    rng = np.random.default_rng(3)
    targets = (rng.random((60, 2)) < 0.4).astype(float)
    scores = targets * 0.4 + rng.random((60, 2))
    subjects = [str(number // 2) for number in range(60)]
    mean, by_link = metrics.auc_intervals(scores, targets, subjects)
    assert mean.value == pytest.approx(np.mean([auc.value for auc in by_link]))
    for column, auc in enumerate(by_link):
        assert auc.value == pytest.approx(roc_auc_score(targets[:, column], scores[:, column]))
        alone, _ = metrics.auc_intervals(scores[:, column : column + 1], targets[:, column : column + 1], subjects)
        assert alone == pytest.approx(auc)
        assert auc.low < auc.value < auc.high


@pytest.mark.parametrize("target", [0.0, 1.0, math.nan])
def test_a_part_without_a_link_of_both_classes_has_no_figure_of_it(target: float) -> None:
    probabilities, targets = np.full((6, 2), 0.3), np.full((6, 2), target)
    scores = build.score_probabilities(probabilities, targets, np.full(2, 0.2), [LINK, LINK], list("aabbcc"))
    assert scores.links == 0
    assert "macro AUC" not in scores.as_dict()
    assert all(math.isfinite(figure) for figure in scores.as_dict().values())
