"""Studies to train a generator on, with the triplets that it is to write, read as `data` of the settings says.

Targets are one of

    graphs        files in RadGraph's form, by study
    codes         the codes that indexers gave to the report (`kgplatform.triplets.codes`); they are of the whole study
    constructed   what construction reads in each sentence: silver, as nobody has checked it (the paper: DyGIE++)
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from kgp_loaders.radgraph import ReportGraph, read_report_graphs, triplets
from kgp_loaders.tabular import open_table
from kgp_models.generator.records import Record, Sentence, Study, study_name
from kgp_models.generator.settings import DataSettings
from kgplatform import files, plugins
from kgplatform.batches import Reject
from kgplatform.construct.annotate import annotate
from kgplatform.construct.attribute_table import Attribute
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.open_lexicon import ontology_names, own_words
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.construct.text import sentences
from kgplatform.errors import InputError
from kgplatform.radiograph import find_image
from kgplatform.schema import Stance
from kgplatform.triplets.codes import code_triplets
from kgplatform.triplets.text import Relation, Triplet, entity, report_text
from kgplatform.wording import counted

logger = logging.getLogger(__name__)
MAX_IMAGE_TRIPLETS: Final = 1 << 30  # bytes
OTHER: Final = "other"  # the split of studies that a file of splits does not name
SPLITS: Final = {"train": 0.8, "validate": 0.9, "test": 1.0}  # where there is no such file: up to which share
_R2GEN_ID: Final = re.compile(r"CXR([0-9]{1,9})_.*")
_DESCRIBING: Final = (Attribute.SIDE, Attribute.SEVERITY, Attribute.ACUITY)  # attributes that describe a finding


def read_studies(settings: DataSettings, split: str, base: Path) -> list[Study]:
    """The studies of a split that have targets; a warning says how many graphs and reports cannot be used, and how many
    studies have no targets. Raises `InputError` where a file is missing or no study is left.
    """
    root_folder = base / settings.path
    rejects_by_kind: dict[str, list[Reject]] = {"graphs": [], "reports": []}
    graphs_by_study: dict[str, ReportGraph] = {}
    for graph_path in settings.graphs if settings.targets == "graphs" else ():
        for graph in read_report_graphs(root_folder / graph_path):
            if isinstance(graph, ReportGraph):
                graphs_by_study[study_name(graph.name)] = graph
            else:
                rejects_by_kind["graphs"].append(graph)
    image_triplets_by_study = None if settings.drawn is None else read_image_triplets(root_folder / settings.drawn)
    studies, without_targets = [], 0
    for report in _reports(settings, root_folder, split):
        if isinstance(report, Reject):
            rejects_by_kind["reports"].append(report)
            continue
        name = study_name(report.study)
        targets = _targets(settings, report, graphs_by_study.get(name))
        if targets is None:
            without_targets += 1
            continue
        report_sentences, study_triplets = targets
        relative_path = report.image.get("path")
        studies.append(
            Study(
                report.image_id,
                None if relative_path is None else find_image(root_folder / settings.images, relative_path),
                report_sentences,
                None if image_triplets_by_study is None else image_triplets_by_study.get(name, ()),
                report.image.get("dataset", ""),
                report.image.get("subject_id", ""),
                study_triplets,
            )
        )
    for reject_kind, rejects in rejects_by_kind.items():
        if rejects:
            first_reject = rejects[0]
            location = f"{first_reject.path}, row {first_reject.row}"
            logger.warning(
                f"{counted(len(rejects), reject_kind)} left out, the first of them {location}: {first_reject.reason}"
            )
    noun = {"graphs": "graph", "codes": "code"}.get(settings.targets, "text")
    if without_targets:
        several = f"studies of the split {split} have no {noun}"
        logger.warning(counted(without_targets, several, f"study of the split {split} has no {noun}"))
    if not studies:
        hint = f"Check data.{'graphs' if settings.targets == 'graphs' else 'targets'} and the splits."
        raise InputError(f"no study of the split {split!r} has a {noun}", hint, path=root_folder)
    return studies


def _targets(
    settings: DataSettings, report: Report, graph: ReportGraph | None
) -> tuple[tuple[Sentence, ...], tuple[Triplet, ...]] | None:
    """The report in sentences with their triplets, and the triplets of the whole study; None where there is nothing."""
    if settings.targets == "graphs":
        return None if graph is None else (by_sentence(graph), ())
    if settings.targets == "codes":
        return (_plain_sentences(report), code_triplets(report.codes)) if report.codes else None
    return (constructed_sentences(report), ()) if any(report.sections.values()) else None


def _plain_sentences(report: Report) -> tuple[Sentence, ...]:
    return tuple(
        Sentence(report_text([text[start:stop]]), ())
        for text in report.sections.values()
        for start, stop in sentences(text)
    )


@cache
def _tagger() -> DictionaryTagger:
    return DictionaryTagger(Lexicon([*own_words(), *ontology_names()]), Allowed())


def constructed_sentences(report: Report) -> tuple[Sentence, ...]:
    """The report in sentences, each with what construction reads in it: of every finding that is present, or may be,
    where it is (`located_at`), and its side, degree and course (`modify`).
    """
    triplets_by_mention: dict[tuple[str, int], dict[Triplet, None]] = {}
    for (concept, stance), evidence in annotate(report, _tagger(), rules()).edges.items():
        if stance is Stance.NEGATIVE:
            continue
        finding = entity(concept.name)
        for mention in evidence:
            locations = [entity(str(location)) for location in mention.attributes.get(Attribute.LOCATION, ())]
            words = [entity(str(word)) for name in _DESCRIBING for word in mention.attributes.get(name, ())]
            stated = triplets_by_mention.setdefault((mention.section, mention.start), {})
            stated |= dict.fromkeys(
                Triplet(finding, Relation.LOCATED_AT, location) for location in locations if location
            )
            stated |= dict.fromkeys(Triplet(word, Relation.MODIFY, finding) for word in words if word)
    report_sentences = []
    for section, text in report.sections.items():
        for start, stop in sentences(text):
            stated = {}
            for (mention_section, mention_start), mention_triplets in sorted(triplets_by_mention.items()):
                if mention_section == section and start <= mention_start < stop:
                    stated |= mention_triplets
            report_sentences.append(Sentence(report_text([text[start:stop]]), tuple(stated)))
    return tuple(report_sentences)


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


def graph_records(path: Path, labeler: int = 1) -> list[Record]:
    """Records of a file of graphs alone, such as the 50 reports that radiologists labelled; without images."""
    return [
        Record(graph.name, None, graph.text, tuple(triplets(graph)))
        for graph in read_report_graphs(path, labeler)
        if isinstance(graph, ReportGraph)
    ]


def read_image_triplets(path: Path) -> dict[str, tuple[Triplet, ...]]:
    """What images show, by study: ``{name: [[head, relation, tail], …]}``. Raises `InputError`."""
    try:
        document = files.read_json(path, MAX_IMAGE_TRIPLETS, "Check data.drawn.")
        return {
            study_name(name): tuple(
                Triplet(entity(head_text), Relation(relation), entity(tail_text))
                for head_text, relation, tail_text in triplet_rows
            )
            for name, triplet_rows in document.items()
        }
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise InputError("is not a JSON object of triplets by study", "See docs/generate.md.", path=path) from None


def _reports(settings: DataSettings, root_folder: Path, split: str) -> Iterable[Report | Reject]:
    """The reports of a split: by the file of splits, the loader's own splits, or the study's name."""
    open_reports = plugins.load_plugin("reports", settings.reports, "loader of reports")
    if settings.splits is None:
        try:
            report_source = open_reports(root_folder, views=settings.views, splits=(split,))
        except TypeError:
            split_of: Callable[[str], str] = split_by_name
        else:
            yield from report_source.reports()
            return
    else:
        split_by_study = read_splits(root_folder / settings.splits)
        split_of = lambda study: split_by_study.get(study, OTHER)  # noqa: E731
    for report in open_reports(root_folder, views=settings.views).reports():
        if isinstance(report, Reject) or split_of(report.study) == split:
            yield report


def split_by_name(study: str) -> str:
    """The split of a study where nothing says it: 8 of 10 train, 1 validate, 1 test, by its name alone."""
    share = random.Random(f"kgp split {study}").random()  # noqa: S311  not for secrets
    return next(split for split, limit in SPLITS.items() if share < limit)


def read_splits(path: Path) -> Mapping[str, str]:
    """Splits by study: R2Gen's ``annotation.json`` (its ids name OpenI's studies), or a table of columns study, split.

    Raises `InputError` for a file that is neither.
    """
    if path.suffix != ".json":
        rows = open_table(path).rows(("study", "split"))
        return {row[1][0].strip(): row[1][1].strip() for row in rows if not isinstance(row, Reject)}
    document = files.read_json(path, hint="Give R2Gen's annotation.json as data.splits.", errors="surrogateescape")
    try:
        return {_R2GEN_ID.sub(r"\1", entry["id"]): split for split, entries in document.items() for entry in entries}
    except (AttributeError, KeyError, TypeError):
        raise InputError(
            "the file has no lists of studies by split", "Give R2Gen's annotation.json.", path=path
        ) from None
