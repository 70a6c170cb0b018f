"""Lexicons in tables: CSV, TSV or Parquet with a column of CUIs and a column of names.

A column `semantic_types` holds TUIs or names with `|` between them, `weight` a number that chooses between concepts of
one name. A row without a name is left out, since cross-reference tables have such.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from kgp_loaders.table_columns import Table, role_hint
from kgp_loaders.tabular import open_table
from kgplatform.batches import Reject
from kgplatform.construct.lexicon import Concept
from kgplatform.construct.open_lexicon.terms import own_terms
from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID, CONCEPT_ID_FORM

COLUMNS: Final = {
    "cui": ("cui", "concept", "concept_id", "umls_cui"),
    "name": ("name", "label", "term", "synonym", "string", "str"),
    "types": ("semantic_types", "semantic_type", "types", "sty", "tui"),
    "weight": ("weight", "count", "frequency"),
}
PROJECT_IDS: Final = "KGP"  # how they begin
MAX_NAME: Final = 10_000  # characters


class LexiconTable:
    """A table as a `kgplatform.construct.lexicon_source.LexiconSource`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def reads(path: Path) -> bool:
        """Any file: what no other lexicon reads is opened as a table, and refused there if it is none."""
        return path.is_file()

    def concepts(self) -> Iterator[Concept | Reject]:
        """See `read_lexicon`."""
        return read_lexicon(self.path)


def read_lexicon(path: Path) -> Iterator[Concept | Reject]:
    """The concepts of a table under their names, and the rows that are none. Raises `InputError` where a column is
    missing.
    """
    table = open_table(path)
    columns_by_role = _columns(table)
    for record in table.rows(list(columns_by_role.values())):
        if isinstance(record, Reject):
            yield record
            continue
        row_number, values = record
        concept = _concept(dict(zip(columns_by_role, values, strict=True)))
        if isinstance(concept, str):
            yield Reject(path, row_number, concept)
        elif concept.name:
            yield concept


def _columns(table: Table) -> dict[str, str]:
    columns_by_name = {column.casefold(): column for column in reversed(table.columns)}
    columns_by_role = {
        role: next(columns_by_name[column_name] for column_name in column_names if column_name in columns_by_name)
        for role, column_names in COLUMNS.items()
        if any(column_name in columns_by_name for column_name in column_names)
    }
    if missing_roles := [role for role in ("cui", "name") if role not in columns_by_role]:
        hint = f"A lexicon has columns cui and name. {role_hint(missing_roles, COLUMNS, table.columns)}"
        raise InputError(f"no column is recognised as {' and '.join(missing_roles)}", hint, path=table.path)
    return columns_by_role


def _concept(values: dict[str, str]) -> Concept | str:
    """The concept of a row, or why it is none."""
    if not CONCEPT_ID.fullmatch(values["cui"]):
        return f"the CUI is not {CONCEPT_ID_FORM}"
    if values["cui"].startswith(PROJECT_IDS) and values["cui"] not in _project_ids():
        return "the package has no concept of this id: a table can give names to its concepts alone"
    if len(values["name"]) > MAX_NAME:
        return f"the name is longer than {MAX_NAME:,} characters"
    try:
        weight = float(values.get("weight") or 0)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight):
        return "the weight is not a number"
    return Concept(values["cui"], values["name"].strip(), _types(values.get("types", "")), weight)


@cache
def _project_ids() -> frozenset[str]:
    """The ids of the package's own concepts that have no CUI."""
    return frozenset(term.cui for term in own_terms() if term.cui.startswith(PROJECT_IDS))


def _types(types_text: str) -> tuple[str, ...]:
    return tuple(semantic_type.strip() for semantic_type in types_text.split("|") if semantic_type.strip())
