"""Lexicons in tables: CSV, TSV or Parquet with a column of CUIs and a column of names.

A column `semantic_types` holds TUIs or names with `|` between them, `weight` a number that chooses between concepts of
one name. A row without a name is left out, since cross-reference tables have such.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kgp_loaders.tabular import Table, open_table, role_hint
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID

COLUMNS: Final = {
    "cui": ("cui", "concept", "concept_id", "umls_cui"),
    "name": ("name", "label", "term", "synonym", "string", "str"),
    "types": ("semantic_types", "semantic_type", "types", "sty", "tui"),
    "weight": ("weight", "count", "frequency"),
}
MAX_NAME: Final = 10_000  # characters


def read(path: Path) -> Iterator[Concept | Reject]:
    """The concepts of a table under their names, and the rows that are none. Raises `InputError` where a column is
    missing.
    """
    table = open_table(path)
    found = _columns(table)
    for row in table.rows(list(found.values())):
        if isinstance(row, Reject):
            yield row
            continue
        number, values = row
        concept = _concept(dict(zip(found, values, strict=True)))
        if isinstance(concept, str):
            yield Reject(path, number, concept)
        elif concept.name:
            yield concept


def _columns(table: Table) -> dict[str, str]:
    by_name = {column.casefold(): column for column in reversed(table.columns)}
    found = {
        role: next(by_name[name] for name in names if name in by_name)
        for role, names in COLUMNS.items()
        if any(name in by_name for name in names)
    }
    if missing := [role for role in ("cui", "name") if role not in found]:
        hint = f"A lexicon has columns cui and name. {role_hint(missing, COLUMNS, table.columns)}"
        raise InputError(f"no column is recognised as {' and '.join(missing)}", hint, path=table.path)
    return found


def _concept(values: dict[str, str]) -> Concept | str:
    """The concept of a row, or why it is none."""
    if not CONCEPT_ID.fullmatch(values["cui"]):
        return "the CUI is not C and 7 digits"
    if len(values["name"]) > MAX_NAME:
        return f"the name is longer than {MAX_NAME:,} characters"
    try:
        weight = float(values.get("weight") or 0)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        return "the weight is not a number"
    return Concept(values["cui"], values["name"].strip(), _types(values.get("types", "")), weight)


def _types(text: str) -> tuple[str, ...]:
    return tuple(kind.strip() for kind in text.split("|") if kind.strip())
