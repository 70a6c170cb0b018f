"""Reports of any origin: CSV, TSV or JSON Lines with an id, a text, and where the image is.

    id,text,image                                   study-1,"FINDINGS: …",images/1.png
    {"id": "study-1", "findings": "…", "impression": "…", "image": "images/1.png", "view": "AP", "subject": "7"}
    id,modality,exam,text                           study-2,CT,CT HEAD W/O CONTRAST,"FINDINGS: …"

`text`, whose sections are found by their headers, `findings` and `impression`, or all of them: a column of a section
counts before the same section of the text, and `last_paragraph` where there is no section. A value such as NaN or None,
as pandas writes a missing one, is empty. Texts may have several lines. The line that names the columns may follow a
title or comments. Other forms of JSON are in `json_rows`.

An id that a spreadsheet has changed (5.04E+07, 50414267.0) is not changed and is counted; its error (#REF!) is none.

What kind of study a report is about is taken from the column of the modality (and of the region), then from the image
where that is a DICOM file below the table's folder, from the column of the exam's name, and from the report's own
header or title. Such a DICOM file is assumed not to change: it is no part of the run's identity.

The file's name without its ending is the data set. An image's id is `I` and 18 digits made of data set and report id,
so that two data sets do not share one.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from io import TextIOWrapper
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from kgp_loaders.json_rows import HINT, json_rows
from kgp_loaders.records import records
from kgp_loaders.table_columns import displayed_column, role_hint
from kgp_loaders.table_text import check_utf8, text_problem
from kgp_loaders.tabular import FIRST_LINES, detect_delimiter, detect_layout
from kgp_loaders.views import ViewFilter
from kgplatform.batches import Reject
from kgplatform.construct.dicom_exam import exam_of_dicom, is_dicom_file
from kgplatform.construct.exam_header import exam_text
from kgplatform.construct.modality import UNKNOWN, Exam, exam_of, modality_of, regions_of
from kgplatform.construct.plain_text import clean_text
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.construct.sections import sections
from kgplatform.errors import InputError
from kgplatform.files import open_regular_file, require_file
from kgplatform.radiograph import find_image
from kgplatform.schema import image_id

logger = logging.getLogger(__name__)
COLUMNS: Final = {
    "id": ("id", "study_id", "study", "report_id", "uid"),
    "text": ("text", "report", "report_text", "full_text", "radiology_report", "narrative"),
    "findings": ("findings", "finding", "section_findings", "findings_text", "report_findings"),
    "impression": ("impression", "impressions", "section_impression", "impression_text", "report_impression"),
    "last_paragraph": ("last_paragraph",),
    "path": ("image", "image_path", "path", "filename"),
    "view": ("view", "projection", "view_position"),
    "subject_id": ("subject", "subject_id", "patient", "patient_id"),
    "modality": ("modality", "imaging_modality", "study_modality", "exam_modality", "modalities_in_study"),
    "exam": (
        "exam", "examination", "exam_name", "exam_description", "exam_type", "study_description", "study_type",
        "study_name", "type_of_exam", "procedure", "procedure_name", "procedure_description", "series_description",
    ),
    "region": (
        "region", "body_region", "body_part", "body_part_examined", "anatomy", "anatomical_region", "anatomic_region",
    ),
}  # fmt: skip
EXAM_ROLES: Final = ("modality", "exam", "region")
FIRST_OBJECTS: Final = 1_000  # of JSON, whose names are looked at for a column of text
SEPARATORS: Final = {";": "semicolons", "|": "bars"}  # which a user may not expect: they are reported
MAX_WHOLE: Final = 1 << 53  # up to which a floating-point number has all whole numbers
MAX_ID: Final = 200  # characters
MAX_PATH: Final = 4_096
MAX_FIRST_LINE: Final = 131_072
_JSON: Final = (".jsonl", ".ndjson", ".json")
_TEXTS: Final = ("text", *SECTIONS, "last_paragraph")
_MISSING: Final = frozenset({"nan", "nat", "none", "null", "(null)", "na", "n/a", "#n/a", "<na>", "nil", "-", "\\n"})
_ROUNDED: Final = re.compile(r"\d[.,]\d+[eE]\+?\d{1,3}|\d[eE]\+\d{1,3}")
_DECIMAL: Final = re.compile(r"\d+[.,]0+")
_SHEET_ERROR: Final = re.compile(r"#(?:REF!|VALUE!|NAME\?|NUM!|DIV/0!|NULL!|N/A|#+)")
_BETWEEN_WORDS: Final = re.compile(r"[\s_.-]+")


@lru_cache(maxsize=10_000)
def _column_key(column: str) -> str:
    """A column's name without what people write between its words: Study ID, study-id and StudyID are one name."""
    return _BETWEEN_WORDS.sub("", column).casefold()


NO_MODALITY: Final = "rows whose modality is none that is known, such as CR, CT or MRI"
NO_REGION: Final = "rows whose region of the body is none that is known, such as chest or head"
ROUNDED_ID: Final = "ids that a spreadsheet has rounded (5.04E+07): export the column as text"
DECIMAL_ID: Final = "ids with a decimal point, as of a column of numbers (50414267.0): export the column as text"
NO_HEADER: Final = "DICOM files whose header cannot be read"
_ROLES: Final = {_column_key(name): role for role, names in COLUMNS.items() for name in names}


