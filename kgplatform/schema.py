"""The graph as data: labels, keys, relations, and the rules for names that come from outside.

::

    (:Image)-[:POSITIVE|NEGATIVE|UNCERTAIN]->(:Concept)          MedMKG stance (paper §3.3)
    (:Concept)-[:isa|finding_site_of|`co-occurs_with`|…]->(:Concept)   UMLS relation, name verbatim
    (:Image)-[:SHOWS]->(:Entity)-[:SUGGESTIVE_OF|LOCATED_AT|MODIFY]->(:Entity)   RadGraph triplet (VLM-KG §2)
    (:Entity:Present|Absent|Uncertain)                           an entity's presence, as a label, too
    (:Entity)-[:REFERS_TO]->(:Concept)                           entity linking
    (:Thing:Gene …)-[:…]-(…)                                     your own graph (`kgp ingest triples`)
    (:Run), (:Platform)                                          provenance and the platform's own notes
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final


class Stance(StrEnum):
    """How a concept relates to an image; a relationship type from Image to Concept."""

    POSITIVE = "POSITIVE"
    NEGATIVE = "NEGATIVE"
    UNCERTAIN = "UNCERTAIN"


class History(StrEnum):
    """What a report says that the patient, or the family, had: a property of the Image, and no stance to a concept. Its
    values are names of concepts, each with the id, as in "Lung cancer (C0242379)".
    """

    HISTORY = "history"
    FAMILY_HISTORY = "family_history"


@dataclass(frozen=True)
class NodeType:
    """A label, the property that identifies its nodes, and what a node of it is."""

    label: str
    key: str
    description: str
    properties: tuple[str, ...] = ()


NODE_TYPES: Final = {
    node.label: node
    for node in (
        NodeType(
            "Image",
            "id",
            "an image of a study",
            ("path", "dataset", "view", "study_id", "subject_id", "modality", "region", "history", "family_history"),
        ),
        NodeType("Concept", "cui", "a UMLS concept", ("name", "semantic_types")),
        NodeType("Entity", "id", "a RadGraph entity of one image", ("text", "kind", "presence")),
        NodeType("Thing", "id", "a node of a user's own graph; its type is a second label", ("name",)),
    )
}

# Labels of the platform's own records, which no source may use: runs, its state, and vectors (`kgp embed`).
OWN_LABELS: Final = frozenset({"Run", "Platform", "ImageVector", "ConceptVector"})

# The second label of an Entity by its presence, so that Neo4j Browser's style, which selects by label, can show it.
# cypher/ingest/label_entities.cypher sets it. It repeats the property, so it is not part of a graph's digest.
PRESENCE_LABELS: Final = {"present": "Present", "absent": "Absent", "uncertain": "Uncertain"}

# Computed from the graph or by a model, not asserted by a source.
DERIVED: Final = ("naf", "naf_rank", "naf_kept", "embedding", "embedding_model")

# Which run claims which property, where they differ: [property@run]. Neo4j Browser lists properties by name, this last.
CLAIMS: Final = "who_claims"
FORMER_CLAIMS: Final = "claims"  # its name in earlier versions, and still in digests

# What no run claims: keys, and the platform's own records.
UNCLAIMED: Final = ("id", "cui", "runs", CLAIMS, FORMER_CLAIMS, *DERIVED)

CONCEPT_ID: Final = re.compile(r"C[0-9]{7}|KGP[0-9]{4}")  # a CUI of UMLS, or an id of this project's own terms
CONCEPT_ID_FORM: Final = "C and 7 digits (or KGP and 4)"  # in messages about a wrong one
IMAGE_ID: Final = re.compile(r"I[0-9]{1,18}")
LABEL: Final = re.compile(r"[A-Z][A-Za-z0-9_]{0,62}")  # a second label of a Thing
# UMLS RELA names are letters, digits, `_` and `-` (`co-occurs_with`); nothing in this set can end an identifier.
RELATION: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")

# Types with a special meaning: (head label, tail label). No source may use them between other nodes.
RESERVED: Final = {
    **{stance.value: ("Image", "Concept") for stance in Stance},
    "SHOWS": ("Image", "Entity"),
    "SUGGESTIVE_OF": ("Entity", "Entity"),
    "LOCATED_AT": ("Entity", "Entity"),
    "MODIFY": ("Entity", "Entity"),
    "REFERS_TO": ("Entity", "Concept"),
    "PREDICTED": ("", ""),
}


def presence_labels(label: str, properties: Mapping[str, Any]) -> list[str]:
    """The label that a node's presence adds to `label`, if any."""
    presence = properties.get("presence") if label == "Entity" else None
    return [PRESENCE_LABELS[presence]] if presence in PRESENCE_LABELS else []


def relation_problem(relation: str, head: str, tail: str) -> str | None:
    """Why `relation` may not join a `head` node to a `tail` node, or None when it may."""
    if RELATION.fullmatch(relation) is None:
        return "the relation name must be 1-100 letters, digits, '_' or '-', beginning with a letter"
    if relation in RESERVED and RESERVED[relation] != (head, tail):
        return f"{relation} does not join {head} to {tail}"
    if (head, tail) == ("Image", "Concept") and relation not in Stance.__members__:
        return "an image and a concept are joined by POSITIVE, NEGATIVE or UNCERTAIN"
    return None


def image_id(dataset: str, study: str) -> str:
    """`I` and 18 digits, the first of them not 0, so that it is none of MIMIC-CXR's or OpenI's."""
    hash_number = int.from_bytes(hashlib.sha256(f"{dataset}\0{study}".encode()).digest()[:16])
    return f"I{10**17 + hash_number % (9 * 10**17)}"
