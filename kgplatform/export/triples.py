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

from kgplatform import files, parquet
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
        relation_numbers: dict[str, int] = {}
        numbered_edges = [
            (head, relation_numbers.setdefault(relation, len(relation_numbers)), tail) for head, relation, tail in edges
        ]
        edge_columns = np.array(numbered_edges, dtype=np.int64).reshape(-1, 3).T
        return cls.from_columns(edge_columns[0], edge_columns[1], edge_columns[2], list(relation_numbers), nodes)

    @classmethod
    def from_columns(
        cls, heads: Ids, relation_indices: Ids, tails: Ids, relations: Sequence[str], nodes: Mapping[int, Node]
    ) -> Triples:
        """As `build`, from arrays of shape (n,): `relation_indices` are rows of `relations`, each of which is used."""
        node_labels = _labels(list(nodes.values()))
        label_order = np.array(sorted(range(len(node_labels)), key=node_labels.__getitem__), dtype=np.int64)
        node_handles = np.fromiter(nodes, dtype=np.int64, count=len(nodes))
        handle_order = np.argsort(node_handles)
        id_by_handle = np.argsort(label_order)[handle_order]  # of the node with the i-th smallest handle
        if not (np.isin(heads, node_handles).all() and np.isin(tails, node_handles).all()):
            raise ValueError("an edge has an end that no node describes")
        end_ids = [
            id_by_handle[np.searchsorted(node_handles[handle_order], end_column)] for end_column in (heads, tails)
        ]
        relation_order = sorted(range(len(relations)), key=relations.__getitem__)
        relation_ids = np.argsort(np.array(relation_order, dtype=np.int64))[relation_indices]
        triple_ids = np.unique(np.stack([end_ids[0], relation_ids, end_ids[1]], axis=1), axis=0)
        described_nodes = list(nodes.values())
        return cls(
            triple_ids,
            [described_nodes[index] for index in label_order.tolist()],
            [relations[index] for index in relation_order],
        )

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
        for head_id, relation_id, tail_id in (self.ids if rows is None else rows).tolist():
            yield self.labels[head_id], self.relations[relation_id], self.labels[tail_id]

    @cached_property
    def sha256(self) -> str:
        """The hash of the triples with their relations' names and their entities' keys, node types and patients.

        The same for the same graph, regardless of the machine or library version. Entities' names are not part of it.
        """
        digest = hashlib.sha256()
        for id_names in ((f"{node.kind}\0{node.key}\0{node.subject}" for node in self.nodes), self.relations):
            digest.update("\0".join(id_names).encode() + b"\1")
        digest.update(np.ascontiguousarray(self.ids, dtype="<i8").tobytes())
        return digest.hexdigest()

    def without_triples(self) -> Triples:
        """The id maps alone: what a trained model keeps of the graph."""
        return Triples(np.empty((0, 3), dtype=np.int64), self.nodes, self.relations)

    def write(self, folder: Path) -> None:
        """Write the three files to `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        entity_rows = [
            [str(index), node.key, node.kind, node.name, node.subject] for index, node in enumerate(self.nodes)
        ]
        write_table(folder / ENTITIES, _ENTITY_COLUMNS, entity_rows)
        write_table(
            folder / RELATIONS, _RELATION_COLUMNS, [[str(index), name] for index, name in enumerate(self.relations)]
        )
        import pyarrow as pa
        import pyarrow.parquet as pq

        triple_columns = {name: pa.array(self.ids[:, index]) for index, name in enumerate(_TRIPLE_COLUMNS)}
        table = pa.table(triple_columns).replace_schema_metadata({"sha256": self.sha256})
        pq.write_table(table, folder / TRIPLES)

    @classmethod
    def read(cls, folder: Path) -> Triples:
        """Read what `write` wrote; raises `InputError` for what is missing, damaged, or not what the hash says."""
        nodes = [Node(*entity_row[1:]) for entity_row in read_table(folder / ENTITIES, _ENTITY_COLUMNS)]
        relations = [relation_name for _, relation_name in read_table(folder / RELATIONS, _RELATION_COLUMNS)]
        if len({(node.kind, node.key) for node in nodes}) < len(nodes) or len(set(relations)) < len(relations):
            raise InputError("its id maps name something twice", "Export the graph again.", path=folder)
        triple_ids, expected_sha256 = _read_ids(folder / TRIPLES, (len(nodes), len(relations), len(nodes)))
        triples = cls(triple_ids, nodes, relations)
        if triples.sha256 != expected_sha256:
            raise InputError("the triples and id maps do not match their hash", "Export the graph again.", path=folder)
        return triples


def _labels(nodes: Sequence[Node]) -> list[str]:
    """A name for each node: its key, with its kind before it where two nodes share a key."""
    key_counts = Counter(node.key for node in nodes)
    node_labels = [node.key if key_counts[node.key] == 1 else f"{node.kind}:{node.key}" for node in nodes]
    return node_labels if len(set(node_labels)) == len(node_labels) else [f"{node.kind}:{node.key}" for node in nodes]


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a tab-separated table; tabs and line breaks in values are quoted."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table_writer = csv.writer(
            file, delimiter="\t", lineterminator="\r\n"
        )  # so that both line ends are quoted in values
        table_writer.writerow(columns)
        table_writer.writerows(rows)


def read_table(path: Path, columns: Sequence[str]) -> list[list[str]]:
    """Read a table that `write_table` wrote, whose ids must count from 0; raises `InputError`."""
    try:
        with TextIOWrapper(files.open_regular_file(path, hint="Export the graph again."), "utf-8", newline="") as file:
            header, *table_rows = csv.reader(file, delimiter="\t", strict=True)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a table of this program"
        raise InputError(f"cannot be read: {reason}", "Export the graph again.", path=path) from None
    if tuple(header) != tuple(columns):
        raise InputError(f"lacks the columns {', '.join(columns)}", "Export the graph again.", path=path)
    for row_number, table_row in enumerate(table_rows):
        if len(table_row) != len(columns) or table_row[0] != str(row_number):
            raise InputError("has a damaged row", "Export the graph again.", path=path, row=row_number + 2)
    return table_rows


def _read_ids(path: Path, id_limits: tuple[int, int, int]) -> tuple[Ids, str]:
    """The triples of a Parquet file, and the hash that it gives."""
    import pyarrow as pa

    try:
        table = parquet.read_parquet(path, _TRIPLE_COLUMNS)
        stored_sha256 = table.schema.metadata[b"sha256"].decode()
        id_columns = [table[column_name].to_numpy().astype(np.int64, casting="safe") for column_name in _TRIPLE_COLUMNS]
    except (OSError, pa.ArrowException, ValueError, TypeError, KeyError):
        raise InputError("is missing or damaged", "Export the graph again.", path=path) from None
    triple_ids = np.stack(id_columns, axis=1)
    if len(triple_ids) and ((triple_ids < 0).any() or (triple_ids >= np.array(id_limits)).any()):
        raise InputError("contains entities that its id map lacks", "Export the graph again.", path=path)
    return triple_ids, stored_sha256
