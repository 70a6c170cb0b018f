"""The images that a generator is to look at, each with its report where there is one."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from kgplatform import radiograph
from kgplatform.batches import Reject
from kgplatform.construct.pipeline import reports_of
from kgplatform.construct.report import ReportSource
from kgplatform.errors import InputError
from kgplatform.wording import counted

T = TypeVar("T")

FOLDER: Final = "images"  # the data set of pictures that belong to none
DISTINCTIVE: Final = 8  # characters of a file's name that tell what it is: "0.png" is in every folder
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
    left_out: Mapping[str, int] = field(default_factory=dict)  # images that were not asked for, by reason


def inputs(
    images: Path,
    reports: Path | None = None,
    *,
    known: Mapping[str, str],
    views: Sequence[str] | None = None,
    with_reports: bool = True,
) -> Inputs:
    """The images at a path: a data set (MIMIC-CXR, OpenI, IU X-ray), a table of reports with paths of images, a folder
    of pictures, or one picture. `known` has the graph's images by their paths: a picture with that path, or with the
    name at its end where that is long enough to tell, is that image. Another one's id is of what is in the file.

    Raises `InputError` where there is nothing of that kind, where no image is left, and where `reports` has none of
    these images.
    """
    kind = kind_of(images)
    if kind is not None:
        return _some(_of_reports(reports_of(kind, images, views), images, reports, with_reports), images)
    left_out: Counter[str] = Counter()
    pictures, outside = _inside(images, _pictures(images, left_out))
    if not pictures and not outside:
        hint = f"Give a folder with {', '.join(radiograph.SUFFIXES)} files, a data set, or a table of reports."
        raise InputError("there is no image here", hint, path=images)
    said, rejects = ({}, []) if reports is None else _sections_by_name(reports, views)
    there = _unique((key, image) for path, image in known.items() for key in _keys(path, short=False))
    shared = {stem for stem, count in Counter(path.stem for path in pictures).items() if count > 1}
    rows: dict[str, Input] = {}
    for path in pictures:
        row = _picture(path, images, there, said, alone=path.stem not in shared)
        if row.id in rows:
            rejects.append(Reject(path, 1, f"the same picture as {rows[row.id].path}"))
        rows.setdefault(row.id, row)
    found = Inputs(list(rows.values()), [*outside, *rejects], left_out=left_out)
    return _refuse_foreign(_some(found, images), reports)


def _inside(root: Path, images: Iterable[Path]) -> tuple[list[Path], list[Reject]]:
    """The images that lie below the folder, and rejects for links that lead out of it."""
    found: list[Path] = []
    outside: list[Reject] = []
    for path in images:
        if path == root or radiograph.place(root, path.relative_to(root).as_posix()) is not None:
            found.append(path)
        else:
            outside.append(Reject(path, 1, "the link leads out of the folder"))
    return found, outside


def _some(found: Inputs, images: Path) -> Inputs:
    """The inputs as they are. Raises `InputError` where they have no image."""
    if not found.rows:
        first = (
            f"; {counted(len(found.rejects), 'rows')} left out, the first: {found.rejects[0].reason}"
            if found.rejects
            else ""
        )
        others = "".join(f"; {counted(count, reason)}" for reason, count in found.left_out.items())
        raise InputError(f"there is no image here{first}{others}", "Check the files, or --views.", path=images)
    return found


def _refuse_foreign(found: Inputs, reports: Path | None) -> Inputs:
    """The inputs as they are. Raises `InputError` where reports were given, and none is of these images."""
    if reports is not None and not any(row.sections for row in found.rows):
        hint = "They are matched by the image's path, its file name, the study or the image's id."
        raise InputError("none of these reports is of one of the images", hint, path=reports)
    return found


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
    said, rejects = ({}, []) if other is None else _sections_by_name(other, None)
    below = root if root.is_dir() else root.parent
    rows = []
    for found in source.reports():
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        path = found.image.get("path")
        place = None if path is None else radiograph.place(below, path)
        sections = said.get(found.study) or (found.sections if with_reports else {})
        rows.append(Input(found.image_id, place, found.image, sections))
    credentialed = source.credentialed or other is not None  # of another file nobody knows
    left_out = dict(getattr(source, "left_out", {}))
    return _refuse_foreign(Inputs(rows, rejects, credentialed, left_out), other)


def _pictures(images: Path, left_out: Counter[str]) -> Iterator[Path]:
    """The radiographs at a path, by name; one by content, so that a .dcm beside a .png of its name is not two."""
    if images.is_file():
        yield images
        return
    seen: set[Path] = set()
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in radiograph.SUFFIXES and path.is_file():
            stem = path.with_suffix("")
            if stem in seen:
                left_out["further files of an image, with its name and another ending"] += 1
                continue
            seen.add(stem)
            yield path


def _picture(
    path: Path, root: Path, known: Mapping[str, str], said: Mapping[str, Mapping[str, str]], *, alone: bool
) -> Input:
    """The picture with its report. One that is not `alone` with its name is known by its path only."""
    from kgp_loaders.reports import image_id

    name = path.relative_to(root).as_posix() if root.is_dir() else path.name
    there = _lookup(known, path, alone)
    sections = _lookup(said, path, alone) or (said.get(there) if there is not None else None) or {}
    if there is not None:
        return Input(there, path, {}, sections)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", "Check the file.", path=path) from None
    return Input(image_id(FOLDER, digest), path, {"dataset": FOLDER, "path": name}, sections)


def _sections_by_name(path: Path, views: Sequence[str] | None) -> tuple[dict[str, Mapping[str, str]], list[Reject]]:
    """The reports at a path, by study, by image id and by the image's path or name; and rows that are no report."""
    kind = kind_of(path)
    if kind is None:
        raise InputError("these are no reports", "Give a CSV or JSON Lines file, or a data set's folder.", path=path)
    pairs: list[tuple[str, Mapping[str, str]]] = []
    rejects = []
    for found in reports_of(kind, path, views).reports():
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        place = found.image.get("path")
        keys = {found.study, found.image_id, *(() if place is None else _keys(place, short=True))}
        pairs.extend((key, found.sections) for key in keys)
    return _unique(pairs), rejects


def _keys(path: str, *, short: bool) -> set[str]:
    """What an image of that path is found by: the path, and its name where that tells what it is; a `short` one does
    among files of one folder.
    """
    name = PurePosixPath(path)
    tells = len(name.stem) >= DISTINCTIVE or (short and "/" not in path)
    return ({path} if "/" in path else set()) | ({name.name, name.stem} if tells else set())


def _unique(pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    """What each key means; not those that mean several things."""
    found: dict[str, T] = {}
    several = set()
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            several.add(key)
    return {key: value for key, value in found.items() if key not in several}


def _lookup(named: Mapping[str, T], path: Path, alone: bool) -> T | None:
    """What the longest end of the path means; its name counts only where it is `alone` with that."""
    parts = path.resolve().parts
    ends = ["/".join(parts[-count:]) for count in range(len(parts) - 1, 1, -1)]
    return next((named[key] for key in (*ends, *((path.name, path.stem) if alone else ())) if key in named), None)
