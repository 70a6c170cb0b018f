"""The figures of a row of the image benchmark: ranking, calibration, and breakdowns by frequency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgp_models.images import build, metrics
from kgp_models.images.examples import ImageExamples, Link
from kgp_models.images.metrics import Array

CUTOFFS: Final = (1, 5, 10)
FREQUENCIES: Final = ((20, 50), (50, 100), (100, None))  # training radiographs of a head, from and below
BINS: Final = 10  # of a reliability plot


def head_figures(
    probabilities: Array,
    links: Sequence[Link],
    all_links: Sequence[Link],
    shares: Array,
    examples: ImageExamples,
    *,
    baseline: bool,
) -> dict[str, Any]:
    """The figures of a row. Heads that are not learnt have the training's share as their probability."""
    subjects = examples.subjects
    targets = examples.targets(links).astype(float)
    columns = {link: column for column, link in enumerate(all_links)}
    everything = np.broadcast_to(shares, (len(probabilities), len(all_links))).copy()
    everything[:, [columns[link] for link in links]] = probabilities
    all_targets = examples.targets(all_links).astype(float)
    learnt_shares = shares[[columns[link] for link in links]]
    has_both = [column for column in range(len(links)) if 0 < targets[:, column].sum() < len(targets)]
    scores = build.score_probabilities(
        probabilities[:, has_both],
        targets[:, has_both],
        learnt_shares[has_both],
        [links[column] for column in has_both],
        subjects,
    )
    precision = [metrics.average_precision(probabilities[:, column], targets[:, column]) for column in has_both]
    tested = [column for column in range(len(all_links)) if all_targets[:, column].sum() > 0]
    all_precision = [metrics.average_precision(everything[:, column], all_targets[:, column]) for column in tested]
    ranks, rows = filtered_ranks(everything, all_targets)
    figures: dict[str, Any] = {
        "radiographs": len(targets),
        "studies": len(set(subjects)),
        "heads": len(has_both),
        "macro AUC": 0.5 if baseline else scores.auc.as_list(),
        "AUC by head": {}
        if baseline
        else {f"{link.stance} {link.name}": auc.as_list() for link, auc in scores.auc_by_link.items()},
        "mean average precision": round(float(np.mean(precision)), 4),
        "heads of the training": len(tested),
        "mean average precision, all heads": round(float(np.mean(all_precision)), 4),
        "MRR": rank_figure(1.0 / ranks, rows, subjects),
        "gain in log-likelihood": scores.gain.as_list(),
        "calibration error": round(scores.calibration_error, 4),
    }
    figures |= {f"Hits@{cutoff}": rank_figure((ranks <= cutoff).astype(float), rows, subjects) for cutoff in CUTOFFS}
    return figures


def filtered_ranks(scores: Array, targets: Array) -> tuple[Array, NDArray[np.intp]]:
    """The rank of each head of each radiograph among heads that it does not have, ties counted half, and its row."""
    rows, columns = np.nonzero(targets > 0.5)
    own = scores[rows, columns][:, None]
    others = np.where(targets[rows] > 0.5, -np.inf, scores[rows])
    ranks = 1.0 + (others > own).sum(1) + 0.5 * (others == own).sum(1)
    return ranks, rows


def rank_figure(values: Array, rows: NDArray[np.intp], subjects: Sequence[str]) -> list[float]:
    """The mean over the pairs of a radiograph and a head."""

    def figure(weights: Array) -> Array:
        pair_weights = weights[:, rows]
        mean: Array = pair_weights @ values / pair_weights.sum(1)
        return mean

    return metrics.with_interval(figure, subjects).as_list()


def by_frequency(
    probabilities: Array, links: Sequence[Link], counts: Sequence[int], examples: ImageExamples
) -> dict[str, dict[str, float]]:
    """AUC and average precision, means over heads, by how many training radiographs a head has (`counts`)."""
    targets = examples.targets(links).astype(float)
    aucs = metrics.auc_by_link(probabilities, targets)
    rows = {}
    for low, high in FREQUENCIES:
        columns = [
            column
            for column, count in enumerate(counts)
            if count >= low and (high is None or count < high) and 0 < targets[:, column].sum() < len(targets)
        ]
        if columns:
            precision = [metrics.average_precision(probabilities[:, column], targets[:, column]) for column in columns]
            rows[f"{low} and more" if high is None else f"{low} to {high - 1}"] = {
                "heads": len(columns),
                "macro AUC": round(float(np.mean(aucs[columns])), 4),
                "mean average precision": round(float(np.mean(precision)), 4),
            }
    return rows


def reliability(probabilities: Array, links: Sequence[Link], examples: ImageExamples) -> list[dict[str, float]]:
    """Of each bin of predicted probability: the mean prediction, the observed share, and how many there are."""
    targets = examples.targets(links).astype(float).ravel()
    flat = probabilities.ravel()
    bins = np.minimum((flat * BINS).astype(int), BINS - 1)
    return [
        {
            "predicted": round(float(flat[bins == number].mean()), 4),
            "observed": round(float(targets[bins == number].mean()), 4),
            "pairs": int((bins == number).sum()),
        }
        for number in range(BINS)
        if (bins == number).any()
    ]
