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
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from kgplatform import files
from kgplatform.batches import GraphBatch, Reject
from kgplatform.errors import InputError
from kgplatform.files import unreadable
from kgplatform.spreadsheets import unescaped
from kgplatform.suggest import did_you_mean, nearest

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

Row: TypeAlias = tuple[int, Sequence[str]]  # 1-based line or record, and the values of the columns asked for

MAX_LINE: Final = 131_072  # characters of a line or of a Parquet value; also the longest value Python's csv reads
_PIECE: Final = 1 << 18  # characters read at a time
_SAMPLE: Final = 1 << 16  # bytes that tell what a file's encoding is ...
_BAD_LINES: Final = 10  # ... where so many lines, and most of them, are not UTF-8
_RECORDS: Final = 8_192  # Parquet records read at a time
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # all control characters but the tab
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")  # what `surrogateescape` makes of bytes that are not UTF-8
FIRST_LINES: Final = 10  # that tell what separates columns
DELIMITERS: Final = (",", "\t", ";", "|")
_DECLARED: Final = re.compile(r"\"?sep=(?P<sign>[^\w\s\"]|\t)\"?[,;|\t]*", re.IGNORECASE)
_QUOTED: Final = {  # a whole quoted value of a line
    sign: re.compile(rf'(?:^|(?<={re.escape(sign)}))"(?:[^"]|"")*"(?={re.escape(sign)}|$)') for sign in DELIMITERS
}
_COLUMN_NAME: Final = re.compile(r"(?=.{1,40}$)[\w.:/#()-]+( [\w.:/#()-]+){0,2}")

_NOT_TEXT: Final = {
    b"\x1f\x8b": ("is compressed with gzip", "Unpack it first: gunzip FILE."),
    b"PK\x03\x04": ("is a zip archive or an Excel workbook", "Unpack it, or save the sheet as CSV (UTF-8)."),
    b"BZh": ("is compressed with bzip2", "Unpack it first: bunzip2 FILE."),
    b"\xfd7zXZ": ("is compressed with xz", "Unpack it first: unxz FILE."),
    b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "Unpack it first: unzstd FILE."),
    b"\xd0\xcf\x11\xe0": ("is an old Excel workbook", "Save the sheet as CSV (UTF-8)."),
    b"\xff\xfe": ("is UTF-16 text", "Save it as UTF-8."),
    b"\xfe\xff": ("is UTF-16 text", "Save it as UTF-8."),
    b"\x00\x00\xfe\xff": ("is UTF-32 text", "Save it as UTF-8."),
}


class Table(Protocol):
    """A file with named columns."""

    path: Path
    columns: tuple[str, ...]

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """Each source row as its line or record number and the values of `columns`, in that order.

        Raises `InputError` where a column is missing or named twice, and where the file as a whole is damaged.
        """
        ...


