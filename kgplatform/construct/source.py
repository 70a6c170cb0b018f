"""Construction as a source of the graph: reports in, images, concepts and stances out.

So construction is a load like any other: a run named by what it reads and how, idempotent, resumable, undone by
`kgp runs undo`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from kgplatform.batches import GraphBatch, NodeRef, Reject
from kgplatform.construct.annotate import Annotation, properties
from kgplatform.construct.language import is_english
from kgplatform.construct.lexicon import ConceptRelation
from kgplatform.construct.modality import Exam
from kgplatform.construct.report import ReportSource
from kgplatform.construct.spread import Done, Stages, annotated
from kgplatform.errors import InputError
from kgplatform.wording import counted

NO_TEXT: Final = "reports without text"
NO_SECTIONS: Final = "reports with text, but without findings and impression"
NOT_ENGLISH: Final = "reports not recognised as English, whose negations are not known"
NO_REGION: Final = "reports without a stated region of the body, read as chest radiographs"
OTHER_EXAM: Final = "reports of other studies than chest radiographs"
MAX_EXAMS: Final = 20  # kinds of study that are counted by themselves, the commonest
NO_CONCEPT: Final = "reports in which no concept was found"


@runtime_checkable
class Ontology(Protocol):
    """What knows relations between concepts."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        ...

    def relations(self, among: Collection[str]) -> Iterator[ConceptRelation | Reject]:
        """The relations between concepts that are both among these."""
        ...


class Construction:
    """A `kgplatform.batches.Source` whose rows are reports, and then the ontologies' relations between the concepts
    that were found (MedMKG §3.3).

    `about` is what decides the outcome in addition to the reports: the lexicon and settings, as JSON.
    """

    kind = "construct"
    version = 2
    rows = "reports"  # what an error about an empty source counts

    def __init__(
        self,
        reports: ReportSource,
        stages: Stages,
        about: Mapping[str, Any],
        ontologies: Sequence[Ontology] = (),
        *,
        workers: int = 1,
        ray: bool = False,
        progress: Callable[[int, int | None], None] = lambda done, total: None,
    ) -> None:
        self.reports = reports
        self.judge = stages.judge
        self._stages = stages
        self._ontologies = ontologies
        self._workers = workers
        self._ray = ray
        self._progress = progress
        self.images = 0  # with a concept, as far as `batches` was read
        self.relations_read = 0  # of the ontologies, as far as it was read
        self.parameters: Mapping[str, Any] = {
            "reports": [reports.kind, reports.version, dict(reports.parameters)],
            "tagger": stages.tagger.name,
            "judge": stages.judge.name,
            "conflicts": stages.conflicts.value,
            **about,
        }

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files of reports and ontologies."""
        return (*self.reports.files, *(file for ontology in self._ontologies for file in ontology.files))

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` reports, then of as many relations."""
        concept_cuis: set[str] = set()
        image_ids: set[str] = set()
        last_batch: GraphBatch | None = None
        self.relations_read = 0
        self._reports_read = self._reports_with_content = 0
        exam_counts: Counter[Exam] = Counter()
        annotations = self._with_progress(annotated(self.reports.reports(), self._stages, self._workers, ray=self._ray))
        while chunk := list(islice(annotations, size)):
            batch = GraphBatch(
                read=len(chunk), rejects=[source_row for source_row in chunk if isinstance(source_row, Reject)]
            )
            for annotation in chunk:
                if isinstance(annotation, Annotation):
                    self._reports_read += 1
                    exam_counts[annotation.report.exam] += 1
                    self._add(batch, annotation)
            batch.stated_edges = len(batch.edges)
            concept_cuis.update(cui for label, cui in batch.nodes if label == "Concept")
            image_ids.update(image_id for label, image_id in batch.nodes if label == "Image")
            if last_batch is not None:
                yield last_batch
            last_batch = batch
        self._require_content()
        self.images = len(image_ids)
        last_batch = last_batch or GraphBatch(stated_edges=0)
        last_batch.left_out = {
            **getattr(self.reports, "left_out", {}),
            **last_batch.left_out,
        }  # known once all reports are read
        last_batch.remarks = {**getattr(self.reports, "remarks", {}), **exam_remarks(exam_counts)}
        yield last_batch
        relation_rows = (source_row for ontology in self._ontologies for source_row in ontology.relations(concept_cuis))
        while relations := list(islice(relation_rows, size)):
            self.relations_read += len(relations)
            yield _related(relations)

    def _with_progress(self, annotated_rows: Iterator[Done]) -> Iterator[Done]:
        for row_number, annotated_row in enumerate(annotated_rows, 1):
            yield annotated_row
            self._progress(row_number, None)

    def _require_content(self) -> None:
        """Raise `InputError` where no report has findings or an impression, and `Refused` where a language model should
        have judged the reports and did so for none.
        """
        if self._reports_read and not self._reports_with_content:
            hint = "Check the columns, or the headers of the sections: FINDINGS:, IMPRESSION:."
            reports_text = counted(self._reports_read, "reports")
            raise InputError(f"none of {reports_text} has findings or an impression", hint, path=self.reports.files[0])
        require_answers = getattr(self.judge, "require_answers", None)
        if require_answers is not None:
            require_answers()

    def _add(self, batch: GraphBatch, annotation: Annotation) -> None:
        image_node: NodeRef = ("Image", annotation.report.image_id)
        report_text = " ".join(annotation.report.sections.values())
        if not report_text.strip():
            _leave_out(batch, NO_SECTIONS if annotation.report.has_text else NO_TEXT)
            return
        self._reports_with_content += 1
        if not is_english(report_text):
            _leave_out(batch, NOT_ENGLISH)
            return
        if not annotation.edges:  # an image without a concept is not a part of the graph
            _leave_out(batch, NO_CONCEPT)
            return
        batch.nodes[image_node] = {**annotation.report.image, **_histories(annotation)}
        for (concept, stance), evidence in annotation.edges.items():
            concept_node: NodeRef = ("Concept", concept.cui)
            type_properties = {"semantic_types": list(concept.types)} if concept.types else {}
            batch.nodes.setdefault(concept_node, {"name": concept.name, **type_properties})
            batch.edges[image_node, stance.value, concept_node] = properties(
                annotation, stance, evidence, self._stages.tagger
            )


