"""The workbook that raters fill in (requirements 1.8): written with openpyxl, and read back.

Two sheets ask: *Image2Concept* for concept coverage and relation correctness of each image, *Concept2Image* for the
diversity of each concept's images. A hidden column holds the ids, a hidden sheet what the sample is.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgplatform import files
from kgplatform.assess.picture import SIDE, Thumbnails
from kgplatform.assess.sample import ConceptItem, ImageItem, Sample
from kgplatform.errors import InputError
from kgplatform.files import replacing

if TYPE_CHECKING:
    from openpyxl import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

COVERAGE, CORRECTNESS, DIVERSITY = "Concept Coverage", "Relation Correctness", "Image Diversity"
METRICS: Final = (COVERAGE, CORRECTNESS, DIVERSITY)
LOWEST, HIGHEST = 1, 10

IMAGES, CONCEPTS, GUIDE, HIDDEN = "Image2Concept", "Concept2Image", "Instructions", "Sample"
IMAGE_COLUMNS: Final = (
    "Image", "Extracted Concept", "Definition", "Extracted Relation", "Report as Reference",
    f"{COVERAGE} (1-10)", f"{CORRECTNESS} (1-10)", "id",
)  # fmt: skip
CONCEPT_COLUMNS: Final = ("Concept", "Definition", "Images", "Diversity of the Images (1-10)", "id")
RATER_CELL: Final = "B3"
MAX_BYTES: Final = 500_000_000
MAX_XML: Final = 10_000_000  # bytes of a workbook without its images; openpyxl needs some 30 times as much
MAX_ROWS: Final = 100_000

# Where each metric is rated: sheet, column, and the column of the ids.
_RATED: Final = {COVERAGE: (IMAGES, 6, 8), CORRECTNESS: (IMAGES, 7, 8), DIVERSITY: (CONCEPTS, 4, 5)}
_INSTRUCTIONS: Final = """\
Rate with whole numbers from 1 (poor) to 10 (excellent) in the cells marked so; leave out what you cannot judge.

Concept Coverage: do the extracted concepts capture the key findings of the image? Discount concepts that are too
general to say anything of this image, such as "lung".

Relation Correctness: is each concept's relation to the image right? POSITIVE: the image shows it. NEGATIVE: the
opposite of it is shown, as where a disease is ruled out. UNCERTAIN: the image leaves it open.

Image Diversity: do the images of a concept show it in different situations? Other views of one study do not count as
different.

The report, where there is one, is for reference alone: rate what the image shows."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff￾￿]")
_LONGEST: Final = 32_000  # characters; a cell takes 32,767


@dataclass(frozen=True)
class Ratings:
    """A rater's answers: by metric, id and number; `asked` is how many there could be."""

    path: Path
    rater: str
    identity: str
    given: Mapping[str, Mapping[str, int]]
    asked: Mapping[str, int]


def write(sample: Sample, path: Path, small: Thumbnails | None = None, reports: Mapping[str, str] | None = None) -> int:
    """Write the workbook, whole or not at all; returns how many images are embedded.

    `small` has the images; without it, their paths are shown. `reports` has the text of images' reports by image id.
    Raises `InputError` where it cannot be written.
    """
    from openpyxl import Workbook

    book = Workbook()
    guide = book.active
    if guide is None:  # a new workbook has a sheet
        raise InputError("the workbook has no sheet", "", path=path)
    guide.title = GUIDE
    _guide(guide)
    pictures = _Pictures(small)
    _images(book.create_sheet(IMAGES), sample, reports or {}, pictures)
    _concepts(book.create_sheet(CONCEPTS), sample, pictures)
    _hidden(book, sample)
    with replacing(path) as staged:
        book.save(staged)
    return pictures.embedded


