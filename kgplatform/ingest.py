"""Loads a source into the graph: batched, idempotent, resumable, every element tied to its run.

A run is named by what is loaded: the source's kind, version and parameters and the sha256 of its files. So the same
load twice is one run and changes nothing, and a load that was killed goes on where its run says it stopped. A batch and
the run's progress commit in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from kgplatform import queries
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties, Reject, Source
from kgplatform.errors import ConnectionFailed, InputError, KgpError
from kgplatform.graph import Graph, Transaction
from kgplatform.schema import LABEL, NODE_TYPES, relation_problem

BATCH_ROWS: Final = 10_000
INDEXES: Final = ("schema/concept_names",)  # filled faster when the data is there already
CONSTRAINTS: Final = tuple(name for name in queries.names("schema") if name not in INDEXES)
FIRST_BATCH_ROWS: Final = 300  # planned while the graph may have no edges at all, so kept small
KEPT_ROWS: Final = 100_000  # a source of at most so many rows is read once
REPLANNED_BATCHES: Final = 2  # from the second batch on, plans know that there are edges
_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,62}")
_OURS = frozenset({"runs", "claims", "naf", "naf_rank", "naf_kept", "id", "cui"})

T = TypeVar("T")
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Account:
    """What became of the source rows: read = written + existing + rejected."""

    read: int = 0
    written: int = 0
    existing: int = 0
    rejected: int = 0


@dataclass(frozen=True)
class Report:
    """The outcome of a load. `enriched` accounts for rows that only complete nodes (an image mapping):
    there, `existing` are rows of nodes that are complete already or not in the graph.
    """

    run: str
    rows: Account
    enriched: Account
    resumed_at: int = 0
    rejects: Path | None = None
    first_rejects: tuple[Reject, ...] = ()
    new_nodes: int = 0
    dry_run: bool = False


@dataclass
class Survey:
    """What a first pass over the source found, before anything is written."""

    rows: Account = field(default_factory=Account)
    enriched: Account = field(default_factory=Account)
    first_rejects: list[Reject] = field(default_factory=list)
    batches: list[GraphBatch] | None = field(default_factory=list)  # of a small source, to save reading it again

    @property
    def total(self) -> int:
        """Source rows of all kinds."""
        return self.rows.read + self.enriched.read


def run_id(source: Source) -> tuple[str, str]:
    """The run's id and the sha256 of the source's files. Raises `InputError` for an unreadable file."""
    digest = hashlib.sha256()
    for path in source.files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", "Check the path.", path=path) from None
    files = digest.hexdigest()
    identity = json.dumps([source.kind, source.version, source.parameters, files], sort_keys=True)
    return f"{source.kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}", files


def run_properties(source: Source, sha256: str) -> dict[str, Any]:
    """What the graph keeps about a run from its beginning."""
    return {
        "kind": source.kind,
        "source": ", ".join(path.name for path in source.files),
        "sha256": sha256,
        "version": source.version,
        "parameters": json.dumps(source.parameters, sort_keys=True),
    }


def ingest(
    graph: Graph,
    source: Source,
    *,
    on_error: str = "stop",
    rejects: Path | None = None,
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Progress = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Load `source`. With ``on_error="stop"`` a bad row stops the load before anything is written; with ``"skip"``
    bad rows go to the file `rejects` and the rest is loaded.

    Raises `InputError` for bad input and `DatabaseError` when the database cannot take it.
    """
    run, sha256 = run_id(source)
    if dry_run:
        survey = survey_source(source, on_error, rejects, batch_rows)
        return _rehearse(graph, source, run, survey, batch_rows)
    with ThreadPoolExecutor(1) as beside:  # a fresh server takes a second for its constraints
        constraints = beside.submit(_create, graph, CONSTRAINTS)
        survey = survey_source(source, on_error, rejects, batch_rows)
        constraints.result()
    load = _Load(graph, run, source, sha256, told)
    resumed_at = load.begin()
    for batch in _ahead(map(_Prepared, _first_small(survey.batches or source.batches(batch_rows)))):
        load.write(batch)
        progress(load.position, survey.total)
    _create(graph, INDEXES)
    load.finish(survey)
    rows = Account(
        survey.rows.read, load.written, survey.rows.read - survey.rows.rejected - load.written, survey.rows.rejected
    )
    valid = survey.enriched.read - survey.enriched.rejected
    enriched = Account(survey.enriched.read, load.enriched, valid - load.enriched, survey.enriched.rejected)
    written_to = rejects if survey.first_rejects else None
    return Report(run, rows, enriched, resumed_at, written_to, tuple(survey.first_rejects), load.new_nodes)


