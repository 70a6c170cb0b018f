"""Reads tables (CSV, TSV, with semicolons or bars; Parquet) as rows of text, each its values or a `Reject`.

One physical line is one row. A quoted value may not span lines, so a stray quote costs its own row and cannot swallow
the rest of the file: rows in = rows out + rejected. Text is UTF-8 (a byte-order mark is fine) with LF, CRLF or CR line
ends; a row that is not valid UTF-8 is rejected and reading goes on. Blank lines at the end of a file are not rows;
a blank line before other rows is rejected like any other row with the wrong number of values.
A first line ``sep=;``, as Excel writes and reads it, says what separates the columns, and the second line names them.
A text with an apostrophe before what a spreadsheet takes for a formula comes without it (`kgplatform.spreadsheets`).

Memory stays flat whatever the file holds: text is read in pieces, Parquet in batches.
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
    first = _first_bytes(path)
    if first.startswith(b"PAR1"):
        return Parquet(path)
    check_text(path)
    if path.suffix.lower() in (".parquet", ".pq"):
        raise InputError("the file is not Parquet", "Give a CSV file the suffix .csv.", path=path)
    return Delimited(path)


def layout_of(path: Path, lines: Sequence[str | None]) -> tuple[int, str]:
    """Which line names the columns, from 1, and what separates them; `lines` are the first, None for a long one."""
    declared = _DECLARED.fullmatch(lines[0] or "")
    if declared and len(lines) > 1:
        return 2, declared["sign"]
    return 1, delimiter_of(path, [line for line in lines if line is not None])


def delimiter_of(path: Path, lines: Sequence[str]) -> str:
    """What separates the columns: comma, tab, semicolon or bar; `lines` are the header and the first lines after it.

    A tab in the header of a file named .tsv or .tab decides. Else it is what splits most of the lines into as many
    values as the header; of equals, what leaves plain names in the header, none that begins with a space, and most of
    them; then what the file's name says, which is also the answer for a single column.
    """
    usual = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
    header, *rows = lines
    if usual == "\t" and usual in header:
        return usual

    def rank(sign: str) -> tuple[int, bool, bool, int, bool]:
        names = _split(header, sign)
        if len(names) < 2:
            return 0, False, False, 0, sign == usual
        fitting = sum(len(_split(row, sign)) == len(names) for row in rows)
        plain = all(_COLUMN_NAME.fullmatch(name.strip()) for name in names)
        return fitting, plain, not any(name.startswith(" ") for name in names), len(names), sign == usual

    return max(DELIMITERS, key=rank)


def _split(line: str, sign: str) -> list[str]:
    """The line's values; none where its quotes are damaged."""
    try:
        return next(csv.reader([line], delimiter=sign, strict=True), [])
    except csv.Error:
        return []


