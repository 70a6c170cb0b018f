"""Studies as instruction records: what the generator is given, and the triplets that it is to write (VLM-KG §2.1).

A record is ``{instruction, input, output, image}``: the input is the report, in the form in which RadGraph has its
texts (words and marks apart), the output its triplets. `Study.record` can leave sentences of a report out; then the
output still states what the image shows: of what is drawn (or, where nobody knows that, of the sentences left out).
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from kgp_loaders.radgraph import ReportGraph, read_report_graphs, triplets
from kgp_models.generator.settings import DataSettings
from kgplatform import files, plugins
from kgplatform.batches import Reject
from kgplatform.construct.report import Report
from kgplatform.construct.text import sentences
from kgplatform.errors import InputError, UsageError
from kgplatform.triplets.text import Relation, Triplet, entity, serialise
from kgplatform.wording import counted

logger = logging.getLogger(__name__)
MAX_IMAGE_TRIPLETS: Final = 1 << 30  # bytes


class Record(NamedTuple):
    """One example. `image` is None where there is none, `report` empty where there is none."""

    id: str
    image: Path | None
    report: str
    triplets: tuple[Triplet, ...]

    def document(self, instruction: str) -> dict[str, str | None]:
        """The record in the paper's form (Figure 1)."""
        image_path = None if self.image is None else str(self.image)
        return {
            "instruction": instruction,
            "input": self.report,
            "output": serialise(self.triplets),
            "image": image_path,
        }


