"""OpenI, Indiana University's chest X-ray reports: the two CSV files, or the original XML reports.

    uid,MeSH,Problems,image,indication,comparison,findings,impression        indiana_reports.csv
    uid,filename,projection                                                  indiana_projections.csv

    <eCitation> … <AbstractText Label="FINDINGS">…</AbstractText> … <parentImage id="CXR1_1_IM-0001-3001">…

A study is one report with its images. The graph has one image a study, id `I` and the report's uid: the first by name
of the projections asked for. The XML form does not tell projections, so the first image stands. With `every_image` the
report comes once for each image, by name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from kgp_loaders.tabular import open_table
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.construct.report import MORE_IMAGES, SECTIONS, Report
from kgplatform.errors import InputError

DATASET: Final = "OpenI"
REPORTS: Final = "indiana_reports.csv"
PROJECTIONS: Final = "indiana_projections.csv"
VIEWS: Final = ("Frontal",)
MAX_XML: Final = 1 << 20  # bytes; a real report has 5 kB

_UID: Final = re.compile(r"[0-9]{1,9}")
_FILE: Final = re.compile(r"[\w.-]{1,200}")


class OpenI:
    """The reports as a `kgplatform.construct.report.ReportSource`.

    Raises `InputError` where neither the CSV files nor XML reports are in the folder.
    """

    kind = "openi"
    version = 1
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
        return self._from_xml() if self._xml else self._from_tables()

    def _from_tables(self) -> Iterator[Report | Reject]:
        images: dict[str, dict[str, str]] = {}  # of a study, the projection by file name
        rejects = []
        for row in open_table(self.folder / PROJECTIONS).rows(("uid", "filename", "projection")):
            if isinstance(row, Reject):
                rejects.append(row)
                continue
            number, (uid, name, view) = row
            if not _UID.fullmatch(uid) or not _FILE.fullmatch(name):
                rejects.append(Reject(self.folder / PROJECTIONS, number, "the uid or the file name is none of OpenI's"))
            elif not self.views or view in self.views:
                images.setdefault(uid, {}).setdefault(name, view)
            else:
                self.left_out[f"images of other projections than {', '.join(self.views)}"] += 1
        yield from rejects
        seen: set[str] = set()
        for row in open_table(self.folder / REPORTS).rows(("uid", *SECTIONS)):
            if isinstance(row, Reject):
                yield row
                continue
            number, (uid, *texts) = row
            if not _UID.fullmatch(uid):
                yield Reject(self.folder / REPORTS, number, "the uid is not a number")
            elif uid in seen:
                yield Reject(self.folder / REPORTS, number, "the uid stands in an earlier row, too")
            elif uid in images:
                yield from self._reports(uid, dict(zip(SECTIONS, texts, strict=True)), images[uid])
            else:
                self.left_out["reports without such an image"] += 1
            seen.add(uid)

    def _from_xml(self) -> Iterator[Report | Reject]:
        for path in self.files:
            try:
                uid, sections, names = _read_xml(path)
                yield from self._reports(uid, sections, dict.fromkeys(names, ""))
            except ElementTree.ParseError as error:
                yield Reject(path, error.position[0], "the file is not well-formed XML")
            except InputError as error:
                yield Reject(path, 1, error.message)

    def _reports(self, uid: str, sections: Mapping[str, str], images: Mapping[str, str]) -> Iterator[Report]:
        """The report with its first image, or with each; `images` are projections by file name, "" where unknown."""
        names = sorted(images)
        if not self.every_image and len(names) > 1:
            self.left_out[MORE_IMAGES] += len(names) - 1
        for name in names if self.every_image else (names or [""])[:1]:
            told = images.get(name, "") if self.every_image else ""
            view = told or (self.views[0] if len(self.views) == 1 and not self._xml else "")
            image = {"dataset": DATASET, "study_id": uid, "path": name, **({"view": view} if view else {})}
            yield Report(uid, f"I{uid}", sections, image)


def _by_number(path: Path) -> tuple[int, str]:
    return int(path.stem) if path.stem.isdigit() else 0, str(path)


def _read_xml(path: Path) -> tuple[str, dict[str, str], list[str]]:
    """The uid, the sections and the images in a file. Raises `InputError`, without the path, for a file that is none of
    OpenI's.
    """
    try:
        with files.opened(path) as file:
            data = file.read(MAX_XML + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError, InputError):
        raise InputError("the file cannot be read as UTF-8") from None
    if len(data) > MAX_XML:
        raise InputError(f"the file is larger than {MAX_XML:,} bytes")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError("the file declares a document type, which OpenI's reports do not")
    root = ElementTree.fromstring(data)  # noqa: S314  no document type, so no entities to expand
    identity = root.find("uId")
    uid = re.sub(r"^CXR", "", identity.get("id", "")) if identity is not None else ""
    if not _UID.fullmatch(uid):
        raise InputError("the report has no uId")
    found = {str(part.get("Label", "")).lower(): part.text or "" for part in root.iter("AbstractText")}
    names = [name for image in root.iter("parentImage") if _FILE.fullmatch(name := image.get("id", ""))]
    return uid, {name: found.get(name, "") for name in SECTIONS}, names