def exam_remarks(exam_counts: Mapping[Exam, int]) -> dict[str, int]:
    """How many reports are of other studies than chest radiographs, by kind and the commonest first, and how many are
    read as chest radiographs without stating it.
    """
    remarks: Counter[str] = Counter()
    other_counts: Counter[str] = Counter()
    for exam, report_count in exam_counts.items():
        if not exam.assumed().is_chest_radiograph:
            other_counts[exam.description] += report_count
        elif not exam.regions:
            remarks[NO_REGION] += report_count
    commonest = sorted(other_counts.items(), key=lambda kind_count: (-kind_count[1], kind_count[0]))
    for description, report_count in commonest[:MAX_EXAMS]:
        remarks[f"{OTHER_EXAM}: {description}"] = report_count
    for _, report_count in commonest[MAX_EXAMS:]:
        remarks[f"{OTHER_EXAM}: further kinds"] += report_count
    return dict(remarks)


def _histories(annotation: Annotation) -> dict[str, list[str]]:
    """What the patient, or the family, had, as properties of the image."""
    return {
        history.value: sorted(f"{concept.name} ({concept.cui})" for concept in concepts)
        for history, concepts in annotation.histories.items()
    }


def _leave_out(batch: GraphBatch, reason: str) -> None:
    batch.left_out[reason] = batch.left_out.get(reason, 0) + 1


def _related(relations: Sequence[ConceptRelation | Reject]) -> GraphBatch:
    """The batch of these relations."""
    batch = GraphBatch(
        read=len(relations), rejects=[relation_row for relation_row in relations if isinstance(relation_row, Reject)]
    )
    for relation in relations:
        if isinstance(relation, ConceptRelation):
            head, tail = ("Concept", relation.head), ("Concept", relation.tail)
            batch.nodes |= {head: {}, tail: {}}
            batch.edges[head, relation.name, tail] = {}
    batch.stated_edges = len(batch.edges)
    return batch
