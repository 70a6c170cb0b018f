"""What a graph was built from, so that no pair of it is trained or tested on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import Final, NamedTuple

from kgplatform import queries
from kgplatform.datasets.pair_source import Pair
from kgplatform.graph import Graph

_INDIANA: Final = re.compile(r"CXR(?P<uid>[0-9]+)_.*")  # R2Gen's name of OpenI's report `uid`


class Used(NamedTuple):
    """What a graph was built from: studies and subjects, each with its data set."""

    studies: frozenset[tuple[str, str]]
    subjects: frozenset[tuple[str, str]]


def graph_images(graph: Graph) -> Used:
    """The studies and subjects of the graph's images. MedMKG's are MIMIC-CXR's and stand under that name."""
    image_rows = graph.read(queries.get("datasets/graph_studies"))
    studies = {study_key(image_row["dataset"], image_row["study"]) for image_row in image_rows if image_row["study"]}
    return Used(
        frozenset(studies),
        frozenset((image_row["dataset"], image_row["subject"]) for image_row in image_rows if image_row["subject"]),
    )


def study_key(dataset: str, study: str) -> tuple[str, str]:
    """A study with its data set. IU X-ray's are OpenI's under other names, and get those."""
    name_match = _INDIANA.fullmatch(study) if dataset == "IU X-ray" else None
    return ("OpenI", name_match["uid"]) if name_match else (dataset, study)


def exclude(
    pairs: Iterable[Pair], studies: Set[tuple[str, str]], subjects: Set[tuple[str, str]] = frozenset()
) -> list[Pair]:
    """The pairs that are neither of one of these studies nor of one of these subjects, nor of a subject whose study is
    among them. The paper's code compares absolute paths with relative ones and so excludes nothing.
    """
    pairs = list(pairs)
    excluded_subjects = {
        _subject_key(pair) for pair in pairs if pair.subject and study_key(pair.dataset, pair.study) in studies
    }
    excluded_subjects |= subjects
    return [
        pair
        for pair in pairs
        if study_key(pair.dataset, pair.study) not in studies and _subject_key(pair) not in excluded_subjects
    ]


def _subject_key(pair: Pair) -> tuple[str, str]:
    return pair.dataset, pair.subject
