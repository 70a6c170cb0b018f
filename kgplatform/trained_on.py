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

DRAWN: Final = "Phantom"
SYNTHETIC: Final = frozenset({DRAWN, "phantom"})  # data sets that this project draws: of studies, of questions


class DataSet(NamedTuple):
    """A data set by its name; whether its images are synthetic, None where nobody knows."""

    name: str
    synthetic: bool | None


TrainedOn = tuple[DataSet, ...]  # empty where a model's folder does not state it
NOT_STATED: Final = "the model's folder does not state what the model was trained on"
UNKNOWN: Final[TrainedOn] = (DataSet("unknown", None),)  # of weights that are not of this project


def of_names(names: Iterable[str]) -> TrainedOn:
    """Data sets by their names, each once."""
    known = {DRAWN if name in SYNTHETIC else name for name in names if name}
    return tuple(DataSet(name, name == DRAWN) for name in sorted(known))


def joined(*several: TrainedOn) -> TrainedOn:
    """All of them, each once: of a model that was trained in several steps."""
    return tuple(sorted({one for some in several for one in some}, key=lambda one: one.name))


def read(description: Mapping[str, Any]) -> TrainedOn:
    """What a model's description states; nothing where it has no such part, or another one than is written."""
    found = description.get("trained_on")
    if not isinstance(found, list):
        return ()
    rows = [row for row in found if isinstance(row, dict) and isinstance(row.get("name"), str)]
    return tuple(
        DataSet(row["name"], row.get("synthetic") if row.get("synthetic") in (True, False) else None) for row in rows
    )


def document(trained: TrainedOn) -> list[dict[str, Any]]:
    """As JSON."""
    return [one._asdict() for one in trained]


def listed(trained: TrainedOn) -> str:
    """In words, for a model card."""
    words = {True: "synthetic", False: "real", None: "not known whether synthetic"}
    return ", ".join(f"{one.name} ({words[one.synthetic]})" for one in trained) or "not stated"


def warnings(trained: TrainedOn, images: int, synthetic: int) -> list[str]:
    """What users of so many images, `synthetic` of them known to be so, are warned of."""
    others = images - synthetic
    if others <= 0 or not all(one.synthetic for one in trained):
        return []
    if not trained:
        return [NOT_STATED]
    names = ", ".join(one.name for one in trained)
    which = "the image is" if images == 1 else f"{others:,} of the {images:,} images are"
    return [
        f"the model was trained on synthetic images only ({names}), and {which} not known to be synthetic: "
        "do not rely on its results"
    ]


def is_synthetic(image: Path) -> bool:
    """Whether the image is one of those that `kgp phantom build` wrote into its folder."""
    from kgplatform.contents import LISTED

    place = image.resolve()
    for folder in place.parents:
        try:
            written = (folder / LISTED).stat().st_mtime_ns
        except OSError:
            continue
        if place.relative_to(folder).as_posix() in _drawn(folder, written):
            return True
    return False


@lru_cache(maxsize=8)
def _drawn(folder: Path, written: int) -> frozenset[str]:
    """The files of a study set that was `written` at that time, by their places below its folder."""
    from kgp_loaders.phantom.study_set import BY
    from kgplatform.contents import Contents

    found = Contents.read(folder)
    return frozenset(found.files) if found is not None and found.by == BY else frozenset()
