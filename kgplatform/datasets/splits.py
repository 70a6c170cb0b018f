"""Splits of a graph's triples into train, validation and test: repeatable, checked, and with a hash.

- ``paper``: random 8:1:1 over triples (MedMKG §4.1). Where the graph has inverse or parallel edges it leaks: the test
  triple (a, isa, b) is known from the training triple (b, inverse_isa, a).
- ``leakage-free``: all edges between two entities, in either direction, fall on one side.
- ``inductive``: images of the test part are unseen in training, as are those of the same patient; the edges between
  concepts are all in training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kgplatform import parquet
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Ids, Triples
from kgplatform.files import replacing
from kgplatform.parquet import with_metadata
from kgplatform.suggest import did_you_mean

PARTS: Final = ("train", "valid", "test")
RATIOS: Final = (0.8, 0.1, 0.1)
SEED: Final = 42


@dataclass(frozen=True, eq=False)
class Split:
    """Which part each triple of a graph is in: `parts`, shape (n,), of 0 (train), 1 (valid) and 2 (test)."""

    triples: Triples
    parts: NDArray[np.int8]
    kind: str
    seed: int

    def part(self, name: str) -> Ids:
        """The triples of ``train``, ``valid`` or ``test``, shape (n, 3)."""
        part_triples: Ids = self.triples.ids[self.parts == PARTS.index(name)]
        return part_triples

    @property
    def train(self) -> Ids:
        """The training triples."""
        return self.part("train")

    @property
    def valid(self) -> Ids:
        """The validation triples."""
        return self.part("valid")

    @property
    def test(self) -> Ids:
        """The test triples."""
        return self.part("test")

    @property
    def sizes(self) -> dict[str, int]:
        """How many triples each part has."""
        return {part_name: len(self.part(part_name)) for part_name in PARTS}

    @cached_property
    def sha256(self) -> str:
        """The hash of the graph's named triples and of the part that each is in."""
        return hashlib.sha256(self.triples.sha256.encode() + self.parts.astype(np.int8).tobytes()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the split as a Parquet file of named triples with their part; its metadata hold kind, seed and hash."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        named_triples = list(self.triples.named())
        split_columns = {
            "head": [head for head, _, _ in named_triples],
            "relation": [relation for _, relation, _ in named_triples],
            "tail": [tail for _, _, tail in named_triples],
            "part": [PARTS[part_number] for part_number in self.parts],
        }
        split_metadata = {
            "kind": self.kind,
            "seed": str(self.seed),
            "sha256": self.sha256,
            "graph": self.triples.sha256,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, with_metadata("kind", "sha256", "graph")) as staged_path:
            pq.write_table(pa.table(split_columns).replace_schema_metadata(split_metadata), staged_path)

    @classmethod
    def read(cls, path: Path, triples: Triples) -> Split:
        """The split in `path` of the graph `triples`.

        Raises `InputError` for a damaged file, for a split of another graph, and when the hash does not match.
        """
        import pyarrow as pa

        try:
            table = parquet.read_parquet(path, ("head", "relation", "tail", "part"))
            split_metadata = {
                encoded_key.decode(): encoded_value.decode()
                for encoded_key, encoded_value in (table.schema.metadata or {}).items()
            }
            table_rows = zip(
                *(table[column_name].to_pylist() for column_name in ("head", "relation", "tail", "part")), strict=True
            )
            triple_parts = {
                (head, relation, tail): PARTS.index(part_name) for head, relation, tail, part_name in table_rows
            }
            split_kind, seed, expected_sha256, graph_sha256 = (
                split_metadata["kind"],
                int(split_metadata["seed"]),
                split_metadata["sha256"],
                split_metadata["graph"],
            )
        except (OSError, pa.ArrowException, ValueError, KeyError, UnicodeDecodeError):
            raise InputError("is not a split of this program, or is damaged", "Make it again.", path=path) from None
        if graph_sha256 != triples.sha256:
            raise InputError("is a split of another graph", "Make a split of this export.", path=path)
        part_numbers = np.array([triple_parts.get(named_triple, -1) for named_triple in triples.named()], dtype=np.int8)
        split = cls(triples, part_numbers, split_kind, seed)
        if split.sha256 != expected_sha256 or len(triple_parts) != len(triples):
            raise InputError("does not match its hash", "Make the split again.", path=path)
        return split


def paper(triples: Triples, seed: int = SEED) -> Split:
    """Random 8:1:1 over the triples."""
    return _by_group(triples, np.arange(len(triples)), "paper", seed)


def leakage_free(triples: Triples, seed: int = SEED) -> Split:
    """8:1:1 over the unordered pairs of entities: every edge between two entities is on one side."""
    sorted_ends = np.sort(triples.ids[:, [0, 2]], axis=1)
    _, pair_numbers = np.unique(sorted_ends, axis=0, return_inverse=True)
    return _by_group(triples, pair_numbers.reshape(-1), "leakage-free", seed)


def inductive(triples: Triples, seed: int = SEED) -> Split:
    """8:1:1 over patients (over images where the patient is not known): no image of valid or test is in training.

    Triples without an image are all in training. Raises `UsageError` when the graph has no images.
    """
    is_image = triples.kinds == "Image"
    if not is_image.any():
        raise UsageError("an inductive split needs images, and this export has none", "Use `paper` or `leakage-free`.")
    group_names = [node.subject or f"image {label}" for node, label in zip(triples.nodes, triples.labels, strict=True)]
    entity_groups = np.unique(np.array(group_names), return_inverse=True)[1].reshape(-1)
    head_ids, tail_ids = triples.ids[:, 0], triples.ids[:, 2]
    has_image = is_image[head_ids] | is_image[tail_ids]
    group_numbers = np.where(is_image[head_ids], entity_groups[head_ids], entity_groups[tail_ids])
    image_split = _by_group(triples, np.where(has_image, group_numbers, -1), "inductive", seed)
    return Split(triples, np.where(has_image, image_split.parts, 0).astype(np.int8), "inductive", seed)


KINDS: Final[Mapping[str, Callable[[Triples, int], Split]]] = {
    "paper": paper,
    "leakage-free": leakage_free,
    "inductive": inductive,
}


def make(kind: str, triples: Triples, seed: int = SEED) -> Split:
    """The split called `kind`; raises `UsageError` for an unknown kind or a graph too small to split."""
    if kind not in KINDS:
        raise UsageError(f"there is no split {kind}", did_you_mean(kind, KINDS, f"Splits: {', '.join(KINDS)}."))
    split = KINDS[kind](triples, seed)
    if any(not len(split.part(part_name)) for part_name in PARTS):
        raise UsageError("the export is too small to be split in three", "Export more of the graph.")
    return split


def write_split(kind: str, export: Path, out: Path, seed: int = SEED) -> tuple[Split, dict[str, dict[str, int]]]:
    """Split an export 8:1:1 and write the split to a Parquet file; with it comes how validation and test leak.

    Raises `UsageError` for an unknown kind, a graph too small to split and a file inside the export's folder, and
    `InputError` for a folder that is no export.
    """
    if out.resolve().is_relative_to(export.resolve()):
        raise UsageError(f"{out} is inside the export", "Write the split next to it: an export is replaced as a whole.")
    split = make(kind, Triples.read(export), seed)
    split.write(out)
    return split, {part_name: leak(split, part_name).as_dict() for part_name in PARTS[1:]}


def _by_group(triples: Triples, group_numbers: NDArray[np.int64], kind: str, seed: int) -> Split:
    """Shuffle the groups (those ≥ 0) and cut them where their triples make up 80, 90 and 100 percent."""
    counted_groups = group_numbers[group_numbers >= 0]
    group_sizes = np.bincount(counted_groups)
    group_order = np.random.default_rng(seed).permutation(np.flatnonzero(group_sizes))
    cumulative_shares = np.cumsum(group_sizes[group_order]) / max(len(counted_groups), 1)
    part_bounds = np.cumsum(RATIOS)[:-1]
    group_parts = np.zeros(len(group_sizes), dtype=np.int8)
    group_parts[group_order] = np.searchsorted(part_bounds + 1e-12, cumulative_shares, side="left")
    return Split(triples, group_parts[group_numbers], kind, seed)


@dataclass(frozen=True)
class Leak:
    """What a split's test part gives away: how many test triples there are, how many have an edge between the same
    two entities in training in the other direction or in the same one, and how many entities training never saw.
    """

    test: int
    reversed: int
    parallel: int
    either: int
    unseen_entities: int
    triples_with_unseen: int

    def as_dict(self) -> dict[str, Any]:
        """The figures by name."""
        return dict(self.__dict__)


def leak(split: Split, part: str = "test") -> Leak:
    """Measure how `part` leaks from training."""
    train_triples, part_triples = split.train, split.part(part)
    entity_count = split.triples.num_entities
    train_pairs = np.unique(train_triples[:, 0] * entity_count + train_triples[:, 2])
    has_reverse = np.isin(part_triples[:, 2] * entity_count + part_triples[:, 0], train_pairs)
    has_parallel = np.isin(part_triples[:, 0] * entity_count + part_triples[:, 2], train_pairs)
    in_training = np.zeros(entity_count, dtype=bool)
    in_training[train_triples[:, [0, 2]].reshape(-1)] = True
    is_unseen = ~in_training[part_triples[:, [0, 2]]]
    return Leak(
        test=len(part_triples),
        reversed=int(has_reverse.sum()),
        parallel=int(has_parallel.sum()),
        either=int((has_reverse | has_parallel).sum()),
        unseen_entities=len(np.unique(part_triples[:, [0, 2]][is_unseen])),
        triples_with_unseen=int(is_unseen.any(axis=1).sum()),
    )
