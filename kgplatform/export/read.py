"""Reads the graph, or a selection of it, from the database as `Triples`.

A record of the driver costs about 30 µs however little it holds, so the queries collect: a record carries all edges of
one relation from up to `BATCH` heads, as internal ids. Those ids hold within one transaction, and everything is read in
one during which nobody wrote (`Graph.snapshot`).
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from kgplatform import files, queries
from kgplatform.errors import InputError, KgpError, NotFoundError, UsageError
from kgplatform.export.triples import Node, Triples
from kgplatform.graph import Graph, Transaction
from kgplatform.graph_names import concept_hint, key_hint, relation_hint, run_hint
from kgplatform.schema import Stance
from kgplatform.suggest import did_you_mean
from kgplatform.wording import counted

BATCH: Final = 5_000  # nodes whose edges a record may carry
PREDICTED: Final = "PREDICTED"  # a model's guesses; never exported as facts
STANCES: Final = tuple(stance.value for stance in Stance)

Told: TypeAlias = Callable[[int, int | None], None]  # edges read so far, of how many
_Conditions: TypeAlias = dict[str, Any]  # parameters of export/edges and export/neighbours


@dataclass(frozen=True)
class Selection:
    """What to export; every field narrows, and an edge is exported when it passes all of them.

    `stances`: of the edges with a stance only these. `relations`: only edges of these relations.
    `images`: all, those that NaF kept, or the listed ones; the entities of other images' reports go with their images.
    `only`: ``cross`` for the edges with a stance, ``intra`` for those between concepts (as `kgp stats` counts them).
    `run`: only what this run asserts. `around`: only edges between nodes at most `hops` edges, in either direction,
    from one of these nodes (by CUI or id), along edges that pass everything else.
    `texts` narrows nothing: with it, entities are named by their text, which comes from reports.
    """

    stances: tuple[str, ...] = STANCES
    relations: tuple[str, ...] | None = None
    images: str | tuple[str, ...] = "all"  # all, kept, or ids
    only: Literal["cross", "intra"] | None = None
    run: str | None = None
    around: tuple[str, ...] = ()
    hops: int = 1
    texts: bool = False

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be meant."""
        for stance in self.stances:
            if stance not in STANCES:
                hint = did_you_mean(stance, STANCES, f"Stances: {', '.join(STANCES)}.")
                raise UsageError(f"there is no stance {stance}", hint)
        if self.relations is not None and PREDICTED in self.relations:
            raise UsageError("predictions are not exported: they are no facts", "Leave out --relation PREDICTED.")
        if self.hops < 1:
            raise UsageError("a neighbourhood has at least one hop", "Give --hops 1 or more.")
        if self.only not in (None, "cross", "intra") or (isinstance(self.images, str) and self.images not in _IMAGES):
            raise UsageError("a selection of images is 'all', 'kept' or a list, and one of edges 'cross' or 'intra'")

    def as_dict(self) -> dict[str, Any]:
        """The fields that narrow, as JSON; of a list of images how many there are, and their hash."""
        found = {name: value for name, value in self.__dict__.items() if value != getattr(_ALL, name)}
        if not isinstance(self.images, str):
            digest = hashlib.sha256("\n".join(sorted(set(self.images))).encode()).hexdigest()
            found["images"] = {"listed": len(set(self.images)), "sha256": digest}
        if self.around:
            found["hops"] = self.hops
        return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items()}


_IMAGES: Final = ("all", "kept")
_ALL: Final = Selection()


def read_image_list(path: Path) -> tuple[str, ...]:
    """The image ids in a text file, one a line; raises `InputError`."""
    lines = files.read_text(path, files.MAX_DOCUMENT, "Give all, kept, or a file of image ids.").splitlines()
    images = tuple(line.strip() for line in lines if line.strip())
    if not images:
        raise InputError("lists no image", "Write one image id a line.", path=path)
    return images


def read_triples(graph: Graph, selection: Selection = _ALL, told: Told = lambda done, total: None) -> Triples:
    """The selected edges between images, concepts, entities and things; never predictions, runs or the platform's own.

    The entities are the nodes with at least one of these edges. Raises `NotFoundError` when nothing is selected or
    something that the selection names is not there, `InputError` when nodes cannot be told apart by key, and
    `DatabaseError` when somebody keeps writing to the graph.
    """
    raw = graph.snapshot(lambda transaction: _read(transaction, selection, told))
    if not raw.heads:
        if selection == _ALL:
            raise NotFoundError("the graph has no edges to export", "Load something first: `kgp ingest`.")
        raise NotFoundError("the selection is empty: no edge passes all its conditions", "Select less narrowly.")
    _check_keys(raw.nodes)
    told(len(raw.heads), len(raw.heads))
    heads, codes, tails = (np.frombuffer(column, dtype=np.int64) for column in (raw.heads, raw.codes, raw.tails))
    return Triples.of_columns(heads, codes, tails, raw.relations, raw.nodes)


@dataclass
class _Raw:
    """Edges by internal ids, the relation of each as a place in `relations`, and their nodes."""

    heads: array[int]
    codes: array[int]
    tails: array[int]
    relations: list[str]
    nodes: dict[int, Node]


