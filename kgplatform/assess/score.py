"""What the raters say together: means, spread, agreement, and the bars of the paper's Figure 1."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from kgplatform.assess.agreement import icc, weighted_kappa
from kgplatform.assess.workbook import HIGHEST, METRICS, Ratings
from kgplatform.errors import InputError, UsageError
from kgplatform.extras import missing
from kgplatform.files import figure_metadata, has_program_mark, replacing


@dataclass(frozen=True)
class MetricScore:
    """A metric over all raters. `mean` is from 1 to 10, `percent` of 10; SD is that of a sample, over all ratings.

    Agreement is over the items that both, or all, raters rated; None where it is undefined or there is one rater.
    """

    metric: str
    items: int
    ratings: int
    missing: int
    mean: float | None
    sd: float | None
    percent: float | None
    by_rater: dict[str, float | None]
    kappa: dict[str, float | None]
    mean_kappa: float | None
    icc_single: float | None
    icc_mean: float | None
    rated_by_all: int


def score_ratings(raters: Sequence[Ratings]) -> list[MetricScore]:
    """The scores of each metric. Raises `InputError` for workbooks of different samples, one given twice, and
    where nothing is rated.
    """
    if not raters:
        raise UsageError("no workbook is given", "Give the raters' files.")
    if len({rater.path.resolve() for rater in raters}) < len(raters):
        raise UsageError("a workbook is given twice", "Give each rater's file once.")
    for compared_rater in raters[1:]:
        if compared_rater.identity != raters[0].identity:
            message = f"this workbook is for another sample than {raters[0].path.name}"
            raise InputError(message, "Score the raters of one sample together.", path=compared_rater.path)
    if not any(rater.by_metric[metric] for rater in raters for metric in METRICS):
        raise InputError("no workbook has a rating", "Score them when the raters have filled them in.")
    rater_names = _names(raters)
    return [_metric(metric, raters, rater_names) for metric in METRICS]


def _names(raters: Sequence[Ratings]) -> list[str]:
    """The raters' names, made different where two gave the same."""
    rater_names: list[str] = []
    for rater in raters:
        rater_name, suffix_number = rater.rater, 2
        while rater_name in rater_names:
            rater_name, suffix_number = f"{rater.rater} ({suffix_number})", suffix_number + 1
        rater_names.append(rater_name)
    return rater_names


def _metric(metric: str, raters: Sequence[Ratings], rater_names: Sequence[str]) -> MetricScore:
    ratings_by_rater = [rater.by_metric[metric] for rater in raters]
    all_ratings = [rating for rater_ratings in ratings_by_rater for rating in rater_ratings.values()]
    kappas = {}
    for (first_name, first_ratings), (second_name, second_ratings) in combinations(
        zip(rater_names, ratings_by_rater, strict=True), 2
    ):
        common_ids = sorted(first_ratings.keys() & second_ratings.keys())
        kappas[f"{first_name} / {second_name}"] = weighted_kappa(
            [first_ratings[item_id] for item_id in common_ids], [second_ratings[item_id] for item_id in common_ids]
        )
    defined_kappas = [kappa for kappa in kappas.values() if kappa is not None]
    all_rated = sorted(set.intersection(*(set(rater_ratings) for rater_ratings in ratings_by_rater)))
    agreement = icc([[float(rater_ratings[item_id]) for rater_ratings in ratings_by_rater] for item_id in all_rated])
    mean_rating = fmean(all_ratings) if all_ratings else None
    return MetricScore(
        metric=metric,
        items=max(rater.possible[metric] for rater in raters),
        ratings=len(all_ratings),
        missing=sum(rater.possible[metric] for rater in raters) - len(all_ratings),
        mean=mean_rating,
        sd=stdev(all_ratings) if len(all_ratings) > 1 else None,
        percent=None if mean_rating is None else 100 * mean_rating / HIGHEST,
        by_rater={
            rater_name: fmean(rater_ratings.values()) if rater_ratings else None
            for rater_name, rater_ratings in zip(rater_names, ratings_by_rater, strict=True)
        },
        kappa=kappas,
        mean_kappa=fmean(defined_kappas) if defined_kappas else None,
        icc_single=agreement.single,
        icc_mean=agreement.mean,
        rated_by_all=len(all_rated),
    )


def write_scores(scores: Sequence[MetricScore], folder: Path) -> list[Path]:
    """Write `scores.json` and the bar chart; returns the files. Raises `SettingsError` without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise missing("matplotlib", "plot") from None
    mpl.use("Agg")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document: list[dict[str, Any]] = [asdict(metric_score) for metric_score in scores]
        with replacing(folder / "scores.json", _is_scores) as staged_path:
            staged_path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return [folder / "scores.json", *_chart(scores, folder)]
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", "Choose another folder.", path=folder) from None


def _is_scores(scores_path: Path) -> bool:
    return all("metric" in score_row for score_row in json.loads(scores_path.read_bytes()))


def _chart(scores: Sequence[MetricScore], folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    heights = [metric_score.percent or 0.0 for metric_score in scores]
    deviations = [100 * (metric_score.sd or 0.0) / HIGHEST for metric_score in scores]
    bars = axes.bar(
        [metric_score.metric for metric_score in scores], heights, 0.55, yerr=deviations, capsize=5, color="#4878a8"
    )
    axes.bar_label(bars, [f"{height:.1f} %" for height in heights], padding=3)
    axes.set_ylim(0, 110)
    axes.set_ylabel("mean rating, % of 10 (whiskers: SD)")
    axes.spines[["top", "right"]].set_visible(False)
    chart_paths = [folder / "assessment.svg", folder / "assessment.png"]
    for chart_path in chart_paths:
        with replacing(chart_path, has_program_mark) as staged_path:
            figure.savefig(staged_path, format=chart_path.suffix[1:], dpi=150, metadata=figure_metadata(chart_path))
    return chart_paths
