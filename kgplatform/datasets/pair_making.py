"""Pairs of a data set in a file: read, without those of the graph, sampled, split, written, with what they hold."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kgplatform.batches import Reject
from kgplatform.datasets import pairs as pairing
from kgplatform.datasets.graph_studies import Used, exclude
from kgplatform.datasets.pair_checks import pair_overlaps
from kgplatform.datasets.pair_source import NO_IMAGE, NO_TEXT, OUTSIDE, TWICE, Pair
from kgplatform.datasets.pairs import PairSet
from kgplatform.errors import InputError
from kgplatform.progress import Progress, no_progress
from kgplatform.wording import counted_or_none

logger = logging.getLogger(__name__)
PLAIN_REASONS = {
    NO_TEXT: "without findings and impression",
    NO_IMAGE: "without an image file",
    OUTSIDE: "with a path that is empty or points outside the folder",
    TWICE: "of an image that is listed twice",
}


@dataclass(frozen=True)
class WrittenPairs:
    """Pairs that were written: how many images were left out by reason, and the rows that were; what each part holds;
    and what validation and test have in common with training.
    """

    pair_set: PairSet
    left_out: Mapping[str, int]
    rejects: Sequence[Reject]
    part_sizes: Mapping[str, Mapping[str, int]]
    overlaps: Mapping[str, Mapping[str, int]]


def make_pairs(
    kind: str,
    folder: Path,
    out: Path,
    *,
    images: Path | None = None,
    views: Sequence[str] = (),
    protocol: str = "subject",
    sample: int | None = None,
    used: Used | None = None,
    require_images: bool = True,
    seed: int = pairing.SEED,
    progress: Progress = no_progress,
) -> WrittenPairs:
    """Pair images with their reports, split the pairs 8:1:1 by `protocol`, and write them to a Parquet file.

    Pairs of studies and subjects that are `used` (by the graph) are left out; `sample` takes so many of the others.
    Raises `UsageError` for an unknown kind or protocol and where a part would be empty, and `InputError` where there
    is no pair.
    """
    all_pairs, rejects, unselected = pairing.read_pairs(
        kind, folder, images=images, views=views, require_images=require_images, progress=progress
    )
    selected_pairs = exclude(all_pairs, *used) if used else all_pairs
    left_out = {**unselected, **_reasons(rejects, len(all_pairs) - len(selected_pairs))}
    if not selected_pairs:
        reasons_text = (
            ", ".join(counted_or_none(count, reason) for reason, count in left_out.items())
            or "the data set has no image"
        )
        hint = "Give the folder of the images (--images), other --views, or --no-exclude-graph."
        raise InputError(f"there is no pair of an image and its report: {reasons_text}", hint, path=folder)
    if sample and sample > len(selected_pairs):
        logger.warning(f"{len(selected_pairs):,} pairs instead of {sample:,}: there are no more")
    selected_pairs = pairing.sample_pairs(selected_pairs, sample, seed) if sample else selected_pairs
    parts = pairing.partition_pairs(selected_pairs, protocol, seed)
    pair_set = PairSet(parts, kind, folder, images, protocol, seed)
    pair_set.write(out)
    part_sizes = {part_name: _sizes(parts[part_name]) for part_name in pairing.PARTS}
    overlaps = {part_name: pair_overlaps(pair_set, part_name) for part_name in pairing.PARTS[1:]}
    return WrittenPairs(pair_set, left_out, rejects, part_sizes, overlaps)


def _sizes(pairs: Sequence[Pair]) -> dict[str, int]:
    return {
        "pairs": len(pairs),
        "studies": len({pair.study for pair in pairs}),
        "subjects": len({pair.subject for pair in pairs} - {""}),
        "texts": len({pair.wording for pair in pairs}),
    }


def _reasons(rejects: Sequence[Reject], graph_pair_count: int) -> dict[str, int]:
    """How many were left out for each reason. A row that is no report has its own reason."""
    reason_counts = Counter(PLAIN_REASONS.get(reject.reason, "rows that are not reports") for reject in rejects)
    return dict(reason_counts) | ({"of the graph's studies and subjects": graph_pair_count} if graph_pair_count else {})
