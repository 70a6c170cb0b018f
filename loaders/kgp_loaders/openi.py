"""OpenI, Indiana University's chest X-ray reports: the two CSV files, or the original XML reports.

    uid,MeSH,Problems,image,indication,comparison,findings,impression        indiana_reports.csv
    uid,filename,projection                                                  indiana_projections.csv

    <eCitation> … <AbstractText Label="FINDINGS">…</AbstractText> … <parentImage id="CXR1_1_IM-0001-3001">…

A study is one report with its images. The graph has one image a study, id `I` and the report's uid: the first by name
of the projections asked for. With `every_image` the report comes once for each image, by name.

Both forms give the same studies, texts and names of images, but the XML form does not tell projections: its reports
have the first image, which may be a lateral one, and no view, and studies with lateral images alone are read, too. Such
reports are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from kgp_loaders.tabular import open_table
from kgp_loaders.views import ViewFilter
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.modality import CHEST_RADIOGRAPH
from kgplatform.construct.plain_text import clean_text
from kgplatform.construct.report import MORE_IMAGES, SECTIONS, Report
from kgplatform.errors import InputError

DATASET: Final = "OpenI"
REPORTS: Final = "indiana_reports.csv"
PROJECTIONS: Final = "indiana_projections.csv"
CODES: Final = "MeSH"  # the column of the indexers' codes; a copy of the files may lack it
VIEWS: Final = ("Frontal",)
MAX_XML: Final = 1 << 20  # bytes; a real report has 5 kB

NO_IMAGE: Final = "reports without such an image"
NO_PROJECTION: Final = "reports whose images' projections the XML form does not tell: the first image is taken"

_UID: Final = re.compile(r"[0-9]{1,9}")
_FILE: Final = re.compile(r"[\w.-]{1,200}")
_IMAGE_PREFIX: Final = re.compile(r"CXR(?:[0-9]{1,9}_(?=[0-9]{1,9}_))?")  # CXR1_1_IM-0001 is 1_IM-0001


class OpenI:
    """The reports as a `kgplatform.construct.report.ReportSource`.

    Raises `InputError` where neither the CSV files nor XML reports are in the folder.
    """

    kind = "openi"
    version = 2
    credentialed = False  # published without a licence agreement

    def __init__(self, folder: Path, views: Sequence[str] = VIEWS, *, every_image: bool = False) -> None:
        self.folder = folder
        self.views = tuple(views)
        self.every_image = every_image
        self.parameters: Mapping[str, Any] = {
            "views": list(self.views),
            **({"every_image": True} if every_image else {}),  # when set alone: ids of runs stay
        }
        self.left_out: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        tables = (folder / REPORTS, folder / PROJECTIONS)
        self._xml = not tables[0].is_file()
        self.files = tuple(sorted(folder.rglob("*.xml"), key=_by_number)) if self._xml else tables
        if not self.files:
            raise InputError(
                "there are no OpenI reports here",
                f"Give a folder with {REPORTS}, or with the XML reports.",
                path=folder,
            )

    def reports(self) -> Iterator[Report | Reject]:
        """Yield the studies that have an image of the projections asked for."""
        self.left_out.clear()
        self.remarks.clear()
        return self._from_xml() if self._xml else self._from_tables()

    def _from_tables(self) -> Iterator[Report | Reject]:
        views_by_study: dict[str, dict[str, str]] = {}  # of a study, the projection by file name
        rejects = []
        view_filter = ViewFilter(self.views)
        for record in open_table(self.folder / PROJECTIONS).rows(("uid", "filename", "projection")):
            if isinstance(record, Reject):
                rejects.append(record)
                continue
            row_number, (uid, file_name, view) = record
            if not _UID.fullmatch(uid) or not _FILE.fullmatch(file_name):
                rejects.append(
                    Reject(self.folder / PROJECTIONS, row_number, "the uid or the file name does not have OpenI's form")
                )
            elif view_filter.admits(view):
                views_by_study.setdefault(uid, {}).setdefault(file_name, view)
            else:
                self.left_out[f"images of other projections than {', '.join(self.views)}"] += 1
        self.left_out.update(view_filter.absent())
        yield from rejects
        previous_ids: set[str] = set()
        table = open_table(self.folder / REPORTS)
        coded = (CODES,) if CODES in table.columns else ()
        for record in table.rows(("uid", *SECTIONS, *coded)):
            if isinstance(record, Reject):
                yield record
                continue
            row_number, (uid, *texts) = record
            sections = dict(zip(SECTIONS, texts, strict=False))
            codes = texts[-1].split(";") if coded else ()
            if not _UID.fullmatch(uid):
                yield Reject(self.folder / REPORTS, row_number, "the uid is not a number")
            elif uid in previous_ids:
                yield Reject(self.folder / REPORTS, row_number, "the uid already occurs in an earlier row")
            elif uid in views_by_study:
                yield from self._reports(uid, sections, views_by_study[uid], codes)
            else:
                self.left_out[NO_IMAGE] += 1
            previous_ids.add(uid)

    def _from_xml(self) -> Iterator[Report | Reject]:
        previous_ids: set[str] = set()
        for xml_path in self.files:
            try:
                uid, sections, image_ids, codes = _read_xml(xml_path)
            except ElementTree.ParseError as error:
                yield Reject(xml_path, error.position[0], "the file is not well-formed XML")
                continue
            except InputError as error:
                yield Reject(xml_path, 1, error.message)
                continue
            if uid in previous_ids:
                yield Reject(xml_path, 1, "the uid already occurs in an earlier file")
                continue
            previous_ids.add(uid)
            if not image_ids:
                self.left_out[NO_IMAGE] += 1
                continue
            self.remarks[NO_PROJECTION] += bool(self.views)
            image_names = {self._image_name(image_id): "" for image_id in image_ids}
            yield from self._reports(uid, sections, image_names, codes)

    def _image_name(self, image_id: str) -> str:
        """The name of an image's file: as it exists here or in a folder within, otherwise as the CSV form has it."""
        if image_id in self._png_stems:
            return f"{image_id}.png"
        return f"{_IMAGE_PREFIX.sub('', image_id)}.dcm.png"

    @cached_property
    def _png_stems(self) -> frozenset[str]:
        return frozenset(png_path.stem for png_path in self.folder.rglob("*.png"))

    def _reports(
        self, uid: str, sections: Mapping[str, str], images: Mapping[str, str], codes: Sequence[str]
    ) -> Iterator[Report]:
        """The report with its first image, or with each; `images` are projections by file name, "" where unknown."""
        image_names = sorted(images)
        section_texts = {name: clean_text(text).strip() for name, text in sections.items()}
        if not self.every_image and len(image_names) > 1:
            self.left_out[MORE_IMAGES] += len(image_names) - 1
        for image_name in image_names if self.every_image else image_names[:1]:
            view = images.get(image_name, "") if self.every_image or len(self.views) == 1 else ""
            view_property = {"view": view} if view else {}
            image = {"dataset": DATASET, "study_id": uid, "path": image_name} | view_property
            has_text = any(section_texts.values())
            yield Report(
                uid,
                f"I{uid}",
                section_texts,
                image | CHEST_RADIOGRAPH.properties(),
                has_text=has_text,
                exam=CHEST_RADIOGRAPH,
                codes=tuple(filter(None, map(str.strip, codes))),
            )


