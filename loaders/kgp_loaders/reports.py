"""Reports of any origin: CSV, TSV or JSON Lines with an id, a text, and where the image is.

    id,text,image                                   study-1,"FINDINGS: …",images/1.png
    {"id": "study-1", "findings": "…", "impression": "…", "image": "images/1.png", "view": "AP", "subject": "7"}

Either `text`, whose sections are found by their headers, or `findings` and `impression` as they are. Texts may have
several lines. The file's name without its ending is the data set. An image's id is `I` and 18 digits made of data set
and report id, so that two data sets do not share one.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from kgp_loaders.records import lines, records
from kgp_loaders.tabular import FIRST_LINES, check_text, layout_of, role_hint, text_problem
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.sections import sections
from kgplatform.errors import InputError
from kgplatform.files import opened, require_file

COLUMNS: Final = {
    "id": ("id", "study_id", "study", "report_id", "uid"),
    "text": ("text", "report", "report_text"),
    "findings": ("findings",),
    "impression": ("impression",),
    "path": ("image", "image_path", "path", "filename"),
    "view": ("view", "projection", "view_position"),
    "subject_id": ("subject", "subject_id", "patient", "patient_id"),
}
MAX_ID: Final = 200  # characters
MAX_PATH: Final = 4_096
MAX_FIRST_LINE: Final = 131_072
MAX_LINE: Final = 1 << 20  # bytes of a line of JSON
_ROLES: Final = {name: role for role, names in COLUMNS.items() for name in names}
_JSON: Final = (".jsonl", ".ndjson", ".json")


class Reports:
    """The file as a `kgplatform.construct.report.ReportSource`. Raises `InputError` where it is not there."""

    kind = "reports"
    version = 1
    credentialed = True  # nobody knows

    def __init__(self, path: Path, views: Sequence[str] = ()) -> None:
        require_file(path, "Give a CSV, TSV or JSON Lines file of reports.")
        self.path = path
        self.files = (path,)
        self.dataset = path.stem
        self.views = tuple(views)
        self.left_out: Counter[str] = Counter()
        self.parameters: Mapping[str, Any] = {"dataset": self.dataset, "views": list(self.views)}

    def reports(self) -> Iterator[Report | Reject]:
        """Yield the reports. Raises `InputError` for a file without the columns, or that is not UTF-8 throughout."""
        self.left_out.clear()
        seen: set[str] = set()
        rows = _json_rows(self.path) if self.path.suffix.lower() in _JSON else _table_rows(self.path)
        for number, row in rows:
            if self.views and not isinstance(row, str) and row.get("view") not in self.views:
                self.left_out[f"rows of other views than {', '.join(self.views)}"] += 1
                continue
            found = row if isinstance(row, str) else self._report(row)
            if isinstance(found, Report) and found.study in seen:
                found = "the id stands in an earlier row, too"
            if isinstance(found, str):
                yield Reject(self.path, number, found)
            else:
                seen.add(found.study)
                yield found

    def _report(self, row: Mapping[str, str]) -> Report | str:
        """The report of a row, or why it is none."""
        study, path = row.get("id", ""), row.get("path", "")
        if not study or len(study) > MAX_ID or not study.isprintable():
            return f"the id must be 1-{MAX_ID} printable characters"
        if len(path) > MAX_PATH or not path.isprintable():
            return f"the image's path is longer than {MAX_PATH:,} characters or not printable"
        given = {name: row[name] for name in SECTIONS if row.get(name, "").strip()}
        image = {name: row[name] for name in ("path", "view", "subject_id") if row.get(name)}
        return Report(
            study,
            image_id(self.dataset, study),
            given or sections(row.get("text", "")),
            {"dataset": self.dataset, "study_id": study, **image},
        )


def image_id(dataset: str, study: str) -> str:
    """`I` and 18 digits, the first of them not 0, so that it is none of MIMIC-CXR's or OpenI's."""
    number = int.from_bytes(hashlib.sha256(f"{dataset}\0{study}".encode()).digest()[:16])
    return f"I{10**17 + number % (9 * 10**17)}"


def _roles(columns: Sequence[str], path: Path) -> dict[str, str]:
    """The role of each column that has one. Raises `InputError` where id or text are missing."""
    roles = {column: _ROLES[name] for column in columns if (name := column.strip().casefold()) in _ROLES}
    missing = [] if "id" in roles.values() else ["id"]
    missing += [] if {"text", *SECTIONS} & set(roles.values()) else ["text"]
    if missing:
        hint = f"Name them id and text. {role_hint(missing, COLUMNS, columns)}"
        raise InputError(f"no column is recognised as {' and '.join(missing)}", hint, path=path)
    if len(set(roles.values())) < len(roles) or len(set(columns)) < len(columns):
        raise InputError("two columns are recognised as the same", "Name one of them otherwise.", path=path)
    return roles


def _table_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Rows by role with their line, or what is wrong with them."""
    header, delimiter = layout_of(path, _first_lines(path))
    rows = records(path, delimiter, header)
    _, columns = next(rows, (header, []))
    if isinstance(columns, str):
        raise InputError(f"the first line must name the columns, but {columns}", "Mend it.", path=path, row=header)
    roles = _roles(columns, path)
    for line, values in rows:
        if isinstance(values, str):
            yield line, values
        elif len(values) != len(columns):
            yield line, f"{len(values)} values, where the header has {len(columns)}"
        else:
            pairs = zip(columns, values, strict=True)
            yield line, {roles[column]: value for column, value in pairs if column in roles}


def _first_lines(path: Path) -> list[str]:
    with TextIOWrapper(opened(path), "utf-8-sig", "replace") as file:
        return [file.readline(MAX_FIRST_LINE).rstrip("\r\n") for _ in range(FIRST_LINES)]


def _json_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    check_text(path)
    with opened(path) as file:
        for number, line in enumerate(lines(file, MAX_LINE), 1):
            if line is None:
                yield number, f"the line is longer than {MAX_LINE:,} bytes"
                continue
            if not line.strip():
                continue
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except UnicodeDecodeError:
                yield number, "it is not valid UTF-8"
                continue
            except (ValueError, RecursionError):
                yield number, "the line is not JSON"
                continue
            if not isinstance(row, dict):
                yield number, "the line is not a JSON object"
                continue
            roles = {name: role for name in row if (role := _ROLES.get(name.strip().casefold())) is not None}
            values = {roles[name]: value for name, value in row.items() if name in roles and value is not None}
            if any(not isinstance(value, str | int) for value in values.values()):
                yield number, "a value is neither text nor a whole number"
                continue
            texts = {role: str(value) for role, value in values.items()}
            problem = next((problem for text in texts.values() if (problem := text_problem(text))), None)
            yield number, texts if problem is None else problem
