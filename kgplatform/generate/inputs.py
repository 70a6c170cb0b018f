"""The images that a generator is to look at, each with its report where there is one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kgplatform import radiograph
from kgplatform.batches import Reject
from kgplatform.construct.pipeline import reports_of
from kgplatform.construct.report import Report, ReportSource
from kgplatform.errors import InputError

FOLDER: Final = "images"  # the data set of pictures that belong to none
_MIMIC: Final = re.compile(r"mimic-cxr-[0-9.]+-metadata\.csv(\.gz)?")
_TABLES: Final = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")


@dataclass(frozen=True, slots=True)
class Input:
    """An image: its id in the graph, what the graph keeps of it, where it lies, and its report's sections."""

    id: str
    path: Path | None
    properties: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict, repr=False)  # never in a log


@dataclass(frozen=True)
class Inputs:
    """All images to look at, and what kept others out."""

    rows: Sequence[Input]
    rejects: Sequence[Reject] = ()
    credentialed: bool = True


def inputs(
    images: Path,
    reports: Path | None = None,
    *,
    known: Mapping[str, str],
    views: Sequence[str] | None = None,
    with_reports: bool = True,
) -> Inputs:
    """The images at a path: a data set (MIMIC-CXR, OpenI, IU X-ray), a table of reports with paths of images, a folder
    of pictures, or one picture. `known` has the graph's images by file name: a picture of that name is that image.

    Raises `InputError` where there is nothing of that kind.
    """
    kind = kind_of(images)
    if kind is not None:
        return _of_reports(reports_of(kind, images, views), images, reports, with_reports)
    pictures = list(_pictures(images))
    if not pictures:
        hint = f"Give a folder with {', '.join(radiograph.SUFFIXES)} files, a data set, or a table of reports."
        raise InputError("there is no image here", hint, path=images)
    said = {} if reports is None else _sections_by_name(reports, views)
    rows = [_picture(path, images, known, said) for path in pictures]
    return Inputs(list({row.id: row for row in rows}.values()))


def kind_of(path: Path) -> str | None:
    """Which loader of reports reads that path; None for plain pictures."""
    if path.is_file():
        return "reports" if path.suffix.lower() in _TABLES else None
    if not path.is_dir():
        raise InputError("no such file or folder", "Check the path.", path=path)
    names = {one.name for one in path.iterdir()}
    if any(_MIMIC.fullmatch(name) for name in names):
        return "mimic-cxr"
    if "indiana_reports.csv" in names:
        return "openi"
    return "iu-xray" if "annotation.json" in names else None


def _of_reports(source: ReportSource, root: Path, other: Path | None, with_reports: bool) -> Inputs:
    """The images of a data set; another file's reports count before its own."""
    said = {} if other is None else _sections_by_name(other, None)
    below = root if root.is_dir() else root.parent
    rows, rejects = [], []
    for found in source.reports():
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        path = found.image.get("path")
        place = None if path is None else _within(below, path)
        sections = said.get(found.study) or (found.sections if with_reports else {})
        rows.append(Input(found.image_id, place, found.image, sections))
    return Inputs(rows, rejects, source.credentialed or other is not None)  # of another file nobody knows


def _within(root: Path, path: str) -> Path | None:
    """The place of a path below a folder; None for one that leads out of it."""
    place = root / path
    return place if place.resolve().is_relative_to(root.resolve()) else None


def _pictures(images: Path) -> Iterator[Path]:
    """The radiographs at a path, by name; one by content, so that a .dcm beside a .png of its name is not two."""
    if images.is_file():
        yield images
        return
    seen: set[Path] = set()
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in radiograph.SUFFIXES and path.is_file():
            stem = path.with_suffix("")
            if stem not in seen:
                seen.add(stem)
                yield path


def _picture(path: Path, root: Path, known: Mapping[str, str], said: Mapping[str, Mapping[str, str]]) -> Input:
    from kgp_loaders.reports import image_id

    name = path.relative_to(root).as_posix() if root.is_dir() else path.name
    there = known.get(path.name) or known.get(path.stem)
    sections = next((said[key] for key in (path.name, path.stem, name, there or "") if key in said), {})
    if there is not None:
        return Input(there, path, {}, sections)
    return Input(image_id(FOLDER, name), path, {"dataset": FOLDER, "path": name}, sections)


def _sections_by_name(path: Path, views: Sequence[str] | None) -> dict[str, Mapping[str, str]]:
    """The reports at a path, by study, by image id and by the image's file name."""
    kind = kind_of(path)
    if kind is None:
        raise InputError("these are no reports", "Give a CSV or JSON Lines file, or a data set's folder.", path=path)
    found: dict[str, Mapping[str, str]] = {}
    for report in reports_of(kind, path, views).reports():
        if isinstance(report, Report):
            image = Path(report.image.get("path", ""))
            for key in (report.study, report.image_id, image.name, image.stem):
                if key:
                    found[key] = report.sections
    return found
