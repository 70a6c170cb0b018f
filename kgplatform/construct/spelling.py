"""Typos of one letter in names: which word of the lexicon a misspelled word is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.resources import files
from string import ascii_lowercase
from typing import Final

from kgplatform.construct.text import stem

SHORTEST_GUESS: Final = 6  # letters of the shortest word that may be a misspelling


@cache
def plain_words() -> frozenset[str]:
    """Words that reports have and that are no misspelled names: those of the rules and of attributes, and some more."""
    tables = (files("kgplatform.construct").joinpath(name) for name in ("stance_rules.tsv", "attribute_words.tsv"))
    words = {word for table in tables for word in _LETTERS.findall(table.read_text(encoding="utf-8").lower())}
    return frozenset(stem(word) for word in words) | _OTHER_WORDS


_LETTERS: Final = re.compile(r"[a-z]+")
_OTHER_WORDS: Final = frozenset(
    "injection making though through simply define whole thing things where there these those another rather within "  # noqa: SIM905
    "without between before behind beneath course courses patient patients please needed number placed placement "
    "portion position positioned possibly previous project projects projecting quality received related remaining "
    "report reported result results review reviewed second section series signed single special standard station "
    "status street system taken telephone third three times today together toward towards transcribed underlying using "
    "usually version volume weight within written wrapped lobulated localize differentiate substantial".split()
)


class Speller:
    """Finds, for a word that no name has, the only word of the names that differs from it by one edit, and not in its
    ending alone.
    """

    def __init__(self, vocabulary: Iterable[str]) -> None:
        self._vocabulary = frozenset(vocabulary)
        self._known_words = self._vocabulary | plain_words()
        self._guesses: dict[str, str] = {}

    def __call__(self, word: str) -> str:
        """The word itself where it is known, too short, or not like exactly one known word."""
        if word in self._known_words or len(word) < SHORTEST_GUESS:
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
            if edited_word in self._vocabulary and len(edited_word) >= SHORTEST_GUESS and edited_word[:-2] != word[:-2]
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
