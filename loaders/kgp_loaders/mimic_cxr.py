"""MIMIC-CXR and MIMIC-CXR-JPG as they lie on disk: reports, metadata, splits, images.

    files/p10/p10000032/s50414267.txt                    the report (MIMIC-CXR; also below mimic-cxr-reports/)
    files/p10/p10000032/s50414267/02aa804e-….jpg         an image (MIMIC-CXR-JPG; .dcm in MIMIC-CXR)
    mimic-cxr-2.0.0-metadata.csv[.gz]                    dicom_id,subject_id,study_id,…,ViewPosition,…
    mimic-cxr-2.0.0-split.csv[.gz]                       dicom_id,study_id,subject_id,split

Where the metadata's ViewPosition is empty, ViewCodeSequence_CodeMeaning names the view ("antero-posterior").

The graph has one image a study, id `I` and the study's number: the first by DICOM id of the views asked for (AP, as in
MedMKG's appendix F.1). With `every_image` the report comes once for each of them. Images need not be there; reports
must. Sections are found by their headers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

from kgp_loaders.records import records
from kgp_loaders.views import ViewFilter
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.modality import CHEST_RADIOGRAPH
from kgplatform.construct.report import MORE_IMAGES, Report
from kgplatform.construct.sections import sections
from kgplatform.errors import InputError

DATASET: Final = "MIMIC-CXR"
PHANTOM: Final = "Phantom"
VIEWS: Final = ("AP",)
REPORT_ROOTS: Final = (Path(), Path("mimic-cxr-reports"), Path("reports"))
NO_IMAGE: Final = "studies without such an image"
SUFFIXES: Final = (".jpg", ".png", ".dcm")  # of MIMIC-CXR-JPG and MIMIC-CXR, the first that exists
MAX_REPORT: Final = 1 << 20  # bytes; the longest real one has about 20 kB

_TABLE: Final = re.compile(r"mimic-cxr-[0-9.]+-(metadata|split)\.csv(\.gz)?")
_VIEW_CODES: Final = {
    "antero-posterior": "AP",
    "anteroposterior": "AP",
    "posteroanterior": "PA",
    "postero-anterior": "PA",
    "lateral": "LATERAL",
    "left lateral": "LL",
    "right lateral": "RL",
    "left anterior oblique": "LAO",
    "right anterior oblique": "RAO",
    "left posterior oblique": "LPO",
    "right posterior oblique": "RPO",
}  # ViewCodeSequence_CodeMeaning, where ViewPosition is empty
_NO_VIEW: Final = frozenset(["nan", "na", "n/a", "none", "null"])  # as other programs write an empty value
_INVENTED: Final = 90_000_000  # subjects of `kgp phantom build` begin here, MIMIC's with 1


class _Image(NamedTuple):
    """An image as the metadata states it, and its row."""

    dicom: str
    subject: str
    study: str
    view: str
    row: int

    @property
    def folder(self) -> Path:
        return Path("files", f"p{self.subject[:2]}", f"p{self.subject}")


class MIMICCXR:
    """The studies as a `kgplatform.construct.report.ReportSource`; `splits` keeps those of these splits.

    Raises `InputError` where the metadata is not in the folder.
    """

    kind = "mimic-cxr"
    version = 2

    def __init__(
        self, folder: Path, views: Sequence[str] = VIEWS, splits: Sequence[str] = (), *, every_image: bool = False
    ) -> None:
        self.folder = folder
        self.views = tuple(views)
        self.splits = tuple(splits)
        self.every_image = every_image
        self.parameters: Mapping[str, Any] = {
            "views": list(self.views),
            "splits": list(self.splits),
            **({"every_image": True} if every_image else {}),  # when set alone: ids of runs stay
        }
        self.left_out: Counter[str] = Counter()
        self._metadata = self._find("metadata")
        if self._metadata is None:
            hint = "Give MIMIC-CXR-JPG's folder, with mimic-cxr-2.0.0-metadata.csv."
            raise InputError("there is no metadata of MIMIC-CXR here", hint, path=folder)

    @property
    def credentialed(self) -> bool:
        """Whether the reports are under PhysioNet's agreement: all but the synthetic ones."""
        return any(int(image.subject) < _INVENTED for image in self._chosen[0])

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The tables, and the report of every study asked for that exists."""
        tables = [
            file_path for file_path in (self._metadata, self._find("split") if self.splits else None) if file_path
        ]
        images_by_study = {image.study: image for image in self._chosen[0]}
        report_paths = (self._report_path(image) for image in images_by_study.values())
        return (*tables, *(file_path for file_path in report_paths if file_path is not None))

    def reports(self, studies: Container[str] | None = None) -> Iterator[Report | Reject]:
        """Yield the studies that have an image of the views asked for, by subject and study; of `studies` alone where
        they are given, as there are 227,835 reports to open.
        """
        selected, rejects = self._chosen
        if selected and all(self._report_path(image) is None for image in selected):
            hint = "MIMIC-CXR-JPG has none: unpack mimic-cxr-reports.zip of MIMIC-CXR into this folder."
            raise InputError("there are no reports here", hint, path=self.folder)
        yield from rejects
        for (_, study), images in groupby(selected, key=lambda image: (image.subject, image.study)):
            if studies is None or study in studies:
                yield from self._read(list(images))

    @cached_property
    def _chosen(self) -> tuple[list[_Image], list[Reject]]:
        """The image, or images, of each study, and the rows of the tables that tell none."""
        split_dicoms, rejects = self._selected_images()
        chosen: dict[tuple[str, str], _Image] = {}
        view_filter = ViewFilter(self.views)
        study_ids: set[str] = set()
        for image in self._images(rejects):
            study_ids.add(image.study)
            if self.views and not image.view:
                self.left_out["images whose view is not stated"] += 1
                continue
            if not view_filter.admits(image.view):
                self.left_out[f"images of other views than {', '.join(self.views)}"] += 1
                continue
            if split_dicoms is not None and image.dicom not in split_dicoms:
                self.left_out["images of other splits"] += 1
                continue
            study_key = (image.study, image.dicom if self.every_image else "")
            if study_key in chosen:
                self.left_out[MORE_IMAGES] += 1
            if study_key not in chosen or image.dicom < chosen[study_key].dicom:
                chosen[study_key] = image
        self.left_out.update(view_filter.absent())
        if without_image := len(study_ids) - len({study for study, _ in chosen}):
            self.left_out[NO_IMAGE] = without_image
        ordered_images = sorted(chosen.values(), key=lambda image: (int(image.subject), int(image.study), image.dicom))
        return ordered_images, rejects

    def _images(self, rejects: list[Reject]) -> Iterator[_Image]:
        columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
        assert self._metadata is not None  # noqa: S101  checked at the start
        for row_number, values in _rows(self._metadata, columns, rejects, ("ViewCodeSequence_CodeMeaning",)):
            dicom_id, subject_id, study_id, view, view_code = values
            view = "" if view.casefold() in _NO_VIEW else view
            view = view or _VIEW_CODES.get(view_code.casefold(), "")
            if not re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{8}){4}", dicom_id):
                rejects.append(
                    Reject(self._metadata, row_number, "the dicom_id is not five groups of eight hex digits")
                )
            elif not re.fullmatch(r"[0-9]{8}", subject_id) or not re.fullmatch(r"[0-9]{8}", study_id):
                rejects.append(Reject(self._metadata, row_number, "subject_id and study_id are not eight digits each"))
            else:
                yield _Image(dicom_id, subject_id, study_id, view, row_number)

    def _selected_images(self) -> tuple[set[str] | None, list[Reject]]:
        """The images of the splits asked for; None for all."""
        rejects: list[Reject] = []
        if not self.splits:
            return None, rejects
        split_table = self._find("split")
        if split_table is None:
            raise InputError("there is no table of splits here", "Add mimic-cxr-2.0.0-split.csv.", path=self.folder)
        table_rows = _rows(split_table, ("dicom_id", "split"), rejects)
        return {dicom_id for _, (dicom_id, split) in table_rows if split in self.splits}, rejects

    def _find(self, table_name: str) -> Path | None:
        """The table of that name; the newest version if there are several."""
        try:
            file_names = sorted(
                file_path.name for file_path in self.folder.iterdir() if _TABLE.fullmatch(file_path.name)
            )
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", "Check the path.", path=self.folder) from None
        matches = [file_name for file_name in file_names if f"-{table_name}.csv" in file_name]
        return self.folder / matches[-1] if matches else None

    def _report_path(self, image: _Image) -> Path | None:
        for report_root in REPORT_ROOTS:
            report_path = self.folder / report_root / image.folder / f"s{image.study}.txt"
            if report_path.is_file():
                return report_path
        return None

    def _read(self, images: Sequence[_Image]) -> Iterator[Report | Reject]:
        """The report of a study, for each of its images."""
        report_text = self._text(images[0])
        if isinstance(report_text, Reject):
            yield report_text
            return
        report_sections = sections(report_text)
        for image in images:
            image_properties = {
                "dataset": DATASET if int(image.subject) < _INVENTED else PHANTOM,
                "study_id": image.study,
                "subject_id": image.subject,
                "view": image.view,
                "path": self._image_path(image),
                **CHEST_RADIOGRAPH.properties(),
            }
            yield Report(
                image.study,
                f"I{image.study}",
                report_sections,
                image_properties,
                has_text=bool(report_text.strip()),
                exam=CHEST_RADIOGRAPH,
            )

    def _text(self, image: _Image) -> str | Reject:
        report_path = self._report_path(image)
        if report_path is None:
            assert self._metadata is not None  # noqa: S101
            return Reject(self._metadata, image.row, f"study {image.study} has no report s{image.study}.txt")
        if report_path.is_symlink() and not report_path.resolve().is_relative_to(self.folder.resolve()):
            return Reject(report_path, 1, "the link points outside the folder")
        try:
            with files.open_regular_file(report_path) as report_file:
                raw_bytes = report_file.read(MAX_REPORT + 1)
            report_text = raw_bytes.decode("utf-8")
        except (OSError, UnicodeDecodeError, InputError):
            return Reject(report_path, 1, "the report cannot be read as UTF-8")
        if len(raw_bytes) > MAX_REPORT or "\0" in report_text:
            return Reject(report_path, 1, f"this is not a report: larger than {MAX_REPORT:,} bytes, or binary")
        return report_text

    def _image_path(self, image: _Image) -> str:
        """The image's path below the folder: as it exists there, otherwise as MIMIC-CXR-JPG names it."""
        base_path = image.folder / f"s{image.study}" / image.dicom
        suffix = next((suffix for suffix in SUFFIXES if (self.folder / f"{base_path}{suffix}").is_file()), SUFFIXES[0])
        return f"{base_path.as_posix()}{suffix}"


def _rows(
    table_path: Path, columns: Sequence[str], rejects: list[Reject], optional: Sequence[str] = ()
) -> Iterator[tuple[int, list[str]]]:
    """The values of these columns with their line, then those of the optional ones, empty where the column does not
    exist. Raises `InputError` for a file that is not such a table.
    """
    table_rows = records(table_path)
    _, header = next(table_rows, (1, []))
    if isinstance(header, str):
        raise InputError("the table is damaged", "Fetch it again.", path=table_path, row=1)
    if missing := [column for column in columns if column not in header]:
        raise InputError(f"there is no column {missing[0]}", "Use the table as PhysioNet ships it.", path=table_path)
    column_indices = [header.index(column) for column in columns]
    optional_indices = [header.index(column) if column in header else None for column in optional]
    for line_number, values in table_rows:
        if isinstance(values, str):
            rejects.append(Reject(table_path, line_number, values))
        elif len(values) == len(header):
            optional_values = ("" if index is None else values[index].strip() for index in optional_indices)
            yield line_number, [*(values[column_index].strip() for column_index in column_indices), *optional_values]
        else:
            rejects.append(Reject(table_path, line_number, f"{len(values)} values, where the header has {len(header)}"))
