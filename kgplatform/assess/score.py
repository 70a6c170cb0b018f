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
from kgplatform.files import figure_metadata, marked, replacing


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


def score(raters: Sequence[Ratings]) -> list[MetricScore]:
    """The scores of each metric. Raises `InputError` for workbooks of different samples, and one given twice."""
    if not raters:
        raise UsageError("no workbook is given", "Give the raters' files.")
    if len({rater.path.resolve() for rater in raters}) < len(raters):
        raise UsageError("a workbook is given twice", "Give each rater's file once.")
    for other in raters[1:]:
        if other.identity != raters[0].identity:
            told = f"this workbook asks about another sample than {raters[0].path.name}"
            raise InputError(told, "Score the raters of one sample together.", path=other.path)
    names = _names(raters)
    return [_metric(metric, raters, names) for metric in METRICS]


def _names(raters: Sequence[Ratings]) -> list[str]:
    """The raters' names, made different where two gave the same."""
    names: list[str] = []
    for rater in raters:
        name, number = rater.rater, 2
        while name in names:
            name, number = f"{rater.rater} ({number})", number + 1
        names.append(name)
    return names


def _metric(metric: str, raters: Sequence[Ratings], names: Sequence[str]) -> MetricScore:
    given = [rater.given[metric] for rater in raters]
    values = [value for ratings in given for value in ratings.values()]
    kappas = {}
    for (one, first), (two, second) in combinations(zip(names, given, strict=True), 2):
        both = sorted(first.keys() & second.keys())
        kappas[f"{one} / {two}"] = weighted_kappa([first[id] for id in both], [second[id] for id in both])
    defined = [kappa for kappa in kappas.values() if kappa is not None]
    all_rated = sorted(set.intersection(*(set(ratings) for ratings in given)))
    agreement = icc([[float(ratings[id]) for ratings in given] for id in all_rated])
    mean = fmean(values) if values else None
    return MetricScore(
        metric=metric,
        items=max(rater.asked[metric] for rater in raters),
        ratings=len(values),
        missing=sum(rater.asked[metric] for rater in raters) - len(values),
        mean=mean,
        sd=stdev(values) if len(values) > 1 else None,
        percent=None if mean is None else 100 * mean / HIGHEST,
        by_rater={
            name: fmean(ratings.values()) if ratings else None for name, ratings in zip(names, given, strict=True)
        },
        kappa=kappas,
        mean_kappa=fmean(defined) if defined else None,
        icc_single=agreement.single,
        icc_mean=agreement.mean,
        rated_by_all=len(all_rated),
    )


def write(scores: Sequence[MetricScore], folder: Path) -> list[Path]:
    """Write `scores.json` and the bar chart; returns the files. Raises `UsageError` without matplotlib."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise UsageError("matplotlib is not installed", "Install it: pip install 'kgplatform[plot]'.") from None
    mpl.use("Agg")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        document: list[dict[str, Any]] = [asdict(one) for one in scores]
        with replacing(folder / "scores.json", _is_scores) as staged:
            staged.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return [folder / "scores.json", *_chart(scores, folder)]
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", "Choose another folder.", path=folder) from None


def _is_scores(path: Path) -> bool:
    return all("metric" in row for row in json.loads(path.read_bytes()))


def _chart(scores: Sequence[MetricScore], folder: Path) -> list[Path]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    heights = [one.percent or 0.0 for one in scores]
    spread = [100 * (one.sd or 0.0) / HIGHEST for one in scores]
    bars = axes.bar([one.metric for one in scores], heights, 0.55, yerr=spread, capsize=5, color="#4878a8")
    axes.bar_label(bars, [f"{height:.1f} %" for height in heights], padding=3)
    axes.set_ylim(0, 110)
    axes.set_ylabel("mean rating, % of 10 (whiskers: SD)")
    axes.spines[["top", "right"]].set_visible(False)
    paths = [folder / "assessment.svg", folder / "assessment.png"]
    for path in paths:
        with replacing(path, marked) as staged:
            figure.savefig(staged, format=path.suffix[1:], dpi=150, metadata=figure_metadata(path))
    return paths
