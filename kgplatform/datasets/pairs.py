"""Pairs of an image and its report, for retrieval (MedMKG §4.2): read, sampled, split and written without the reports.

The text of a pair is the report's Findings and Impression, whole. Three protocols deal pairs out 8:1:1:

- ``subject``: all images of a patient are on one side (those of a study where the patient is not known)
- ``report``: all images of a study are
- ``paper``: by image, as the released code does. The frontal and the lateral image of a study are then often on two
  sides, and so is its report: the test's queries are in training.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgplatform import parquet
from kgplatform.batches import Reject
from kgplatform.datasets.pair_source import KINDS, Pair, pair_problem, pair_source, report_pair
from kgplatform.errors import InputError, UsageError
from kgplatform.files import replacing
from kgplatform.parquet import with_metadata
from kgplatform.progress import Progress, no_progress
from kgplatform.suggest import did_you_mean

PARTS: Final = ("train", "valid", "test")
SEED: Final = 42
COUNT: Final = 10_000  # pairs of MIMIC-CXR that the paper takes

_COLUMNS: Final = ("image", "study", "subject", "view", "dataset", "part", "text_sha256")


class ReadPairs(NamedTuple):
    """The pairs of a data set, the rows and images that are no pair, and how many images the loader did not select, by
    reason.
    """

    pairs: list[Pair]
    rejects: list[Reject]
    left_out: Mapping[str, int]


def read_pairs(
    kind: str,
    folder: Path,
    *,
    images: Path | None = None,
    views: Sequence[str] = (),
    require_images: bool = True,
    studies: Set[str] | None = None,
    progress: Progress = no_progress,
) -> ReadPairs:
    """The pairs of a data set, one an image of the views asked for (of all where none are), and what was left out: rows
    that are no report, reports without text, and images that are missing (but for `require_images` = False).

    The images' paths count from `images`, or from `folder` where that is not given. `studies` reads only these. Raises
    `UsageError` for an unknown kind and for views of a data set that does not state them, and `InputError`.
    """
    images_root = images or (folder if folder.is_dir() else folder.parent)
    pairs_by_image: dict[str, Pair] = {}
    rejects: list[Reject] = []
    source = pair_source(kind, folder, views)
    source_reports = source.reports(studies) if kind == "mimic-cxr" else source.reports()
    for report_number, source_report in enumerate(source_reports, 1):
        progress(report_number, None)
        if isinstance(source_report, Reject):
            rejects.append(source_report)
            continue
        if studies is not None and source_report.study not in studies:
            continue
        if views and "view" not in source_report.image:
            raise UsageError(f"{folder} does not contain the views of its images", "Leave out the views.")
        pair = report_pair(kind, source_report, images_root, apart=images is not None)
        problem = pair if isinstance(pair, str) else pair_problem(pair, pairs_by_image, require_images)
        if isinstance(pair, Pair) and problem is None:
            pairs_by_image[pair.image] = pair
        else:
            rejects.append(Reject(pair.path if isinstance(pair, Pair) else images_root, 1, str(problem)))
    return ReadPairs(list(pairs_by_image.values()), rejects, dict(getattr(source, "left_out", {})))


def sample_pairs(pairs: Iterable[Pair], count: int = COUNT, seed: int = SEED) -> list[Pair]:
    """`count` of the pairs, by image: those with the lowest hashes, so that the order of the files does not matter and
    a larger sample holds the smaller one. All where there are no more.
    """
    chosen_pairs = sorted(pairs, key=lambda pair: _chance("sample", seed, pair.image))[:count]
    return sorted(chosen_pairs, key=lambda pair: pair.image)


def _chance(purpose: str, seed: int, *key: str) -> bytes:
    """A number that the seed and the key decide and nothing else does."""
    return hashlib.sha256("\0".join((purpose, str(seed), *key)).encode()).digest()


PROTOCOLS: Final[Mapping[str, Callable[[Pair], tuple[str, ...]]]] = {
    "subject": lambda pair: ("subject", pair.subject) if pair.subject else ("study", pair.study),
    "report": lambda pair: ("study", pair.study),
    "paper": lambda pair: ("image", pair.image),
}


def partition_pairs(pairs: Iterable[Pair], protocol: str = "subject", seed: int = SEED) -> dict[str, list[Pair]]:
    """The pairs of each part, 8:1:1: groups in the order of their hashes are cut where their pairs make up 80 and 90
    percent, so that more pairs move few of those that were there. Raises `UsageError` where a part would be empty.
    """
    if protocol not in PROTOCOLS:
        hint = did_you_mean(protocol, PROTOCOLS, f"Protocols: {', '.join(PROTOCOLS)}.")
        raise UsageError(f"there is no protocol {protocol}", hint)
    pairs = sorted(pairs, key=lambda pair: pair.image)
    pairs_by_group: dict[tuple[str, ...], list[Pair]] = {}
    for pair in pairs:
        pairs_by_group.setdefault(PROTOCOLS[protocol](pair), []).append(pair)
    pairs_by_part: dict[str, list[Pair]] = {part_name: [] for part_name in PARTS}
    cumulative_count = 0
    for group in sorted(pairs_by_group, key=lambda group_key: _chance("split", seed, *group_key)):
        cumulative_count += len(pairs_by_group[group])
        part_name = next(
            part_name
            for part_name, limit_tenths in zip(PARTS, (8, 9, 10), strict=True)
            if 10 * cumulative_count <= limit_tenths * len(pairs)
        )
        pairs_by_part[part_name] += pairs_by_group[group]
    if not all(pairs_by_part.values()):
        raise UsageError(f"{len(pairs):,} pairs are too few to split by {protocol}", "Use more pairs.")
    return {
        part_name: sorted(part_pairs, key=lambda pair: pair.image) for part_name, part_pairs in pairs_by_part.items()
    }


def pair_groups(pairs: Sequence[Pair]) -> NDArray[np.int64]:
    """A number for each pair, from 0 in order; the images that a text is to find have its number: those of the same
    study, and those whose report says the same (MedMKG: "images sharing the query text"), capitals aside.
    """
    parents = list(range(len(pairs)))

    def root(pair_index: int) -> int:
        while parents[pair_index] != pair_index:
            parents[pair_index] = pair_index = parents[parents[pair_index]]
        return pair_index

    first_indices: dict[tuple[str, ...], int] = {}
    for pair_index, pair in enumerate(pairs):
        for group_key in (("study", pair.dataset, pair.study), ("text", pair.wording)):
            first_root, second_root = sorted((root(first_indices.setdefault(group_key, pair_index)), root(pair_index)))
            parents[second_root] = first_root  # the first of a group is its root
    group_numbers: dict[int, int] = {}
    return np.array(
        [group_numbers.setdefault(root(pair_index), len(group_numbers)) for pair_index in range(len(pairs))],
        dtype=np.int64,
    )


def gallery_groups(pairs: Sequence[Pair], others: Sequence[Pair]) -> NDArray[np.int64]:
    """The numbers of pairs and then of others, whose images are searched among, too: one with an equal report is
    relevant. Raises `ValueError` where the others are of the same studies.
    """
    groups = pair_groups([*pairs, *others])
    if not np.array_equal(groups[: len(pairs)], pair_groups(pairs)):
        raise ValueError("further images are of the studies that are searched for")
    return groups


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
        return [pair for part_name in PARTS for pair in self.parts[part_name]]

    @cached_property
    def sha256(self) -> str:
        """The hash of everything in the file except paths: image, study, subject, view, part, hash of the text."""
        return _digest(self._rows())

    def _rows(self) -> list[tuple[str, ...]]:
        return sorted(
            (pair.image, pair.study, pair.subject, pair.view, pair.dataset, part_name, pair.text_sha256)
            for part_name in PARTS
            for pair in self.parts[part_name]
        )

    def write(self, path: Path) -> None:
        """Write the pairs as Parquet, without the reports; folders are kept relative to the file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        file_folder = path.parent.resolve()
        images_root = self.images or (self.folder if self.folder.is_dir() else self.folder.parent)
        path_by_image = {pair.image: Path(os.path.relpath(pair.path, images_root)).as_posix() for pair in self.pairs}
        pair_rows = self._rows()
        pair_columns: dict[str, list[str]] = {
            column_name: [pair_row[column_index] for pair_row in pair_rows]
            for column_index, column_name in enumerate(_COLUMNS)
        }
        file_metadata = {
            "kind": self.kind,
            "folder": _relative(self.folder, file_folder),
            "images": _relative(self.images, file_folder) if self.images else "",
            "protocol": self.protocol,
            "seed": str(self.seed),
            "sha256": self.sha256,
        }
        pair_columns["path"] = [path_by_image[image_name] for image_name in pair_columns["image"]]
        with replacing(path, with_metadata("kind", "sha256", "protocol")) as staged_path:
            pq.write_table(pa.table(pair_columns).replace_schema_metadata(file_metadata), staged_path)

    @classmethod
    def read(
        cls, path: Path, *, folder: Path | None = None, images: Path | None = None, require_images: bool = False
    ) -> PairSet:
        """The pairs in `path`, with their reports read again from where they were, or from `folder` and `images`.

        Raises `InputError` for a damaged file, and where a report (with `require_images`: an image) is gone or changed.
        """
        file_metadata, pair_rows = _table(path)
        if _digest(pair_rows) != file_metadata["sha256"]:
            raise InputError("does not match its hash", "Make the pairs again.", path=path)
        kind, folder = file_metadata["kind"], folder or path.parent / file_metadata["folder"]
        if images is None and file_metadata["images"]:
            images = path.parent / file_metadata["images"]
        studies = {pair_row[1] for pair_row in pair_rows}
        current = read_pairs(kind, folder, images=images, require_images=require_images, studies=studies)
        pairs_by_image = {pair.image: pair for pair in current.pairs}
        pairs_by_part: dict[str, list[Pair]] = {part_name: [] for part_name in PARTS}
        stale_count = 0
        for image_name, *recorded_fields, part_name, text_hash in pair_rows:
            pair = pairs_by_image.get(image_name)
            if pair is None or [pair.study, pair.subject, pair.view, pair.dataset, pair.text_sha256] != [
                *recorded_fields,
                text_hash,
            ]:
                stale_count += 1
            else:
                pairs_by_part[part_name].append(pair)
        if stale_count:
            problem = f"is stale: of {len(pair_rows):,} pairs, {stale_count:,} changed in {folder} or are gone"
            raise InputError(problem, "Make the pairs again: kgp pairs.", path=path)
        return cls(pairs_by_part, kind, folder, images, file_metadata["protocol"], int(file_metadata["seed"]))


