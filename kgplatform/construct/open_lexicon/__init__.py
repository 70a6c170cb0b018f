"""The lexicon that comes with the package: own terms for chest imaging, and names and relations of open ontologies."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from kgplatform.construct.lexicon import Concept, ConceptRelation
from kgplatform.construct.meanings import OWN
from kgplatform.construct.open_lexicon.terms import ANY, CHEST, own_terms

NAMES: Final = "names.tsv"
RELATIONS: Final = "relations.tsv"
ONTOLOGY: Final = 1.0  # weight of an ontology's preferred name; a synonym has half of it


def own_words(region: str = CHEST) -> Iterator[Concept]:
    """The platform's own terms under all their names: those for the chest first, unless another region is asked for."""
    for term in own_terms():
        if term.region == ANY or region == CHEST:
            weight = OWN * (2 if term.region == CHEST else 1)
            for name in term.names:
                yield Concept(term.cui, name, (term.semantic_type,), weight, term.organ)


def ontology_names() -> Iterator[Concept]:
    """The names of HPO, MONDO, the Disease Ontology and Uberon, each concept's preferred one first."""
    preferred_first = sorted(_rows(NAMES), key=lambda row: (row[0], row[3] != "1"))
    for cui, name, semantic_type, is_preferred in preferred_first:
        yield Concept(cui, name, (semantic_type,), ONTOLOGY if is_preferred == "1" else ONTOLOGY / 2)


class OpenRelations:
    """The relations between concepts of the lexicon, as a `kgplatform.construct.source.Ontology`: those of the
    ontologies, and `isa` of the own terms. Where the broader concept is not in the graph, the next one above it counts.
    """

    files: tuple[Path, ...] = ()  # they come with the package: its hash is a part of the run

    def relations(self, among: Collection[str]) -> Iterator[ConceptRelation]:
        """The relations between concepts that are both among these."""
        members = frozenset(among)
        broader = _broader()
        for cui in sorted(members):
            above, waiting = {cui}, [cui]
            while waiting:
                for next_cui in broader.get(waiting.pop(), ()):
                    if next_cui in above:
                        continue
                    above.add(next_cui)
                    if next_cui in members:
                        yield ConceptRelation(cui, "isa", next_cui)
                    else:
                        waiting.append(next_cui)
        for head, relation, tail in _rows(RELATIONS):
            if relation != "isa" and head in members and tail in members:
                yield ConceptRelation(head, relation, tail)


@cache
def _broader() -> dict[str, tuple[str, ...]]:
    """By CUI the concepts right above it, in a fixed order."""
    cuis_by_name = {term.name: term.cui for term in own_terms()}
    broader: dict[str, set[str]] = {}
    for term in own_terms():
        if term.broader:
            broader.setdefault(term.cui, set()).add(cuis_by_name[term.broader])
    for head, relation, tail in _rows(RELATIONS):
        if relation == "isa":
            broader.setdefault(head, set()).add(tail)
    return {cui: tuple(sorted(above)) for cui, above in broader.items()}


def _rows(file_name: str) -> Iterator[list[str]]:
    lines = files(__package__).joinpath(file_name).read_text(encoding="utf-8").splitlines()
    return (line.split("\t") for line in lines[1:])
