"""Reads tables (CSV, TSV, with semicolons or bars; Parquet) as rows of text, each its values or a `Reject`.

One physical line is one row. A quoted value may not span lines, so a stray quote costs its own row and cannot swallow
the rest of the file: rows in = rows out + rejected. Text is UTF-8 (a byte-order mark is fine) with LF, CRLF or CR line
ends; a row that is not valid UTF-8 is rejected and reading goes on. Blank lines at the end of a file are not rows;
a blank line before other rows is rejected like any other row with the wrong number of values.
A first line ``sep=;``, as Excel writes and reads it, says what separates the columns, and the second line names them.
A text with an apostrophe before what a spreadsheet takes for a formula comes without it (`kgplatform.spreadsheets`).

Memory stays flat regardless of what the file holds: text is read in pieces, Parquet in batches.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Final

from kgp_loaders.parquet_table import ParquetTable
from kgp_loaders.table_columns import COLUMN_NAME, Row, Table, column_positions
from kgp_loaders.table_text import MAX_LINE, check_utf8, value_problem
from kgplatform import files
from kgplatform.batches import GraphBatch, Reject
from kgplatform.errors import InputError
from kgplatform.files import unreadable
from kgplatform.spreadsheets import unescaped

_PIECE: Final = 1 << 18  # characters read at a time
FIRST_LINES: Final = 10  # that tell what separates columns
DELIMITERS: Final = (",", "\t", ";", "|")
_DECLARED: Final = re.compile(r"\"?sep=(?P<sign>[^\w\s\"]|\t)\"?[,;|\t]*", re.IGNORECASE)
_QUOTED: Final = {  # a whole quoted value of a line
    sign: re.compile(rf'(?:^|(?<={re.escape(sign)}))"(?:[^"]|"")*"(?={re.escape(sign)}|$)') for sign in DELIMITERS
}


def open_table(path: Path) -> Table:
    """The file as a table: Parquet by its first bytes, else separated by what its header is (see `detect_delimiter`).

    Raises `InputError` when it is missing, empty, unreadable, or none of these.
    """
    first_bytes = _first_bytes(path)
    if first_bytes.startswith(b"PAR1"):
        return ParquetTable(path)
    check_utf8(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError("the file is not Parquet", "Give a CSV file the suffix .csv.", path=path)
    return Delimited(path)


def detect_layout(path: Path, lines: Sequence[str | None]) -> tuple[int, str]:
    """Which line names the columns, from 1, and what separates them; `lines` are the first, None for a long one."""
    declared = _DECLARED.fullmatch(lines[0] or "")
    if declared and len(lines) > 1:
        return 2, declared["sign"]
    return 1, detect_delimiter(path, [first_line for first_line in lines if first_line is not None])


def detect_delimiter(path: Path, lines: Sequence[str]) -> str:
    """What separates the columns: comma, tab, semicolon or bar; `lines` are the header and the first lines after it.

    A tab in the header of a file named .tsv or .tab decides. Else it is what splits most of the lines into as many
    values as the header; of equals, what leaves plain names in the header, none that begins with a space, and most of
    them; then what the file's name says, which is also the answer for a single column.
    """
    usual_sign = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    header_line, *body_lines = lines
    if usual_sign == "\t" and usual_sign in header_line:
        return usual_sign

    def rank(sign: str) -> tuple[int, bool, bool, int, bool]:
        column_names = _split(header_line, sign)
        if len(column_names) < 2:
            return 0, False, False, 0, sign == usual_sign
        fitting_count = sum(len(_split(body_line, sign)) == len(column_names) for body_line in body_lines)
        is_plain = all(COLUMN_NAME.fullmatch(column_name.strip()) for column_name in column_names)
        return (
            fitting_count,
            is_plain,
            not any(column_name.startswith(" ") for column_name in column_names),
            len(column_names),
            sign == usual_sign,
        )

    return max(DELIMITERS, key=rank)


def _split(text_line: str, sign: str) -> list[str]:
    """The line's values; none where its quotes are damaged."""
    try:
        return next(csv.reader([text_line], delimiter=sign, strict=True), [])
    except csv.Error:
        return []


