"""Triplets as the text that a language model writes: ``head, relation, tail; head, relation, tail``.

The paper (VLM-KG §3.2-3.3) turns a reply into a list of triplets by regular expressions, and separates commas from
semicolons; how it writes a triplet it does not say. So this form is a reading of ours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple

from kgplatform.thinking import without_thinking

MAX_ENTITY: Final = 100  # characters; RadGraph's longest entities have about 60
MAX_TRIPLETS: Final = 500  # of one image; a report has about 20


class Relation(StrEnum):
    """A relation between two entities (RadGraph §3.1); in the graph a relationship type in capitals."""

    SUGGESTIVE_OF = "suggestive_of"
    LOCATED_AT = "located_at"
    MODIFY = "modify"


class Triplet(NamedTuple):
    """Two entities, as phrases, and the relation between them."""

    head: str
    relation: Relation
    tail: str


_TOKEN: Final = re.compile(r"\w+|[^\w\s]")


def report_text(sections: Iterable[str]) -> str:
    """The sections of a report as RadGraph has its texts: words and marks with one space between them."""
    return " ".join(_TOKEN.findall(" ".join(sections)))


class Parsed(NamedTuple):
    """The triplets of a reply, each once, in order; and how many parts of it were none."""

    triplets: tuple[Triplet, ...]
    left_out: int


NONE: Final = "none"  # what is written where there is no triplet


def serialise(triplets: Iterable[Triplet]) -> str:
    """Triplets as text that `parse_triplets` reads back; ``none`` for none."""
    joined = "; ".join(f"{entity(head)}, {relation.value}, {entity(tail)}" for head, relation, tail in triplets)
    return joined or NONE


_SPACES: Final = re.compile(r"[\s,;|]+")
_EDGES: Final = "\"'`´‘’“”()[]{}<>*#.:!?-–—_=/\\ "  # what may surround an entity and is not part of it
_NUMBERED: Final = re.compile(r"^\s*(?:\d{1,3}[.)]|[-*•])\s+")
# What a model writes before its first triplet: "Here are the triplets:".
_LABEL: Final = re.compile(
    r"^.*\b(?:triplets?|triples?|answer|output|result|graph|response)[\s*_]*:[\s*_]*", re.IGNORECASE | re.DOTALL
)
_PART: Final = re.compile(r"[;\n\r]++|[)\]]\s*+(?:,\s*+)?[(\[]")
_BRACKETS: Final = re.compile(r"[()\[\] ]++")
_CLOSED_AND_OPENED: Final = re.compile(r"[)\]] ?[(\[]")
_NAMES: Final = {relation.value.replace("_", ""): relation for relation in Relation} | {
    "suggests": Relation.SUGGESTIVE_OF, "modifies": Relation.MODIFY,
}  # fmt: skip


def entity(text: str) -> str:
    """An entity in the form in which it is written and compared: lower case, one space between words, no marks around
    it, and no bracket that is closed and opened again, as that separates triplets. Empty where nothing is left, or more
    than `MAX_ENTITY` characters are.
    """
    printable = "".join(" " if unicodedata.category(character)[0] == "C" else character for character in text)
    one_line = _SPACES.sub(" ", unicodedata.normalize("NFC", printable.casefold()))
    plain_text = _BRACKETS.sub(lambda run: " " if _CLOSED_AND_OPENED.search(run[0]) else run[0], one_line).strip(_EDGES)
    return plain_text if len(plain_text) <= MAX_ENTITY and any(map(str.isalnum, plain_text)) else ""


def parse_triplets(reply: str) -> Parsed:
    """The triplets in any reply of a model, after its thinking. What is no triplet of a known relation is left out and
    counted.
    """
    triplets: dict[Triplet, None] = {}
    left_out = 0
    for triplet_text in _PART.split(without_thinking(reply)):
        if triplet_text.strip(_EDGES).casefold() in ("", NONE):
            continue
        triplet = _triplet(_NUMBERED.sub("", triplet_text))
        if triplet is None or len(triplets) == MAX_TRIPLETS:
            left_out += 1
        else:
            triplets[triplet] = None
    return Parsed(tuple(triplets), left_out)


parse = parse_triplets  # its name in version 0.1


def _triplet(triplet_text: str) -> Triplet | None:
    """The triplet of ``head, relation, tail`` (or with ``|`` between them)."""
    triplet_text = triplet_text.strip().strip("|")
    fields = triplet_text.split("|") if "|" in triplet_text else triplet_text.split(",")
    if len(fields) != 3:
        return None
    relation = _NAMES.get(re.sub(r"[\s_-]+", "", fields[1].casefold().strip(_EDGES)))
    head, tail = entity(_LABEL.sub("", fields[0])), entity(fields[2])
    return Triplet(head, relation, tail) if relation and head and tail else None