def prepare(graph: Graph) -> None:
    """Create the constraints and indexes; changes nothing when they are there."""
    _create(graph, (*CONSTRAINTS, *INDEXES))
    graph.run_unmanaged(queries.get("ingest/await_indexes"))


def _create(graph: Graph, names: Iterable[str]) -> None:
    for name in names:
        graph.run_unmanaged(queries.get(name))


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, the next one made while the last one is used."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = beside.submit(next, items, None)
            yield item


def survey_source(source: Source, on_error: str, rejects: Path | None, batch_rows: int) -> Survey:
    """Read the whole source once: count, check, and write the reject file. Raises `InputError` on the first bad row
    unless `on_error` is ``"skip"``.
    """
    survey = Survey()
    with _reject_file(rejects) as note:
        for batch in source.batches(batch_rows):
            check(batch, source)
            if batch.rejects and on_error != "skip":
                bad = batch.rejects[0]
                hint = "Nothing was written. Mend the row, or load the rest with --on-error skip."
                raise InputError(bad.reason, hint, path=bad.path, row=bad.row)
            for bad in batch.rejects:
                note(bad)
            survey.first_rejects.extend(batch.rejects[: 5 - len(survey.first_rejects)])
            old = survey.enriched if batch.enrich else survey.rows
            new = Account(old.read + batch.read, 0, 0, old.rejected + len(batch.rejects))
            if batch.enrich:
                survey.enriched = new
            else:
                survey.rows = new
            if survey.batches is not None:
                survey.batches = [*survey.batches, batch] if survey.total <= KEPT_ROWS else None
    return survey


def check(batch: GraphBatch, source: Source) -> None:
    """Raise unless all names in the batch keep to the schema, whoever wrote the loader."""
    for head, relation, tail in {(head[0], relation, tail[0]) for head, relation, tail in batch.edges}:
        problem = relation_problem(relation, head, tail)
        if problem:
            raise InputError(f"the loader {source.kind} gave a bad relation: {problem}", path=source.files[0])
    for label, key in batch.nodes:
        if label not in NODE_TYPES:
            raise InputError(f"the loader {source.kind} gave a node of an unknown label", path=source.files[0])
        if label == "Thing" and LABEL.fullmatch(key.partition(":")[0]) is None:
            raise InputError(f"the loader {source.kind} gave a bad type name", path=source.files[0])
    names = {name for properties in (*batch.nodes.values(), *batch.edges.values()) for name in properties}
    if any(name in _OURS or _PROPERTY.fullmatch(name) is None for name in names):
        raise InputError(f"the loader {source.kind} gave a bad property name", path=source.files[0])


class _Prepared:
    """A batch as the queries take it: each node's place, and rows in an order that all loaders share.

    One order for all, so that loaders of the same rows do not wait for each other in a circle.
    """

    def __init__(self, batch: GraphBatch) -> None:
        self.batch = batch
        self.refs = sorted(batch.nodes)
        places = {ref: place for place, ref in enumerate(self.refs)}
        self.nodes: dict[str, list[list[Any]]] = {}  # by label: [key, properties, place]
        for (label, key), place in places.items():
            self.nodes.setdefault(label, []).append([key, dict(batch.nodes[label, key]), place])
        self.edges = [
            [places[h], name, places[t], dict(properties)] for (h, name, t), properties in batch.edges.items()
        ]
        self.edges.sort(key=itemgetter(0, 2))


