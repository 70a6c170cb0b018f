"""Construction as a source of the graph: reports in, images, concepts and stances out.

So construction is a load like any other: a run named by what it reads and how, idempotent, resumable, undone by
`kgp runs undo`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

from kgplatform.batches import GraphBatch, NodeRef, Reject
from kgplatform.construct.annotate import Annotation, properties
from kgplatform.construct.lexicon import Relation
from kgplatform.construct.report import SECTIONS, ReportSource
from kgplatform.construct.spread import Done, Stages, annotated

NO_TEXT: Final = "reports without findings and impression"
NO_CONCEPT: Final = "reports in which no concept was found"


class Ontology(Protocol):
    """What knows relations between concepts."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        ...

    def relations(self, among: Collection[str]) -> Iterator[Relation | Reject]:
        """The relations between concepts that are both among these."""
        ...


class Construction:
    """A `kgplatform.batches.Source` whose rows are reports, and then the ontologies' relations between the concepts
    that were found (MedMKG §3.3).

    `about` is what decides the outcome beside the reports: the lexicon and settings, as JSON.
    """

    kind = "construct"
    version = 1

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
        self.parameters: Mapping[str, Any] = {
            "reports": [reports.kind, reports.version, dict(reports.parameters)],
            "tagger": stages.tagger.name,
            "judge": stages.judge.name,
            "conflicts": stages.conflicts.value,
            **about,
        }

    @property
    def rows(self) -> str:
        """What its rows are, in words."""
        return "reports and relations" if self._ontologies else "reports"

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The files of reports and ontologies."""
        return (*self.reports.files, *(file for ontology in self._ontologies for file in ontology.files))

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` reports, then of as many relations."""
        found: set[str] = set()
        images: set[str] = set()
        last: GraphBatch | None = None
        done = self._told(annotated(self.reports.reports(), self._stages, self._workers, ray=self._ray))
        while chunk := list(islice(done, size)):
            batch = GraphBatch(read=len(chunk), rejects=[row for row in chunk if isinstance(row, Reject)])
            for annotation in chunk:
                if isinstance(annotation, Annotation):
                    self._add(batch, annotation)
            batch.given = len(batch.edges)
            found.update(cui for label, cui in batch.nodes if label == "Concept")
            images.update(image for label, image in batch.nodes if label == "Image")
            if last is not None:
                yield last
            last = batch
        self.images = len(images)
        last = last or GraphBatch(given=0)
        last.left_out = {**getattr(self.reports, "left_out", {}), **last.left_out}  # known once all reports are read
        yield last
        rows = (row for ontology in self._ontologies for row in ontology.relations(found))
        while relations := list(islice(rows, size)):
            yield _related(relations)

    def _told(self, rows: Iterator[Done]) -> Iterator[Done]:
        for number, row in enumerate(rows, 1):
            yield row
            self._progress(number, None)

    def _add(self, batch: GraphBatch, annotation: Annotation) -> None:
        image: NodeRef = ("Image", annotation.report.image_id)
        if not annotation.edges:  # an image without a concept is no part of the graph
            texts = [annotation.report.sections.get(section, "") for section in SECTIONS]
            reason = NO_CONCEPT if any(text.strip() for text in texts) else NO_TEXT
            batch.left_out[reason] = batch.left_out.get(reason, 0) + 1
            return
        batch.nodes[image] = dict(annotation.report.image)
        for (concept, stance), evidence in annotation.edges.items():
            node: NodeRef = ("Concept", concept.cui)
            types = {"semantic_types": list(concept.types)} if concept.types else {}
            batch.nodes.setdefault(node, {"name": concept.name, **types})
            batch.edges[image, stance.value, node] = properties(annotation, evidence, self._stages.tagger)


def _related(relations: Sequence[Relation | Reject]) -> GraphBatch:
    """The batch of these relations."""
    batch = GraphBatch(read=len(relations), rejects=[row for row in relations if isinstance(row, Reject)])
    for relation in relations:
        if isinstance(relation, Relation):
            head, tail = ("Concept", relation.head), ("Concept", relation.tail)
            batch.nodes |= {head: {}, tail: {}}
            batch.edges[head, relation.name, tail] = {}
    batch.given = len(batch.edges)
    return batch
