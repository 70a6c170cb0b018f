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
from kgplatform.generate.backend import Backend, GeneratorReply
from kgplatform.generate.grounding import Grounding
from kgplatform.generate.inputs import Input
from kgplatform.schema import CONCEPT_ID, Stance
from kgplatform.trained_on import training_data_kind
from kgplatform.triplets.linking import ConceptLink
from kgplatform.triplets.text import Relation, Triplet

KIND: Final = "generate"
VERSION: Final = 2  # raised when the same replies would give another graph
PRESENCE: Final = {Stance.POSITIVE: "present", Stance.NEGATIVE: "absent", Stance.UNCERTAIN: "uncertain"}
IMAGE_ONLY, WITH_REPORT, REPORT_ONLY = "image", "image and report", "report"


@dataclass(frozen=True)
class Writer:
    """Makes batches of replies of one generator with one way of decoding; `tagger` finds concepts in reports."""

    backend: Backend
    link: Callable[[str], ConceptLink | None]
    grounding: Callable[[Mapping[str, str]], Grounding]
    about: Mapping[str, Any]  # what decides links, as JSON
    reports: bool = True  # whether the images come with reports: the same images without are another run
    files: tuple[Path, ...] = ()  # as `kgplatform.survey.validate_batch` names a source
    kind: str = field(default=KIND, init=False)

    @property
    def settings(self) -> str:
        """A hash of how replies are searched for, and in what."""
        hashed_settings = {**self.backend.parameters, "reports": self.reports}
        return hashlib.sha256(json.dumps(hashed_settings, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def parameters(self) -> dict[str, Any]:
        """What names the run in addition to the model."""
        link_parameters = {"reports": self.reports, "link": dict(self.about)}
        return {"model": self.backend.name, **self.backend.parameters, **link_parameters}

    @property
    def tag(self) -> str:
        """What distinguishes this generator's entities from those of others."""
        return hashlib.sha256(f"{self.backend.sha256} {self.settings}".encode()).hexdigest()[:8]

    def batch(self, pairs: Iterable[tuple[Input, GeneratorReply]]) -> tuple[GraphBatch, list[tuple[str, Triplet]]]:
        """The elements of replies, and the triplets that their reports do not support, by image."""
        batch = GraphBatch()
        ungrounded_triplets: list[tuple[str, Triplet]] = []
        for image_input, reply in pairs:
            batch.read += 1
            if reply.problem is None:
                ungrounded_triplets.extend(
                    (image_input.id, triplet) for triplet in self._add(batch, image_input, reply)
                )
        batch.stated_edges = len(batch.edges)
        return batch, ungrounded_triplets

    def _add(self, batch: GraphBatch, image_input: Input, reply: GeneratorReply) -> list[Triplet]:
        """Add a reply; returns the triplets that the report does not support."""
        image_ref: NodeRef = ("Image", image_input.id)
        batch.nodes[image_ref] = dict(image_input.properties)  # also of an image with no triplet: it has been looked at
        report_grounding = self.grounding(image_input.sections) if image_input.sections else None
        input_mode = WITH_REPORT if report_grounding is not None else IMAGE_ONLY
        if reply.request.image is None:
            input_mode = REPORT_ONLY
        run_marks = {
            "model": self.backend.name,
            "settings": self.settings,
            "mode": input_mode,
            "training_data": training_data_kind(self.backend.trained_on),
        }
        ungrounded_triplets = []
        for triplet, score in reply.triplets:
            if triplet.head == triplet.tail:
                continue  # an entity is in no relation to itself
            is_grounded = None if report_grounding is None else report_grounding.supports(triplet)
            if is_grounded is False:
                ungrounded_triplets.append(triplet)
            entity_refs = [
                self._entity(batch, image_ref, entity_text, triplet, report_grounding, run_marks)
                for entity_text in (triplet.head, triplet.tail)
            ]
            optional_properties = {
                "score": None if score is None else round(score, 4),
                "grounded": is_grounded,
                **run_marks,
            }
            edge_properties = {
                property_name: property_value
                for property_name, property_value in optional_properties.items()
                if property_value is not None
            }
            batch.edges[entity_refs[0], triplet.relation.name, entity_refs[1]] = edge_properties
        return ungrounded_triplets

    def _entity(
        self,
        batch: GraphBatch,
        image_ref: NodeRef,
        entity_text: str,
        triplet: Triplet,
        report_grounding: Grounding | None,
        run_marks: Any,
    ) -> NodeRef:
        """The entity of that text of the image, joined to image and concept."""
        text_digest = hashlib.sha256(entity_text.encode()).hexdigest()[:12]
        entity_ref: NodeRef = ("Entity", f"{image_ref[1]}:{self.tag}:{text_digest}")
        concept_link = self.link(entity_text)
        stance = None if report_grounding is None else report_grounding.stance(entity_text)
        optional_properties = {
            "kind": _kind(entity_text, triplet, concept_link),
            "presence": PRESENCE[stance] if stance else None,
        }
        properties = {
            "text": entity_text,
            **{
                property_name: property_value
                for property_name, property_value in optional_properties.items()
                if property_value is not None
            },
        }
        batch.nodes[entity_ref] = {**properties, **batch.nodes.get(entity_ref, {})}
        batch.edges[image_ref, "SHOWS", entity_ref] = run_marks
        if concept_link is not None and CONCEPT_ID.fullmatch(concept_link.cui):
            type_properties = {"semantic_types": list(concept_link.types)} if concept_link.types else {}
            batch.nodes.setdefault(("Concept", concept_link.cui), {"name": concept_link.name, **type_properties})
            stance_properties = {"stance": stance.value} if stance is not None else {}
            link_properties = {
                "score": round(concept_link.score, 4),
                "method": concept_link.method,
                **stance_properties,
            }
            batch.edges[entity_ref, "REFERS_TO", ("Concept", concept_link.cui)] = link_properties
        return entity_ref


def _kind(entity_text: str, triplet: Triplet, concept_link: ConceptLink | None) -> str | None:
    """Anatomy or Observation, by the concept's types, else by the part in the triplet; None where neither shows it."""
    if concept_link is not None and concept_link.types:
        return "Anatomy" if all(concept_type in ANATOMY for concept_type in concept_link.types) else "Observation"
    if triplet.relation is Relation.LOCATED_AT:
        return "Anatomy" if entity_text == triplet.tail else "Observation"
    return "Observation" if triplet.relation is Relation.SUGGESTIVE_OF else None
