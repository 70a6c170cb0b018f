"""Report selection (MedMKG appendix F.1): encode the reports, cluster them, keep those nearest to each centroid.

The paper names MedCSPCLIP's text encoder and DBSCAN and no more. Here: cosine distance between L2-normalised vectors,
`eps` and `min_samples` as settings, one report a cluster, and every report that is in no cluster (DBSCAN's noise) kept,
because it is like no other. Reports of one wording are one point that weighs as many.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NamedTuple

from kgplatform import files, plugins
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report, ReportSource
from kgplatform.construct.report_wrapper import ReportWrapper
from kgplatform.errors import InputError, UsageError
from kgplatform.extras import missing
from kgplatform.files import replacing
from kgplatform.spreadsheets import escaped, unescaped

COLUMNS: Final = ("study", "cluster", "distance", "kept")
NOISE: Final = -1

Encoder = Callable[[Sequence[str]], Any]  # texts to a matrix of their vectors, dense or sparse, one row a text


@dataclass(frozen=True, slots=True)
class ClusterSelection:
    """How reports are chosen. `eps`: cosine distance up to which two are neighbours; `min_samples` make a cluster."""

    encoder: str = "tfidf"
    eps: float = 0.25
    min_samples: int = 2
    per_cluster: int = 1

    def __post_init__(self) -> None:
        """Raises `UsageError` for a value out of range."""
        if not 0 < self.eps <= 2 or self.min_samples < 1 or self.per_cluster < 1:
            raise UsageError("eps must be above 0 and at most 2, the others at least 1", "See docs/construct.md.")


class Choice(NamedTuple):
    """A study's cluster (-1: none), its distance from the centroid (0 to 2), and whether it is kept."""

    study: str
    cluster: int
    distance: float
    is_selected: bool


def select_reports(reports: Iterable[Report], selection: ClusterSelection) -> list[Choice]:
    """The choice for each report that has findings or an impression, in order.

    Raises `SettingsError` where scikit-learn is not installed, and `UsageError` for an unknown encoder.
    """
    studies: list[str] = []
    wording_indices: dict[str, int] = {}  # of each wording
    wording_by_report: list[int] = []
    for report in reports:
        report_text = "\n".join(
            " ".join(report.sections.get(section_name, "").split()) for section_name in SECTIONS
        ).strip()
        if report_text:
            studies.append(report.study)
            wording_by_report.append(wording_indices.setdefault(report_text, len(wording_indices)))
    if not studies:
        return []
    weights = [0] * len(wording_indices)
    for wording_index in wording_by_report:
        weights[wording_index] += 1
    vectors = _unit(build_encoder(selection.encoder)(list(wording_indices)))
    clusters = _clusters(vectors, weights, selection)
    distances = _distances(vectors, weights, clusters)
    selected_numbers = _selected_numbers(
        studies,
        [clusters[wording_index] for wording_index in wording_by_report],
        [distances[wording_index] for wording_index in wording_by_report],
        selection,
    )
    return [
        Choice(study, clusters[wording_index], round(distances[wording_index], 6), report_number in selected_numbers)
        for report_number, (study, wording_index) in enumerate(zip(studies, wording_by_report, strict=True))
    ]


def write_selection(
    source: ReportSource,
    path: Path,
    selection: ClusterSelection,
    out: Path,
    log_rejects: Callable[[Sequence[Reject]], None] = lambda rejects: None,
) -> tuple[dict[str, int], list[Reject]]:
    """Choose among the reports of a source, which is at `path`, and write the choices to `out`.

    `log_rejects` receives the rows that are no report before the work begins. Returns how many reports, clusters and
    choices there are, and these rows. Raises `InputError` where no report has findings or an impression, and as
    `select_reports`.
    """
    all_rows = list(source.reports())
    parsed_reports = [report_row for report_row in all_rows if isinstance(report_row, Report)]
    rejects = [report_row for report_row in all_rows if not isinstance(report_row, Report)]
    log_rejects(rejects)
    choices = select_reports(parsed_reports, selection)
    if not choices:
        raise InputError("no report has findings or an impression", "Give other reports.", path=path)
    write_choices(out, choices)
    counts = {
        "reports": len(parsed_reports),
        "with_text": len(choices),
        "clusters": len({choice.cluster for choice in choices if choice.cluster >= 0}),
        "in_no_cluster": sum(choice.cluster < 0 for choice in choices),
        "kept": sum(choice.is_selected for choice in choices),
    }
    return counts, rejects


def _unit(vectors: Any) -> Any:
    try:
        from sklearn.preprocessing import normalize
    except ImportError:
        raise missing("scikit-learn", "select") from None
    return normalize(vectors)


def _clusters(vectors: Any, weights: Sequence[int], selection: ClusterSelection) -> list[int]:
    from sklearn.cluster import DBSCAN

    clustering = DBSCAN(eps=selection.eps, min_samples=selection.min_samples, metric="cosine")
    return [int(label) for label in clustering.fit(vectors, sample_weight=weights).labels_]


