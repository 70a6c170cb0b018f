"""What text of a table may be: UTF-8 without control characters, in values of a bounded length."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from kgplatform import files
from kgplatform.errors import InputError

MAX_LINE: Final = 131_072  # characters of a line or of a Parquet value; also the longest value Python's csv reads

_SAMPLE: Final = 1 << 16  # bytes that tell what a file's encoding is ...
_BAD_LINES: Final = 10  # ... if at least this many lines, and most of them, are not UTF-8

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")  # all control characters but the tab
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")  # the characters of `surrogateescape` for bytes that are not UTF-8

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


def text_problem(text: str) -> str | None:
    """Why a text of several lines is none: a byte that is not UTF-8 (or half a surrogate pair of JSON), or a NUL."""
    if _SURROGATE.search(text):
        return "it is not valid UTF-8"
    return "it contains a NUL character" if "\0" in text else None


def value_problem(field_text: str) -> str | None:
    """Why a value or a line is no text: a byte that is not UTF-8, or a control character."""
    if field_text.isprintable():
        return None
    if _SURROGATE.search(field_text):
        return "it is not valid UTF-8"
    if _CONTROL.search(field_text):
        return "it contains a control character"
    return None