def _read(transaction: Transaction, selection: Selection, told: Told) -> _Raw:
    conditions = _conditions(transaction, selection)
    nodes, narrowed = _node_ids(transaction, selection, conditions)
    if narrowed:
        conditions["tails"] = nodes
    raw = _Raw(array("q"), array("q"), array("q"), [], {})
    codes: dict[str, int] = {}
    for record in transaction.stream(queries.get("export/edges"), batches=_batches(nodes), **conditions):
        code = codes.setdefault(record["relation"], len(codes))
        raw.heads.extend(record["heads"])
        raw.tails.extend(record["tails"])
        raw.codes.extend([code] * len(record["heads"]))
        told(len(raw.heads), None)
    raw.relations = list(codes)
    ends = np.union1d(raw.heads, raw.tails).tolist()
    for record in transaction.stream(queries.get("export/nodes"), batches=_batches(ends), texts=selection.texts):
        kind = record["kind"]
        columns = (record[name] for name in ("ids", "keys", "names", "subjects"))
        raw.nodes.update((i, Node(key, kind, name, subject)) for i, key, name, subject in zip(*columns, strict=True))
    return raw


def _conditions(transaction: Transaction, selection: Selection) -> _Conditions:
    """What the edges must be, apart from their ends; raises `NotFoundError` for an unknown relation or run."""
    conditions: _Conditions = {"without": [PREDICTED, *(s for s in STANCES if s not in selection.stances)]}
    if selection.relations is not None:
        found = {row["relation"] for row in _stream(transaction, "find_relations", relations=list(selection.relations))}
        unknown = [name for name in selection.relations if name not in found]
        _refuse_unknown("relation", unknown, lambda name: relation_hint(transaction, name))
        conditions["relations"] = list(selection.relations)
    if selection.only == "cross":
        conditions["relations"] = [r for r in conditions.get("relations", STANCES) if r in STANCES]
    if selection.run is not None:
        if not list(_stream(transaction, "find_run", run=selection.run)):
            hint = run_hint(transaction, selection.run, "`kgp runs list` shows them.")
            raise NotFoundError(f"there is no run {selection.run}", hint)
        conditions["run"] = selection.run
    return conditions


def _node_ids(transaction: Transaction, selection: Selection, conditions: _Conditions) -> tuple[list[int], bool]:
    """The internal ids of the nodes that may be exported, and whether they are fewer than all."""
    images: dict[str, list[int]] = {}
    if selection.images == "kept":
        [record] = _stream(transaction, "kept_ids")
        if not record["ids"]:
            raise KgpError("no image is kept by NaF", "Run `kgp naf score` and `kgp naf filter` first.")
        images["images"] = record["ids"]
    elif selection.images != "all":
        listed = list(selection.images)
        [record] = _stream(transaction, "find_images", images=listed)
        unknown = [i for i, place in zip(listed, record["ids"], strict=True) if place < 0]
        _refuse_unknown("image", unknown, lambda key: key_hint(transaction, key))
        images["images"] = record["ids"]
    intra = selection.only == "intra"
    blocks = _stream(transaction, "node_ids", concepts_only=intra, **images)
    nodes = [i for block in blocks for i in block["ids"]]
    if selection.around:
        return _around(transaction, selection, nodes, conditions), True
    return nodes, intra or bool(images)


def _around(transaction: Transaction, selection: Selection, nodes: list[int], conditions: _Conditions) -> list[int]:
    """Those of `nodes` that are at most `hops` edges away from the nodes that `around` names."""
    [record] = _stream(transaction, "find_nodes", keys=list(selection.around))
    unknown = [k for k, ids in zip(selection.around, record["ids"], strict=True) if not ids]
    _refuse_unknown("node", unknown, lambda key: key_hint(transaction, key) or concept_hint(transaction, key))
    frontier = {i for ids in record["ids"] for i in ids}.intersection(nodes)
    reached = set(frontier)
    for _ in range(selection.hops):
        batches = _batches(sorted(frontier))
        records = _stream(transaction, "neighbours", batches=batches, nodes=nodes, **conditions)
        frontier = {i for found in records for i in found["ids"]} - reached
        reached |= frontier
    return sorted(reached)


def _refuse_unknown(what: str, unknown: Sequence[str], hint: Callable[[str], str]) -> None:
    if unknown:
        more = f" (and {len(unknown) - 1:,} more are not there)" if len(unknown) > 1 else ""
        raise NotFoundError(f"the graph has no {what} {unknown[0]}{more}", hint(unknown[0]) or "Check the selection.")


def _check_keys(nodes: dict[int, Node]) -> None:
    """Raise `InputError` unless every node can be named."""
    nameless = sum(not node.key for node in nodes.values())
    if nameless:
        what = counted(nameless, "nodes with edges have", "node with edges has")
        raise InputError(f"{what} no id (or cui, for a concept)", "Give it one.")
    twice = len(nodes) - len({(node.kind, node.key) for node in nodes.values()})
    if twice:
        what = counted(twice, "nodes have", "node has")
        raise InputError(f"{what} the kind and id of another", "Run `kgp doctor`.")


def _batches(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]


def _stream(transaction: Transaction, name: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    return transaction.stream(queries.get(f"export/{name}"), **parameters)