class _Load:
    """One load under way: where it is, and what it has done."""

    def __init__(self, graph: Graph, run: str, source: Source, sha256: str, told: Callable[[str], None]) -> None:
        self._graph = graph
        self._run = run
        self._source = source
        self._sha256 = sha256
        self._told = told
        self._attempt = uuid.uuid4().hex
        self._done_before = 0
        self._record = True  # a finished run keeps its record when it is loaded again
        self._batches = 0
        self.position = 0
        self.written = 0
        self.enriched = 0
        self.new_nodes = 0

    def begin(self) -> int:
        """Open or find the run; returns the row to go on from, 0 for a load from the start."""
        properties = run_properties(self._source, self._sha256)
        [state] = self._graph.write(queries.get("ingest/begin"), run=self._run, properties=properties).records
        if state["was"] == "undoing":
            raise KgpError(f"run {self._run} is half undone", f"Finish it first: kgp runs undo {self._run}")
        if state["was"] == "running":
            self._done_before = state["rows_done"]
            self.written = state["rows_written"]
            self.enriched = state["rows_enriched"]
        self._record = state["was"] != "done"
        return self._done_before

    def write(self, prepared: _Prepared) -> None:
        """Write one batch, exactly once, whatever happens to the connection meanwhile."""
        batch = prepared.batch
        self.position += batch.read
        if self.position <= self._done_before:
            return
        token = f"{self._attempt}:{self.position}"
        try:
            written, enriched, nodes = self._graph.transact(lambda tx: self._write(tx, prepared, token))
        except ConnectionFailed:
            self._graph.wait(told=self._told)
            [last] = self._graph.read(queries.get("ingest/last_batch"), run=self._run)
            if last["batch"] != token:
                self.position -= batch.read
                return self.write(prepared)
            # the commit went through; only its answer was lost
            written, enriched, nodes = last["written"], last["enriched"], 0
        self._batches += 1
        self.written += written
        self.enriched += enriched
        self.new_nodes += nodes

    def _write(self, transaction: Transaction, prepared: _Prepared, token: str) -> tuple[int, int, int]:
        batch = prepared.batch
        ids, unasserted, created = self._nodes(transaction, prepared)
        changed = written = 0
        if unasserted:
            asserting = queries.get("ingest/assert_nodes")
            [answer] = transaction.run(asserting, rows=unasserted, run=self._run).records
            changed = answer["changed"]
        if prepared.edges:
            merging, replan = queries.get("ingest/merge_edges"), self._batches < REPLANNED_BATCHES
            merged = transaction.run(merging, replan=replan, ids=ids, rows=prepared.edges, run=self._run)
            written = merged.relationships_created
        if written or created:
            transaction.run(queries.get("ingest/outdate"))
        enriched = changed if batch.enrich else 0
        if self._record:
            valid = batch.read - len(batch.rejects)
            transaction.run(
                queries.get("ingest/checkpoint"),
                run=self._run,
                batch=token,
                rows_done=self.position,
                rows_written=written,
                rows_existing=0 if batch.enrich else valid - written,
                rows_enriched=enriched,
            )
        return written, enriched, created

    def _nodes(
        self, transaction: Transaction, prepared: _Prepared
    ) -> tuple[list[str | None], list[tuple[str, Properties]], int]:
        """Find or create the batch's nodes; with `enrich`, only find them.

        Returns their element ids by place, those that the run has yet to assert, and how many are new.
        """
        ids: list[str | None] = [None] * len(prepared.refs)
        unasserted: list[tuple[str, Properties]] = []
        created = 0
        for label, rows in prepared.nodes.items():
            if prepared.batch.enrich:
                result = transaction.run(queries.get(f"ingest/find_{label.lower()}"), rows=rows)
            else:
                result = transaction.run(queries.get(f"ingest/merge_{label.lower()}"), rows=rows, run=self._run)
            created += result.nodes_created
            for place, element, asserted in result.records[0]["nodes"]:
                ids[place] = element
                if not asserted:
                    unasserted.append((element, dict(prepared.batch.nodes[prepared.refs[place]])))
        return ids, unasserted, created

    def finish(self, survey: Survey) -> None:
        """Close the run."""
        if not self._record:
            return
        closing = {
            "run": self._run,
            "rows_read": survey.rows.read,
            "rows_rejected": survey.rows.rejected,
            "mapping_read": survey.enriched.read,
        }
        try:
            self._graph.write(queries.get("ingest/finish"), **closing)
        except ConnectionFailed:
            self._graph.wait(told=self._told)
            self._graph.write(queries.get("ingest/finish"), **closing)