def _distances(vectors: Any, weights: Sequence[int], clusters: Sequence[int]) -> list[float]:
    """Each vector's cosine distance from the centroid of its cluster; 0 outside."""
    import numpy as np

    distances = np.zeros(len(clusters))
    cluster_labels = np.asarray(clusters)
    label_order = np.argsort(cluster_labels, kind="stable")
    for member_indices in np.split(label_order, np.flatnonzero(np.diff(cluster_labels[label_order])) + 1):
        if cluster_labels[member_indices[0]] == NOISE:
            continue
        member_vectors = vectors[member_indices]
        centroid = np.asarray(member_vectors.T @ np.asarray(weights, dtype=float)[member_indices]).ravel()
        distances[member_indices] = 1.0 - np.asarray(member_vectors @ centroid).ravel() / np.linalg.norm(centroid)
    return [max(0.0, float(distance)) for distance in distances]


def _selected_numbers(
    studies: Sequence[str], clusters: Sequence[int], distances: Sequence[float], selection: ClusterSelection
) -> set[int]:
    """The numbers of those that are kept: the nearest of each cluster (the earliest of equals), and all of none."""
    selected_numbers: set[int] = set()
    selected_per_cluster: dict[int, int] = {}
    for report_number in sorted(
        range(len(studies)), key=lambda report_number: (round(distances[report_number], 9), report_number)
    ):
        cluster = clusters[report_number]
        if cluster == NOISE:
            selected_numbers.add(report_number)
        elif selected_per_cluster.get(cluster, 0) < selection.per_cluster:
            selected_per_cluster[cluster] = selected_per_cluster.get(cluster, 0) + 1
            selected_numbers.add(report_number)
    return selected_numbers


def build_encoder(name: str) -> Encoder:
    """The encoder of that name, or `NAME:ARGUMENT`; encoders register in the group `kgplatform.encoders` as callables
    of the argument. Raises `UsageError` for an unknown one.
    """
    kind, _, argument = name.partition(":")
    encoder: Encoder = plugins.load_plugin("encoders", kind, "encoder")(argument)
    return encoder


def tfidf(argument: str = "") -> Encoder:
    """Words and pairs of words, weighted by how rare they are in these reports (TF-IDF); needs no weights."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise missing("scikit-learn", "select") from None
    if argument:
        raise UsageError("the encoder tfidf takes no argument", "Use tfidf.")

    def encode(texts: Sequence[str]) -> Any:
        vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")  # noqa: S106  no secret
        return vectorizer.fit_transform(texts)

    return encode


def write_choices(path: Path, choices: Sequence[Choice]) -> None:
    """Write the choices as CSV, whole or not at all; no word of a report is in it."""
    with replacing(path, _is_selection) as staged, staged.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(
            (escaped(choice.study), choice.cluster, f"{choice.distance:.6f}", int(choice.is_selected))
            for choice in choices
        )


def _is_selection(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return file.readline(100).rstrip("\n") == ",".join(COLUMNS)


def read_choices(path: Path) -> frozenset[str]:
    """The studies that a file of choices keeps. Raises `InputError` for a file that is none."""
    selected_studies = set()
    try:
        with TextIOWrapper(files.open_regular_file(path, hint="Select again."), "utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            if tuple(next(reader, ())) != COLUMNS:
                hint = "Give a file that `kgp construct select` wrote."
                raise InputError(f"the columns are not {', '.join(COLUMNS)}", hint, path=path)
            for choice_row in reader:
                if len(choice_row) != len(COLUMNS) or choice_row[3] not in ("0", "1"):
                    raise InputError(
                        "this is not a row of a selection", "Select again.", path=path, row=reader.line_num
                    )
                if choice_row[3] == "1":
                    selected_studies.add(unescaped(choice_row[0]))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError("the selection cannot be read", "Select again.", path=path) from None
    return frozenset(selected_studies)


class SelectedReports(ReportWrapper):
    """A source of reports, less those that a selection does not keep."""

    def __init__(self, source: ReportSource, path: Path) -> None:
        """Raises `InputError` where the file is no selection."""
        self._studies = read_choices(path)
        self._dropped_count = 0
        studies_digest = hashlib.sha256("\n".join(sorted(self._studies)).encode()).hexdigest()
        super().__init__(source, {"kept": studies_digest})

    def reports(self) -> Iterator[Report | Reject]:
        """The source's reports that are kept, and its rejects."""
        self._dropped_count = 0
        for source_row in super().reports():
            if isinstance(source_row, Reject) or source_row.study in self._studies:
                yield source_row
            else:
                self._dropped_count += 1

    @property
    def left_out(self) -> Mapping[str, int]:
        """The source's, and how many reports are not kept, once all reports are read."""
        dropped = {"reports that the selection does not keep": self._dropped_count} if self._dropped_count else {}
        return {**super().left_out, **dropped}
