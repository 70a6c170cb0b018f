"""A graph as numbers: integer triples with the id maps that name them.

Ids are places in sorted lists of names, so they never collide and the same graph always gets the same ids.
On disk, in a folder: ``entities.tsv`` (id, key, kind, name, subject), ``relations.tsv`` (id, relation), and
``triples.parquet`` (head, relation, tail).
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kgplatform import files
from kgplatform.errors import InputError

Ids: TypeAlias = NDArray[np.int64]

ENTITIES: Final = "entities.tsv"
RELATIONS: Final = "relations.tsv"
TRIPLES: Final = "triples.parquet"
_ENTITY_COLUMNS: Final = ("id", "key", "kind", "name", "subject")
_RELATION_COLUMNS: Final = ("id", "relation")
_TRIPLE_COLUMNS: Final = ("head", "relation", "tail")


@dataclass(frozen=True)
class Node:
    """An entity of the graph: its key there (an image's id, a CUI), its node type, its name, and of an image its
    patient (`subject`), where known.
    """

    key: str
    kind: str
    name: str = ""
    subject: str = ""


@dataclass(frozen=True, eq=False)
class Triples:
    """Integer triples `ids`, shape (n, 3): head, relation, tail; sorted, each once. `labels[i]` names entity i.

    A label is the entity's key; where two node types share a key, each is labelled ``Kind:key``. Should that be a third
    one's key, all entities are labelled so: labels are never shared.
    """

    ids: Ids
    nodes: Sequence[Node]
    relations: Sequence[str]

    @classmethod
    def build(cls, edges: Iterable[tuple[int, str, int]], nodes: Mapping[int, Node]) -> Triples:
        """Triples from `edges` (head, relation, tail) whose ends are any integers that `nodes` describes.

        Every node of `nodes` becomes an entity, so leave out those without edges. No two may share kind and key.
        """
        names: dict[str, int] = {}
        rows = [(h, names.setdefault(r, len(names)), t) for h, r, t in edges]
        columns = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return cls.of_columns(columns[0], columns[1], columns[2], list(names), nodes)

    @classmethod
    def of_columns(
        cls, heads: Ids, relation_of: Ids, tails: Ids, relations: Sequence[str], nodes: Mapping[int, Node]
    ) -> Triples:
        """As `build`, from arrays of shape (n,): `relation_of` are places in `relations`, each of which is used."""
        labels = _labels(list(nodes.values()))
        order = np.array(sorted(range(len(labels)), key=labels.__getitem__), dtype=np.int64)
        handles = np.fromiter(nodes, dtype=np.int64, count=len(nodes))
        by_handle = np.argsort(handles)
        place = np.argsort(order)[by_handle]  # of the node with the i-th smallest handle
        if not (np.isin(heads, handles).all() and np.isin(tails, handles).all()):
            raise ValueError("an edge has an end that no node describes")
        ends = [place[np.searchsorted(handles[by_handle], column)] for column in (heads, tails)]
        alphabetical = sorted(range(len(relations)), key=relations.__getitem__)
        renumbered = np.argsort(np.array(alphabetical, dtype=np.int64))[relation_of]
        ids = np.unique(np.stack([ends[0], renumbered, ends[1]], axis=1), axis=0)
        described = list(nodes.values())
        return cls(ids, [described[i] for i in order.tolist()], [relations[i] for i in alphabetical])

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_entities(self) -> int:
        """How many entities there are."""
        return len(self.nodes)

    @property
    def num_relations(self) -> int:
        """How many relations there are."""
        return len(self.relations)

    @cached_property
    def labels(self) -> Sequence[str]:
        """The name of each entity, by id."""
        return _labels(self.nodes)

    @cached_property
    def kinds(self) -> NDArray[np.str_]:
        """The node type of each entity, shape (num_entities,)."""
        return np.array([node.kind for node in self.nodes], dtype=np.str_)

    def named(self, rows: Ids | None = None) -> Iterator[tuple[str, str, str]]:
        """The triples (or `rows`) by label."""
        for h, r, t in (self.ids if rows is None else rows).tolist():
            yield self.labels[h], self.relations[r], self.labels[t]

    @cached_property
    def sha256(self) -> str:
        """The hash of the triples with their relations' names and their entities' keys, node types and patients.

        The same for the same graph, whatever the machine or library version. Entities' names are not part of it.
        """
        digest = hashlib.sha256()
        for names in ((f"{n.kind}\0{n.key}\0{n.subject}" for n in self.nodes), self.relations):
            digest.update("\0".join(names).encode() + b"\1")
        digest.update(np.ascontiguousarray(self.ids, dtype="<i8").tobytes())
        return digest.hexdigest()

    def without_triples(self) -> Triples:
        """The id maps alone: what a trained model keeps of the graph."""
        return Triples(np.empty((0, 3), dtype=np.int64), self.nodes, self.relations)

    def write(self, folder: Path) -> None:
        """Write the three files to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [[str(i), n.key, n.kind, n.name, n.subject] for i, n in enumerate(self.nodes)]
        write_table(folder / ENTITIES, _ENTITY_COLUMNS, rows)
        write_table(folder / RELATIONS, _RELATION_COLUMNS, [[str(i), name] for i, name in enumerate(self.relations)])
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: pa.array(self.ids[:, i]) for i, name in enumerate(_TRIPLE_COLUMNS)}
        table = pa.table(columns).replace_schema_metadata({"sha256": self.sha256})
        pq.write_table(table, folder / TRIPLES)

    @classmethod
    def read(cls, folder: Path) -> Triples:
        """Read what `write` wrote; raises `InputError` for what is missing, damaged, or not what the hash says."""
        nodes = [Node(*row[1:]) for row in read_table(folder / ENTITIES, _ENTITY_COLUMNS)]
        relations = [name for _, name in read_table(folder / RELATIONS, _RELATION_COLUMNS)]
        if len({(node.kind, node.key) for node in nodes}) < len(nodes) or len(set(relations)) < len(relations):
            raise InputError("its id maps name something twice", "Export the graph again.", path=folder)
        ids, sha256 = _read_ids(folder / TRIPLES, (len(nodes), len(relations), len(nodes)))
        triples = cls(ids, nodes, relations)
        if triples.sha256 != sha256:
            raise InputError("the triples and id maps do not match their hash", "Export the graph again.", path=folder)
        return triples


