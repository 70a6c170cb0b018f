"""Which concept a person means by a CUI or a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from kgplatform import queries
from kgplatform.errors import NotFoundError, UsageError
from kgplatform.graph import Graph
from kgplatform.graph_names import concept_hint

SUGGESTED: Final = 5
LONGEST: Final = 1_000  # characters of a name
_WORD: Final = re.compile(r"\w+")
_KIND: Final = re.compile(r"\s*\([^()]*\)$")  # "(disorder)", as SNOMED CT's names end


@dataclass(frozen=True)
class Concept:
    """A concept of the graph."""

    cui: str
    name: str


def find_concept(graph: Graph, name: str) -> Concept:
    """The concept with that CUI, or with that name in any case, or else the only one of that name but for what stands
    in brackets at its end. Raises `NotFoundError`, which suggests others, and `UsageError` for what is too long.
    """
    name = name.strip()
    if len(name) > LONGEST:
        raise UsageError(
            f"a concept's name of more than {LONGEST:,} characters", "Give its CUI, or a part of its name."
        )
    words = _WORD.findall(name)
    found = []
    if words:
        # Quoted, no word is an operator of the full-text query.
        query = " ".join(f'"{word}"' for word in words)
        found = graph.read(queries.get("search/find_concept"), name=name, words=query)
    exact = [Concept(row["cui"], row["name"] or row["cui"]) for row in found if row["exact"]]
    by_cui = [concept for concept in exact if concept.cui == name.upper()]
    if not exact:
        named = [Concept(row["cui"], row["name"]) for row in found if row["name"]]
        exact = [concept for concept in named if _KIND.sub("", concept.name).casefold() == name.casefold()]
    if len(by_cui or exact) == 1:
        return (by_cui or exact)[0]
    close = [Concept(row["cui"], row["name"] or "") for row in found][:SUGGESTED]
    listed = ", ".join(f"{concept.name} ({concept.cui})" for concept in (exact[:SUGGESTED] or close))
    shown = "".join(character if character.isprintable() else "�" for character in name[:80])
    if exact:
        raise NotFoundError(f"{len(exact)} concepts are named {shown}", f"Give the CUI: {listed}")
    raise NotFoundError(
        f"no concept is named {shown}",
        concept_hint(graph, name)
        or (
            f"Close to it: {listed}" if listed else "`kgp query explore/find_concept --param words=…` looks for names."
        ),
    )
