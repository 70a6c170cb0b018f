"""A pair of an image and its report, made from a report of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final

from kgplatform import plugins, radiograph
from kgplatform.construct.report import SECTIONS, Report
from kgplatform.errors import UsageError
from kgplatform.suggest import did_you_mean

KINDS: Final = ("openi", "mimic-cxr", "iu-xray")

NO_TEXT: Final = "the report has neither findings nor impression"
NO_IMAGE: Final = "there is no such image"
OUTSIDE: Final = "the image's path is empty, or points outside the folder"
TWICE: Final = "the image is listed twice"


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, by a name that no other has and by where it lies (or would), and the text of its report."""

    image: str
    path: Path
    text: str = field(repr=False)  # never in a log
    study: str
    subject: str  # "" where it is not known
    view: str
    dataset: str

    @property
    def text_sha256(self) -> str:
        """The hash of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def wording(self) -> str:
        """What two texts have in common that say the same: the text without its capitals."""
        return self.text.casefold()


def pair_source(kind: str, folder: Path, views: Sequence[str]) -> Any:
    """The loader of a data set's reports. Raises `UsageError` for an unknown kind."""
    if kind not in KINDS:
        raise UsageError(f"there are no pairs of {kind}", did_you_mean(kind, KINDS, f"Kinds: {', '.join(KINDS)}."))
    return plugins.load_plugin("reports", kind, "loader of reports")(folder, tuple(views), every_image=True)


def report_pair(kind: str, report: Report, images_root: Path, *, apart: bool) -> Pair | str:
    """The pair of a report and its image, or why there is none. `apart`: the images are in a folder of their own."""
    image_path = PurePosixPath(report.image.get("path", ""))
    if not image_path.parts or image_path.is_absolute() or ".." in image_path.parts:
        return OUTSIDE
    image_name = image_path.stem
    if kind == "iu-xray":
        inner_path = image_path.relative_to("images")  # R2Gen counts them from there
        if not inner_path.parts:
            return OUTSIDE
        image_name = inner_path.with_suffix("").as_posix()
        image_path = inner_path if apart else image_path
    elif image_path.suffix.lower() not in radiograph.SUFFIXES:  # OpenI's XML form has bare ids
        image_name, image_path = image_path.name, image_path.with_name(f"{image_path.name}.png")
    if radiograph.resolve_image_path(images_root, image_path.as_posix()) is None:  # by a link
        return OUTSIDE
    full_path = radiograph.find_image(images_root, image_path.as_posix()) or images_root / image_path
    if kind == "openi" and not full_path.is_file():
        full_path = next((path for path in _names_with_xml(full_path, report.study) if path.is_file()), full_path)
    image_fields = report.image
    return Pair(
        image_name,
        full_path,
        _text(report),
        report.study,
        image_fields.get("subject_id", ""),
        image_fields.get("view", ""),
        image_fields["dataset"],
    )


def _names_with_xml(image_path: Path, study: str) -> list[Path]:
    """The names that the images have where OpenI's reports come as XML, of `1_IM-0001-3001.dcm.png` of the CSV form."""
    image_id = image_path.name.removesuffix(".dcm.png")
    return [image_path.with_name(f"{prefix}{image_id}.png") for prefix in (f"CXR{study}_", "CXR")]


def _text(report: Report) -> str:
    return " ".join(" ".join(report.sections.get(section_name, "") for section_name in SECTIONS).split())


def pair_problem(pair: Pair, pairs_by_image: Mapping[str, Pair], require_images: bool) -> str | None:
    """Why the pair is left out, if it is."""
    if pair.image in pairs_by_image:
        return TWICE
    if not pair.text:
        return NO_TEXT
    return NO_IMAGE if require_images and not pair.path.is_file() else None
