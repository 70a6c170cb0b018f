"""Studies as instruction records: what the generator is given, and the triplets that it is to write (VLM-KG §2.1).

A record is ``{instruction, input, output, image}``: the input is the report, in the form in which RadGraph has its
texts (words and marks apart), the output its triplets. `Study.record` can leave sentences of a report out; then the
output still tells what the image shows: of what is drawn (or, where nobody knows that, of the sentences left out).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from kgp_loaders.radgraph import Graph, read, triplets
from kgp_models.generator.settings import DataSettings
from kgplatform import files, plugins
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.construct.text import sentences
from kgplatform.errors import InputError, UsageError
from kgplatform.triplets.text import Relation, Triplet, entity, serialise
from kgplatform.wording import counted

MAX_DRAWN: Final = 1 << 30  # bytes


class Record(NamedTuple):
    """One example. `image` is None where there is none, `report` empty where there is none."""

    id: str
    image: Path | None
    report: str
    triplets: tuple[Triplet, ...]

    def document(self, instruction: str) -> dict[str, str | None]:
        """The record in the paper's form (Figure 1)."""
        image = None if self.image is None else str(self.image)
        return {"instruction": instruction, "input": self.report, "output": serialise(self.triplets), "image": image}


class Sentence(NamedTuple):
    """A sentence of a report, and the triplets whose head stands in it."""

    text: str
    triplets: tuple[Triplet, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its graph, by sentence. `drawn` is what its image shows, None where nobody knows."""

    id: str
    image: Path | None
    sentences: tuple[Sentence, ...] = field(repr=False)
    drawn: tuple[Triplet, ...] | None = None
    dataset: str = ""

    def record(self, kept: Collection[int] | None = None, same: Callable[[str], str] = entity) -> Record:
        """The record with these sentences, by number; all by default. `same` maps an entity to what it means.

        Where sentences are left out, triplets of the image follow: those that the sentences kept do not speak of.
        """
        chosen = [one for number, one in enumerate(self.sentences) if kept is None or number in kept]
        said = dict.fromkeys(triplet for one in chosen for triplet in one.triplets)
        if len(chosen) < len(self.sentences):
            said |= dict.fromkeys(self._missing(chosen, same))
        return Record(self.id, self.image, " ".join(one.text for one in chosen), tuple(said))

    def _missing(self, chosen: Sequence[Sentence], same: Callable[[str], str]) -> Iterable[Triplet]:
        """What the image shows and the sentences chosen do not say."""
        if self.drawn is None:
            return [triplet for one in self.sentences if one not in chosen for triplet in one.triplets]
        told = {same(end) for one in chosen for triplet in one.triplets for end in (triplet.head, triplet.tail)}
        return [triplet for triplet in self.drawn if same(finding(triplet)) not in told]


def finding(triplet: Triplet) -> str:
    """What a drawn triplet is about: it says where a finding is, or how severe."""
    return triplet.tail if triplet.relation is Relation.MODIFY else triplet.head


def thinned(study: Study, share: float, rng: random.Random) -> set[int]:
    """Numbers of the sentences that stay when that share of them is left out, at random."""
    numbers = list(range(len(study.sentences)))
    left_out = rng.sample(numbers, round(share * len(numbers)))
    return set(numbers) - set(left_out)


def mixed(study: Study, sentences: Sequence[Sentence], share: float, rng: random.Random) -> Study:
    """The study with that share of its sentences, on the average, taken at random from those given."""
    if not share:
        return study
    return replace(
        study, sentences=tuple(rng.choice(sentences) if rng.random() < share else one for one in study.sentences)
    )


def by_sentence(graph: Graph) -> tuple[Sentence, ...]:
    """The report of a graph in sentences; a triplet stands with its head's."""
    words = graph.text.split(" ")
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    parts = list(sentences(graph.text))
    of: list[dict[Triplet, None]] = [{} for _ in parts]
    texts = {one.id: entity(one.text) for one in graph.entities}
    for one in graph.entities:
        place = starts[min(one.start, len(starts) - 1)]
        number = next((number for number, (_, end) in enumerate(parts) if place < end), len(parts) - 1)
        for relation, tail in one.relations:
            if parts and texts[one.id] and texts[tail]:
                of[number][Triplet(texts[one.id], relation, texts[tail])] = None
    return tuple(
        Sentence(" ".join(graph.text[a:b].split()), tuple(found)) for (a, b), found in zip(parts, of, strict=True)
    )


def studies(
    settings: DataSettings, split: str, base: Path, told: Callable[[str], None] = lambda _: None
) -> list[Study]:
    """The studies of a split that have a graph; how many graphs and reports cannot be used, and studies have none, is
    told. Raises `InputError` where a file is not there or no study is left.
    """
    root = base / settings.path
    graphs: dict[str, Graph] = {}
    left_out: dict[str, list[Reject]] = {"graphs": [], "reports": []}
    for name in settings.graphs:
        for graph in read(root / name):
            if isinstance(graph, Graph):
                graphs[_study_name(graph.name)] = graph
            else:
                left_out["graphs"].append(graph)
    drawn = None if settings.drawn is None else read_drawn(root / settings.drawn)
    found = []
    without = 0
    for report in _reports(settings, root, split):
        if isinstance(report, Reject):
            left_out["reports"].append(report)
            continue
        known = graphs.get(_study_name(report.study))
        if known is None:
            without += 1
            continue
        path = report.image.get("path")
        image = None if path is None else root / settings.images / path
        shown = None if drawn is None else drawn.get(_study_name(report.study), ())
        found.append(Study(report.image_id, image, by_sentence(known), shown, report.image.get("dataset", "")))
    for what, rejects in left_out.items():
        if rejects:
            first = rejects[0]
            where = f"{first.path}, row {first.row}"
            told(f"{counted(len(rejects), what)} left out, the first of them {where}: {first.reason}")
    if without:
        told(
            counted(without, f"studies of the split {split} have no graph", f"study of the split {split} has no graph")
        )
    if not found:
        raise InputError(f"no study of the split {split!r} has a graph", "Check data.graphs and the splits.", path=root)
    return found


def graph_records(path: Path, labeler: int = 1) -> list[Record]:
    """Records of a file of graphs alone, such as the 50 reports that radiologists labelled; without images."""
    return [
        Record(graph.name, None, graph.text, tuple(triplets(graph)))
        for graph in read(path, labeler)
        if isinstance(graph, Graph)
    ]


def shared(training: Iterable[Study], other: Iterable[Study]) -> list[Study]:
    """Those of the other studies that are in the training, too, by name or by the text of a long report."""
    training = list(training)
    names = {name for study in training for name in _names(study)}
    texts = {_text(study) for study in training if _long(study)}
    return [study for study in other if _names(study) & names or (_long(study) and _text(study) in texts)]


def require_apart(training: Iterable[Study], test: Iterable[Study]) -> None:
    """Raises `InputError` where a study or a report's text of the test is in the training, too (paper §3.1)."""
    both = shared(training, test)
    if both:
        raise InputError(
            f"{len(both):,} test reports are in the training, too; the first is that of {both[0].id}",
            "Split by patient, and leave repeated reports out of one of the two.",
        )


def data_sha256(chosen: Sequence[Study]) -> str:
    """A hash of the studies: ids, texts, triplets, what is drawn."""
    digest = hashlib.sha256()
    for study in chosen:
        digest.update(json.dumps([study.id, study.sentences, study.drawn]).encode())
    return digest.hexdigest()


def read_drawn(path: Path) -> dict[str, tuple[Triplet, ...]]:
    """What images show, by study: ``{name: [[head, relation, tail], …]}``. Raises `InputError`."""
    try:
        document = files.read_json(path, MAX_DRAWN, "Check data.drawn.")
        return {
            _study_name(name): tuple(
                Triplet(entity(head), Relation(relation), entity(tail)) for head, relation, tail in rows
            )
            for name, rows in document.items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError("is not a JSON object of triplets by study", "See docs/generate.md.", path=path) from None


def _reports(settings: DataSettings, root: Path, split: str) -> Iterable[Report | Reject]:
    load = plugins.load("reports", settings.reports, "loader of reports")
    try:
        source = load(root, views=settings.views, splits=(split,))
    except TypeError:
        raise UsageError(f"the loader {settings.reports} knows no splits", "Use mimic-cxr or iu-xray.") from None
    rows: Iterable[Report | Reject] = source.reports()
    return rows


def _study_name(name: str) -> str:
    """A study by one name, whether RadGraph calls it ``p10/p…/s50414267.txt`` or the reports 50414267."""
    stem = name.rsplit("/", 1)[-1].removesuffix(".txt")
    return stem[1:] if re.fullmatch(r"s\d{8}", stem) else stem


def _names(study: Study) -> set[str]:
    """What a study is called: as an image's id ``I50414267``, as a report's 50414267."""
    return {study.id, _study_name(study.id), study.id.removeprefix("I")}


def _text(study: Study) -> str:
    return " ".join(word for one in study.sentences for word in one.text.casefold().split())


def _long(study: Study) -> bool:
    """Whether a report is long enough to be no accident: "No acute process." is written of many."""
    return sum(len(one.text.split()) for one in study.sentences) >= 25
