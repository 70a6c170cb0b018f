"""One concept for each meaning: which of several concepts stands for a name.

UMLS has several concepts of one meaning ("Pleural effusion" is C0032227, C4552777 and, with a qualifier, C0747635).
Concepts are of one meaning where

1. their preferred names are the same words, whatever their order, number and terminology's dress ("Effusion, pleural
   (disorder)"), and their kinds (anatomy, device, procedure, disorder) do not differ;
2. the preferred name is a name of exactly one of the platform's own terms, with or without words of side, severity,
   number and change, which become attributes ("bilateral pleural effusions"); anatomy keeps its side;
3. the graph says so: `same_as`, or a `mapped_to` between two concepts that maps no other one.

The better connected of them stands for all: the platform's own terms, then the one with more edges, then the more
general, which has fewer words, then the smaller CUI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from sys import intern
from typing import Final, NamedTuple

from kgplatform.construct.semantic_types import kind_of

OWN: Final = 1e9  # weight of the platform's own terms: they come before all others
SPLIT_OFF: Final = frozenset(  # qualifiers that are attributes of a finding, and no part of its meaning
    "left right bilateral unilateral both sided small large mild moderate severe tiny trace minimal massive extensive "  # noqa: SIM905
    "slight marked new stable unchanged worsening improving increasing decreasing persistent multiple scattered "
    "numerous several single solitary recurrent residual".split()
)


class NamedConcept(NamedTuple):
    """What is known of a concept: the words of its preferred name, its types, and how well it is connected."""

    cui: str
    words: tuple[str, ...]  # of the name's key, in any order
    kind: str
    weight: float


class OwnNames:
    """The platform's own terms by the words of their names."""

    def __init__(self) -> None:
        self._cuis: dict[tuple[str, ...], str | None] = {}  # None where several concepts have the name

    def add(self, cui: str, words: Sequence[str]) -> None:
        """Take in a name of an own term."""
        words_key = tuple(sorted(words))
        self._cuis[words_key] = cui if self._cuis.setdefault(words_key, cui) == cui else None

    def find(self, concept: NamedConcept) -> str | None:
        """The own term of this meaning."""
        own_cui = self._cuis.get(concept.words)
        if own_cui is None and concept.kind != "anatomy":
            own_cui = self._cuis.get(tuple(word for word in concept.words if word not in SPLIT_OFF))
        return own_cui


class MeaningIndex:
    """Concepts as they come, one name after another; then, which of them are one."""

    def __init__(self) -> None:
        self._own_names = OwnNames()
        self._concepts: dict[str, NamedConcept] = {}

    def add(self, cui: str, words: Sequence[str], types: Sequence[str], name: str, weight: float) -> None:
        """Take in a name, with the words of its key. Of a concept's names the first counts, of own terms all."""
        if weight >= OWN:
            self._own_names.add(cui, words)
        present = self._concepts.get(cui)
        if present is None:
            kept_words = tuple(sorted(map(intern, words)))  # one string for all names that have the word
            self._concepts[cui] = NamedConcept(cui, kept_words, kind_of(types, name), weight)
        elif present.weight < weight or not present.kind:
            kind = present.kind or kind_of(types, name)
            self._concepts[cui] = present._replace(weight=max(present.weight, weight), kind=kind)

    def representatives(self, stated: Iterable[tuple[str, str]] = ()) -> dict[str, str]:
        """For each concept that another one stands for, that one; `stated` are pairs that the graph calls the same."""
        groups = _Groups(self._concepts)
        for same_words in self._of_the_same_words():
            best_first = sorted(same_words, key=_merit)
            for concept in best_first[1:]:
                groups.join(best_first[0].cui, concept.cui)
        for concept in self._concepts.values():
            own_cui = self._own_names.find(concept) if concept.weight < OWN else None
            if own_cui is not None:
                groups.join(own_cui, concept.cui)
        for first, second in stated:
            groups.join(first, second)
        return groups.representatives()

    def _of_the_same_words(self) -> Collection[list[NamedConcept]]:
        """The concepts whose names are the same words. Most names are alone: they take no list."""
        counts = Counter(concept.words for concept in self._concepts.values() if concept.words)
        groups: dict[tuple[str, ...], list[NamedConcept]] = {}
        for concept in self._concepts.values():
            if counts[concept.words] > 1:
                groups.setdefault(concept.words, []).append(concept)
        return groups.values()


def one_to_one(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs of which neither end is in another pair: a map of one concept to several says nothing of sameness."""
    distinct = {tuple(sorted(pair)) for pair in pairs if pair[0] != pair[1]}
    counts = Counter(cui for pair in distinct for cui in pair)
    return sorted((first, second) for first, second in distinct if counts[first] == counts[second] == 1)


def _merit(concept: NamedConcept) -> tuple[float, int, str]:
    return -concept.weight, len(concept.words), concept.cui


class _Groups:
    """Concepts that are joined step by step (union-find); those of different kinds are never joined."""

    def __init__(self, concepts: Mapping[str, NamedConcept]) -> None:
        self._concepts = concepts
        self._leaders: dict[str, str] = {}
        self._kinds: dict[str, str] = {}

    def _leader(self, cui: str) -> str:
        while (leader := self._leaders.get(cui, cui)) != cui:
            self._leaders[cui] = self._leaders.get(leader, leader)
            cui = leader
        return cui

    def join(self, first: str, second: str) -> None:
        """Make one group of the two concepts' groups, unless their kinds differ or one is not known."""
        if first not in self._concepts or second not in self._concepts:
            return
        leaders = sorted((self._leader(first), self._leader(second)), key=lambda cui: _merit(self._concepts[cui]))
        if leaders[0] == leaders[1]:
            return
        kinds = {self._kinds.get(leader, self._concepts[leader].kind) for leader in leaders} - {""}
        if len(kinds) > 1 or all(self._concepts[leader].weight >= OWN for leader in leaders):
            return
        self._leaders[leaders[1]] = leaders[0]
        self._kinds[leaders[0]] = kinds.pop() if kinds else ""

    def representatives(self) -> dict[str, str]:
        """For each joined concept the best of its group."""
        return {cui: self._leader(cui) for cui in self._leaders if self._leader(cui) != cui}
