"""The images that a generator is to look at, each with its report where there is one."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Final, TypeVar

from kgplatform import radiograph
from kgplatform.batches import Reject
from kgplatform.construct.pipeline import open_reports
from kgplatform.construct.report import ReportSource
from kgplatform.errors import InputError
from kgplatform.schema import image_id
from kgplatform.wording import counted, counted_or_none

T = TypeVar("T")

OTHER_FILES: Final = f"files whose names do not end like an image's ({', '.join(radiograph.SUFFIXES)})"
UNUSED: Final = "reports of none of the images"
FOLDER: Final = "images"  # the data set of images that belong to no other
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
class GenerationInputs:
    """All images to look at, and what kept others out."""

    rows: Sequence[Input]
    rejects: Sequence[Reject] = ()
    credentialed: bool = True
    left_out: Mapping[str, int] = field(default_factory=dict)  # images that were not asked for, by reason


def inputs(
    images: Path,
    reports: Path | None = None,
    *,
    ids_by_path: Mapping[str, str],
    views: Sequence[str] | None = None,
    with_reports: bool = True,
    any_modality: bool = False,
    every_image: bool = False,
) -> GenerationInputs:
    """The images at a path: a data set (MIMIC-CXR, OpenI, IU X-ray), a table of reports with paths of images, a folder
    of pictures, or one picture. `ids_by_path` has the graph's images by their paths: a picture with that path, or with
    the name at its end where that is long enough to tell, is that image. Another one's id is of what is in the file.

    With `every_image` a data set gives all images of a study, which may have one id in the graph. Without
    `any_modality`, DICOM files whose header states that they are no radiograph are left out.

    Raises `InputError` where there is nothing of that kind, where no image is left, and where `reports` has none of
    these images.
    """
    image_inputs = _all_inputs(images, reports, ids_by_path, views, with_reports, every_image=every_image)
    return image_inputs if any_modality else _some(_radiographs(image_inputs, images), images)


def _radiographs(image_inputs: GenerationInputs, images: Path) -> GenerationInputs:
    """The inputs without DICOM files that are no radiographs. Raises `InputError` where `images` itself is one."""
    rows: list[Input] = []
    rejects = list(image_inputs.rejects)
    for image_input in image_inputs.rows:
        try:
            if image_input.path is not None:
                radiograph.require_radiograph(image_input.path)
        except InputError as error:
            if image_input.path == images:
                raise
            rejects.append(Reject(image_input.path or images, 1, f"{error.problem} (--any-modality processes it)"))
        else:
            rows.append(image_input)
    return replace(image_inputs, rows=rows, rejects=rejects)


def _all_inputs(
    images: Path,
    reports: Path | None,
    ids_by_path: Mapping[str, str],
    views: Sequence[str] | None,
    with_reports: bool,
    *,
    every_image: bool,
) -> GenerationInputs:
    """The images of every modality."""
    kind = loader_kind(images)
    if kind is not None:
        source = open_reports(kind, images, views, every_image=every_image)
        return _some(_dataset_inputs(source, images, reports, with_reports), images)
    left_out_counts: Counter[str] = Counter()
    image_paths, outside_rejects = _inside(images, _pictures(images, reports, left_out_counts))
    if not image_paths and not outside_rejects:
        hint = f"Give a folder with {', '.join(radiograph.SUFFIXES)} files, a data set, or a table of reports."
        files_note = "".join(f": {counted(count, reason)}" for reason, count in left_out_counts.items())
        raise InputError(f"there is no image here{files_note}", hint, path=images)
    sections_by_key, report_rejects = ({}, []) if reports is None else _sections_by_name(reports, views)
    ids_by_key = _unique(
        (path_key, image_id)
        for image_path, image_id in ids_by_path.items()
        for path_key in _keys(image_path, short=False)
    )
    shared_stems = {
        stem for stem, stem_count in Counter(image_path.stem for image_path in image_paths).items() if stem_count > 1
    }
    inputs_by_id: dict[str, Input] = {}
    for image_path in image_paths:
        image_input = _picture(
            image_path, images, ids_by_key, sections_by_key, has_unique_stem=image_path.stem not in shared_stems
        )
        first_input = inputs_by_id.setdefault(image_input.id, image_input)
        if first_input is not image_input:
            report_rejects.append(Reject(image_path, 1, f"the same image as {first_input.path}"))
            if image_input.sections and not first_input.sections:  # the report names the copy
                inputs_by_id[image_input.id] = replace(first_input, sections=image_input.sections)
    _count_unused(sections_by_key, inputs_by_id.values(), left_out_counts)
    image_inputs = GenerationInputs(
        list(inputs_by_id.values()), [*outside_rejects, *report_rejects], left_out=left_out_counts
    )
    return _refuse_foreign(_some(image_inputs, images), reports)


def _count_unused(
    sections_by_key: Mapping[str, Mapping[str, str]], image_inputs: Iterable[Input], left_out_counts: Counter[str]
) -> None:
    """Count the reports that are of none of the images."""
    used_reports = {id(image_input.sections) for image_input in image_inputs}
    if unused_count := len({id(sections) for sections in sections_by_key.values()} - used_reports):
        left_out_counts[UNUSED] += unused_count


def _inside(root_folder: Path, image_paths: Iterable[Path]) -> tuple[list[Path], list[Reject]]:
    """The images that lie below the folder, and rejects for links that lead out of it."""
    inside_paths: list[Path] = []
    outside_rejects: list[Reject] = []
    for image_path in image_paths:
        if (
            image_path == root_folder
            or radiograph.resolve_image_path(root_folder, image_path.relative_to(root_folder).as_posix()) is not None
        ):
            inside_paths.append(image_path)
        else:
            outside_rejects.append(Reject(image_path, 1, "the link points outside the folder"))
    return inside_paths, outside_rejects


def _some(image_inputs: GenerationInputs, images: Path) -> GenerationInputs:
    """The inputs unchanged. Raises `InputError` where they have no image."""
    if not image_inputs.rows:
        reject_note = (
            f"; {counted(len(image_inputs.rejects), 'rows')} left out, the first: {image_inputs.rejects[0].reason}"
            if image_inputs.rejects
            else ""
        )
        left_out_note = "".join(
            f"; {counted_or_none(count, reason)}" for reason, count in image_inputs.left_out.items()
        )
        raise InputError(
            f"there is no image here{reject_note}{left_out_note}", "Check the files, or --views.", path=images
        )
    return image_inputs


def _refuse_foreign(image_inputs: GenerationInputs, reports: Path | None) -> GenerationInputs:
    """The inputs unchanged. Raises `InputError` where reports were given, and none is of these images."""
    if reports is not None and not any(image_input.sections for image_input in image_inputs.rows):
        hint = "They are matched by the image's path, its file name, the study or the image's id."
        raise InputError("none of these reports belongs to one of the images", hint, path=reports)
    return image_inputs


def loader_kind(path: Path) -> str | None:
    """Which loader of reports reads that path; None for plain pictures."""
    if path.is_file():
        return "reports" if path.suffix.lower() in _TABLES else None
    if not path.is_dir():
        problem = "is not a regular file" if path.exists() else "no such file or folder"
        raise InputError(problem, "Check the path.", path=path)
    file_names = {member.name for member in path.iterdir()}
    if any(_MIMIC.fullmatch(file_name) for file_name in file_names):
        return "mimic-cxr"
    if "indiana_reports.csv" in file_names:
        return "openi"
    return "iu-xray" if "annotation.json" in file_names else None


def _dataset_inputs(
    source: ReportSource, source_path: Path, reports_path: Path | None, with_reports: bool
) -> GenerationInputs:
    """The images of a data set; another file's reports count before its own."""
    sections_by_key, rejects = ({}, []) if reports_path is None else _sections_by_name(reports_path, None)
    base_folder = source_path if source_path.is_dir() else source_path.parent
    image_inputs = []
    for source_report in source.reports():
        if isinstance(source_report, Reject):
            rejects.append(source_report)
            continue
        relative_path = source_report.image.get("path")
        image_path = None if relative_path is None else radiograph.find_image(base_folder, relative_path)
        sections = sections_by_key.get(source_report.study) or (source_report.sections if with_reports else {})
        image_inputs.append(Input(source_report.image_id, image_path, source_report.image, sections))
    is_credentialed = source.credentialed or reports_path is not None  # of another file it is not known
    left_out_counts = dict(getattr(source, "left_out", {}))
    return _refuse_foreign(GenerationInputs(image_inputs, rejects, is_credentialed, left_out_counts), reports_path)


