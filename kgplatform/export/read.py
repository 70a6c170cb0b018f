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
from kgplatform.graph_names import concept_hint, image_hint, key_hint, relation_hint, run_hint
from kgplatform.progress import Progress, no_progress
from kgplatform.schema import Stance
from kgplatform.suggest import did_you_mean
from kgplatform.wording import counted

BATCH: Final = 5_000  # nodes whose edges a record may carry
PREDICTED: Final = "PREDICTED"  # a model's guesses; never exported as facts
STANCES: Final = tuple(stance.value for stance in Stance)

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
            raise UsageError("predictions are not exported: they are not facts", "Leave out --relation PREDICTED.")
        if self.hops < 1:
            raise UsageError("a neighbourhood has at least one hop", "Give --hops 1 or more.")
        if self.only not in (None, "cross", "intra") or (isinstance(self.images, str) and self.images not in _IMAGES):
            raise UsageError("a selection of images is 'all', 'kept' or a list, and one of edges 'cross' or 'intra'")

    def as_dict(self) -> dict[str, Any]:
        """The fields that narrow, as JSON; of a list of images how many there are, and their hash."""
        narrowing = {
            field_name: value for field_name, value in self.__dict__.items() if value != getattr(_ALL, field_name)
        }
        if not isinstance(self.images, str):
            images_digest = hashlib.sha256("\n".join(sorted(set(self.images))).encode()).hexdigest()
            narrowing["images"] = {"listed": len(set(self.images)), "sha256": images_digest}
        if self.around:
            narrowing["hops"] = self.hops
        return {
            field_name: list(value) if isinstance(value, tuple) else value for field_name, value in narrowing.items()
        }


_IMAGES: Final = ("all", "kept")
_ALL: Final = Selection()


def read_image_list(path: Path) -> tuple[str, ...]:
    """The image ids in a text file, one a line; raises `InputError`."""
    list_lines = files.read_text(path, files.MAX_DOCUMENT, "Give all, kept, or a file of image ids.").splitlines()
    image_ids = tuple(list_line.strip() for list_line in list_lines if list_line.strip())
    if not image_ids:
        raise InputError("lists no image", "Write one image id a line.", path=path)
    return image_ids


def read_triples(graph: Graph, selection: Selection = _ALL, progress: Progress = no_progress) -> Triples:
    """The selected edges between images, concepts, entities and things; never predictions, runs or the platform's own.

    The entities are the nodes with at least one of these edges. Raises `NotFoundError` when nothing is selected or
    something that the selection names is missing, `InputError` when nodes cannot be distinguished by key, and
    `DatabaseError` when somebody keeps writing to the graph.
    """
    raw_edges = graph.snapshot(lambda transaction: _read(transaction, selection, progress))
    if not raw_edges.heads:
        if selection == _ALL:
            raise NotFoundError("the graph has no edges to export", "Load something first: `kgp ingest`.")
        raise NotFoundError("the selection is empty: no edge passes all its conditions", "Use fewer conditions.")
    _check_keys(raw_edges.nodes)
    progress(len(raw_edges.heads), len(raw_edges.heads))
    head_ids, relation_codes, tail_ids = (
        np.frombuffer(raw_column, dtype=np.int64) for raw_column in (raw_edges.heads, raw_edges.codes, raw_edges.tails)
    )
    return Triples.from_columns(head_ids, relation_codes, tail_ids, raw_edges.relations, raw_edges.nodes)


@dataclass
class _Raw:
    """Edges by internal ids, the relation of each as a place in `relations`, and their nodes."""

    heads: array[int]
    codes: array[int]
    tails: array[int]
    relations: list[str]
    nodes: dict[int, Node]


def _read(transaction: Transaction, selection: Selection, report_progress: Progress) -> _Raw:
    conditions = _conditions(transaction, selection)
    node_ids, is_narrowed = _node_ids(transaction, selection, conditions)
    if is_narrowed:
        conditions["tails"] = node_ids
    raw_edges = _Raw(array("q"), array("q"), array("q"), [], {})
    relation_codes: dict[str, int] = {}
    for record in transaction.stream(queries.get("export/edges"), batches=_batches(node_ids), **conditions):
        relation_code = relation_codes.setdefault(record["relation"], len(relation_codes))
        raw_edges.heads.extend(record["heads"])
        raw_edges.tails.extend(record["tails"])
        raw_edges.codes.extend([relation_code] * len(record["heads"]))
        report_progress(len(raw_edges.heads), None)
    raw_edges.relations = list(relation_codes)
    end_ids = np.union1d(raw_edges.heads, raw_edges.tails).tolist()
    for record in transaction.stream(queries.get("export/nodes"), batches=_batches(end_ids), texts=selection.texts):
        kind = record["kind"]
        node_columns = (record[name] for name in ("ids", "keys", "names", "subjects"))
        raw_edges.nodes.update(
            (node_id, Node(node_key, kind, name, subject))
            for node_id, node_key, name, subject in zip(*node_columns, strict=True)
        )
    return raw_edges