class _Pictures:
    """Puts images into cells, or their paths where they cannot be read."""

    def __init__(self, small: Thumbnails | None) -> None:
        self._small = small
        self.embedded = 0

    def put(self, sheet: Worksheet, row: int, column: int, path: str, id: str) -> bool:
        """Whether the image itself could be put there."""
        from openpyxl.drawing.image import Image

        small = None if self._small is None else self._small(path)
        if small is None:
            _text(sheet, row, column, path or id)
            return False
        sheet.add_image(Image(io.BytesIO(small)), sheet.cell(row, column).coordinate)
        self.embedded += 1
        return True


def _guide(sheet: Worksheet) -> None:
    from openpyxl.styles import Alignment, Font

    _text(sheet, 1, 1, "Human assessment of the knowledge graph")
    sheet["A1"].font = Font(bold=True, size=14)
    _text(sheet, 3, 1, "Rater:")
    for row, paragraph in enumerate(_INSTRUCTIONS.split("\n\n"), 5):
        _text(sheet, row, 1, " ".join(paragraph.split()))
        sheet.cell(row, 1).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.row_dimensions[row].height = 62
    sheet.column_dimensions["A"].width = 100
    sheet.column_dimensions["B"].width = 30


def _images(sheet: Worksheet, sample: Sample, reports: Mapping[str, str], pictures: _Pictures) -> None:
    _header(sheet, IMAGE_COLUMNS, (44, 34, 40, 18, 60, 18, 20, 4))
    row = 2
    for item in sample.images:
        row = _image(sheet, row, item, reports.get(item.id, ""), pictures)
    _validated(sheet, ("F", "G"), row)


def _image(sheet: Worksheet, row: int, item: ImageItem, report: str, pictures: _Pictures) -> int:
    last = row + len(item.concepts) - 1
    for place, shown in enumerate(item.concepts, row):
        for column, text in zip((2, 3, 4), (shown.concept, shown.definition, shown.relation), strict=True):
            _text(sheet, place, column, text)
    _text(sheet, row, 5, report)
    _text(sheet, row, 8, item.id)
    if pictures.put(sheet, row, 1, item.path, item.id):
        for place in range(row, last + 1):
            sheet.row_dimensions[place].height = max(15.0, SIDE * 0.76 / len(item.concepts))
    for column in (1, 5, 6, 7):
        if last > row:
            sheet.merge_cells(start_row=row, end_row=last, start_column=column, end_column=column)
    return last + 1


def _concepts(sheet: Worksheet, sample: Sample, pictures: _Pictures) -> None:
    _header(sheet, CONCEPT_COLUMNS, (34, 40, 44, 26, 4))
    row = 2
    for item in sample.concepts:
        row = _concept(sheet, row, item, pictures)
    _validated(sheet, ("D",), row)


def _concept(sheet: Worksheet, row: int, item: ConceptItem, pictures: _Pictures) -> int:
    more = "" if item.total == len(item.images) else f" ({len(item.images)} of {item.total:,} images)"
    _text(sheet, row, 1, item.name + more)
    _text(sheet, row, 2, item.definition)
    _text(sheet, row, 5, item.id)
    for place, (image, path) in enumerate(item.images, row):
        if pictures.put(sheet, place, 3, path, image):
            sheet.row_dimensions[place].height = SIDE * 0.76
    last = row + len(item.images) - 1
    for column in (1, 2, 4):
        if last > row:
            sheet.merge_cells(start_row=row, end_row=last, start_column=column, end_column=column)
    return last + 1


def _hidden(book: Workbook, sample: Sample) -> None:
    sheet = book.create_sheet(HIDDEN)
    sheet.sheet_state = "hidden"
    facts = (("identity", sample.identity), ("seed", str(sample.seed)), ("form", "kgp assess 1"))
    for row, (name, value) in enumerate(facts, 1):
        _text(sheet, row, 1, name)
        _text(sheet, row, 2, value)


def _header(sheet: Worksheet, columns: tuple[str, ...], widths: tuple[int, ...]) -> None:
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    for number, (name, width) in enumerate(zip(columns, widths, strict=True), 1):
        _text(sheet, 1, number, name)
        cell = sheet.cell(1, number)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE6F0")
        sheet.column_dimensions[get_column_letter(number)].width = width
    sheet.column_dimensions[get_column_letter(len(columns))].hidden = True
    sheet.freeze_panes = "A2"


