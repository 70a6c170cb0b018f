"""Replies as elements of the graph: Image-SHOWS→Entity-relation→Entity, entities joined to concepts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kgplatform.batches import GraphBatch, NodeRef
from kgplatform.construct.semantic_types import ANATOMY
from kgplatform.generate.backend import Backend, Reply
from kgplatform.generate.grounding import Grounding
from kgplatform.generate.inputs import Input
from kgplatform.schema import CONCEPT_ID, Stance
from kgplatform.triplets.linking import Link
from kgplatform.triplets.text import Relation, Triplet

KIND: Final = "generate"
VERSION: Final = 1  # raised when the same replies would give another graph
PRESENCE: Final = {Stance.POSITIVE: "present", Stance.NEGATIVE: "absent", Stance.UNCERTAIN: "uncertain"}
IMAGE_ONLY, WITH_REPORT, REPORT_ONLY = "image", "image and report", "report"


@dataclass(frozen=True)
class Writer:
    """Makes batches of replies of one generator with one way of decoding; `tagger` finds concepts in reports."""

    backend: Backend
    link: Callable[[str], Link | None]
    grounding: Callable[[Mapping[str, str]], Grounding]
    about: Mapping[str, Any]  # what decides links, as JSON
    reports: bool = True  # whether the images come with reports: the same images without are another run
    files: tuple[Path, ...] = ()  # as `kgplatform.survey.checked` names a source
    kind: str = field(default=KIND, init=False)

    @property
    def settings(self) -> str:
        """A hash of how replies are searched for, and in what."""
        known = {**self.backend.parameters, "reports": self.reports}
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def parameters(self) -> dict[str, Any]:
        """What names the run beside the model."""
        about = {"reports": self.reports, "link": dict(self.about)}
        return {"model": self.backend.name, **self.backend.parameters, **about}

    @property
    def tag(self) -> str:
        """What tells this generator's entities from those of others."""
        return hashlib.sha256(f"{self.backend.sha256} {self.settings}".encode()).hexdigest()[:8]

    def batch(self, pairs: Iterable[tuple[Input, Reply]]) -> tuple[GraphBatch, list[tuple[str, Triplet]]]:
        """The elements of replies, and the triplets that their reports do not support, by image."""
        batch = GraphBatch()
        ungrounded: list[tuple[str, Triplet]] = []
        for given, reply in pairs:
            batch.read += 1
            if reply.problem is None:
                ungrounded.extend((given.id, one) for one in self._add(batch, given, reply))
        batch.given = len(batch.edges)
        return batch, ungrounded

    def _add(self, batch: GraphBatch, given: Input, reply: Reply) -> list[Triplet]:
        """Add a reply; returns the triplets that the report does not support."""
        image: NodeRef = ("Image", given.id)
        batch.nodes[image] = dict(given.properties)  # also of an image with no triplet: it has been looked at
        report = self.grounding(given.sections) if given.sections else None
        mode = WITH_REPORT if report is not None else IMAGE_ONLY
        if reply.asked.image is None:
            mode = REPORT_ONLY
        marks = {"model": self.backend.name, "settings": self.settings, "mode": mode}
        ungrounded = []
        for triplet, score in reply.triplets:
            if triplet.head == triplet.tail:
                continue  # an entity is in no relation to itself
            grounded = None if report is None else report.supports(triplet)
            if grounded is False:
                ungrounded.append(triplet)
            ends = [self._entity(batch, image, end, triplet, report, marks) for end in (triplet.head, triplet.tail)]
            said = {"score": None if score is None else round(score, 4), "grounded": grounded, **marks}
            kept = {name: value for name, value in said.items() if value is not None}
            batch.edges[ends[0], triplet.relation.name, ends[1]] = kept
        return ungrounded

    def _entity(
        self, batch: GraphBatch, image: NodeRef, text: str, triplet: Triplet, report: Grounding | None, marks: Any
    ) -> NodeRef:
        """The entity of that text of the image, joined to image and concept."""
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        ref: NodeRef = ("Entity", f"{image[1]}:{self.tag}:{digest}")
        link = self.link(text)
        stance = None if report is None else report.stance(text)
        known = {"kind": _kind(text, triplet, link), "presence": PRESENCE[stance] if stance else None}
        properties = {"text": text, **{name: value for name, value in known.items() if value is not None}}
        batch.nodes[ref] = {**properties, **batch.nodes.get(ref, {})}
        batch.edges[image, "SHOWS", ref] = marks
        if link is not None and CONCEPT_ID.fullmatch(link.cui):
            types = {"semantic_types": list(link.types)} if link.types else {}
            batch.nodes.setdefault(("Concept", link.cui), {"name": link.name, **types})
            told = {"stance": stance.value} if stance is not None else {}
            said = {"score": round(link.score, 4), "method": link.method, **told}
            batch.edges[ref, "REFERS_TO", ("Concept", link.cui)] = said
        return ref


def _kind(text: str, triplet: Triplet, link: Link | None) -> str | None:
    """Anatomy or Observation, by the concept's types, else by the part in the triplet; None where neither tells."""
    if link is not None and link.types:
        return "Anatomy" if all(kind in ANATOMY for kind in link.types) else "Observation"
    if triplet.relation is Relation.LOCATED_AT:
        return "Anatomy" if text == triplet.tail else "Observation"
    return "Observation" if triplet.relation is Relation.SUGGESTIVE_OF else None
