"""Reports of any origin: CSV, TSV or JSON Lines with an id, a text, and where the image is.

    id,text,image                                   study-1,"FINDINGS: …",images/1.png
    {"id": "study-1", "findings": "…", "impression": "…", "image": "images/1.png", "view": "AP", "subject": "7"}

Either `text`, whose sections are found by their headers, or `findings` and `impression` unchanged. Texts may have
several lines. The file's name without its ending is the data set. An image's id is `I` and 18 digits made of data set
and report id, so that two data sets do not share one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final

from kgp_loaders.records import lines, records
from kgp_loaders.table_columns import role_hint
from kgp_loaders.table_text import check_utf8, text_problem
from kgp_loaders.tabular import FIRST_LINES, detect_layout
from kgp_loaders.views import ViewFilter
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.sections import sections
from kgplatform.errors import InputError
from kgplatform.files import open_regular_file, require_file
from kgplatform.schema import image_id

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
    """The file as a `kgplatform.construct.report.ReportSource`. Raises `InputError` where it is missing."""

    kind = "reports"
    version = 1
    credentialed = True  # not known

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
        previous_ids: set[str] = set()
        numbered_rows = _json_rows(self.path) if self.path.suffix.lower() in _JSON else _table_rows(self.path)
        view_filter = ViewFilter(self.views)
        for row_number, record in numbered_rows:
            if not isinstance(record, str) and not view_filter.admits(record.get("view")):
                self.left_out[f"rows of other views than {', '.join(self.views)}"] += 1
                continue
            report = record if isinstance(record, str) else self._report(record)
            if isinstance(report, Report) and report.study in previous_ids:
                report = "the id already occurs in an earlier row"
            if isinstance(report, str):
                yield Reject(self.path, row_number, report)
            else:
                previous_ids.add(report.study)
                yield report
        self.left_out.update(view_filter.absent())

    def _report(self, record: Mapping[str, str]) -> Report | str:
        """The report of a row, or why it is none."""
        study_id, image_path = record.get("id", ""), record.get("path", "")
        if not study_id or len(study_id) > MAX_ID or not study_id.isprintable():
            return f"the id must be 1-{MAX_ID} printable characters"
        if len(image_path) > MAX_PATH or not image_path.isprintable():
            return f"the image's path is longer than {MAX_PATH:,} characters or not printable"
        section_texts = {
            field_name: record[field_name] for field_name in SECTIONS if record.get(field_name, "").strip()
        }
        image_properties = {
            field_name: record[field_name] for field_name in ("path", "view", "subject_id") if record.get(field_name)
        }
        return Report(
            study_id,
            image_id(self.dataset, study_id),
            section_texts or sections(record.get("text", "")),
            {"dataset": self.dataset, "study_id": study_id, **image_properties},
        )


def _roles(columns: Sequence[str], table_path: Path) -> dict[str, str]:
    """The role of each column that has one. Raises `InputError` where id or text are missing."""
    roles_by_column = {
        column: _ROLES[column_name] for column in columns if (column_name := column.strip().casefold()) in _ROLES
    }
    missing_roles = [] if "id" in roles_by_column.values() else ["id"]
    missing_roles += [] if {"text", *SECTIONS} & set(roles_by_column.values()) else ["text"]
    if missing_roles:
        hint = f"Name them id and text. {role_hint(missing_roles, COLUMNS, columns)}"
        raise InputError(f"no column is recognised as {' and '.join(missing_roles)}", hint, path=table_path)
    if len(set(roles_by_column.values())) < len(roles_by_column) or len(set(columns)) < len(columns):
        raise InputError("two columns are recognised as the same", "Rename one of them.", path=table_path)
    return roles_by_column


def _table_rows(table_path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Rows by role with their line, or what is wrong with them."""
    header_line, delimiter = detect_layout(table_path, _first_lines(table_path))
    table_records = records(table_path, delimiter, header_line)
    _, columns = next(table_records, (header_line, []))
    if isinstance(columns, str):
        raise InputError(
            f"the first line must name the columns, but {columns}", "Correct it.", path=table_path, row=header_line
        )
    roles_by_column = _roles(columns, table_path)
    for line_number, values in table_records:
        if isinstance(values, str):
            yield line_number, values
        elif len(values) != len(columns):
            yield line_number, f"{len(values)} values, where the header has {len(columns)}"
        else:
            named_values = zip(columns, values, strict=True)
            yield (
                line_number,
                {roles_by_column[column]: value for column, value in named_values if column in roles_by_column},
            )


def _first_lines(table_path: Path) -> list[str]:
    with TextIOWrapper(open_regular_file(table_path), "utf-8-sig", "replace") as text_file:
        return [text_file.readline(MAX_FIRST_LINE).rstrip("\r\n") for _ in range(FIRST_LINES)]


def _json_rows(json_path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    check_utf8(json_path)
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
                continue
            except (ValueError, RecursionError):
                yield line_number, "the line is not JSON"
                continue
            if not isinstance(record, dict):
                yield line_number, "the line is not a JSON object"
                continue
            roles_by_field = {
                field_name: role
                for field_name in record
                if (role := _ROLES.get(field_name.strip().casefold())) is not None
            }
            values_by_role = {
                roles_by_field[field_name]: value
                for field_name, value in record.items()
                if field_name in roles_by_field and value is not None
            }
            if any(not isinstance(value, str | int) for value in values_by_role.values()):
                yield line_number, "a value is neither text nor a whole number"
                continue
            texts_by_role = {role: str(value) for role, value in values_by_role.items()}
            problem = next(
                (problem for field_text in texts_by_role.values() if (problem := text_problem(field_text))), None
            )
            yield line_number, texts_by_role if problem is None else problem