def _by_number(xml_path: Path) -> tuple[int, str]:
    return int(xml_path.stem) if xml_path.stem.isdigit() else 0, str(xml_path)


def _read_xml(xml_path: Path) -> tuple[str, dict[str, str], list[str], list[str]]:
    """The uid, the sections, the images and the codes in a file. Raises `InputError`, without the path, for a file that
    is none of OpenI's.
    """
    try:
        with files.open_regular_file(xml_path) as xml_file:
            raw_bytes = xml_file.read(MAX_XML + 1)
        xml_text = raw_bytes.decode("utf-8")
    except (OSError, UnicodeDecodeError, InputError):
        raise InputError("the file cannot be read as UTF-8") from None
    if len(raw_bytes) > MAX_XML:
        raise InputError(f"the file is larger than {MAX_XML:,} bytes")
    if "<!DOCTYPE" in xml_text or "<!ENTITY" in xml_text:
        raise InputError("the file declares a document type, which OpenI's reports do not")
    root = ElementTree.fromstring(raw_bytes)  # noqa: S314  no document type, so no entities to expand
    uid_element = root.find("uId")
    uid = re.sub(r"^CXR", "", uid_element.get("id", "")) if uid_element is not None else ""
    if not _UID.fullmatch(uid):
        raise InputError("the report has no uId")
    texts_by_label: dict[str, list[str]] = {}
    for abstract in root.iter("AbstractText"):
        abstract_text = "".join(f"\n{part}" if number else part for number, part in enumerate(abstract.itertext()))
        texts_by_label.setdefault(str(abstract.get("Label", "")).strip().lower(), []).append(abstract_text)
    image_names = [
        image_name
        for image_element in root.iter("parentImage")
        if _FILE.fullmatch(image_name := image_element.get("id", ""))
    ]
    sections = {section: "\n\n".join(texts_by_label.get(section, [])) for section in SECTIONS}
    return uid, sections, image_names, [code.text or "" for code in root.iterfind("MeSH/major")]
