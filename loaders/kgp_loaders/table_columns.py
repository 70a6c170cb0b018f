"""The named columns of a table: what every reader of one offers, and what an error says of columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from kgplatform.batches import Reject
from kgplatform.errors import InputError
from kgplatform.suggest import did_you_mean, nearest

Row: TypeAlias = tuple[int, Sequence[str]]  # 1-based line or record, and the values of the columns asked for

COLUMN_NAME: Final = re.compile(r"(?=.{1,40}$)[\w.:/#()-]+( [\w.:/#()-]+){0,2}")


class Table(Protocol):
    """A file with named columns."""

    path: Path
    columns: tuple[str, ...]

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """Each source row as its line or record number and the values of `columns`, in that order.

        Raises `InputError` where a column is missing or named twice, and where the file as a whole is damaged.
        """
        ...


def column_positions(table: Table, columns: Sequence[str]) -> list[int]:
    """Where the columns are in the header; raises `InputError` unless each is there once."""
    counts = Counter(table.columns)
    missing_names = [column_name for column_name in columns if not counts[column_name]]
    if missing_names:
        raise InputError(
            f"the header lacks {', '.join(missing_names)}", column_hint(missing_names[0], table), path=table.path
        )
    repeated_names = [column_name for column_name in columns if counts[column_name] > 1]
    if repeated_names:
        raise InputError(f"the header names {displayed_column(repeated_names[0])} more than once", path=table.path)
    return [table.columns.index(column_name) for column_name in columns]


def column_hint(name: str, table: Table) -> str:
    """For an error's hint: the columns whose names are close to the one that is missing, and those there are."""
    usable_names = [column for column in table.columns if COLUMN_NAME.fullmatch(column)]
    return did_you_mean(name, usable_names, displayed_columns(table))


def role_hint(missing: Iterable[str], usual: Mapping[str, Sequence[str]], columns: Sequence[str]) -> str:
    """For an error's hint: which columns may be meant as the missing roles, and those there are.

    `usual` has the names that a column of each role usually has.
    """
    usable_names = [column for column in columns if COLUMN_NAME.fullmatch(column)]
    suggestions = [
        f"Is {closest[0]} meant as {role}?"
        for role in missing
        if (closest := [column for usual_name in usual[role] for column in nearest(usual_name, usable_names, 1)])
    ]
    return " ".join([*suggestions, _columns_sentence(columns)])


def displayed_columns(table: Table) -> str:
    """A sentence for an error's hint: the columns that the file has."""
    return _columns_sentence(table.columns)


def _columns_sentence(columns: Sequence[str]) -> str:
    if len(columns) < 2:  # a text, rather than a table
        return "It has one column."
    listed_columns = ", ".join(map(displayed_column, columns[:20]))
    return f"The columns found: {listed_columns}{' …' if len(columns) > 20 else ''}."


def displayed_column(column_name: str) -> str:
    """A column name for a message, or a stand-in: a file without a header has a row of content in its place."""
    return column_name if COLUMN_NAME.fullmatch(column_name) else "(not a column name)"
