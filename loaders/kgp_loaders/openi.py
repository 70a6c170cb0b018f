"""OpenI, Indiana University's chest X-ray reports: the two CSV files, or the original XML reports.

    uid,MeSH,Problems,image,indication,comparison,findings,impression        indiana_reports.csv
    uid,filename,projection                                                  indiana_projections.csv

    <eCitation> … <AbstractText Label="FINDINGS">…</AbstractText> … <parentImage id="CXR1_1_IM-0001-3001">…

A study is one report with its images. The graph has one image a study, id `I` and the report's uid: the first by name
of the projections asked for. The XML form does not tell projections, so the first image stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from kgp_loaders.tabular import open_table
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report
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

    def __init__(self, folder: Path, views: Sequence[str] = VIEWS) -> None:
        self.folder = folder
        self.views = tuple(views)
        self.parameters: Mapping[str, Any] = {"views": list(self.views)}
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
        return self._from_xml() if self._xml else self._from_tables()

    def _from_tables(self) -> Iterator[Report | Reject]:
        images: dict[str, str] = {}
        rejects = []
        for row in open_table(self.folder / PROJECTIONS).rows(("uid", "filename", "projection")):
            if isinstance(row, Reject):
                rejects.append(row)
                continue
            number, (uid, name, view) = row
            if not _UID.fullmatch(uid) or not _FILE.fullmatch(name):
                rejects.append(Reject(self.folder / PROJECTIONS, number, "the uid or the file name is none of OpenI's"))
            elif (not self.views or view in self.views) and name < images.get(uid, "\U0010ffff"):
                images[uid] = name
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
                yield _report(uid, dict(zip(SECTIONS, texts, strict=True)), images[uid], self.views)
            seen.add(uid)

    def _from_xml(self) -> Iterator[Report | Reject]:
        for path in self.files:
            try:
                yield _read_xml(path)
            except ElementTree.ParseError as error:
                yield Reject(path, error.position[0], "the file is not well-formed XML")
            except InputError as error:
                yield Reject(path, 1, error.message)


def _by_number(path: Path) -> tuple[int, str]:
    return int(path.stem) if path.stem.isdigit() else 0, str(path)


def _report(uid: str, sections: Mapping[str, str], name: str, views: Sequence[str]) -> Report:
    view = {"view": views[0]} if len(views) == 1 else {}
    return Report(uid, f"I{uid}", sections, {"dataset": DATASET, "study_id": uid, "path": name, **view})


def _read_xml(path: Path) -> Report:
    """The report in a file. Raises `InputError`, without the path, for one that is none of OpenI's."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_XML + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError):
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
    names = sorted(name for image in root.iter("parentImage") if _FILE.fullmatch(name := image.get("id", "")))
    return _report(uid, {name: found.get(name, "") for name in SECTIONS}, names[0] if names else "", ())
