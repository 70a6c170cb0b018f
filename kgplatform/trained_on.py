"""What a model was trained on, as its description states it, and which images that is far from.

A model's folder states it in its description (``trained_on``): a list of data sets, each with whether its images are
synthetic (true, false, or null where nobody knows). A model that was trained on synthetic images alone says little
about real ones, so that whoever uses it on other images is warned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

SYNTHETIC_DATA_SET: Final = "Phantom"
STUDY_COMMAND: Final = "kgp phantom build --studies"  # the command whose folders hold synthetic radiographs
# Synthetic data sets of this project: studies, questions.
SYNTHETIC: Final = frozenset({SYNTHETIC_DATA_SET, "phantom"})


class DataSet(NamedTuple):
    """A data set by its name; whether its images are synthetic, None where nobody knows."""

    name: str
    synthetic: bool | None


TrainedOn = tuple[DataSet, ...]  # empty where a model's folder does not state it
NOT_STATED: Final = "the model's folder does not state what the model was trained on"
UNKNOWN: Final[TrainedOn] = (DataSet("unknown", None),)  # of weights that are not of this project


def from_names(names: Iterable[str]) -> TrainedOn:
    """Data sets by their names, each once."""
    unique_names = {SYNTHETIC_DATA_SET if set_name in SYNTHETIC else set_name for set_name in names if set_name}
    return tuple(DataSet(set_name, set_name == SYNTHETIC_DATA_SET) for set_name in sorted(unique_names))


def merge_trained_on(*several: TrainedOn) -> TrainedOn:
    """All of them, each once: of a model that was trained in several steps."""
    return tuple(
        sorted({data_set for trained_on in several for data_set in trained_on}, key=lambda data_set: data_set.name)
    )


def read_trained_on(description: Mapping[str, Any]) -> TrainedOn:
    """What a model's description states; nothing where it has no such part, or another one than is written."""
    stated = description.get("trained_on")
    if not isinstance(stated, list):
        return ()
    entries = [entry for entry in stated if isinstance(entry, dict) and isinstance(entry.get("name"), str)]
    return tuple(
        DataSet(entry["name"], entry.get("synthetic") if entry.get("synthetic") in (True, False) else None)
        for entry in entries
    )


def document(trained: TrainedOn) -> list[dict[str, Any]]:
    """As JSON."""
    return [data_set._asdict() for data_set in trained]


def describe_trained_on(trained: TrainedOn) -> str:
    """In words, for a model card."""
    labels = {True: "synthetic", False: "real", None: "not known whether synthetic"}
    return ", ".join(f"{data_set.name} ({labels[data_set.synthetic]})" for data_set in trained) or "not stated"


def synthetic_only(trained: TrainedOn) -> bool:
    """Whether a model states what it was trained on, and all of it is synthetic."""
    return bool(trained) and all(data_set.synthetic for data_set in trained)


def training_data_warnings(trained: TrainedOn, images: int, synthetic: int) -> list[str]:
    """What users of so many images, `synthetic` of them known to be so, are warned of."""
    other_count = images - synthetic
    if other_count <= 0:
        return []
    if not trained:
        return [NOT_STATED]
    if not synthetic_only(trained):
        return []
    set_names = ", ".join(data_set.name for data_set in trained)
    image_phrase = "the image is" if images == 1 else f"{other_count:,} of the {images:,} images are"
    return [
        f"the model was trained on synthetic images only ({set_names}), and {image_phrase} not known to be synthetic: "
        "do not rely on its results"
    ]


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
