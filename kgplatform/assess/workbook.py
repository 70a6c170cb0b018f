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
MAX_XML: Final = 10_000_000  # bytes of a workbook without its images; openpyxl needs about 30 times as much
MAX_ROWS: Final = 100_000

# Where each metric is rated: sheet, column, and the column of the ids.
_RATED: Final = {COVERAGE: (IMAGES, 6, 8), CORRECTNESS: (IMAGES, 7, 8), DIVERSITY: (CONCEPTS, 4, 5)}
_INSTRUCTIONS: Final = """\
Rate with whole numbers from 1 (poor) to 10 (excellent) in the marked cells. Leave a cell empty if you cannot judge it.

Concept Coverage: do the extracted concepts capture the key findings of the image? Discount concepts that are too
general to say anything about this image, such as "lung".

Relation Correctness: is each concept's relation to the image right? POSITIVE: the image shows it. NEGATIVE: the
image shows the opposite, for example that a disease is ruled out. UNCERTAIN: the image leaves it open.

Image Diversity: do the images of a concept show it in different situations? Other views of one study do not count as
different.

The report, if there is one, is only for reference: rate what the image shows."""
_FORBIDDEN: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff￾￿]")
_MAX_CELL_LENGTH: Final = 32_000  # characters; a cell takes 32,767


@dataclass(frozen=True)
class Ratings:
    """A rater's answers: by metric, id and number; `possible` is how many there could be."""

    path: Path
    rater: str
    identity: str
    by_metric: Mapping[str, Mapping[str, int]]
    possible: Mapping[str, int]


def write_rating_workbook(
    sample: Sample, path: Path, small: Thumbnails | None = None, reports: Mapping[str, str] | None = None
) -> int:
    """Write the workbook, whole or not at all; returns how many images are embedded.

    `small` has the images; without it, their paths are shown. `reports` has the text of images' reports by image id.
    Raises `InputError` where it cannot be written.
    """
    from openpyxl import Workbook

    workbook = Workbook()
    guide_sheet = workbook.active
    if guide_sheet is None:  # a new workbook has a sheet
        raise InputError("the workbook has no sheet", "", path=path)
    guide_sheet.title = GUIDE
    _guide(guide_sheet)
    pictures = _Pictures(small)
    _images(workbook.create_sheet(IMAGES), sample, reports or {}, pictures)
    _concepts(workbook.create_sheet(CONCEPTS), sample, pictures)
    _hidden(workbook, sample)
    with replacing(path) as staged_path:
        workbook.save(staged_path)
    return pictures.embedded


class _Pictures:
    """Puts images into cells, or their paths where they cannot be read."""

    def __init__(self, small: Thumbnails | None) -> None:
        self._small = small
        self.embedded = 0

    def put(self, sheet: Worksheet, row: int, column: int, path: str, id: str) -> bool:
        """Whether the image itself could be put there."""
        from openpyxl.drawing.image import Image

        small_image = None if self._small is None else self._small(path)
        if small_image is None:
            _text(sheet, row, column, path or id)
            return False
        sheet.add_image(Image(io.BytesIO(small_image)), sheet.cell(row, column).coordinate)
        self.embedded += 1
        return True


def _guide(sheet: Worksheet) -> None:
    from openpyxl.styles import Alignment, Font

    _text(sheet, 1, 1, "Human assessment of the knowledge graph")
    sheet["A1"].font = Font(bold=True, size=14)
    _text(sheet, 3, 1, "Rater:")
    for row_index, paragraph in enumerate(_INSTRUCTIONS.split("\n\n"), 5):
        _text(sheet, row_index, 1, " ".join(paragraph.split()))
        sheet.cell(row_index, 1).alignment = Alignment(wrap_text=True, vertical="top")
        sheet.row_dimensions[row_index].height = 62
    sheet.column_dimensions["A"].width = 100
    sheet.column_dimensions["B"].width = 30


def _images(sheet: Worksheet, sample: Sample, reports: Mapping[str, str], pictures: _Pictures) -> None:
    _header(sheet, IMAGE_COLUMNS, (44, 34, 40, 18, 60, 18, 20, 4))
    next_row = 2
    for image_item in sample.images:
        next_row = _image(sheet, next_row, image_item, reports.get(image_item.id, ""), pictures)
    _validated(sheet, ("F", "G"), next_row)