def _pictures(images_path: Path, reports_path: Path | None, left_out_counts: Counter[str]) -> Iterator[Path]:
    """The radiographs at a path, by name; one by content, so that a .dcm next to a .png of its name is not two. Other
    files are counted but for the table of reports.
    """
    if images_path.is_file():
        yield images_path
        return
    visited_stems: set[Path] = set()
    for image_path in sorted(images_path.rglob("*")):
        if not image_path.is_file():
            continue
        if image_path.suffix.lower() not in radiograph.SUFFIXES:
            if image_path != reports_path and not image_path.name.startswith("."):
                left_out_counts[OTHER_FILES] += 1
            continue
        image_stem = image_path.with_suffix("")
        if image_stem in visited_stems:
            left_out_counts["further files of an image, with its name and another ending"] += 1
            continue
        visited_stems.add(image_stem)
        yield image_path


def _picture(
    image_path: Path,
    images_path: Path,
    ids_by_key: Mapping[str, str],
    sections_by_key: Mapping[str, Mapping[str, str]],
    *,
    has_unique_stem: bool,
) -> Input:
    """The picture with its report. Without `has_unique_stem` it is known by its path only."""
    relative_path = image_path.relative_to(images_path).as_posix() if images_path.is_dir() else image_path.name
    matched_id = _lookup(ids_by_key, image_path, has_unique_stem)
    sections = (
        _lookup(sections_by_key, image_path, has_unique_stem)
        or (sections_by_key.get(matched_id) if matched_id is not None else None)
        or {}
    )
    if matched_id is not None:
        return Input(matched_id, image_path, {}, sections)
    try:
        with image_path.open("rb") as image_file:
            image_digest = hashlib.file_digest(image_file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", "Check the file.", path=image_path) from None
    return Input(image_id(FOLDER, image_digest), image_path, {"dataset": FOLDER, "path": relative_path}, sections)


def _sections_by_name(
    reports_path: Path, views: Sequence[str] | None
) -> tuple[dict[str, Mapping[str, str]], list[Reject]]:
    """The reports at a path, by study, by image id and by the image's path or name; and rows that are no report."""
    kind = loader_kind(reports_path)
    if kind is None:
        raise InputError(
            "these are not reports", "Give a CSV or JSON Lines file, or a data set's folder.", path=reports_path
        )
    keyed_sections: list[tuple[str, Mapping[str, str]]] = []
    rejects = []
    for source_report in open_reports(kind, reports_path, views).reports():
        if isinstance(source_report, Reject):
            rejects.append(source_report)
            continue
        image_path = source_report.image.get("path")
        report_keys = {
            source_report.study,
            source_report.image_id,
            *(() if image_path is None else _keys(image_path, short=True)),
        }
        keyed_sections.extend((report_key, source_report.sections) for report_key in report_keys)
    return _unique(keyed_sections), rejects


def _keys(image_path: str, *, short: bool) -> set[str]:
    """What an image of that path is found by: the path, and its name where that shows what it is; a `short` one does
    among files of one folder.
    """
    pure_path = PurePosixPath(image_path)
    is_distinctive = len(pure_path.stem) >= DISTINCTIVE or (short and "/" not in image_path)
    return ({image_path} if "/" in image_path else set()) | (
        {pure_path.name, pure_path.stem} if is_distinctive else set()
    )


def _unique(keyed_values: Iterable[tuple[str, T]]) -> dict[str, T]:
    """What each key means; not those that mean several things."""
    value_by_key: dict[str, T] = {}
    ambiguous_keys = set()
    for key, value in keyed_values:
        if value_by_key.setdefault(key, value) != value:
            ambiguous_keys.add(key)
    return {key: value for key, value in value_by_key.items() if key not in ambiguous_keys}


def _lookup(value_by_key: Mapping[str, T], image_path: Path, has_unique_stem: bool) -> T | None:
    """What the longest end of the path means; its name counts only with `has_unique_stem`."""
    path_parts = image_path.resolve().parts
    path_ends = ["/".join(path_parts[-part_count:]) for part_count in range(len(path_parts) - 1, 1, -1)]
    return next(
        (
            value_by_key[key]
            for key in (*path_ends, *((image_path.name, image_path.stem) if has_unique_stem else ()))
            if key in value_by_key
        ),
        None,
    )