def _first_small(batches: Iterable[GraphBatch]) -> Iterator[GraphBatch]:
    """The batches, the first one in two: see FIRST_BATCH_ROWS."""
    for number, batch in enumerate(batches):
        if number == 0 and batch.read > FIRST_BATCH_ROWS and len(batch.edges) > FIRST_BATCH_ROWS:
            yield from _split(batch, FIRST_BATCH_ROWS)
        else:
            yield batch


def _split(batch: GraphBatch, edges: int) -> Iterable[GraphBatch]:
    """The batch as two: its first edges with their nodes, and the rest."""
    pairs = list(batch.edges.items())
    head = GraphBatch(read=edges, edges=dict(pairs[:edges]))
    for (h, _, t), _properties in pairs[:edges]:
        head.nodes[h] = batch.nodes[h]
        head.nodes[t] = batch.nodes[t]
    rest = GraphBatch(batch.read - edges, batch.nodes, dict(pairs[edges:]), batch.rejects)
    return head, rest


def _rehearse(graph: Graph, source: Source, run: str, survey: Survey, batch_rows: int) -> Report:
    """What a load would do, by reading alone. Remembers the keys of what is new, so memory grows with that."""
    new_nodes: set[NodeRef] = set()
    new_edges: set[EdgeRef] = set()
    unchanged = enriched = 0
    for batch in source.batches(batch_rows):
        index, ids = _find_nodes(graph, batch)
        if batch.enrich:
            named = [[ids[index[ref]], properties] for ref, properties in batch.nodes.items() if ref in index]
            [answer] = graph.read(queries.get("ingest/count_changes"), rows=named, run=run)
            enriched += answer["changed"] + sum(ref in new_nodes for ref in batch.nodes)
            continue
        new_nodes.update(ref for ref in batch.nodes if ref not in index)
        known = [edge for edge in batch.edges if edge[0] in index and edge[2] in index]
        rows = [[index[head], relation, index[tail], i] for i, (head, relation, tail) in enumerate(known)]
        found = graph.read(queries.get("ingest/find_edges"), ids=ids, rows=rows) if rows else []
        there = {known[record["position"]] for record in found}
        unchanged += len(there)
        new_edges.update(edge for edge in batch.edges if edge not in there)
    valid = survey.rows.read - survey.rows.rejected
    rows_account = Account(survey.rows.read, len(new_edges), valid - len(new_edges), survey.rows.rejected)
    kept = survey.enriched
    enriched_account = Account(kept.read, enriched, kept.read - kept.rejected - enriched, kept.rejected)
    first = tuple(survey.first_rejects)
    return Report(run, rows_account, enriched_account, 0, None, first, len(new_nodes), dry_run=True)


def _find_nodes(graph: Graph, batch: GraphBatch) -> tuple[dict[NodeRef, int], list[str]]:
    index: dict[NodeRef, int] = {}
    ids: list[str] = []
    for label in {label for label, _ in batch.nodes}:
        keys = [key for other, key in batch.nodes if other == label]
        rows = [[key, {}, place] for place, key in enumerate(keys)]
        [answer] = graph.read(queries.get(f"ingest/find_{label.lower()}"), rows=rows)
        for place, element, _ in answer["nodes"]:
            index[label, keys[place]] = len(ids)
            ids.append(element)
    return index, ids


@contextmanager
def _reject_file(path: Path | None) -> Iterator[Callable[[Reject], None]]:
    """A writer of rejected rows: file, row and reason, never the row's content. No file without rejects."""
    if path is None:
        yield lambda _: None
        return
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    count = 0
    with partial.open("w", encoding="utf-8") as file:
        file.write("file\trow\treason\n")

        def note(bad: Reject) -> None:
            nonlocal count
            count += 1
            file.write(f"{bad.path}\t{bad.row}\t{bad.reason}\n")

        try:
            yield note
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    if count:
        partial.replace(path)
    else:
        partial.unlink()
