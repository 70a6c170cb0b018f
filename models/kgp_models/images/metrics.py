"""How well predicted probabilities of links agree with the links that images have.

AUC is the area under the ROC curve (Hanley & McNeil 1982), with ties counted half. Confidence intervals are percentiles
of a bootstrap over subjects (Efron 1979): each sample draws subjects with replacement, and the same samples serve all
models, so that differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
SAMPLES: Final = 1_000
LEVEL: Final = 0.95
LEAST_PROBABILITY: Final = 1e-6
BINS: Final = 15


class Interval(NamedTuple):
    """A figure with its confidence interval."""

    value: float
    low: float
    high: float

    def as_list(self) -> list[float]:
        """Rounded, for JSON."""
        return [round(number, 4) for number in self]


def weighted_auc(scores: Array, targets: Array, weights: Array) -> Array:
    """The AUC of each sample: scores and targets (n,), weights (samples, n). NaN where a sample has one class only;
    images whose target is NaN do not count.
    """
    is_known = ~np.isnan(targets)
    if not is_known.any():
        return np.full(len(weights), np.nan)
    scores, targets, weights = scores[is_known], targets[is_known], weights[:, is_known]
    order = np.argsort(scores, kind="stable")
    scores, is_positive, weights = scores[order], targets[order] > 0.5, weights[:, order]
    negative = np.where(is_positive, 0.0, weights)
    below = np.cumsum(negative, axis=1) - negative
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])  # of groups of equal scores
    sizes = np.diff(np.r_[starts, len(scores)])
    below_group = np.repeat(below[:, starts], sizes, axis=1)
    tied = np.repeat(np.add.reduceat(negative, starts, axis=1), sizes, axis=1)
    positive = np.where(is_positive, weights, 0.0)
    wins = (positive * (below_group + 0.5 * tied)).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        auc: Array = wins / (positive.sum(1) * negative.sum(1))
    return auc


def auc_by_link(scores: Array, targets: Array) -> Array:
    """The AUC of each link, (links,), of scores and targets (images, links)."""
    unit_weights = np.ones((1, len(scores)))
    return np.array(
        [weighted_auc(scores[:, link], targets[:, link], unit_weights)[0] for link in range(scores.shape[1])]
    )


def bootstrap_weights(subjects: Sequence[str], seed: int = 0, samples: int = SAMPLES) -> Array:
    """How often each image counts in each sample, (samples, images): as often as its subject was drawn."""
    names, rows = np.unique(np.asarray(subjects), return_inverse=True)
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(len(names), np.full(len(names), 1.0 / len(names)), size=samples)
    weights: Array = draws[:, rows].astype(float)
    return weights


def with_interval(figure: Callable[[Array], Array], subjects: Sequence[str], seed: int = 0) -> Interval:
    """The figure and its confidence interval; `figure` gives it for each row of weights (samples, images). All are NaN
    where there is nothing to measure.
    """
    value = float(figure(np.ones((1, len(subjects))))[0])
    if np.isnan(value):
        return Interval(value, value, value)
    return _interval(np.append(value, figure(bootstrap_weights(subjects, seed))))


def auc_intervals(
    scores: Array, targets: Array, subjects: Sequence[str], seed: int = 0
) -> tuple[Interval, list[Interval]]:
    """The mean AUC over links, and that of each link, with their intervals by the same samples; scores and targets
    (images, links). In a sample, links of one class only do not count. The mean is NaN without links.
    """
    if not scores.shape[1]:
        return Interval(math.nan, math.nan, math.nan), []
    weights = np.concatenate([np.ones((1, len(subjects))), bootstrap_weights(subjects, seed)])
    by_link = np.array([weighted_auc(scores[:, link], targets[:, link], weights) for link in range(scores.shape[1])])
    return _interval(np.nanmean(by_link, axis=0)), [_interval(samples) for samples in by_link]


def _interval(samples: Array) -> Interval:
    """Of the figure itself, which is first, and of its samples."""
    low, high = np.nanquantile(samples[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(samples[0]), float(low), float(high))


def negative_log_likelihood(probabilities: Array, targets: Array) -> Callable[[Array], Array]:
    """The mean over images and links of the negative log-likelihood of a yes/no outcome, in nats, for samples."""
    clipped = np.clip(probabilities, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    is_known = ~np.isnan(targets)
    losses = np.where(is_known, -np.where(targets > 0.5, np.log(clipped), np.log(1 - clipped)), 0.0).sum(1)
    counts = is_known.sum(1)

    def figure(weights: Array) -> Array:
        with np.errstate(invalid="ignore"):  # nothing is known of any image: NaN
            mean: Array = weights @ losses / (weights @ counts)
        return mean

    return figure


def expected_calibration_error(probabilities: Array, targets: Array, bins: int = BINS) -> float:
    """The mean distance between predicted probability and observed share, over bins of equal width weighted by their
    size (Naeini et al. 2015; Guo et al. 2017, eq. 3).
    """
    is_known = ~np.isnan(targets)
    flat_probabilities, flat_targets = probabilities[is_known], targets[is_known]
    numbers = np.minimum((flat_probabilities * bins).astype(int), bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    gaps = np.abs(
        np.bincount(numbers, flat_probabilities, minlength=bins) - np.bincount(numbers, flat_targets, minlength=bins)
    )
    return float(gaps.sum() / max(1, counts.sum()))


def average_precision(scores: Array, targets: Array) -> float:
    """Of one link: the mean of the precision at each image that has it, images ranked by score (ties: as given)."""
    is_known = ~np.isnan(targets)
    hits = targets[is_known][np.argsort(-scores[is_known], kind="stable")] > 0.5
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())