def _image(sheet: Worksheet, first_row: int, image_item: ImageItem, report: str, pictures: _Pictures) -> int:
    last_row = first_row + len(image_item.concepts) - 1
    for row_index, image_concept in enumerate(image_item.concepts, first_row):
        for column, cell_text in zip(
            (2, 3, 4), (image_concept.concept, image_concept.definition, image_concept.relation), strict=True
        ):
            _text(sheet, row_index, column, cell_text)
    _text(sheet, first_row, 5, report)
    _text(sheet, first_row, 8, image_item.id)
    if pictures.put(sheet, first_row, 1, image_item.path, image_item.id):
        for row_index in range(first_row, last_row + 1):
            sheet.row_dimensions[row_index].height = max(15.0, SIDE * 0.76 / len(image_item.concepts))
    for column in (1, 5, 6, 7):
        if last_row > first_row:
            sheet.merge_cells(start_row=first_row, end_row=last_row, start_column=column, end_column=column)
    return last_row + 1


def _concepts(sheet: Worksheet, sample: Sample, pictures: _Pictures) -> None:
    _header(sheet, CONCEPT_COLUMNS, (34, 40, 44, 26, 4))
    next_row = 2
    for concept_item in sample.concepts:
        next_row = _concept(sheet, next_row, concept_item, pictures)
    _validated(sheet, ("D",), next_row)


def _concept(sheet: Worksheet, first_row: int, concept_item: ConceptItem, pictures: _Pictures) -> int:
    count_note = (
        ""
        if concept_item.total == len(concept_item.images)
        else f" ({len(concept_item.images)} of {concept_item.total:,} images)"
    )
    _text(sheet, first_row, 1, concept_item.name + count_note)
    _text(sheet, first_row, 2, concept_item.definition)
    _text(sheet, first_row, 5, concept_item.id)
    for row_index, (image_id, image_path) in enumerate(concept_item.images, first_row):
        if pictures.put(sheet, row_index, 3, image_path, image_id):
            sheet.row_dimensions[row_index].height = SIDE * 0.76
    last_row = first_row + len(concept_item.images) - 1
    for column in (1, 2, 4):
        if last_row > first_row:
            sheet.merge_cells(start_row=first_row, end_row=last_row, start_column=column, end_column=column)
    return last_row + 1


def _hidden(workbook: Workbook, sample: Sample) -> None:
    sheet = workbook.create_sheet(HIDDEN)
    sheet.sheet_state = "hidden"
    sample_facts = (("identity", sample.identity), ("seed", str(sample.seed)), ("form", "kgp assess 1"))
    for row_index, (fact_name, fact_value) in enumerate(sample_facts, 1):
        _text(sheet, row_index, 1, fact_name)
        _text(sheet, row_index, 2, fact_value)


def _header(sheet: Worksheet, columns: tuple[str, ...], widths: tuple[int, ...]) -> None:
    from openpyxl.styles import Font, PatternFill
    from openpyxl.utils import get_column_letter

    for column_index, (column_name, width) in enumerate(zip(columns, widths, strict=True), 1):
        _text(sheet, 1, column_index, column_name)
        cell = sheet.cell(1, column_index)
        cell.font = Font(bold=True)
        cell.fill = PatternFill("solid", fgColor="DDE6F0")
        sheet.column_dimensions[get_column_letter(column_index)].width = width
    sheet.column_dimensions[get_column_letter(len(columns))].hidden = True
    sheet.freeze_panes = "A2"


def _validated(sheet: Worksheet, columns: tuple[str, ...], end_row: int) -> None:
    """Only whole numbers from 1 to 10 in these columns."""
    from openpyxl.worksheet.datavalidation import DataValidation

    rule = DataValidation("whole", operator="between", formula1=str(LOWEST), formula2=str(HIGHEST), allow_blank=True)
    rule.error, rule.errorTitle = f"Enter a whole number from {LOWEST} to {HIGHEST}.", "Rating"
    rule.showErrorMessage = True
    sheet.add_data_validation(rule)
    for column in columns:
        rule.add(f"{column}2:{column}{max(2, end_row - 1)}")


