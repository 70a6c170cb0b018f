"""Stage I, concept identification (MedMKG §3.2): phrases of a text with ranked candidate concepts for each.

A tagger of any kind answers `tag(text)` with mentions. The built-in one finds the names of a lexicon; others plug in
by an entry point of the group ``kgplatform.taggers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from string import ascii_lowercase
from typing import Final, NamedTuple, Protocol

from kgplatform.construct.lexicon import Entry, Lexicon, Word, key, words
from kgplatform.construct.text import Token, tokens
from kgplatform.errors import UsageError

MAX_CANDIDATES: Final = 10
BY_NAME: Final = 1.0  # the score of a concept's preferred name
BY_SYNONYM: Final = 0.9
MENDED: Final = 0.2  # so much less where a typo was mended
SHORTEST_GUESS: Final = 6  # letters of the shortest word that may be a misspelling

# Words of degree and course, which may stand within a name: "heart is mildly enlarged".
DEGREES: Final = frozenset(
    "mild mildly moderate moderately severe severely marked markedly minimal minimally slight slightly borderline "  # noqa: SIM905
    "small tiny trace large extensive massive gross grossly significant significantly prominent new stable chronic "
    "acute subacute persistent persistently recurrent residual unchanged worsening improving increased increasing "
    "somewhat decreased decreasing partially partly remains remain appears appear again possible probable "
    "likely".split()
)


class Candidate(NamedTuple):
    """A concept that a phrase may mean; `score` is from 0 to 1."""

    cui: str
    name: str
    score: float
    types: tuple[str, ...] = ()


class Mention(NamedTuple):
    """A phrase from `start` to `end` (characters of the text) and what it may mean, the best first."""

    start: int
    end: int
    candidates: tuple[Candidate, ...]


class Tagger(Protocol):
    """Whatever finds concepts in a text."""

    @property
    def name(self) -> str:
        """Kind and version, as the evidence of an edge tells it."""
        ...

    def tag(self, text: str) -> list[Mention]:
        """The mentions in order; they do not overlap."""
        ...


class DictionaryTagger:
    """Finds the names of a lexicon: the longest at each place, words of degree skipped, typos of one letter mended.

    `allowed` says which semantic types may be candidates; concepts that it refuses are out before any ranking
    (appendix F.2).
    """

    def __init__(
        self,
        lexicon: Lexicon,
        allowed: Callable[[tuple[str, ...]], bool] = lambda types: True,
        *,
        approximate: bool = True,
    ) -> None:
        self._lexicon = lexicon
        self._allowed = allowed
        self._mend = _Mender(lexicon.vocabulary()) if approximate else None
        self.name = "dictionary 1" if approximate else "dictionary 1 exact"

    def tag(self, text: str) -> list[Mention]:
        """The mentions of concepts in a text."""
        return self.tag_tokens(tokens(text))

    def tag_tokens(self, of: Sequence[Token]) -> list[Mention]:
        """The mentions of concepts among tokens of a text."""
        mentions: list[Mention] = []
        phrase: list[Word] = []
        for word in words(of):
            if word is not None:
                phrase.append(word)
            elif phrase:
                self._find(phrase, of, mentions)
                phrase = []
        if phrase:
            self._find(phrase, of, mentions)
        return mentions

    def _find(self, phrase: list[Word], of: Sequence[Token], mentions: list[Mention]) -> None:
        """Add the mentions in words that no mark parts."""
        mended: set[int] = set()
        texts = [word.text for word in phrase]
        if self._mend is not None:
            for place, text in enumerate(texts):
                better = self._mend(text)
                if better != text:
                    texts[place] = better
                    mended.add(place)
        without = [place for place, text in enumerate(texts) if text not in DEGREES]
        bare = [texts[place] for place in without] if len(without) < len(texts) else None
        rank = {place: number for number, place in enumerate(without)}
        start = 0
        while start < len(texts):
            count = self._lexicon.longest(texts, start)
            end, found = start + count, " ".join(texts[start : start + count])
            if bare is not None and start in rank:
                skipping = self._lexicon.longest(bare, rank[start])
                if skipping and (last := without[rank[start] + skipping - 1] + 1) > end:
                    end, found = last, " ".join(bare[rank[start] : rank[start] + skipping])
            if end == start:
                start += 1
                continue
            candidates = self._rank(found, not mended.isdisjoint(range(start, end)))
            if candidates and _whole(phrase, start, end):
                mentions.append(Mention(of[phrase[start].token].start, of[phrase[end - 1].token].end, candidates))
                start = end
            else:
                start += 1

    @lru_cache(maxsize=100_000)  # noqa: B019  a tagger lives as long as its process
    def _rank(self, found: str, mended: bool) -> tuple[Candidate, ...]:
        """The concepts of that key, the likeliest first: by how close the name is, then how common the concept."""
        best: dict[str, tuple[tuple[float, float], Entry]] = {}
        for entry in self._lexicon.entries(found):
            concept = entry.concept
            if not self._allowed(concept.types):
                continue
            closeness = (BY_NAME if key(concept.name) == found else BY_SYNONYM) - (MENDED if mended else 0.0)
            merit = closeness, concept.weight
            if concept.cui not in best or best[concept.cui][0] < merit:
                best[concept.cui] = merit, entry
        ranked = sorted(
            sorted(best.values(), key=lambda pair: pair[1].concept.cui), key=lambda pair: pair[0], reverse=True
        )
        return tuple(
            Candidate(entry.concept.cui, self._lexicon.preferred[entry.concept.cui], closeness, entry.concept.types)
            for (closeness, _), entry in ranked[:MAX_CANDIDATES]
        )


def dictionary(lexicon: Lexicon, allowed: Callable[[tuple[str, ...]], bool], argument: str = "") -> DictionaryTagger:
    """The tagger of the entry point ``dictionary``; with the argument ``exact``, typos are not mended.

    Raises `UsageError` for another argument.
    """
    if argument not in ("", "exact"):
        raise UsageError("the dictionary tagger has no such argument", "Say dictionary, or dictionary:exact.")
    return DictionaryTagger(lexicon, allowed, approximate=argument != "exact")


def _whole(phrase: Sequence[Word], start: int, end: int) -> bool:
    """Whether no word of an abbreviation that was written out is left before or after."""
    return (start == 0 or phrase[start - 1].token != phrase[start].token) and (
        end == len(phrase) or phrase[end - 1].token != phrase[end].token
    )


class _Mender:
    """Finds, for a word that no name has, the only word of the names that differs from it by one edit."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._known = frozenset(vocabulary)
        self._guesses: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The word itself where it is known, too short, or not like exactly one known word."""
        if word in self._known or len(word) < SHORTEST_GUESS:
            return word
        guess = self._guesses.get(word)
        if guess is None:
            guess = self._guesses[word] = self._guess(word)
        return guess

    def _guess(self, word: str) -> str:
        if not (word.isascii() and word.isalpha()):
            return word
        close = {edited for edited in _edits(word) if edited in self._known and len(edited) >= SHORTEST_GUESS}
        return close.pop() if len(close) == 1 else word


def _edits(word: str) -> Iterator[str]:
    """The words that a letter left out, swapped with its neighbour, changed or added makes; the first letter stays."""
    for place in range(1, len(word) + 1):
        before, after = word[:place], word[place:]
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in ascii_lowercase)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + letter + after for letter in ascii_lowercase)
