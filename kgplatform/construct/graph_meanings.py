"""Which concepts of a graph have one meaning (`kgplatform.construct.meanings`)."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

from kgplatform import queries
from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.meanings import one_to_one
from kgplatform.construct.open_lexicon import own_words
from kgplatform.construct.semantic_types import types_by_name
from kgplatform.graph import Graph


class Meanings(NamedTuple):
    """The concepts of a graph by meaning: those of each meaning that has several, the one with most edges first, and
    how many meanings there are in all.
    """

    groups: list[list[Concept]]
    total: int


def same_concepts(graph: Graph) -> list[tuple[str, str]]:
    """The pairs of concepts that the graph calls the same: `same_as`, and `mapped_to` that maps no other concept."""
    rows = list(graph.read(queries.get("construct/same_concepts")))
    pairs = {
        relation: [(row["first"], row["second"]) for row in rows if row["relation"] == relation]
        for relation in ("same_as", "mapped_to")
    }
    return pairs["same_as"] + one_to_one(pairs["mapped_to"])


def graph_meanings(graph: Graph) -> Meanings:
    """The concepts with a name by meaning, as construction joins them: by names, the platform's terms, and the graph's
    own statements. The groups with most edges come first.
    """
    concepts = {
        row["cui"]: Concept(
            row["cui"], row["name"], tuple(row["types"]) or types_by_name(row["name"]), float(row["edges"])
        )
        for row in graph.read(queries.get("audit/concept_names"))
    }
    aliases = Lexicon(chain(concepts.values(), own_words()), same_concepts(graph)).aliases
    by_meaning: dict[str, list[Concept]] = {}
    for concept in sorted(concepts.values(), key=lambda concept: (-concept.weight, concept.cui)):
        by_meaning.setdefault(aliases.get(concept.cui, concept.cui), []).append(concept)
    groups = [group for group in by_meaning.values() if len(group) > 1]
    groups.sort(key=lambda group: (-sum(concept.weight for concept in group), group[0].cui))
    return Meanings(groups, len(by_meaning))
