"""Rows of JSON in the forms in which programs write tables: JSON Lines, a list, and pandas' other orientations.

{"id": 1, "findings": "…"}                                     one object a line, or over several lines
[{"id": 1, "findings": "…"}, …]                                a list, or one below a single name
{"id": {"0": 1}, "findings": {"0": "…"}}                       orient="columns", or lists in place of the objects
{"0": {"id": 1, "findings": "…"}}                              orient="index"; the key is the id where there is none
{"columns": ["id", "findings"], "data": [[1, "…"]]}            orient="split"
{"schema": {…}, "data": [{"id": 1, "findings": "…"}]}          orient="table"
{"id": 1, "report": {"findings": "…", "impression": "…"}}      objects within an object
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

from kgp_loaders.records import lines
from kgplatform.errors import InputError
from kgplatform.files import MAX_DOCUMENT, open_regular_file, read_json

MAX_LINE: Final = 1 << 20  # bytes of a line of JSON
MAX_DEPTH: Final = 3  # of objects within an object
HINT: Final = "Give one JSON object a line (JSON Lines), or a list of objects."
NOT_AN_OBJECT: Final = "the entry is not a JSON object"
NumberedObject: TypeAlias = tuple[int, dict[str, Any] | str]
RoleOf: TypeAlias = Callable[[str], str | None]  # of a column's name


def json_rows(json_path: Path, role_of: RoleOf) -> Iterator[NumberedObject]:
    """The objects with their line or number, or what is wrong with them. `role_of` knows the names of columns.

    Raises `InputError` for a list that is not JSON, or too large.
    """
    for number, record in _objects(json_path, role_of):
        yield number, record if isinstance(record, str) else _flat(record, role_of)


def json_documents(text: str) -> Iterator[Any]:
    """The JSON documents that a text consists of, over any number of lines. Raises `ValueError`, `RecursionError`."""
    decoder, position = json.JSONDecoder(), 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        document, position = decoder.raw_decode(text, position)
        yield document


def _objects(json_path: Path, role_of: RoleOf) -> Iterator[NumberedObject]:
    with open_regular_file(json_path) as json_file:
        first_lines = _first_lines(json_file)
    first_line = first_lines[0] if first_lines else b""
    if first_line is not None and first_line.lstrip()[:1] == b"[":
        document = read_json(json_path, MAX_DOCUMENT, HINT)
        if not isinstance(document, list):
            raise InputError("this is not a list of JSON objects", HINT, path=json_path)
        yield from _entries(document)
        return
    is_line = first_line is not None and _is_json(first_line)
    if not (is_line and len(first_lines) > 1) and json_path.stat().st_size <= MAX_DOCUMENT:
        documents = _documents(json_path)
        if len(documents) == 1 and isinstance(documents[0], dict):
            yield from _entries(_table(documents[0], role_of))
            return
        if not is_line and documents:
            yield from _entries(documents)
            return
    yield from _line_objects(json_path)


def _first_lines(json_file: Any) -> list[bytes | None]:
    """The first two lines that are not blank."""
    first_lines: list[bytes | None] = []
    for number, line in enumerate(lines(json_file, MAX_LINE)):
        content = line.removeprefix(b"\xef\xbb\xbf") if line is not None and not number else line
        if content is None or content.strip():
            first_lines.append(content)
        if len(first_lines) == 2:
            break
    return first_lines


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _documents(json_path: Path) -> list[Any]:
    """The documents of the file as a whole; none where it does not consist of JSON."""
    with open_regular_file(json_path) as json_file:
        content = json_file.read(MAX_DOCUMENT + 1)
    try:
        return list(json_documents(content.decode("utf-8-sig")))
    except (ValueError, RecursionError):
        return []


def _entries(document: list[Any]) -> Iterator[NumberedObject]:
    for number, record in enumerate(document, 1):
        yield number, record if isinstance(record, dict) else NOT_AN_OBJECT


def _table(document: dict[str, Any], role_of: RoleOf) -> list[Any]:
    """The rows of a table that is one object; the object itself where it has no such form."""
    names, data = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(name, str) for name in names):
        return [
            dict(zip(names, values, strict=True)) if isinstance(values, list) and len(values) == len(names) else values
            for values in data
        ]
    lists_of_objects = [
        value for value in document.values() if isinstance(value, list) and value and isinstance(value[0], dict)
    ]
    if len(lists_of_objects) == 1 and not any(map(role_of, document.keys() - {"reports", "report", "studies"})):
        return lists_of_objects[0]
    columns = {name: _column(value) for name, value in document.items()}
    row_keys = [tuple(column or ()) for column in columns.values()]
    if (
        any(map(role_of, document))
        and row_keys[0]
        and row_keys.count(row_keys[0]) == len(document)
        and not any(map(role_of, row_keys[0]))
    ):
        return [{name: column[key] for name, column in columns.items() if column} for key in row_keys[0]]
    rows = list(document.values())
    if rows and not any(map(role_of, document)) and all(_is_row(row, role_of) for row in rows):
        has_ids = any(role_of(name) == "id" for row in rows for name in row)
        return rows if has_ids else [{"id": key, **row} for key, row in document.items()]
    return [document]


def _column(value: object) -> dict[str, Any] | None:
    """The values of a column by row: of an object whose values are no objects or lists, or of a list."""
    if isinstance(value, list):
        value = {str(number): entry for number, entry in enumerate(value)}
    is_column = isinstance(value, dict) and not any(isinstance(entry, dict | list) for entry in value.values())
    return value if is_column and isinstance(value, dict) else None


def _is_row(value: object, role_of: RoleOf) -> bool:
    return isinstance(value, dict) and any(map(role_of, value))


def _flat(record: Mapping[str, Any], role_of: RoleOf, depth: int = MAX_DEPTH) -> dict[str, Any]:
    """The object with the columns of the objects within it, where it does not have them itself.

    A column is known by its own name ("findings"), or together with that of its object ("study", "id").
    """
    flat_record = {name: value for name, value in record.items() if not isinstance(value, dict)}
    for name, value in record.items():
        if not isinstance(value, dict) or not depth:
            if isinstance(value, dict):
                flat_record[name] = value
            continue
        for inner_name, inner_value in _flat(value, role_of, depth - 1).items():
            role = role_of(f"{name}_{inner_name}")
            if role is not None:
                flat_record.setdefault(f"{name}_{inner_name}", inner_value)
            elif role_of(inner_name) not in (None, "id", "path"):
                flat_record.setdefault(inner_name, inner_value)
    return flat_record


def _line_objects(json_path: Path) -> Iterator[NumberedObject]:
    with open_regular_file(json_path) as json_file:
        for line_number, json_line in enumerate(lines(json_file, MAX_LINE), 1):
            if json_line is None:
                yield line_number, f"the line is longer than {MAX_LINE:,} bytes"
                continue
            if not json_line.strip():
                continue
            try:
                record = json.loads(json_line.decode("utf-8-sig" if line_number == 1 else "utf-8"))
            except UnicodeDecodeError:
                yield line_number, "it is not valid UTF-8"
            except (ValueError, RecursionError):
                yield line_number, "the line is not JSON"
            else:
                yield line_number, record if isinstance(record, dict) else "the line is not a JSON object"