def _validated(sheet: Worksheet, columns: tuple[str, ...], end: int) -> None:
    """Only whole numbers from 1 to 10 in these columns."""
    from openpyxl.worksheet.datavalidation import DataValidation

    rule = DataValidation("whole", operator="between", formula1=str(LOWEST), formula2=str(HIGHEST), allow_blank=True)
    rule.error, rule.errorTitle = f"A whole number from {LOWEST} to {HIGHEST}, please.", "Rating"
    rule.showErrorMessage = True
    sheet.add_data_validation(rule)
    for column in columns:
        rule.add(f"{column}2:{column}{max(2, end - 1)}")


def _text(sheet: Worksheet, row: int, column: int, text: str) -> None:
    """A cell that is a text whatever it begins with: never a formula."""
    from openpyxl.styles import Alignment

    cell: Any = sheet.cell(row, column)
    cell.value = _FORBIDDEN.sub("�", text)[:_LONGEST]
    cell.data_type = "s"
    cell.alignment = Alignment(wrap_text=True, vertical="top")


def read(path: Path) -> Ratings:
    """A rater's answers. Raises `InputError`, with sheet and cell, for a rating that is none, and for other files."""
    from openpyxl import load_workbook

    hint = "Give a workbook that `kgp assess sample` wrote."
    try:
        with files.opened(path, MAX_BYTES, hint) as file:
            parts = zipfile.ZipFile(file).infolist()
        xml = sum(part.file_size for part in parts if not part.filename.startswith("xl/media/"))
        if xml > MAX_XML or sum(part.file_size for part in parts) > MAX_BYTES:
            raise InputError("the workbook is too large", hint, path=path)
        book = load_workbook(path, data_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or 'damaged'}", hint, path=path) from None
    except Exception:  # noqa: BLE001  openpyxl raises classes without number on damaged files
        raise InputError("this is no workbook, or a damaged one", hint, path=path) from None
    if not {GUIDE, IMAGES, CONCEPTS, HIDDEN} <= set(book.sheetnames):
        raise InputError("a sheet of the assessment is missing", hint, path=path)
    facts = {str(book[HIDDEN].cell(row, 1).value): book[HIDDEN].cell(row, 2).value for row in range(1, 10)}
    if facts.get("form") != "kgp assess 1" or not isinstance(facts.get("identity"), str):
        raise InputError("the sheet Sample does not say which sample this is", hint, path=path)
    for sheet, columns in ((IMAGES, IMAGE_COLUMNS), (CONCEPTS, CONCEPT_COLUMNS)):
        if tuple(book[sheet].cell(1, number).value for number in range(1, len(columns) + 1)) != columns:
            raise InputError(
                f"sheet {sheet} has lost a column", "Give the workbook with its columns as they were.", path=path
            )
    given: dict[str, dict[str, int]] = {metric: {} for metric in METRICS}
    asked = dict.fromkeys(METRICS, 0)
    for metric, (sheet, column, ids) in _RATED.items():
        for id, value, cell in _cells(book[sheet], column, ids):
            asked[metric] += 1
            if value is None or value == "":
                continue
            number = _rating(value)
            if number is None:
                told = f"sheet {sheet}, cell {cell}: a rating must be a whole number from {LOWEST} to {HIGHEST}"
                raise InputError(told, "Mend the cell, or empty it.", path=path)
            given[metric][id] = number
    named = book[GUIDE][RATER_CELL].value
    return Ratings(path, str(named).strip() if named else path.stem, str(facts["identity"]), given, asked)


def _cells(sheet: Worksheet, column: int, ids: int) -> Iterator[tuple[str, Any, str]]:
    for row in range(2, min(sheet.max_row, MAX_ROWS) + 1):
        id = sheet.cell(row, ids).value
        if id is not None:
            cell = sheet.cell(row, column)
            yield str(id), cell.value, cell.coordinate


def _rating(value: object) -> int | None:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 10:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value not in range(1, 11):
        return None
    return int(value)