class Reports:
    """The file as a `kgplatform.construct.report.ReportSource`. Raises `InputError` where it is missing."""

    kind = "reports"
    version = 2
    credentialed = True  # not known

    def __init__(self, path: Path, views: Sequence[str] = ()) -> None:
        require_file(path, "Give a CSV, TSV or JSON Lines file of reports.")
        self.path = path
        self.files = (path,)
        self.dataset = path.stem
        self.views = tuple(views)
        self.left_out: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.parameters: Mapping[str, Any] = {"dataset": self.dataset, "views": list(self.views)}

    def reports(self) -> Iterator[Report | Reject]:
        """Yield the reports. Raises `InputError` for a file without the columns, or that is not UTF-8 throughout."""
        self.left_out.clear()
        self.remarks.clear()
        previous_ids: set[str] = set()
        numbered_rows = _json_rows(self.path) if self.path.suffix.lower() in _JSON else _table_rows(self.path)
        view_filter = ViewFilter(self.views)
        for row_number, record in numbered_rows:
            if not isinstance(record, str) and not view_filter.admits(record.get("view")):
                self.left_out[f"rows of other views than {', '.join(self.views)}"] += 1
                continue
            if isinstance(record, str):
                yield Reject(self.path, row_number, record)
                continue
            report = self._report(record)
            if isinstance(report, Report) and report.study in previous_ids:
                report = "the id already occurs in an earlier row"
                report += ": a spreadsheet has rounded it" if _ROUNDED.fullmatch(record.get("id", "")) else ""
            if isinstance(report, str):
                yield Reject(self.path, row_number, report)
            else:
                previous_ids.add(report.study)
                self._note_changed_id(report.study)
                yield report
        self.left_out.update(view_filter.absent())

    def _report(self, record: Mapping[str, str]) -> Report | str:
        """The report of a row, or why it is none."""
        record = {name: present for name, value in record.items() if (present := _present(value))}
        study_id, image_path = record.get("id", ""), record.get("path", "")
        if not study_id or len(study_id) > MAX_ID or not study_id.isprintable():
            return f"the id must be 1-{MAX_ID} printable characters"
        if _SHEET_ERROR.fullmatch(study_id):
            return "the id is an error of a spreadsheet"
        if len(image_path) > MAX_PATH or not image_path.isprintable():
            return f"the image's path is longer than {MAX_PATH:,} characters or not printable"
        texts = {name: record[name] for name in _TEXTS if name in record}
        columns = {name: clean_text(texts[name]) for name in SECTIONS if name in texts}
        section_texts = sections(texts.get("text", "")) | columns
        if not section_texts and "last_paragraph" in texts:
            section_texts = {SECTIONS[0]: clean_text(texts["last_paragraph"])}
        image_properties = {
            field_name: record[field_name] for field_name in ("path", "view", "subject_id") if record.get(field_name)
        }
        exam = self._exam(record)
        return Report(
            study_id,
            image_id(self.dataset, study_id),
            {name: section_texts[name] for name in SECTIONS if name in section_texts},
            {"dataset": self.dataset, "study_id": study_id, **image_properties, **exam.properties()},
            has_text=bool(texts),
            exam=exam,
        )

    def _note_changed_id(self, study_id: str) -> None:
        if _ROUNDED.fullmatch(study_id):
            self.remarks[ROUNDED_ID] += 1
        elif _DECIMAL.fullmatch(study_id):
            self.remarks[DECIMAL_ID] += 1

    def _exam(self, record: Mapping[str, str]) -> Exam:
        """What kind of study the row is about; a value that is not recognised is counted, and then not used."""
        exam = Exam(modality_of(record.get("modality", "")), regions_of(record.get("region", "")))
        if "modality" in record and exam.modality is None:
            self.remarks[NO_MODALITY] += 1
        if "region" in record and not exam.regions:
            self.remarks[NO_REGION] += 1
        if not exam.is_complete:
            exam = exam.completed_by(self._image_exam(record.get("path", "")))
        if not exam.is_complete:
            exam = exam.completed_by(exam_of(record.get("exam", "")))
        if not exam.is_complete:
            exam = exam.completed_by(exam_of(exam_text(record.get("text", ""))))
        return exam

    def _image_exam(self, image_path: str) -> Exam:
        """What the header of the image states, where it is a DICOM file below the table's folder."""
        dicom_path = find_image(self.path.parent, image_path)
        if dicom_path is None or not is_dicom_file(dicom_path):
            return UNKNOWN
        exam = exam_of_dicom(dicom_path)
        if exam is None:
            self.remarks[NO_HEADER] += 1
            return UNKNOWN
        return exam


def _present(value: str) -> str:
    """The value, or nothing where it stands for a missing one."""
    return "" if not value.strip() or value.strip().casefold() in _MISSING else value


