"""What a model was trained on, as its description states it, and which images that is far from.

A model's folder states it in its description (``trained_on``): a list of data sets, each with whether its images are
synthetic (true, false, or null where nobody knows), how many images and subjects they were, their licence, and a hash
of the list of images. A model that was trained on synthetic images alone says little about real ones, so that whoever
uses it on other images is warned.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from kgplatform.wording import counted

_T = TypeVar("_T")

SYNTHETIC_DATA_SET: Final = "Phantom"
STUDY_COMMAND: Final = "kgp phantom build --studies"  # the command whose folders hold synthetic radiographs
# Synthetic data sets of this project: studies, questions.
SYNTHETIC: Final = frozenset({SYNTHETIC_DATA_SET, "phantom"})


class DataSet(NamedTuple):
    """A data set by its name; whether its images are synthetic, None where nobody knows. Then what was used of it:
    images, subjects (None where the data do not state them), the licence, and a hash of the images' names.
    """

    name: str
    synthetic: bool | None
    images: int | None = None
    subjects: int | None = None
    licence: str | None = None
    sha256: str | None = None


class TrainingImage(NamedTuple):
    """An image of a training: its data set, a name that no other image of it has, and its subject, "" if unknown."""

    dataset: str
    name: str
    subject: str = ""


TrainedOn = tuple[DataSet, ...]  # empty where a model's folder does not state it
NOT_STATED: Final = "the model's folder does not state what the model was trained on"
UNKNOWN_DATA_SET: Final = "unknown"
UNKNOWN: Final[TrainedOn] = (DataSet(UNKNOWN_DATA_SET, None),)  # of weights that are not of this project


# Photographs, of which many models begin; they say nothing about radiographs, synthetic or real.
IMAGENET: Final = DataSet("ImageNet", False, 1_281_167, None, "ImageNet terms of access (research)")
_PHOTOGRAPHS: Final = frozenset({IMAGENET.name})
# Licences of data sets by name, as their publishers state them; images of OpenI are believed to be under this one.
LICENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        SYNTHETIC_DATA_SET: "Apache-2.0",
        "OpenI": "CC BY-NC-ND 4.0 (believed)",
        "IU X-ray": "CC BY-NC-ND 4.0 (believed)",
        "MIMIC-CXR": "PhysioNet Credentialed Health Data License 1.5.0",
        "VQA-RAD": "CC0 1.0",
        "SLAKE": "CC BY 4.0",
        "PathVQA": "MIT",
    }
)


def from_images(images: Iterable[TrainingImage]) -> TrainedOn:
    """The data sets of images, each once, with what was used of it; images without a data set count as unknown."""
    subjects_by_image: dict[str, dict[str, str]] = {}
    for image in images:
        set_name = SYNTHETIC_DATA_SET if image.dataset in SYNTHETIC else image.dataset or UNKNOWN_DATA_SET
        subjects_by_image.setdefault(set_name, {})[image.name] = image.subject
    return tuple(
        DataSet(
            set_name,
            None if set_name == UNKNOWN_DATA_SET else set_name == SYNTHETIC_DATA_SET,
            len(subjects),
            len(set(subjects.values())) if all(subjects.values()) else None,
            LICENCES.get(set_name),
            hashlib.sha256("\n".join(sorted(subjects)).encode()).hexdigest(),
        )
        for set_name, subjects in sorted(subjects_by_image.items())
    )


def merge_trained_on(*several: TrainedOn) -> TrainedOn:
    """All of them, each once: of a model that was trained in several steps. Of a data set that is in several of them
    the entry of most images counts.
    """
    largest_by_name: dict[str, DataSet] = {}
    for data_set in (data_set for trained_on in several for data_set in trained_on):
        previous = largest_by_name.setdefault(data_set.name, data_set)
        if (data_set.images or 0) > (previous.images or 0):
            largest_by_name[data_set.name] = data_set
    return tuple(sorted(largest_by_name.values(), key=lambda data_set: data_set.name))


def read_trained_on(description: Mapping[str, Any]) -> TrainedOn:
    """What a model's description states; nothing where it has no such part, or another one than is written."""
    stated = description.get("trained_on")
    if not isinstance(stated, list):
        return ()
    entries = [entry for entry in stated if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    return tuple(
        DataSet(
            entry["name"],
            entry.get("synthetic") if entry.get("synthetic") in (True, False) else None,
            _entry(entry, "images", int),
            _entry(entry, "subjects", int),
            _entry(entry, "licence", str),
            _entry(entry, "sha256", str),
        )
        for entry in entries
    )


def _entry(entry: Mapping[str, Any], name: str, kind: type[_T]) -> _T | None:
    value = entry.get(name)
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def document(trained: TrainedOn) -> list[dict[str, Any]]:
    """As JSON."""
    return [data_set._asdict() for data_set in trained]


_LABELS: Final[Mapping[bool | None, str]] = MappingProxyType(
    {True: "synthetic", False: "real", None: "not known whether synthetic"}
)


def describe_trained_on(trained: TrainedOn) -> str:
    """In words, for a model card."""
    return ", ".join(map(_describe, trained)) or "not stated"


def _describe(data_set: DataSet) -> str:
    parts = [_LABELS[data_set.synthetic]]
    if data_set.images is not None:
        parts.append(counted(data_set.images, "images"))
    if data_set.subjects is not None:
        parts.append(f"of {counted(data_set.subjects, 'subjects')}")
    if data_set.licence is not None:
        parts.append(data_set.licence)
    return f"{data_set.name} ({', '.join(parts).replace(', of ', ' of ')})"


def training_data_kind(trained: TrainedOn) -> str:
    """In a word, as the graph keeps it: ``synthetic``, ``real``, ``synthetic and real`` or ``unknown``; of a model that
    was trained on photographs alone ``photographs``, which otherwise do not count.
    """
    if trained and not _radiographs(trained):
        return "photographs"
    kinds = {data_set.synthetic for data_set in _radiographs(trained)}
    if not kinds or None in kinds:
        return "unknown"
    return "synthetic and real" if len(kinds) > 1 else _LABELS[kinds.pop()]


def synthetic_only(trained: TrainedOn) -> bool:
    """Whether a model states which radiographs it was trained on, and all of them are synthetic."""
    radiographs = _radiographs(trained)
    return bool(radiographs) and all(data_set.synthetic for data_set in radiographs)


def _radiographs(trained: TrainedOn) -> list[DataSet]:
    """The data sets of radiographs, or of images that may be some."""
    return [data_set for data_set in trained if data_set.name not in _PHOTOGRAPHS]


def training_data_warnings(trained: TrainedOn, images: int, synthetic: int) -> list[str]:
    """What users of so many images, `synthetic` of them known to be so, are warned of."""
    other_count = images - synthetic
    if other_count <= 0:
        return []
    if not trained:
        return [NOT_STATED]
    if not _radiographs(trained):
        return [f"the model was trained on no radiographs ({', '.join(data_set.name for data_set in trained)})"]
    if not synthetic_only(trained):
        return []
    set_names = ", ".join(data_set.name for data_set in _radiographs(trained))
    image_phrase = "the image is" if images == 1 else f"{other_count:,} of the {images:,} images are"
    return [
        f"the model was trained on synthetic images only ({set_names}), and {image_phrase} not known to be synthetic: "
        "do not rely on its results"
    ]


def unlike_warning(unlike: int, images: int) -> str:
    """What users are warned of whose images are far from those of the training."""
    phrase = "the image is" if images == 1 else f"{unlike:,} of {images:,} images are"
    return f"{phrase} unlike all images that the model was trained on: do not rely on its results"


def is_synthetic(image: Path) -> bool:
    """Whether the image is one of those that `kgp phantom build` wrote into its folder."""
    from kgplatform.contents import CONTENTS_FILE

    image_path = image.resolve()
    for folder in image_path.parents:
        try:
            modified_ns = (folder / CONTENTS_FILE).stat().st_mtime_ns
        except OSError:
            continue
        if image_path.relative_to(folder).as_posix() in _written_files(folder, modified_ns):
            return True
    return False


@lru_cache(maxsize=8)
def _written_files(folder: Path, written: int) -> frozenset[str]:
    """The files of a study set that was `written` at that time, by their places below its folder."""
    from kgplatform.contents import Contents

    folder_contents = Contents.read(folder)
    return (
        frozenset(folder_contents.files)
        if folder_contents is not None and folder_contents.by == STUDY_COMMAND
        else frozenset()
    )
