"""The table of words that describe findings, `attribute_words.tsv`, ready to be looked up by their first word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from kgplatform.construct.text import tokenize_text
from kgplatform.errors import InputError

FILE: Final = "attribute_words.tsv"
COLUMNS: Final = ("attribute", "value", "words", "example")
ANY_WORDS: Final = "*"  # up to two other words
MAX_ANY: Final = 2


class Attribute(StrEnum):
    """What a report says of a finding in addition to its stance; the name of the edge's property."""

    SIDE = "side"
    LOCATION = "location"
    SEVERITY = "severity"
    SIZE = "size_mm"
    CHANGE = "change"
    ACUITY = "acuity"
    CERTAINTY = "certainty"


class Phrase(NamedTuple):
    """Words that state a value of an attribute; of several values of one finding the one of the lowest rank counts."""

    words: tuple[str, ...]
    attribute: Attribute
    value: str
    rank: int


class AttributeRow(NamedTuple):
    """A row of the table: an attribute's value, its phrases and the example."""

    attribute: Attribute
    value: str
    phrases: tuple[Phrase, ...]
    example: str


def parse_rows(text: str) -> Iterator[AttributeRow]:
    """The rows of a table in this form. Raises `InputError`, with the line, for a row that is none."""
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#") or line.split("\t")[0] == COLUMNS[0]:
            continue
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) or cells[0] not in list(Attribute):
            attributes = ", ".join(Attribute)
            raise InputError(f"{FILE}, line {line_number}: this is no row of the table", f"Attributes: {attributes}.")
        attribute = Attribute(cells[0])
        written = (phrase.split() for phrase in cells[2].split("|") if phrase.strip())
        phrases = tuple(Phrase(_words(words), attribute, cells[1], line_number) for words in written)
        yield AttributeRow(attribute, cells[1], phrases, cells[3])


def _words(words: Sequence[str]) -> tuple[str, ...]:
    """The words as a text's tokens: "left-sided" is three."""
    return tuple(
        token for word in words for token in ([word] if word == ANY_WORDS else [t.text for t in tokenize_text(word)])
    )


@cache
def attribute_rows() -> tuple[AttributeRow, ...]:
    """The platform's table."""
    return tuple(parse_rows(files("kgplatform.construct").joinpath(FILE).read_text(encoding="utf-8")))


@cache
def phrases_by_word() -> Mapping[str, tuple[Phrase, ...]]:
    """The phrases of all attributes but certainty by their first word, the longest first."""
    by_word: dict[str, list[Phrase]] = {}
    for row in attribute_rows():
        if row.attribute is not Attribute.CERTAINTY:
            for phrase in row.phrases:
                by_word.setdefault(phrase.words[0], []).append(phrase)
    return {word: tuple(sorted(phrases, key=lambda phrase: -len(phrase.words))) for word, phrases in by_word.items()}


@cache
def ranks() -> Mapping[tuple[Attribute, str], int]:
    """The rank of each value."""
    return {(row.attribute, row.value): row.phrases[0].rank for row in attribute_rows()}


@cache
def certainty_of(cue_text: str) -> str:
    """How certain the words of a cue leave a finding: unlikely, likely or possible."""
    cue_words = f" {' '.join(token.text for token in tokenize_text(cue_text))} "
    for row in attribute_rows():
        words = (f" {' '.join(phrase.words)} " for phrase in row.phrases)
        if row.attribute is Attribute.CERTAINTY and any(word in cue_words for word in words):
            return row.value
    return "possible"


@cache
def words_of_location() -> frozenset[str]:
    """Words of locations, which may stand inside the names of the platform's own terms: "calcified left lower lobe
    granuloma".
    """
    locations = (row for row in attribute_rows() if row.attribute is Attribute.LOCATION)
    return frozenset(word for row in locations for phrase in row.phrases for word in phrase.words)


@cache
def words_within_names() -> frozenset[str]:
    """Single words that may stand inside the name of a finding: "blunting of the left costophrenic angle"."""
    within = (Attribute.SIDE, Attribute.SEVERITY, Attribute.CHANGE, Attribute.ACUITY)
    return frozenset(
        phrase.words[0]
        for row in attribute_rows()
        if row.attribute in within
        for phrase in row.phrases
        if len(phrase.words) == 1
    )