def _labels(nodes: Sequence[Node]) -> list[str]:
    """A name for each node: its key, with its kind before it where two nodes share a key."""
    seen = Counter(node.key for node in nodes)
    labels = [node.key if seen[node.key] == 1 else f"{node.kind}:{node.key}" for node in nodes]
    return labels if len(set(labels)) == len(labels) else [f"{node.kind}:{node.key}" for node in nodes]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a tab-separated table; tabs and line breaks in values are quoted."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\r\n")  # so that both line ends are quoted in values
        writer.writerow(columns)
        writer.writerows(rows)


def read_table(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Read a table that `write_table` wrote, whose ids must count from 0; raises `InputError`."""
    try:
        with TextIOWrapper(files.opened(path, hint="Export the graph again."), "utf-8", newline="") as file:
            header, *rows = csv.reader(file, delimiter="\t", strict=True)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not a table of this program"
        raise InputError(f"cannot be read: {why}", "Export the graph again.", path=path) from None
    if tuple(header) != tuple(columns):
        raise InputError(f"has not the columns {', '.join(columns)}", "Export the graph again.", path=path)
    for number, row in enumerate(rows):
        if len(row) != len(columns) or row[0] != str(number):
            raise InputError("has a damaged row", "Export the graph again.", path=path, row=number + 2)
    return rows


def _read_ids(path: Path, limits: tuple[int, int, int]) -> tuple[Ids, str]:
    """The triples of a Parquet file, and the hash that it gives."""
    import pyarrow as pa

    try:
        table = files.read_parquet(path, _TRIPLE_COLUMNS)
        sha256 = table.schema.metadata[b"sha256"].decode()
        columns = [table[name].to_numpy().astype(np.int64, casting="safe") for name in _TRIPLE_COLUMNS]
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError):
        raise InputError("is missing or damaged", "Export the graph again.", path=path) from None
    ids = np.stack(columns, axis=1)
    if len(ids) and ((ids < 0).any() or (ids >= np.array(limits)).any()):
        raise InputError("names entities that its id map lacks", "Export the graph again.", path=path)
    return ids, sha256
