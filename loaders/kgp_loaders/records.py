"""Reads tables whose quoted values may have several lines: each record is its values, or why it has none.

A bad byte, a value that is too long or a damaged quote costs its own record and no other. The reader goes on where the
record ends; where its end cannot be found, at the next line. A reason names the lines that a bad record took.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from kgp_loaders.table_text import MAX_LINE, check_utf8, text_problem
from kgplatform import files
from kgplatform.errors import InputError

_PIECE: Final = 1 << 16  # characters of a long line at a time
csv.field_size_limit(8 * MAX_LINE)  # more than a record's outline has: see `_Lines`


def records(path: Path, delimiter: str = ",", header: int = 1) -> Iterator[tuple[int, list[str] | str]]:
    """The records with the line that each begins at; the first one, at line `header`, names the columns. A file named
    .gz is unpacked.

    Raises `InputError` for a file that is not text, or not UTF-8 throughout.
    """
    with _opened(path) as text_file:
        bounded_lines = _Lines(text_file, delimiter)
        for _ in range(header - 1):
            next(bounded_lines)
        reader = csv.reader(bounded_lines, delimiter=delimiter, strict=True)
        while True:
            first_line, bounded_lines.size = bounded_lines.number + 1, 0
            try:
                values = next(reader, None)
                problem = None if values is None else _problem(values, bounded_lines.size)
            except csv.Error:
                values, problem = [], "a quote is not closed, or a value goes on after its closing quote"
            if values is None:
                return
            if not values and problem is None:
                continue  # an empty line
            if problem is not None and bounded_lines.number > first_line:
                problem += f" (lines {first_line} to {bounded_lines.number})"
            yield first_line, values if problem is None else problem


def lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes | None]:
    """The lines of a file; None for one of more than `max_bytes` bytes."""
    while file_line := file.readline(max_bytes + 1):
        is_too_long = len(file_line) > max_bytes
        while is_too_long and file_line and not file_line.endswith(b"\n"):
            file_line = file.readline(_PIECE)
        yield None if is_too_long else file_line


class _Lines:
    """The lines of a text for `csv.reader`, with the last one's number and the characters since `size` was set to 0.

    Where these are too many, a line comes as its outline: quotes and separators, which tell where the record ends.
    """

    def __init__(self, file: TextIO, delimiter: str) -> None:
        self.number = 0
        self.size = 0
        self._file = file
        self._words = re.compile(rf'[^"{re.escape(delimiter)}\r\n]+')

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        next_line = self._file.readline(MAX_LINE + 1)
        if not next_line:
            raise StopIteration
        self.number += 1
        self.size += len(next_line)
        return next_line if self.size <= MAX_LINE else self._outline(next_line)

    def _outline(self, text_line: str) -> str:
        pieces, total_size = [], 0
        while text_line:
            if total_size < MAX_LINE:
                pieces.append(self._words.sub("x", text_line))
                total_size += len(pieces[-1])
            if text_line.endswith(("\n", "\r")):
                break
            text_line = self._file.readline(_PIECE)
            self.size += len(text_line)
        return "".join(pieces)


def _problem(values: list[str], size: int) -> str | None:
    if size > MAX_LINE:
        return f"it is longer than {MAX_LINE:,} characters"
    return next((problem for value in values if (problem := text_problem(value))), None)


def _opened(file_path: Path) -> TextIOWrapper:
    if file_path.suffix == ".gz":
        packed_file = files.open_regular_file(file_path)
        unpacked_file: BinaryIO = _Bounded(packed_file, file_path)  # type: ignore[assignment]
        return TextIOWrapper(unpacked_file, "utf-8-sig", "surrogateescape", newline="")
    check_utf8(file_path)
    return TextIOWrapper(files.open_regular_file(file_path), "utf-8-sig", "surrogateescape", newline="")


class _Bounded(gzip.GzipFile):
    """A file of gzip. Raises `InputError` where it is damaged, or unpacks to far more than its size."""

    def __init__(self, packed: BinaryIO, path: Path) -> None:
        super().__init__(fileobj=packed, mode="rb")
        self.myfileobj = packed  # type: ignore[assignment]  # is closed with this one
        self._path = path
        self._left = max(files.FREE, files.MAX_RATIO * path.stat().st_size)

    def read1(self, size: int = -1) -> bytes:
        """Some of the content."""
        try:
            piece = super().read1(_PIECE if size < 0 else min(size, _PIECE))
        except (OSError, EOFError, zlib.error):
            raise InputError("the gzip file is damaged", "Fetch it again.", path=self._path) from None
        self._left -= len(piece)
        if self._left < 0:
            raise InputError("the gzip file unpacks to far more than its size", "Unpack it first.", path=self._path)
        return piece