def _digest(pair_rows: Iterable[tuple[str, ...]]) -> str:
    return hashlib.sha256("\n".join("\0".join(pair_row) for pair_row in sorted(pair_rows)).encode()).hexdigest()


def _relative(folder: Path, base_folder: Path) -> str:
    return Path(os.path.relpath(folder.resolve(), base_folder)).as_posix()


def _table(path: Path) -> tuple[dict[str, str], list[tuple[str, ...]]]:
    """The metadata and the rows of a file of pairs. Raises `InputError` for another file."""
    import pyarrow as pa

    try:
        table = parquet.read_parquet(path, _COLUMNS)
        file_metadata = {
            encoded_key.decode(): value.decode() for encoded_key, value in (table.schema.metadata or {}).items()
        }
        pair_rows: list[Any] = list(zip(*(table[column_name].to_pylist() for column_name in _COLUMNS), strict=True))
        has_valid_metadata = (
            file_metadata["protocol"] in PROTOCOLS
            and int(file_metadata["seed"]) >= 0
            and file_metadata["kind"] in KINDS
        )
        has_valid_parts = (
            has_valid_metadata
            and {"folder", "images", "sha256"} <= file_metadata.keys()
            and {pair_row[5] for pair_row in pair_rows} == set(PARTS)
        )
        is_sound = has_valid_parts and all(isinstance(value, str) for pair_row in pair_rows for value in pair_row)
    except (OSError, pa.ArrowException, ValueError, KeyError, UnicodeDecodeError):
        is_sound = False
    if not is_sound:
        raise InputError(
            "is not a file of pairs of this program, or is damaged", "Make it again: kgp pairs.", path=path
        )
    return file_metadata, pair_rows
