"""Pairs of an image and its report, for retrieval (MedMKG §4.2): read, sampled, split and written without the reports.

The text of a pair is the report's Findings and Impression, whole. Three protocols deal pairs out 8:1:1:

- ``subject``: all images of a patient are on one side (those of a study where the patient is not known)
- ``report``: all images of a study are
- ``paper``: by image, as the released code does. The frontal and the lateral image of a study are then often on two
  sides, and so is its report: the test's queries stand in training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgplatform import files, radiograph
from kgplatform.batches import Reject
from kgplatform.construct.report import SECTIONS, Report, ReportSource
from kgplatform.errors import InputError, UsageError
from kgplatform.files import replacing, with_metadata
from kgplatform.suggest import did_you_mean

KINDS: Final = ("openi", "mimic-cxr", "iu-xray")
PARTS: Final = ("train", "valid", "test")
SEED: Final = 42
COUNT: Final = 10_000  # pairs of MIMIC-CXR that the paper takes

NO_TEXT: Final = "the report has neither findings nor impression"
NO_IMAGE: Final = "there is no such image"
OUTSIDE: Final = "the image's path is empty, or leads out of the folder"
TWICE: Final = "the image stands there twice"

_COLUMNS: Final = ("image", "study", "subject", "view", "dataset", "part", "text_sha256")

Progress = Callable[[int, int | None], None]


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


def read(
    kind: str,
    folder: Path,
    *,
    images: Path | None = None,
    views: Sequence[str] = (),
    require_images: bool = True,
    studies: Set[str] | None = None,
    progress: Progress = lambda done, total: None,
) -> tuple[list[Pair], list[Reject]]:
    """The pairs of a data set, one an image of the views asked for (of all where none are), and what was left out: rows
    that are no report, reports without text, and images that are not there (but for `require_images` = False).

    The images' paths count from `images`, or from `folder` where that is not given. `studies` reads only these.
    Raises `UsageError` for an unknown kind and for views of a data set that does not tell them, and `InputError`.
    """
    root = images or (folder if folder.is_dir() else folder.parent)
    pairs: dict[str, Pair] = {}
    rejects: list[Reject] = []
    for number, found in enumerate(_reports(kind, folder, views, studies), 1):
        progress(number, None)
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        if studies is not None and found.study not in studies:
            continue
        if views and "view" not in found.image:
            raise UsageError(f"{folder} does not tell the views of its images", "Leave out the views.")
        pair = _pair(kind, found, root, apart=images is not None)
        problem = pair if isinstance(pair, str) else _problem(pair, pairs, require_images)
        if isinstance(pair, Pair) and problem is None:
            pairs[pair.image] = pair
        else:
            rejects.append(Reject(pair.path if isinstance(pair, Pair) else root, 1, str(problem)))
    return list(pairs.values()), rejects


def _reports(kind: str, folder: Path, views: Sequence[str], studies: Set[str] | None) -> Iterator[Report | Reject]:
    from kgp_loaders.iu_xray import IUXray
    from kgp_loaders.mimic_cxr import MIMICCXR
    from kgp_loaders.openi import OpenI

    if kind == "mimic-cxr":
        return MIMICCXR(folder, tuple(views), every_image=True).reports(studies)
    loaders: dict[str, Callable[..., ReportSource]] = {"openi": OpenI, "iu-xray": IUXray}
    if kind not in loaders:
        raise UsageError(f"there are no pairs of {kind}", did_you_mean(kind, KINDS, f"Kinds: {', '.join(KINDS)}."))
    return loaders[kind](folder, tuple(views), every_image=True).reports()


def _pair(kind: str, report: Report, root: Path, *, apart: bool) -> Pair | str:
    """The pair of a report and its image, or why there is none. `apart`: the images lie in a folder of their own."""
    place = PurePosixPath(report.image.get("path", ""))
    if not place.parts or place.is_absolute() or ".." in place.parts:
        return OUTSIDE
    name = place.stem
    if kind == "iu-xray":
        below = place.relative_to("images")  # R2Gen counts them from there
        if not below.parts:
            return OUTSIDE
        name = below.with_suffix("").as_posix()
        place = below if apart else place
    elif place.suffix.lower() not in radiograph.SUFFIXES:  # OpenI's XML form has bare ids
        name, place = place.name, place.with_name(f"{place.name}.png")
    if radiograph.place(root, place.as_posix()) is None:  # by a link
        return OUTSIDE
    path = root / place
    if kind == "mimic-cxr" and apart:
        from kgp_loaders.mimic_cxr import SUFFIXES

        path = next((there for suffix in SUFFIXES if (there := path.with_suffix(suffix)).is_file()), path)
    image = report.image
    return Pair(
        name, path, _text(report), report.study, image.get("subject_id", ""), image.get("view", ""), image["dataset"]
    )


def _text(report: Report) -> str:
    return " ".join(" ".join(report.sections.get(name, "") for name in SECTIONS).split())


def _problem(pair: Pair, pairs: Mapping[str, Pair], require_images: bool) -> str | None:
    """Why the pair is left out, if it is."""
    if pair.image in pairs:
        return TWICE
    if not pair.text:
        return NO_TEXT
    return NO_IMAGE if require_images and not pair.path.is_file() else None


def sample(pairs: Iterable[Pair], count: int = COUNT, seed: int = SEED) -> list[Pair]:
    """`count` of the pairs, by image: those with the lowest hashes, so that the order of the files does not matter and
    a larger sample holds the smaller one. All where there are no more.
    """
    chosen = sorted(pairs, key=lambda pair: _chance("sample", seed, pair.image))[:count]
    return sorted(chosen, key=lambda pair: pair.image)


def _chance(what: str, seed: int, *key: str) -> bytes:
    """A number that the seed and the key decide and nothing else does."""
    return hashlib.sha256("\0".join((what, str(seed), *key)).encode()).digest()


PROTOCOLS: Final[Mapping[str, Callable[[Pair], tuple[str, ...]]]] = {
    "subject": lambda pair: ("subject", pair.subject) if pair.subject else ("study", pair.study),
    "report": lambda pair: ("study", pair.study),
    "paper": lambda pair: ("image", pair.image),
}


def split(pairs: Iterable[Pair], protocol: str = "subject", seed: int = SEED) -> dict[str, list[Pair]]:
    """The pairs of each part, 8:1:1: groups in the order of their hashes are cut where their pairs make up 80 and 90
    percent, so that more pairs move few of those that were there. Raises `UsageError` where a part would be empty.
    """
    if protocol not in PROTOCOLS:
        hint = did_you_mean(protocol, PROTOCOLS, f"Protocols: {', '.join(PROTOCOLS)}.")
        raise UsageError(f"there is no protocol {protocol}", hint)
    pairs = sorted(pairs, key=lambda pair: pair.image)
    members: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        members.setdefault(PROTOCOLS[protocol](pair), []).append(pair)
    parts: dict[str, list[Pair]] = {part: [] for part in PARTS}
    reached = 0
    for group in sorted(members, key=lambda key: _chance("split", seed, *key)):
        reached += len(members[group])
        part = next(part for part, tenths in zip(PARTS, (8, 9, 10), strict=True) if 10 * reached <= tenths * len(pairs))
        parts[part] += members[group]
    if not all(parts.values()):
        raise UsageError(f"{len(pairs):,} pairs are too few to split by {protocol}", "Take more of them.")
    return {part: sorted(of_part, key=lambda pair: pair.image) for part, of_part in parts.items()}


def groups(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """A number for each pair, from 0 in order; the images that a text is to find have its number: those of the same
    study, and those whose report says the same (MedMKG: "images sharing the query text"), capitals aside.
    """
    parent = list(range(len(pairs)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    first: dict[tuple[str, ...], int] = {}
    for place, pair in enumerate(pairs):
        for key in (("study", pair.dataset, pair.study), ("text", pair.wording)):
            one, other = sorted((root(first.setdefault(key, place)), root(place)))
            parent[other] = one  # the first of a group is its root
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(place), len(numbers)) for place in range(len(pairs))], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class PairSet:
    """Pairs by part (``train``, ``valid``, ``test``), where they come from, and how they were dealt out."""

    parts: Mapping[str, Sequence[Pair]]
    kind: str
    folder: Path
    images: Path | None  # None: in the same folder
    protocol: str
    seed: int = SEED

    @property
    def pairs(self) -> list[Pair]:
        """All pairs, by part."""
        return [pair for part in PARTS for pair in self.parts[part]]

    @cached_property
    def sha256(self) -> str:
        """The hash of all that stands in the file but paths: image, study, subject, view, part, hash of the text."""
        return _digest(self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return sorted(
            (pair.image, pair.study, pair.subject, pair.view, pair.dataset, part, pair.text_sha256)
            for part in PARTS
            for pair in self.parts[part]
        )

    def write(self, path: Path) -> None:
        """Write the pairs as Parquet, without the reports; folders are kept relative to the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        here = path.parent.resolve()
        root = self.images or (self.folder if self.folder.is_dir() else self.folder.parent)
        places = {pair.image: Path(os.path.relpath(pair.path, root)).as_posix() for pair in self.pairs}
        rows = self._rows()
        columns: dict[str, list[str]] = {name: [row[i] for row in rows] for i, name in enumerate(_COLUMNS)}
        about = {
            "kind": self.kind,
            "folder": _relative(self.folder, here),
            "images": _relative(self.images, here) if self.images else "",
            "protocol": self.protocol,
            "seed": str(self.seed),
            "sha256": self.sha256,
        }
        columns["path"] = [places[image] for image in columns["image"]]
        with replacing(path, with_metadata("kind", "sha256", "protocol")) as staged:
            pq.write_table(pa.table(columns).replace_schema_metadata(about), staged)

    @classmethod
    def read(
        cls, path: Path, *, folder: Path | None = None, images: Path | None = None, require_images: bool = False
    ) -> PairSet:
        """The pairs in `path`, with their reports read again from where they were, or from `folder` and `images`.

        Raises `InputError` for a damaged file, and where a report (with `require_images`: an image) is gone or changed.
        """
        about, rows = _table(path)
        if _digest(rows) != about["sha256"]:
            raise InputError("does not match its hash", "Make the pairs again.", path=path)
        kind, folder = about["kind"], folder or path.parent / about["folder"]
        if images is None and about["images"]:
            images = path.parent / about["images"]
        found, _ = read(kind, folder, images=images, require_images=require_images, studies={row[1] for row in rows})
        there = {pair.image: pair for pair in found}
        parts: dict[str, list[Pair]] = {part: [] for part in PARTS}
        stale = 0
        for image, *told, part, text in rows:
            pair = there.get(image)
            if pair is None or [pair.study, pair.subject, pair.view, pair.dataset, pair.text_sha256] != [*told, text]:
                stale += 1
            else:
                parts[part].append(pair)
        if stale:
            what = f"is stale: of {len(rows):,} pairs, {stale:,} changed in {folder} or are gone"
            raise InputError(what, "Make the pairs again: kgp pairs.", path=path)
        return cls(parts, kind, folder, images, about["protocol"], int(about["seed"]))


def _digest(rows: Iterable[tuple[str, ...]]) -> str:
    return hashlib.sha256("\n".join("\0".join(row) for row in sorted(rows)).encode()).hexdigest()


def _relative(folder: Path, here: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), here)).as_posix()


def _table(path: Path) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    """The metadata and the rows of a file of pairs. Raises `InputError` for another file."""
    import pyarrow as pa

    try:
        table = files.read_parquet(path, _COLUMNS)
        about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        rows: list[Any] = list(zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True))
        whole = about["protocol"] in PROTOCOLS and int(about["seed"]) >= 0 and about["kind"] in KINDS
        known = whole and {"folder", "images", "sha256"} <= about.keys() and {row[5] for row in rows} == set(PARTS)
        sound = known and all(isinstance(value, str) for row in rows for value in row)
    except (OSError, pa.ArrowException, ValueError, KeyError, UnicodeDecodeError):
        sound = False
    if not sound:
        raise InputError("is no file of pairs of this program, or is damaged", "Make it again: kgp pairs.", path=path)
    return about, rows
