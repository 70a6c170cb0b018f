"""Stage I, concept identification (MedMKG §3.2): phrases of a text with ranked candidate concepts for each.

A tagger of any kind answers `tag(text)` with mentions. The built-in one finds the names of a lexicon; others plug in
by an entry point of the group ``kgplatform.taggers``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from string import ascii_lowercase
from typing import Final, NamedTuple, Protocol

from kgplatform.construct.lexicon import Lexicon, LexiconEntry, Word, key, key_words
from kgplatform.construct.text import Token, tokenize_text
from kgplatform.errors import UsageError

MAX_CANDIDATES: Final = 10
BY_NAME: Final = 1.0  # the score of a concept's preferred name
BY_SYNONYM: Final = 0.9
MENDED: Final = 0.2  # subtracted where a typo was corrected
SHORTEST_GUESS: Final = 6  # letters of the shortest word that may be a misspelling

# Words of degree and course, which may be inside a name: "heart is mildly enlarged".
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
    """Anything that finds concepts in a text."""

    @property
    def name(self) -> str:
        """Kind and version, as the evidence of an edge states it."""
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
        return self.tag_tokens(tokenize_text(text))

    def tag_tokens(self, tokens: Sequence[Token]) -> list[Mention]:
        """The mentions of concepts among tokens of a text."""
        mentions: list[Mention] = []
        phrase: list[Word] = []
        for word in key_words(tokens):
            if word is not None:
                phrase.append(word)
            elif phrase:
                self._find(phrase, tokens, mentions)
                phrase = []
        if phrase:
            self._find(phrase, tokens, mentions)
        return mentions

    def _find(self, phrase: list[Word], text_tokens: Sequence[Token], mentions: list[Mention]) -> None:
        """Add the mentions in words that no mark parts."""
        mended_indices: set[int] = set()
        word_texts = [word.text for word in phrase]
        if self._mend is not None:
            for word_index, word_text in enumerate(word_texts):
                mended_text = self._mend(word_text)
                if mended_text != word_text:
                    word_texts[word_index] = mended_text
                    mended_indices.add(word_index)
        content_indices = [word_index for word_index, word_text in enumerate(word_texts) if word_text not in DEGREES]
        content_words = (
            [word_texts[word_index] for word_index in content_indices]
            if len(content_indices) < len(word_texts)
            else None
        )
        content_positions = {word_index: content_index for content_index, word_index in enumerate(content_indices)}
        name_start = 0
        while name_start < len(word_texts):
            word_count = self._lexicon.longest_name(word_texts, name_start)
            name_end, name_key = name_start + word_count, " ".join(word_texts[name_start : name_start + word_count])
            if content_words is not None and name_start in content_positions:
                content_count = self._lexicon.longest_name(content_words, content_positions[name_start])
                if (
                    content_count
                    and (content_end := content_indices[content_positions[name_start] + content_count - 1] + 1)
                    > name_end
                ):
                    name_end, name_key = (
                        content_end,
                        " ".join(
                            content_words[content_positions[name_start] : content_positions[name_start] + content_count]
                        ),
                    )
            if name_end == name_start:
                name_start += 1
                continue
            candidates = self._rank(name_key, not mended_indices.isdisjoint(range(name_start, name_end)))
            if candidates and _is_complete(phrase, name_start, name_end):
                mentions.append(
                    Mention(
                        text_tokens[phrase[name_start].token].start,
                        text_tokens[phrase[name_end - 1].token].end,
                        candidates,
                    )
                )
                name_start = name_end
            else:
                name_start += 1

    @lru_cache(maxsize=100_000)  # noqa: B019  a tagger lives as long as its process
    def _rank(self, name_key: str, is_mended: bool) -> tuple[Candidate, ...]:
        """The concepts of that key, the likeliest first: by how close the name is, then how common the concept."""
        best_by_cui: dict[str, tuple[tuple[float, float], LexiconEntry]] = {}
        for entry in self._lexicon.entries(name_key):
            concept = entry.concept
            if not self._allowed(concept.types):
                continue
            closeness = (BY_NAME if key(concept.name) == name_key else BY_SYNONYM) - (MENDED if is_mended else 0.0)
            merit = closeness, concept.weight
            if concept.cui not in best_by_cui or best_by_cui[concept.cui][0] < merit:
                best_by_cui[concept.cui] = merit, entry
        ranked_entries = sorted(
            sorted(best_by_cui.values(), key=lambda merit_entry: merit_entry[1].concept.cui),
            key=lambda merit_entry: merit_entry[0],
            reverse=True,
        )
        return tuple(
            Candidate(entry.concept.cui, self._lexicon.preferred[entry.concept.cui], closeness, entry.concept.types)
            for (closeness, _), entry in ranked_entries[:MAX_CANDIDATES]
        )


def dictionary(lexicon: Lexicon, allowed: Callable[[tuple[str, ...]], bool], argument: str = "") -> DictionaryTagger:
    """The tagger of the entry point ``dictionary``; with the argument ``exact``, typos are not mended.

    Raises `UsageError` for another argument.
    """
    if argument not in ("", "exact"):
        raise UsageError("the dictionary tagger has no such argument", "Use dictionary, or dictionary:exact.")
    return DictionaryTagger(lexicon, allowed, approximate=argument != "exact")


def _is_complete(phrase: Sequence[Word], name_start: int, name_end: int) -> bool:
    """Whether no word of an abbreviation that was written out is left before or after."""
    return (name_start == 0 or phrase[name_start - 1].token != phrase[name_start].token) and (
        name_end == len(phrase) or phrase[name_end - 1].token != phrase[name_end].token
    )


class _Mender:
    """Finds, for a word that no name has, the only word of the names that differs from it by one edit."""

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._vocabulary = frozenset(vocabulary)
        self._guesses: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The word itself where it is known, too short, or not like exactly one known word."""
        if word in self._vocabulary or len(word) < SHORTEST_GUESS:
            return word
        guess = self._guesses.get(word)
        if guess is None:
            guess = self._guesses[word] = self._guess(word)
        return guess

    def _guess(self, word: str) -> str:
        if not (word.isascii() and word.isalpha()):
            return word
        corrections = {
            edited_word
            for edited_word in _edits(word)
            if edited_word in self._vocabulary and len(edited_word) >= SHORTEST_GUESS
        }
        return corrections.pop() if len(corrections) == 1 else word


def _edits(word: str) -> Iterator[str]:
    """The words that a letter left out, swapped with its neighbour, changed or added makes; the first letter stays."""
    for position in range(1, len(word) + 1):
        word_head, word_tail = word[:position], word[position:]
        if word_tail:
            yield word_head + word_tail[1:]
            yield from (word_head + letter + word_tail[1:] for letter in ascii_lowercase)
        if len(word_tail) > 1:
            yield word_head + word_tail[1] + word_tail[0] + word_tail[2:]
        yield from (word_head + letter + word_tail for letter in ascii_lowercase)