def _conditions(transaction: Transaction, selection: Selection) -> _Conditions:
    """What the edges must be, apart from their ends; raises `NotFoundError` for an unknown relation or run."""
    conditions: _Conditions = {
        "without": [PREDICTED, *(stance for stance in STANCES if stance not in selection.stances)]
    }
    if selection.relations is not None:
        existing_relations = {
            relation_row["relation"]
            for relation_row in _stream(transaction, "find_relations", relations=list(selection.relations))
        }
        unknown_relations = [
            relation_name for relation_name in selection.relations if relation_name not in existing_relations
        ]
        _refuse_unknown("relation", unknown_relations, lambda relation_name: relation_hint(transaction, relation_name))
        conditions["relations"] = list(selection.relations)
    if selection.only == "cross":
        conditions["relations"] = [
            relation_name for relation_name in conditions.get("relations", STANCES) if relation_name in STANCES
        ]
    if selection.run is not None:
        if not list(_stream(transaction, "find_run", run=selection.run)):
            hint = run_hint(transaction, selection.run, "`kgp runs list` shows them.")
            raise NotFoundError(f"there is no run {selection.run}", hint)
        conditions["run"] = selection.run
    return conditions


def _node_ids(transaction: Transaction, selection: Selection, conditions: _Conditions) -> tuple[list[int], bool]:
    """The internal ids of the nodes that may be exported, and whether they are fewer than all."""
    image_filter: dict[str, list[int]] = {}
    if selection.images == "kept":
        [record] = _stream(transaction, "kept_ids")
        if not record["ids"]:
            raise KgpError("no image is kept by NaF", "Run `kgp naf score` and `kgp naf filter` first.")
        image_filter["images"] = record["ids"]
    elif selection.images != "all":
        listed_images = list(selection.images)
        [record] = _stream(transaction, "find_images", images=listed_images)
        unknown_images = [
            image_id for image_id, internal_id in zip(listed_images, record["ids"], strict=True) if internal_id < 0
        ]
        _refuse_unknown("image", unknown_images, lambda image_key: image_hint(transaction, image_key))
        image_filter["images"] = record["ids"]
    is_intra = selection.only == "intra"
    id_blocks = _stream(transaction, "node_ids", concepts_only=is_intra, **image_filter)
    node_ids = [node_id for id_block in id_blocks for node_id in id_block["ids"]]
    if selection.around:
        return _around(transaction, selection, node_ids, conditions), True
    return node_ids, is_intra or bool(image_filter)


def _around(
    transaction: Transaction, selection: Selection, allowed_ids: list[int], conditions: _Conditions
) -> list[int]:
    """Those of `allowed_ids` that are at most `hops` edges away from the nodes that `around` names."""
    [record] = _stream(transaction, "find_nodes", keys=list(selection.around))
    unknown_keys = [
        requested_key for requested_key, node_ids in zip(selection.around, record["ids"], strict=True) if not node_ids
    ]
    _refuse_unknown(
        "node", unknown_keys, lambda node_key: key_hint(transaction, node_key) or concept_hint(transaction, node_key)
    )
    frontier = {node_id for node_ids in record["ids"] for node_id in node_ids}.intersection(allowed_ids)
    reached_ids = set(frontier)
    for _ in range(selection.hops):
        id_batches = _batches(sorted(frontier))
        neighbour_records = _stream(transaction, "neighbours", batches=id_batches, nodes=allowed_ids, **conditions)
        frontier = {
            node_id for neighbour_record in neighbour_records for node_id in neighbour_record["ids"]
        } - reached_ids
        reached_ids |= frontier
        if not frontier:
            break
    return sorted(reached_ids)


def _refuse_unknown(kind_name: str, unknown_names: Sequence[str], hint_for: Callable[[str], str]) -> None:
    if unknown_names:
        remainder = f" (and {len(unknown_names) - 1:,} more do not exist)" if len(unknown_names) > 1 else ""
        raise NotFoundError(
            f"the graph has no {kind_name} {unknown_names[0]}{remainder}",
            hint_for(unknown_names[0]) or "Check the selection.",
        )


def _check_keys(nodes_by_id: dict[int, Node]) -> None:
    """Raise `InputError` unless every node can be named."""
    nameless_count = sum(not node.key for node in nodes_by_id.values())
    if nameless_count:
        subject = counted(nameless_count, "nodes with edges have", "node with edges has")
        raise InputError(f"{subject} no id (or cui, for a concept)", "Give it one.")
    duplicate_count = len(nodes_by_id) - len({(node.kind, node.key) for node in nodes_by_id.values()})
    if duplicate_count:
        subject = counted(duplicate_count, "nodes have", "node has")
        raise InputError(f"{subject} the kind and id of another", "Run `kgp doctor`.")


def _batches(node_ids: Sequence[int]) -> list[Sequence[int]]:
    return [node_ids[batch_start : batch_start + BATCH] for batch_start in range(0, len(node_ids), BATCH)]


def _stream(transaction: Transaction, query_name: str, **parameters: Any) -> Iterator[dict[str, Any]]:
    return transaction.stream(queries.get(f"export/{query_name}"), **parameters)
