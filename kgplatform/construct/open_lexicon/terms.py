"""The platform's own terms: what chest imaging calls its findings, devices and anatomy, in `terms.tsv`.

A row is a concept: id, preferred name, semantic type, region (`chest`, or `any` where its names mean the same in every
examination), organ, the broader concept's name, and the names that reports use, with `;` between them. In a name
`(a|b)` stands for a or b, and `(a|)` for a or nothing. The preferred name is a name itself. A name that several terms
of a region have is that of the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Final, NamedTuple

from kgplatform.construct.lexicon import key
from kgplatform.errors import InputError

FILE: Final = "terms.tsv"
COLUMNS: Final = ("id", "name", "type", "region", "organ", "broader", "names")
CHEST: Final = "chest"
ANY: Final = "any"

_ALTERNATIVES: Final = re.compile(r"\(([^()]*)\)")


class Term(NamedTuple):
    """A concept of the platform's own terms; `broader` is the preferred name of another one, or empty."""

    cui: str
    name: str
    semantic_type: str
    region: str
    organ: str
    broader: str
    names: tuple[str, ...]


def expand_name(pattern: str) -> Iterator[str]:
    """The names that a pattern stands for: "(a|b) c" for "a c" and "b c"."""
    parts = _ALTERNATIVES.split(pattern)
    choices = [part.split("|") if index % 2 else [part] for index, part in enumerate(parts)]
    for chosen in product(*choices):
        if name := " ".join("".join(chosen).split()):
            yield name


def parse_terms(text: str) -> Iterator[Term]:
    """The terms of a table in the form of `terms.tsv`. Raises `InputError`, with the line, for a row that is none."""
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#") or line.split("\t")[0] == COLUMNS[0]:
            continue
        cells = line.split("\t")
        if len(cells) != len(COLUMNS) or not cells[1]:
            raise InputError(f"{FILE}, line {line_number}: the row has not {len(COLUMNS)} values", "Correct it.")
        cui, name, semantic_type, region, organ, broader, names = cells
        patterns = (pattern for pattern in names.split(";") if pattern.strip())
        expanded = dict.fromkeys(name for pattern in patterns for name in expand_name(pattern))
        yield Term(cui, name, semantic_type, region, organ, broader, tuple(dict.fromkeys((name, *expanded))))


@cache
def own_terms() -> tuple[Term, ...]:
    """The platform's own terms."""
    terms = list(parse_terms(files(__package__).joinpath(FILE).read_text(encoding="utf-8")))
    owners = {(term.region, key(name)): term.cui for term in terms for name in term.names[1:]}
    owners |= {(term.region, key(term.name)): term.cui for term in terms}
    return tuple(
        term._replace(names=tuple(name for name in term.names if owners[term.region, key(name)] == term.cui))
        for term in terms
    )