def _roles(columns: Sequence[str], table_path: Path) -> dict[str, str]:
    """The role of each column that has one; of several columns with one role, the more usual name counts.

    Raises `InputError` where id or text are missing, and where a column occurs twice.
    """
    keys = [_column_key(column) for column in columns]
    named_keys = [key for key in keys if key in _ROLES]
    if len(set(columns)) < len(columns) or len(set(named_keys)) < len(named_keys):
        raise InputError("two columns are recognised as the same", "Rename one of them.", path=table_path)
    roles_by_column: dict[str, str] = {}
    for role, usual_names in COLUMNS.items():
        role_columns = [columns[keys.index(key)] for key in map(_column_key, usual_names) if key in keys]
        if role_columns:
            roles_by_column[role_columns[0]] = role
        if len(role_columns) > 1:
            displayed = ", ".join(map(displayed_column, role_columns[1:]))
            logger.warning(
                f"{table_path}: {displayed_column(role_columns[0])} is read as {role}, and {displayed} not at all"
            )
    _require_roles(roles_by_column.values(), columns, table_path)
    return roles_by_column


def _require_roles(roles: Collection[str], columns: Sequence[str], table_path: Path) -> None:
    missing_roles = [] if "id" in roles else ["id"]
    missing_roles += [] if set(_TEXTS) & set(roles) else ["text"]
    if missing_roles:
        hint = f"Name them id and text. {role_hint(missing_roles, COLUMNS, columns)}"
        raise InputError(f"no column is recognised as {' and '.join(missing_roles)}", hint, path=table_path)


def _table_rows(table_path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Rows by role with their line, or what is wrong with them."""
    header_line, delimiter = _header_layout(table_path)
    if delimiter in SEPARATORS:
        logger.warning(f"{table_path}: the columns are separated by {SEPARATORS[delimiter]}, and are read so")
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


def _header_layout(table_path: Path) -> tuple[int, str]:
    """The line that names the columns, and what separates them: the first line with known names of an id and a text,
    else as for other tables. A title, comments and blank lines may stand before it.
    """
    first_lines = _first_lines(table_path)
    header_line, delimiter = detect_layout(table_path, first_lines)
    for index in range(header_line - 1, len(first_lines)):
        sign = delimiter if index < header_line else detect_delimiter(table_path, first_lines[index:])
        names = first_lines[index].split(sign)
        roles = {_ROLES.get(_column_key(name.strip(' "'))) for name in names}
        if "id" in roles and roles.intersection(_TEXTS):
            return index + 1, sign
    return header_line, delimiter


def _first_lines(table_path: Path) -> list[str]:
    with TextIOWrapper(open_regular_file(table_path), "utf-8-sig", "replace") as text_file:
        return [text_file.readline(MAX_FIRST_LINE).rstrip("\r\n") for _ in range(FIRST_LINES)]


def _json_rows(json_path: Path) -> Iterator[tuple[int, Mapping[str, str] | str]]:
    """Objects by role with their line (or, of a list, their number), or what is wrong with them."""
    check_utf8(json_path)
    objects = json_rows(json_path, lambda name: _ROLES.get(_column_key(name)))
    first_objects = list(islice(objects, FIRST_OBJECTS))
    names = list(dict.fromkeys(name for _, record in first_objects if isinstance(record, dict) for name in record))
    if len(first_objects) > 2 and not names:
        raise InputError("no line of the file is a JSON object with columns", HINT, path=json_path)
    if names:
        known_roles = [_ROLES[key] for key in map(_column_key, names) if key in _ROLES]
        _require_roles(known_roles, names, json_path)
    for number, record in chain(first_objects, objects):
        yield number, record if isinstance(record, str) else _values_by_role(record)


def _values_by_role(record: Mapping[str, Any]) -> Mapping[str, str] | str:
    """The texts of an object, or what is wrong with it."""
    values_by_role: dict[str, Any] = {}
    names = {_column_key(name): name for name in reversed(list(record))}
    for role, usual_names in COLUMNS.items():
        values = [record[names[key]] for key in map(_column_key, usual_names) if key in names]
        value = next((value for value in values if _is_present(value)), None)
        if isinstance(value, float) and value.is_integer() and abs(value) < MAX_WHOLE:
            value = int(value)  # pandas writes a column of numbers with gaps so
        if role in EXAM_ROLES:
            value = _joined(value)
        if value is not None:
            values_by_role[role] = value
    if any(isinstance(value, bool) or not isinstance(value, str | int) for value in values_by_role.values()):
        return "a value is neither text nor a whole number"
    texts_by_role = {role: str(value) for role, value in values_by_role.items()}
    problem = next((problem for text in texts_by_role.values() if (problem := text_problem(text))), None)
    return texts_by_role if problem is None else problem


def _joined(value: object) -> str | None:
    """The text of a value that says what was imaged, of a list all its texts; None where it is neither."""
    if isinstance(value, list):
        return ", ".join(text for text in value if isinstance(text, str)) or None
    return value if isinstance(value, str) else None


def _is_present(value: object) -> bool:
    """Whether a value of JSON is none that stands for a missing one: null, NaN, an empty text, "None"."""
    return value is not None and value == value and (not isinstance(value, str) or bool(_present(value)))