class Delimited:
    """A table of text. Values may stand in double quotes; a quote inside is doubled."""

    def __init__(self, path: Path) -> None:
        self.path = path
        first = list(islice(_lines(path), FIRST_LINES))
        if not first or not (first[0] or "").strip():
            raise InputError("the first line must name the columns", path=path, row=1)
        self.header, self.delimiter = layout_of(path, first)
        header = first[self.header - 1] or ""
        names = self._values(header) if header.strip() else "it is empty, or too long"
        if isinstance(names, str):
            raise InputError(f"the first line must name the columns, but {names}", path=path, row=self.header)
        self.columns = tuple(name.strip() for name in names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`."""
        return self._rows(_positions(self, columns))

    def _rows(self, where: list[int]) -> Iterator[Row | Reject]:
        everything = where == list(range(len(self.columns)))
        width, delimiter = len(self.columns), self.delimiter
        blank = 0
        for number, line in enumerate(_lines(self.path), start=1):
            if number <= self.header:
                continue
            if line == "":
                blank += 1
                continue
            if blank:
                yield from (Reject(self.path, n, "the line is empty") for n in range(number - blank, number))
                blank = 0
            if line is None:
                yield Reject(self.path, number, f"the line is longer than {MAX_LINE:,} characters")
                continue
            # A line of plain printable text without quotes, nearly every one, needs no more than a split.
            plain = '"' not in line and line.isprintable()
            values = line.split(delimiter) if plain else self._values(line)
            if isinstance(values, str):
                yield Reject(self.path, number, values)
            elif len(values) != width:
                yield Reject(self.path, number, f"it has {len(values)} values, the header {width}")
            else:
                if "'" in line:
                    values = [unescaped(value) for value in values]
                yield number, values if everything else [values[i] for i in where]

    def _values(self, line: str) -> list[str] | str:
        """The line's values, or why it has none."""
        problem = _text_problem(line)
        if problem is not None:
            return problem
        if '"' not in line:
            return line.split(self.delimiter)
        try:
            values = next(csv.reader([line], delimiter=self.delimiter, strict=True))
        except csv.Error:
            return "a quoted value is not closed on its line, or goes on after its closing quote"
        # RFC 4180 quotes such values; a stray quote is the end of a value that spans lines. TSV need not be quoted.
        if self.delimiter in ",;" and '"' in _QUOTED[self.delimiter].sub("", line):
            return "a quote stands inside a value that is not quoted"
        return values


class Parquet:
    """A Parquet file; the columns asked for must hold text or whole numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file, _damage_reported(path):
            self.columns = tuple(str(name) for name in file.schema_arrow.names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`. Also raises where a column holds anything but text and whole numbers."""
        wanted = list(columns)
        _positions(self, wanted)
        with self._open() as file:
            self._check_types(file, wanted)
        return self._rows(wanted)

    def _rows(self, wanted: list[str]) -> Iterator[Row | Reject]:
        number = 0
        with self._open(wanted) as file:
            for values in self._records(file, wanted):
                number += 1
                problem = _record_problem(values, wanted)
                yield Reject(self.path, number, problem) if problem else (number, values)
            announced = file.metadata.num_rows
        if number != announced:
            raise InputError(f"damaged Parquet: {number:,} records, not {announced:,} as announced", path=self.path)

    def _open(self, columns: Sequence[str] = ()) -> pq.ParquetFile:
        """The file; of these columns, equal values of a column stand in memory once."""
        import pyarrow.parquet as pq

        with _damage_reported(self.path):
            # With a buffer size pyarrow reads column pieces as needed instead of whole row groups.
            file = pq.ParquetFile(
                files.require_file(self.path),
                buffer_size=1 << 20,
                page_checksum_verification=True,
                read_dictionary=columns,
            )
            return files.check_parquet(file, self.path)

    def _check_types(self, file: pq.ParquetFile, columns: Sequence[str]) -> None:
        for name in columns:
            kind = file.schema_arrow.field(name).type
            if not _is_textual(kind):
                hint = "Write the column as text or as whole numbers."
                raise InputError(f"the column {_shown(name)} holds {kind} values", hint, path=self.path)

    def _records(self, file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        batches = file.iter_batches(files.batch_rows(file, _RECORDS), columns=list(dict.fromkeys(columns)))
        while True:
            with _damage_reported(self.path):
                batch = next(batches, None)
                values = [] if batch is None else [_texts(batch.column(name)) for name in columns]
            if batch is None:
                return
            yield from zip(*values, strict=True)


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
    for row in rows:
        if isinstance(row, Reject):
            batch.rejects.append(row)
            continue
        number, values = row
        problem = add(batch, *values)
        if problem is not None:
            batch.rejects.append(Reject(path, number, problem))
    return batch


def check_text(path: Path) -> None:
    """Raise `InputError` where the file as a whole is not UTF-8 text: better one error than a reject for each row."""
    with files.opened(path) as file:
        sample = file.read(_SAMPLE)
    for magic, (what, hint) in _NOT_TEXT.items():
        if sample.startswith(magic):
            raise InputError(f"the file {what}", hint, path=path)
    if 4 * sample.count(b"\0") > len(sample):
        raise InputError("the file is UTF-16 text, or no text", "Save it as UTF-8.", path=path)
    lines = sample.split(b"\n")[: -1 if len(sample) == _SAMPLE else None]
    bad = sum(not _is_utf8(line) for line in lines)
    if bad >= _BAD_LINES and 2 * bad > len(lines):
        hint = "Save it as UTF-8; it may be Latin-1 or Windows-1252."
        raise InputError(f"the file is not UTF-8: {bad:,} of the first {len(lines):,} lines", hint, path=path)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _first_bytes(path: Path) -> bytes:
    with files.opened(path) as file:
        first = file.read(8)
    if not first:
        raise InputError("the file is empty", path=path)
    return first


def _lines(path: Path) -> Iterator[str | None]:
    """The lines of a UTF-8 file without their ends; None for one that is too long. Bad bytes become surrogates."""
    rest, too_long = "", False
    try:
        with TextIOWrapper(files.opened(path), "utf-8-sig", "surrogateescape", newline=None) as file:
            while piece := file.read(_PIECE):
                lines = (rest + piece).split("\n")
                rest = lines.pop()
                for line in lines:
                    yield None if too_long or len(line) > MAX_LINE else line
                    too_long = False
                if len(rest) > MAX_LINE:
                    rest, too_long = "", True
    except OSError as error:
        raise unreadable(path, error) from None
    if rest or too_long:
        yield None if too_long or len(rest) > MAX_LINE else rest


def _positions(table: Table, columns: Sequence[str]) -> list[int]:
    """Where the columns stand in the header; raises `InputError` unless each is there once."""
    count = Counter(table.columns)
    missing = [name for name in columns if not count[name]]
    if missing:
        raise InputError(f"the header lacks {', '.join(missing)}", column_hint(missing[0], table), path=table.path)
    twice = [name for name in columns if count[name] > 1]
    if twice:
        raise InputError(f"the header names {_shown(twice[0])} more than once", path=table.path)
    return [table.columns.index(name) for name in columns]


def column_hint(name: str, table: Table) -> str:
    """For an error's hint: the columns whose names are close to the one that is missing, and those there are."""
    named = [column for column in table.columns if _COLUMN_NAME.fullmatch(column)]
    return did_you_mean(name, named, shown_columns(table))


def role_hint(missing: Iterable[str], usual: Mapping[str, Sequence[str]], columns: Sequence[str]) -> str:
    """For an error's hint: which columns may be meant as the missing roles, and those there are.

    `usual` has the names that a column of each role usually has.
    """
    named = [column for column in columns if _COLUMN_NAME.fullmatch(column)]
    meant = [
        f"Is {close[0]} meant as {role}?"
        for role in missing
        if (close := [column for name in usual[role] for column in nearest(name, named, 1)])
    ]
    return " ".join([*meant, _columns_sentence(columns)])


def shown_columns(table: Table) -> str:
    """A sentence for an error's hint: the columns that the file has."""
    return _columns_sentence(table.columns)


def _columns_sentence(columns: Sequence[str]) -> str:
    if len(columns) < 2:  # a text, rather than a table
        return "It has one column."
    found = ", ".join(map(_shown, columns[:20]))
    return f"The columns found: {found}{' …' if len(columns) > 20 else ''}."


def _shown(name: str) -> str:
    """A column name for a message, or a stand-in: a file without a header has a row of content in its place."""
    return name if _COLUMN_NAME.fullmatch(name) else "(not a column name)"


def text_problem(text: str) -> str | None:
    """Why a text of several lines is none: a byte that is not UTF-8 (or half a surrogate pair of JSON), or a NUL."""
    if _SURROGATE.search(text):
        return "it is not valid UTF-8"
    return "it contains a NUL character" if "\0" in text else None


def _text_problem(text: str) -> str | None:
    if text.isprintable():
        return None
    if _SURROGATE.search(text):
        return "it is not valid UTF-8"
    if _CONTROL.search(text):
        return "it contains a control character"
    return None


def _record_problem(values: Sequence[str | None], columns: Sequence[str]) -> str | None:
    for name, value in zip(columns, values, strict=True):
        if value is None:
            return f"{_shown(name)} is empty (null)"
        if len(value) > MAX_LINE:
            return f"{_shown(name)} is longer than {MAX_LINE:,} characters"
        if not value.isprintable() and (problem := _text_problem(value)):
            return problem
    return None


def _is_textual(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        of_kind(kind)
        for of_kind in (
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
        places = column.indices
        used = pc.unique(places)
        texts = dict(zip(used.to_pylist(), _texts(column.dictionary.take(used)), strict=True))
        return [texts[place] for place in places.to_pylist()]
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
