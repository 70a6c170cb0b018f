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

from kgplatform import files
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Ids, Triples
from kgplatform.files import replacing, with_metadata
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
        chosen: Ids = self.triples.ids[self.parts == PARTS.index(name)]
        return chosen

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

    @cached_property
    def sha256(self) -> str:
        """The hash of the graph's named triples and of the part that each is in."""
        return hashlib.sha256(self.triples.sha256.encode() + self.parts.astype(np.int8).tobytes()).hexdigest()

    def write(self, path: Path) -> None:
        """Write the split as a Parquet file of named triples with their part; its metadata hold kind, seed and hash."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = list(self.triples.named())
        columns = {
            "head": [h for h, _, _ in rows],
            "relation": [r for _, r, _ in rows],
            "tail": [t for _, _, t in rows],
            "part": [PARTS[p] for p in self.parts],
        }
        about = {"kind": self.kind, "seed": str(self.seed), "sha256": self.sha256, "graph": self.triples.sha256}
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, with_metadata("kind", "sha256", "graph")) as staged:
            pq.write_table(pa.table(columns).replace_schema_metadata(about), staged)

    @classmethod
    def read(cls, path: Path, triples: Triples) -> Split:
        """The split in `path` of the graph `triples`.

        Raises `InputError` for a damaged file, for a split of another graph, and when the hash does not match.
        """
        import pyarrow as pa

        try:
            table = files.read_parquet(path, ("head", "relation", "tail", "part"))
            about = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
            rows = zip(*(table[name].to_pylist() for name in ("head", "relation", "tail", "part")), strict=True)
            part_of = {(h, r, t): PARTS.index(part) for h, r, t, part in rows}
            kind, seed, sha256, graph = about["kind"], int(about["seed"]), about["sha256"], about["graph"]
        except (OSError, pa.ArrowException, ValueError, KeyError, UnicodeDecodeError):
            raise InputError("is not a split of this program, or is damaged", "Make it again.", path=path) from None
        if graph != triples.sha256:
            raise InputError("is a split of another graph", "Make a split of this export.", path=path)
        parts = np.array([part_of.get(row, -1) for row in triples.named()], dtype=np.int8)
        split = cls(triples, parts, kind, seed)
        if split.sha256 != sha256 or len(part_of) != len(triples):
            raise InputError("does not match its hash", "Make the split again.", path=path)
        return split


def paper(triples: Triples, seed: int = SEED) -> Split:
    """Random 8:1:1 over the triples."""
    return _by_group(triples, np.arange(len(triples)), "paper", seed)


def leakage_free(triples: Triples, seed: int = SEED) -> Split:
    """8:1:1 over the unordered pairs of entities: every edge between two entities is on one side."""
    ends = np.sort(triples.ids[:, [0, 2]], axis=1)
    _, pair = np.unique(ends, axis=0, return_inverse=True)
    return _by_group(triples, pair.reshape(-1), "leakage-free", seed)


def inductive(triples: Triples, seed: int = SEED) -> Split:
    """8:1:1 over patients (over images where the patient is not known): no image of valid or test is in training.

    Triples without an image are all in training. Raises `UsageError` when the graph has no images.
    """
    image = triples.kinds == "Image"
    if not image.any():
        raise UsageError("an inductive split needs images, and this export has none", "Use `paper` or `leakage-free`.")
    names = [node.subject or f"image {label}" for node, label in zip(triples.nodes, triples.labels, strict=True)]
    of_entity = np.unique(np.array(names), return_inverse=True)[1].reshape(-1)
    heads, tails = triples.ids[:, 0], triples.ids[:, 2]
    with_image = image[heads] | image[tails]
    group = np.where(image[heads], of_entity[heads], of_entity[tails])
    split = _by_group(triples, np.where(with_image, group, -1), "inductive", seed)
    return Split(triples, np.where(with_image, split.parts, 0).astype(np.int8), "inductive", seed)


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
    if any(not len(split.part(part)) for part in PARTS):
        raise UsageError("the export is too small to be split in three", "Export more of the graph.")
    return split


def _by_group(triples: Triples, group: NDArray[np.int64], kind: str, seed: int) -> Split:
    """Shuffle the groups (those ≥ 0) and cut them where their triples make up 80, 90 and 100 percent."""
    counted = group[group >= 0]
    sizes = np.bincount(counted)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(sizes))
    reached = np.cumsum(sizes[order]) / max(len(counted), 1)
    bounds = np.cumsum(RATIOS)[:-1]
    part = np.zeros(len(sizes), dtype=np.int8)
    part[order] = np.searchsorted(bounds + 1e-12, reached, side="left")
    return Split(triples, part[group], kind, seed)


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
    train, held = split.train, split.part(part)
    n = split.triples.num_entities
    known = np.unique(train[:, 0] * n + train[:, 2])
    backwards = np.isin(held[:, 2] * n + held[:, 0], known)
    forwards = np.isin(held[:, 0] * n + held[:, 2], known)
    seen = np.zeros(n, dtype=bool)
    seen[train[:, [0, 2]].reshape(-1)] = True
    unseen = ~seen[held[:, [0, 2]]]
    return Leak(
        test=len(held),
        reversed=int(backwards.sum()),
        parallel=int(forwards.sum()),
        either=int((backwards | forwards).sum()),
        unseen_entities=len(np.unique(held[:, [0, 2]][unseen])),
        triples_with_unseen=int(unseen.any(axis=1).sum()),
    )