class Sentence(NamedTuple):
    """A sentence of a report, and the triplets whose head is in it."""

    text: str
    triplets: tuple[Triplet, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its graph, by sentence. `image_triplets` are what its image shows, None where nobody knows."""

    id: str
    image: Path | None
    sentences: tuple[Sentence, ...] = field(repr=False)
    image_triplets: tuple[Triplet, ...] | None = None
    dataset: str = ""
    subject: str = ""  # the patient, where it is known

    def record(self, sentence_numbers: Collection[int] | None = None, same: Callable[[str], str] = entity) -> Record:
        """The record with these sentences, by number; all by default. `same` maps an entity to what it means.

        Where sentences are left out, triplets of the image follow: those that the sentences kept do not speak of.
        """
        chosen_sentences = [
            sentence
            for sentence_number, sentence in enumerate(self.sentences)
            if sentence_numbers is None or sentence_number in sentence_numbers
        ]
        stated_triplets = dict.fromkeys(triplet for sentence in chosen_sentences for triplet in sentence.triplets)
        if len(chosen_sentences) < len(self.sentences):
            stated_triplets |= dict.fromkeys(self._missing(chosen_sentences, same))
        return Record(
            self.id, self.image, " ".join(sentence.text for sentence in chosen_sentences), tuple(stated_triplets)
        )

    def _missing(self, chosen_sentences: Sequence[Sentence], same: Callable[[str], str]) -> Iterable[Triplet]:
        """What the image shows and the sentences chosen do not say."""
        if self.image_triplets is None:
            return [
                triplet
                for sentence in self.sentences
                if sentence not in chosen_sentences
                for triplet in sentence.triplets
            ]
        stated_meanings = {
            same(entity_text)
            for sentence in chosen_sentences
            for triplet in sentence.triplets
            for entity_text in (triplet.head, triplet.tail)
        }
        return [triplet for triplet in self.image_triplets if same(finding(triplet)) not in stated_meanings]


def finding(triplet: Triplet) -> str:
    """What a drawn triplet is about: it says where a finding is, or how severe."""
    return triplet.tail if triplet.relation is Relation.MODIFY else triplet.head


def thinned(study: Study, share: float, rng: random.Random) -> set[int]:
    """Numbers of the sentences that stay when that share of them is left out, at random."""
    sentence_numbers = list(range(len(study.sentences)))
    omitted_numbers = rng.sample(sentence_numbers, round(share * len(sentence_numbers)))
    return set(sentence_numbers) - set(omitted_numbers)


def mixed(study: Study, sentences: Sequence[Sentence], share: float, rng: random.Random) -> Study:
    """The study with that share of its sentences, on the average, taken at random from those given."""
    if not share:
        return study
    return replace(
        study,
        sentences=tuple(rng.choice(sentences) if rng.random() < share else sentence for sentence in study.sentences),
    )


def by_sentence(graph: ReportGraph) -> tuple[Sentence, ...]:
    """The report of a graph in sentences; a triplet stands with its head's."""
    report_words = graph.text.split(" ")
    word_starts, char_offset = [], 0
    for word in report_words:
        word_starts.append(char_offset)
        char_offset += len(word) + 1
    sentence_spans = list(sentences(graph.text))
    triplets_by_sentence: list[dict[Triplet, None]] = [{} for _ in sentence_spans]
    entity_texts = {graph_entity.id: entity(graph_entity.text) for graph_entity in graph.entities}
    for graph_entity in graph.entities:
        char_position = word_starts[min(graph_entity.start, len(word_starts) - 1)]
        sentence_number = next(
            (
                sentence_number
                for sentence_number, (_, span_end) in enumerate(sentence_spans)
                if char_position < span_end
            ),
            len(sentence_spans) - 1,
        )
        for relation, tail_id in graph_entity.relations:
            if sentence_spans and entity_texts[graph_entity.id] and entity_texts[tail_id]:
                triplets_by_sentence[sentence_number][
                    Triplet(entity_texts[graph_entity.id], relation, entity_texts[tail_id])
                ] = None
    return tuple(
        Sentence(" ".join(graph.text[span_start:span_stop].split()), tuple(sentence_triplets))
        for (span_start, span_stop), sentence_triplets in zip(sentence_spans, triplets_by_sentence, strict=True)
    )


def read_studies(settings: DataSettings, split: str, base: Path) -> list[Study]:
    """The studies of a split that have a graph; how many graphs and reports cannot be used, and studies have none, is
    told. Raises `InputError` where a file is missing or no study is left.
    """
    root_folder = base / settings.path
    graphs_by_study: dict[str, ReportGraph] = {}
    rejects_by_kind: dict[str, list[Reject]] = {"graphs": [], "reports": []}
    for graph_path in settings.graphs:
        for graph in read_report_graphs(root_folder / graph_path):
            if isinstance(graph, ReportGraph):
                graphs_by_study[_study_name(graph.name)] = graph
            else:
                rejects_by_kind["graphs"].append(graph)
    triplets_by_study = None if settings.drawn is None else read_image_triplets(root_folder / settings.drawn)
    graph_studies = []
    without_graph = 0
    for report in _reports(settings, root_folder, split):
        if isinstance(report, Reject):
            rejects_by_kind["reports"].append(report)
            continue
        study_graph = graphs_by_study.get(_study_name(report.study))
        if study_graph is None:
            without_graph += 1
            continue
        relative_path = report.image.get("path")
        image_path = None if relative_path is None else root_folder / settings.images / relative_path
        image_triplets = None if triplets_by_study is None else triplets_by_study.get(_study_name(report.study), ())
        graph_studies.append(
            Study(
                report.image_id,
                image_path,
                by_sentence(study_graph),
                image_triplets,
                report.image.get("dataset", ""),
                report.image.get("subject_id", ""),
            )
        )
    for reject_kind, rejects in rejects_by_kind.items():
        if rejects:
            first_reject = rejects[0]
            location = f"{first_reject.path}, row {first_reject.row}"
            logger.warning(
                f"{counted(len(rejects), reject_kind)} left out, the first of them {location}: {first_reject.reason}"
            )
    if without_graph:
        logger.warning(
            counted(
                without_graph, f"studies of the split {split} have no graph", f"study of the split {split} has no graph"
            )
        )
    if not graph_studies:
        raise InputError(
            f"no study of the split {split!r} has a graph", "Check data.graphs and the splits.", path=root_folder
        )
    return graph_studies


def graph_records(path: Path, labeler: int = 1) -> list[Record]:
    """Records of a file of graphs alone, such as the 50 reports that radiologists labelled; without images."""
    return [
        Record(graph.name, None, graph.text, tuple(triplets(graph)))
        for graph in read_report_graphs(path, labeler)
        if isinstance(graph, ReportGraph)
    ]


def shared_studies(training: Iterable[Study], other: Iterable[Study]) -> list[Study]:
    """Those of the other studies that are in the training, too, by name or by the text of a long report."""
    training = list(training)
    training_names = {study_name for study in training for study_name in _names(study)}
    training_texts = {_text(study) for study in training if _long(study)}
    return [
        study for study in other if _names(study) & training_names or (_long(study) and _text(study) in training_texts)
    ]


def require_apart(training: Iterable[Study], test: Iterable[Study]) -> None:
    """Raises `InputError` where a study or a report's text of the test is in the training, too (paper §3.1)."""
    overlap = shared_studies(training, test)
    if overlap:
        raise InputError(
            f"{len(overlap):,} test reports are also in the training part; the first is that of {overlap[0].id}",
            "Split by patient, and leave repeated reports out of one of the two.",
        )


def data_sha256(chosen: Sequence[Study]) -> str:
    """A hash of the studies: ids, texts, triplets, what is drawn."""
    digest = hashlib.sha256()
    for study in chosen:
        digest.update(json.dumps([study.id, study.sentences, study.image_triplets]).encode())
    return digest.hexdigest()


def read_image_triplets(path: Path) -> dict[str, tuple[Triplet, ...]]:
    """What images show, by study: ``{name: [[head, relation, tail], …]}``. Raises `InputError`."""
    try:
        document = files.read_json(path, MAX_IMAGE_TRIPLETS, "Check data.drawn.")
        return {
            _study_name(study_name): tuple(
                Triplet(entity(head_text), Relation(relation), entity(tail_text))
                for head_text, relation, tail_text in triplet_rows
            )
            for study_name, triplet_rows in document.items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError("is not a JSON object of triplets by study", "See docs/generate.md.", path=path) from None


def _reports(settings: DataSettings, root_folder: Path, split: str) -> Iterable[Report | Reject]:
    reports_loader = plugins.load_plugin("reports", settings.reports, "loader of reports")
    try:
        report_source = reports_loader(root_folder, views=settings.views, splits=(split,))
    except TypeError:
        raise UsageError(f"the loader {settings.reports} knows no splits", "Use mimic-cxr or iu-xray.") from None
    loaded_reports: Iterable[Report | Reject] = report_source.reports()
    return loaded_reports


def _study_name(raw_name: str) -> str:
    """A study by one name, whether RadGraph calls it ``p10/p…/s50414267.txt`` or the reports 50414267."""
    name_stem = raw_name.rsplit("/", 1)[-1].removesuffix(".txt")
    return name_stem[1:] if re.fullmatch(r"s\d{8}", name_stem) else name_stem


def _names(study: Study) -> set[str]:
    """What a study is called: as an image's id ``I50414267``, as a report's 50414267."""
    return {study.id, _study_name(study.id), study.id.removeprefix("I")}


def _text(study: Study) -> str:
    return " ".join(word for sentence in study.sentences for word in sentence.text.casefold().split())


def _long(study: Study) -> bool:
    """Whether a report is long enough to be no accident: "No acute process." is written of many."""
    return sum(len(sentence.text.split()) for sentence in study.sentences) >= 25