def open_table(path: Path) -> Table:
    """The file as a table: Parquet by its first bytes, else separated by what its header is (see `delimiter_of`).

    Raises `InputError` when it is missing, empty, unreadable, or none of these.
    """
    first_bytes = _first_bytes(path)
    if first_bytes.startswith(b"PAR1"):
        return _ParquetTable(path)
    check_utf8(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError("the file is not Parquet", "Give a CSV file the suffix .csv.", path=path)
    return Delimited(path)


def layout_of(path: Path, lines: Sequence[str | None]) -> tuple[int, str]:
    """Which line names the columns, from 1, and what separates them; `lines` are the first, None for a long one."""
    declared = _DECLARED.fullmatch(lines[0] or "")
    if declared and len(lines) > 1:
        return 2, declared["sign"]
    return 1, delimiter_of(path, [first_line for first_line in lines if first_line is not None])


def delimiter_of(path: Path, lines: Sequence[str]) -> str:
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
        is_plain = all(_COLUMN_NAME.fullmatch(column_name.strip()) for column_name in column_names)
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
        self.header, self.delimiter = layout_of(path, first_lines)
        header_line = first_lines[self.header - 1] or ""
        column_names = self._values(header_line) if header_line.strip() else "it is empty, or too long"
        if isinstance(column_names, str):
            raise InputError(f"the first line must name the columns, but {column_names}", path=path, row=self.header)
        self.columns = tuple(column_name.strip() for column_name in column_names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`."""
        return self._rows(_positions(self, columns))

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
        problem = _text_problem(text_line)
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
            return "a quote stands inside a value that is not quoted"
        return values


class _ParquetTable:
    """A Parquet file; the columns asked for must hold text or whole numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as parquet_file, _damage_reported(path):
            self.columns = tuple(str(column_name) for column_name in parquet_file.schema_arrow.names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`. Also raises where a column holds anything but text and whole numbers."""
        requested_columns = list(columns)
        _positions(self, requested_columns)
        with self._open() as parquet_file:
            self._check_types(parquet_file, requested_columns)
        return self._rows(requested_columns)

    def _rows(self, requested_columns: list[str]) -> Iterator[Row | Reject]:
        record_number = 0
        with self._open(requested_columns) as parquet_file:
            for values in self._records(parquet_file, requested_columns):
                record_number += 1
                problem = _record_problem(values, requested_columns)
                yield Reject(self.path, record_number, problem) if problem else (record_number, values)
            announced_count = parquet_file.metadata.num_rows
        if record_number != announced_count:
            raise InputError(
                f"damaged Parquet: {record_number:,} records, not {announced_count:,} as announced", path=self.path
            )

    def _open(self, columns: Sequence[str] = ()) -> pq.ParquetFile:
        """The file; of these columns, equal values of a column are in memory once."""
        import pyarrow.parquet as pq

        with _damage_reported(self.path):
            # With a buffer size pyarrow reads column pieces as needed instead of whole row groups.
            parquet_file = pq.ParquetFile(
                files.require_file(self.path),
                buffer_size=1 << 20,
                page_checksum_verification=True,
                read_dictionary=columns,
            )
            return files.check_parquet(parquet_file, self.path)

    def _check_types(self, parquet_file: pq.ParquetFile, columns: Sequence[str]) -> None:
        for column_name in columns:
            column_type = parquet_file.schema_arrow.field(column_name).type
            if not _is_textual(column_type):
                hint = "Write the column as text or as whole numbers."
                raise InputError(f"the column {_shown(column_name)} holds {column_type} values", hint, path=self.path)

    def _records(self, parquet_file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        batches = parquet_file.iter_batches(
            files.batch_rows(parquet_file, _RECORDS), columns=list(dict.fromkeys(columns))
        )
        while True:
            with _damage_reported(self.path):
                batch = next(batches, None)
                column_values = [] if batch is None else [_texts(batch.column(column_name)) for column_name in columns]
            if batch is None:
                return
            yield from zip(*column_values, strict=True)


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


def check_utf8(path: Path) -> None:
    """Raise `InputError` where the file as a whole is not UTF-8 text: better one error than a reject for each row."""
    with files.open_regular_file(path) as text_file:
        sample = text_file.read(_SAMPLE)
    for signature, (description, hint) in _NOT_TEXT.items():
        if sample.startswith(signature):
            raise InputError(f"the file {description}", hint, path=path)
    if 4 * sample.count(b"\0") > len(sample):
        raise InputError("the file is UTF-16 text, or no text", "Save it as UTF-8.", path=path)
    sample_lines = sample.split(b"\n")[: -1 if len(sample) == _SAMPLE else None]
    bad_count = sum(not _is_utf8(sample_line) for sample_line in sample_lines)
    if bad_count >= _BAD_LINES and 2 * bad_count > len(sample_lines):
        hint = "Save it as UTF-8; it may be Latin-1 or Windows-1252."
        raise InputError(
            f"the file is not UTF-8: {bad_count:,} of the first {len(sample_lines):,} lines", hint, path=path
        )


def _is_utf8(byte_line: bytes) -> bool:
    try:
        byte_line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


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


def _positions(table: Table, columns: Sequence[str]) -> list[int]:
    """Where the columns are in the header; raises `InputError` unless each is there once."""
    counts = Counter(table.columns)
    missing_names = [column_name for column_name in columns if not counts[column_name]]
    if missing_names:
        raise InputError(
            f"the header lacks {', '.join(missing_names)}", column_hint(missing_names[0], table), path=table.path
        )
    repeated_names = [column_name for column_name in columns if counts[column_name] > 1]
    if repeated_names:
        raise InputError(f"the header names {_shown(repeated_names[0])} more than once", path=table.path)
    return [table.columns.index(column_name) for column_name in columns]


def column_hint(name: str, table: Table) -> str:
    """For an error's hint: the columns whose names are close to the one that is missing, and those there are."""
    usable_names = [column for column in table.columns if _COLUMN_NAME.fullmatch(column)]
    return did_you_mean(name, usable_names, shown_columns(table))


def role_hint(missing: Iterable[str], usual: Mapping[str, Sequence[str]], columns: Sequence[str]) -> str:
    """For an error's hint: which columns may be meant as the missing roles, and those there are.

    `usual` has the names that a column of each role usually has.
    """
    usable_names = [column for column in columns if _COLUMN_NAME.fullmatch(column)]
    suggestions = [
        f"Is {closest[0]} meant as {role}?"
        for role in missing
        if (closest := [column for usual_name in usual[role] for column in nearest(usual_name, usable_names, 1)])
    ]
    return " ".join([*suggestions, _columns_sentence(columns)])


def shown_columns(table: Table) -> str:
    """A sentence for an error's hint: the columns that the file has."""
    return _columns_sentence(table.columns)


def _columns_sentence(columns: Sequence[str]) -> str:
    if len(columns) < 2:  # a text, rather than a table
        return "It has one column."
    listed_columns = ", ".join(map(_shown, columns[:20]))
    return f"The columns found: {listed_columns}{' …' if len(columns) > 20 else ''}."


def _shown(column_name: str) -> str:
    """A column name for a message, or a stand-in: a file without a header has a row of content in its place."""
    return column_name if _COLUMN_NAME.fullmatch(column_name) else "(not a column name)"


def text_problem(text: str) -> str | None:
    """Why a text of several lines is none: a byte that is not UTF-8 (or half a surrogate pair of JSON), or a NUL."""
    if _SURROGATE.search(text):
        return "it is not valid UTF-8"
    return "it contains a NUL character" if "\0" in text else None


def _text_problem(field_text: str) -> str | None:
    if field_text.isprintable():
        return None
    if _SURROGATE.search(field_text):
        return "it is not valid UTF-8"
    if _CONTROL.search(field_text):
        return "it contains a control character"
    return None


def _record_problem(values: Sequence[str | None], columns: Sequence[str]) -> str | None:
    for column_name, value in zip(columns, values, strict=True):
        if value is None:
            return f"{_shown(column_name)} is empty (null)"
        if len(value) > MAX_LINE:
            return f"{_shown(column_name)} is longer than {MAX_LINE:,} characters"
        if not value.isprintable() and (problem := _text_problem(value)):
            return problem
    return None


def _is_textual(data_type: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    return any(
        is_kind(data_type)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_binary,
            types.is_large_binary,
            types.is_integer,
        )
    )


def _texts(column: pa.Array) -> list[str | None]:
    """The column's values as text; bytes that are not UTF-8 become surrogates, as in a text file. A value that many
    records have is one text in memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        value_indices = column.indices
        used_indices = pc.unique(value_indices)
        texts_by_index = dict(zip(used_indices.to_pylist(), _texts(column.dictionary.take(used_indices)), strict=True))
        return [texts_by_index[value_index] for value_index in value_indices.to_pylist()]
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    values = column.cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        # pyarrow's own messages may quote the file's content.
        raise InputError("damaged Parquet", "Write the file again, or give it as CSV.", path=path) from None
