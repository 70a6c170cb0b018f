"""Report selection (MedMKG appendix F.1): encode the reports, cluster them, keep those nearest to each centroid.

The paper names MedCSPCLIP's text encoder and DBSCAN and no more. Here: cosine distance between L2-normalised vectors,
`eps` and `min_samples` as settings, one report a cluster, and every report that is in no cluster (DBSCAN's noise) kept,
as it is like no other. Reports of one wording are one point that weighs as many.
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
from kgplatform.errors import InputError, UsageError
from kgplatform.files import replacing
from kgplatform.spreadsheets import escaped, unescaped

COLUMNS: Final = ("study", "cluster", "distance", "kept")
NOISE: Final = -1

Encoder = Callable[[Sequence[str]], Any]  # texts to a matrix of their vectors, dense or sparse, one row a text


@dataclass(frozen=True, slots=True)
class Selection:
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
    kept: bool


def select(reports: Iterable[Report], selection: Selection) -> list[Choice]:
    """The choice for each report that has findings or an impression, in order.

    Raises `UsageError` where scikit-learn or the encoder is not there.
    """
    studies: list[str] = []
    places: dict[str, int] = {}  # of each wording
    wording: list[int] = []
    for report in reports:
        text = "\n".join(" ".join(report.sections.get(name, "").split()) for name in SECTIONS).strip()
        if text:
            studies.append(report.study)
            wording.append(places.setdefault(text, len(places)))
    if not studies:
        return []
    weights = [0] * len(places)
    for place in wording:
        weights[place] += 1
    vectors = _unit(encoder_of(selection.encoder)(list(places)))
    clusters = _clusters(vectors, weights, selection)
    distances = _distances(vectors, weights, clusters)
    kept = _kept(studies, [clusters[place] for place in wording], [distances[place] for place in wording], selection)
    return [
        Choice(study, clusters[place], round(distances[place], 6), number in kept)
        for number, (study, place) in enumerate(zip(studies, wording, strict=True))
    ]


def _unit(vectors: Any) -> Any:
    try:
        from sklearn.preprocessing import normalize
    except ImportError:
        raise UsageError("scikit-learn is not installed", "Install it: pip install 'kgplatform[select]'.") from None
    return normalize(vectors)


def _clusters(vectors: Any, weights: Sequence[int], selection: Selection) -> list[int]:
    from sklearn.cluster import DBSCAN

    found = DBSCAN(eps=selection.eps, min_samples=selection.min_samples, metric="cosine")
    return [int(label) for label in found.fit(vectors, sample_weight=weights).labels_]


def _distances(vectors: Any, weights: Sequence[int], clusters: Sequence[int]) -> list[float]:
    """Each vector's cosine distance from the centroid of its cluster; 0 outside."""
    import numpy as np

    distances = np.zeros(len(clusters))
    labels = np.asarray(clusters)
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        if labels[members[0]] == NOISE:
            continue
        inside = vectors[members]
        centroid = np.asarray(inside.T @ np.asarray(weights, dtype=float)[members]).ravel()
        distances[members] = 1.0 - np.asarray(inside @ centroid).ravel() / np.linalg.norm(centroid)
    return [max(0.0, float(distance)) for distance in distances]


def _kept(
    studies: Sequence[str], clusters: Sequence[int], distances: Sequence[float], selection: Selection
) -> set[int]:
    """The numbers of those that are kept: the nearest of each cluster (the earliest of equals), and all of none."""
    kept: set[int] = set()
    taken: dict[int, int] = {}
    for number in sorted(range(len(studies)), key=lambda number: (round(distances[number], 9), number)):
        cluster = clusters[number]
        if cluster == NOISE:
            kept.add(number)
        elif taken.get(cluster, 0) < selection.per_cluster:
            taken[cluster] = taken.get(cluster, 0) + 1
            kept.add(number)
    return kept


def encoder_of(name: str) -> Encoder:
    """The encoder of that name, or `NAME:ARGUMENT`; encoders register in the group `kgplatform.encoders` as callables
    of the argument. Raises `UsageError` for an unknown one.
    """
    kind, _, argument = name.partition(":")
    encoder: Encoder = plugins.load("encoders", kind, "encoder")(argument)
    return encoder


def tfidf(argument: str = "") -> Encoder:
    """Words and pairs of words, weighted by how rare they are in these reports (TF-IDF); needs no weights."""
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError:
        raise UsageError("scikit-learn is not installed", "Install it: pip install 'kgplatform[select]'.") from None
    if argument:
        raise UsageError("the encoder tfidf takes no argument", "Say tfidf.")

    def encode(texts: Sequence[str]) -> Any:
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+")  # noqa: S106  no secret
        return words.fit_transform(texts)

    return encode


def write(path: Path, choices: Sequence[Choice]) -> None:
    """Write the choices as CSV, whole or not at all; no word of a report is in it."""
    with replacing(path, _is_selection) as staged, staged.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((escaped(c.study), c.cluster, f"{c.distance:.6f}", int(c.kept)) for c in choices)


def _is_selection(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return file.readline(100).rstrip("\n") == ",".join(COLUMNS)


def read(path: Path) -> frozenset[str]:
    """The studies that a file of choices keeps. Raises `InputError` for a file that is none."""
    kept = set()
    try:
        with TextIOWrapper(files.opened(path, hint="Select again."), "utf-8", newline="") as file:
            reader = csv.reader(file, strict=True)
            if tuple(next(reader, ())) != COLUMNS:
                hint = "Give a file that `kgp construct select` wrote."
                raise InputError(f"the columns are not {', '.join(COLUMNS)}", hint, path=path)
            for row in reader:
                if len(row) != len(COLUMNS) or row[3] not in ("0", "1"):
                    raise InputError("this is no row of a selection", "Select again.", path=path, row=reader.line_num)
                if row[3] == "1":
                    kept.add(unescaped(row[0]))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError("the selection cannot be read", "Select again.", path=path) from None
    return frozenset(kept)


class Kept:
    """A source of reports, less those that a selection does not keep."""

    def __init__(self, source: ReportSource, path: Path) -> None:
        """Raises `InputError` where the file is no selection."""
        self._source = source
        self._studies = read(path)
        self._path = path
        self.left_out: Mapping[str, int] = {}
        digest = hashlib.sha256("\n".join(sorted(self._studies)).encode()).hexdigest()
        self.parameters: Mapping[str, Any] = {**source.parameters, "kept": digest}

    @property
    def kind(self) -> str:
        """The source's."""
        return self._source.kind

    @property
    def version(self) -> int:
        """The source's."""
        return self._source.version

    @property
    def credentialed(self) -> bool:
        """The source's."""
        return self._source.credentialed

    @property
    def files(self) -> tuple[Path, ...]:
        """The source's files."""
        return self._source.files

    def reports(self) -> Iterator[Report | Reject]:
        """The source's reports that are kept, and its rejects."""
        dropped = 0
        for row in self._source.reports():
            if isinstance(row, Reject) or row.study in self._studies:
                yield row
            else:
                dropped += 1
        others = {"reports that the selection does not keep": dropped} if dropped else {}
        self.left_out = {**getattr(self._source, "left_out", {}), **others}