def _text(sheet: Worksheet, row_index: int, column_index: int, cell_text: str) -> None:
    """A cell that is a text with any beginning: never a formula."""
    from openpyxl.styles import Alignment

    cell: Any = sheet.cell(row_index, column_index)
    cell.value = _FORBIDDEN.sub("�", cell_text)[:_MAX_CELL_LENGTH]
    cell.data_type = "s"
    cell.alignment = Alignment(wrap_text=True, vertical="top")


def read_ratings(path: Path) -> Ratings:
    """A rater's answers. Raises `InputError`, with sheet and cell, for a rating that is none, and for other files."""
    from openpyxl import load_workbook

    hint = "Give a workbook that `kgp assess sample` wrote."
    try:
        with files.open_regular_file(path, MAX_BYTES, hint) as workbook_file:
            archive_members = zipfile.ZipFile(workbook_file).infolist()
        xml_bytes = sum(
            archive_member.file_size
            for archive_member in archive_members
            if not archive_member.filename.startswith("xl/media/")
        )
        if xml_bytes > MAX_XML or sum(archive_member.file_size for archive_member in archive_members) > MAX_BYTES:
            raise InputError("the workbook is too large", hint, path=path)
        workbook = load_workbook(path, data_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or 'damaged'}", hint, path=path) from None
    except Exception:  # noqa: BLE001  openpyxl raises classes without number on damaged files
        raise InputError("this is not a workbook, or it is damaged", hint, path=path) from None
    if not {GUIDE, IMAGES, CONCEPTS, HIDDEN} <= set(workbook.sheetnames):
        raise InputError("a sheet of the assessment is missing", hint, path=path)
    sample_facts = {
        str(workbook[HIDDEN].cell(row_index, 1).value): workbook[HIDDEN].cell(row_index, 2).value
        for row_index in range(1, 10)
    }
    if sample_facts.get("form") != "kgp assess 1" or not isinstance(sample_facts.get("identity"), str):
        raise InputError("the sheet Sample does not say which sample this is", hint, path=path)
    for sheet_name, columns in ((IMAGES, IMAGE_COLUMNS), (CONCEPTS, CONCEPT_COLUMNS)):
        if tuple(workbook[sheet_name].cell(1, number).value for number in range(1, len(columns) + 1)) != columns:
            raise InputError(
                f"sheet {sheet_name} lacks a column", "Give the workbook with its columns as they were.", path=path
            )
    ratings: dict[str, dict[str, int]] = {metric: {} for metric in METRICS}
    item_counts = dict.fromkeys(METRICS, 0)
    for metric, (sheet_name, column, id_column) in _RATED.items():
        for item_id, cell_value, coordinate in _cells(workbook[sheet_name], column, id_column):
            item_counts[metric] += 1
            if cell_value is None or cell_value == "":
                continue
            number = _rating(cell_value)
            if number is None:
                message = (
                    f"sheet {sheet_name}, cell {coordinate}: a rating must be a whole number from {LOWEST} to {HIGHEST}"
                )
                raise InputError(message, "Correct the cell, or empty it.", path=path)
            ratings[metric][item_id] = number
    rater_name = workbook[GUIDE][RATER_CELL].value
    return Ratings(
        path, str(rater_name).strip() if rater_name else path.stem, str(sample_facts["identity"]), ratings, item_counts
    )


def _cells(sheet: Worksheet, column_index: int, id_column: int) -> Iterator[tuple[str, Any, str]]:
    for row_index in range(2, min(sheet.max_row, MAX_ROWS) + 1):
        item_id = sheet.cell(row_index, id_column).value
        if item_id is not None:
            cell = sheet.cell(row_index, column_index)
            yield str(item_id), cell.value, cell.coordinate


def _rating(cell_value: object) -> int | None:
    if (
        isinstance(cell_value, str)
        and cell_value.strip().isascii()
        and cell_value.strip().isdigit()
        and len(cell_value) < 10
    ):
        cell_value = int(cell_value)
    if (
        isinstance(cell_value, bool)
        or not isinstance(cell_value, int | float)
        or cell_value != cell_value
        or cell_value not in range(1, 11)
    ):
        return None
    return int(cell_value)
