"""Construction as a source of the graph: reports in, images, concepts and stances out.

So construction is a load like any other: a run named by what it reads and how, idempotent, resumable, undone by
`kgp runs undo`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from kgplatform.batches import GraphBatch, NodeRef, Reject
from kgplatform.construct.annotate import Annotation, Conflicts, Judge, annotate, properties
from kgplatform.construct.lexicon import Relation
from kgplatform.construct.report import Report, ReportSource
from kgplatform.construct.tagger import Tagger


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
        tagger: Tagger,
        judge: Judge,
        about: Mapping[str, Any],
        ontologies: Sequence[Ontology] = (),
        conflicts: Conflicts = Conflicts.keep,
    ) -> None:
        self._reports = reports
        self._tagger = tagger
        self._judge = judge
        self._ontologies = ontologies
        self._conflicts = conflicts
        self.files = (*reports.files, *(file for ontology in ontologies for file in ontology.files))
        self.parameters: Mapping[str, Any] = {
            "reports": [reports.kind, reports.version, dict(reports.parameters)],
            "tagger": tagger.name,
            "judge": judge.name,
            "conflicts": conflicts.value,
            **about,
        }

    def batches(self, size: int) -> Iterator[GraphBatch]:
        """Yield batches of at most `size` reports, then of as many relations."""
        found: set[str] = set()
        reports = self._reports.reports()
        while chunk := list(islice(reports, size)):
            batch = GraphBatch(read=len(chunk), rejects=[row for row in chunk if isinstance(row, Reject)])
            for annotation in self._annotated(row for row in chunk if isinstance(row, Report)):
                self._add(batch, annotation)
            batch.given = len(batch.edges)
            found.update(cui for label, cui in batch.nodes if label == "Concept")
            yield batch
        rows = (row for ontology in self._ontologies for row in ontology.relations(found))
        while relations := list(islice(rows, size)):
            yield _related(relations)

    def _annotated(self, reports: Iterable[Report]) -> Iterator[Annotation]:
        return (annotate(report, self._tagger, self._judge, self._conflicts) for report in reports)

    def _add(self, batch: GraphBatch, annotation: Annotation) -> None:
        image: NodeRef = ("Image", annotation.report.image_id)
        if not annotation.edges:
            return  # an image without a concept is no part of the graph
        batch.nodes[image] = dict(annotation.report.image)
        for (concept, stance), evidence in annotation.edges.items():
            node: NodeRef = ("Concept", concept.cui)
            types = {"semantic_types": list(concept.types)} if concept.types else {}
            batch.nodes.setdefault(node, {"name": concept.name, **types})
            batch.edges[image, stance.value, node] = properties(annotation, evidence, self._tagger, self._judge)


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