class Delimited:
    """A table of text. Values may be in double quotes; a quote inside is doubled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        first_lines = list(islice(_lines(path), FIRST_LINES))
        if not first_lines or not (first_lines[0] or "").strip():
            raise InputError("the first line must name the columns", path=path, row=1)
        self.header, self.delimiter = detect_layout(path, first_lines)
        header_line = first_lines[self.header - 1] or ""
        column_names = self._values(header_line) if header_line.strip() else "it is empty, or too long"
        if isinstance(column_names, str):
            raise InputError(f"the first line must name the columns, but {column_names}", path=path, row=self.header)
        self.columns = tuple(column_name.strip() for column_name in column_names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`."""
        return self._rows(column_positions(self, columns))

    def _rows(self, column_indices: list[int]) -> Iterator[Row | Reject]:
        all_columns = column_indices == list(range(len(self.columns)))
        column_count, delimiter = len(self.columns), self.delimiter
        blank_count = 0
        for line_number, text_line in enumerate(_lines(self.path), start=1):
            if line_number <= self.header:
                continue
            if text_line == "":
                blank_count += 1
                continue
            if blank_count:
                yield from (
                    Reject(self.path, empty_number, "the line is empty")
                    for empty_number in range(line_number - blank_count, line_number)
                )
                blank_count = 0
            if text_line is None:
                yield Reject(self.path, line_number, f"the line is longer than {MAX_LINE:,} characters")
                continue
            # A line of plain printable text without quotes, nearly every one, needs no more than a split.
            is_plain = '"' not in text_line and text_line.isprintable()
            values = text_line.split(delimiter) if is_plain else self._values(text_line)
            if isinstance(values, str):
                yield Reject(self.path, line_number, values)
            elif len(values) != column_count:
                yield Reject(self.path, line_number, f"it has {len(values)} values, the header {column_count}")
            else:
                if "'" in text_line:
                    values = [unescaped(value) for value in values]
                yield line_number, values if all_columns else [values[column_index] for column_index in column_indices]

    def _values(self, text_line: str) -> list[str] | str:
        """The line's values, or why it has none."""
        problem = value_problem(text_line)
        if problem is not None:
            return problem
        if '"' not in text_line:
            return text_line.split(self.delimiter)
        try:
            values = next(csv.reader([text_line], delimiter=self.delimiter, strict=True))
        except csv.Error:
            return "a quoted value is not closed on its line, or goes on after its closing quote"
        # RFC 4180 quotes such values; a stray quote is the end of a value that spans lines. TSV need not be quoted.
        if self.delimiter in ",;" and '"' in _QUOTED[self.delimiter].sub("", text_line):
            return "a quote is inside a value that is not quoted"
        return values


def batches(
    path: Path, rows: Iterator[Row | Reject], size: int, add: Callable[..., str | None], *, enrich: bool = False
) -> Iterator[GraphBatch]:
    """Batches of `size` rows. `add(batch, *values)` puts a row's elements into its batch, or says why it cannot."""
    while chunk := list(islice(rows, size)):
        yield collect(path, chunk, add, enrich=enrich)


def collect(
    path: Path, rows: Sequence[Row | Reject], add: Callable[..., str | None], *, enrich: bool = False
) -> GraphBatch:
    """One batch of all these rows; `add` as in `batches`."""
    batch = GraphBatch(read=len(rows), enrich=enrich)
    for record in rows:
        if isinstance(record, Reject):
            batch.rejects.append(record)
            continue
        row_number, values = record
        problem = add(batch, *values)
        if problem is not None:
            batch.rejects.append(Reject(path, row_number, problem))
    return batch


def _first_bytes(path: Path) -> bytes:
    with files.open_regular_file(path) as binary_file:
        first_bytes = binary_file.read(8)
    if not first_bytes:
        raise InputError("the file is empty", path=path)
    return first_bytes


def _lines(path: Path) -> Iterator[str | None]:
    """The lines of a UTF-8 file without their ends; None for one that is too long. Bad bytes become surrogates."""
    remainder, is_too_long = "", False
    try:
        with TextIOWrapper(files.open_regular_file(path), "utf-8-sig", "surrogateescape", newline=None) as text_file:
            while piece := text_file.read(_PIECE):
                complete_lines = (remainder + piece).split("\n")
                remainder = complete_lines.pop()
                for complete_line in complete_lines:
                    yield None if is_too_long or len(complete_line) > MAX_LINE else complete_line
                    is_too_long = False
                if len(remainder) > MAX_LINE:
                    remainder, is_too_long = "", True
    except OSError as error:
        raise unreadable(path, error) from None
    if remainder or is_too_long:
        yield None if is_too_long or len(remainder) > MAX_LINE else remainder
