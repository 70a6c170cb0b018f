"""Loads a source into the graph: batched, idempotent, resumable, every element tied to its run.

A run is named by what is loaded: the source's kind, version and parameters and the sha256 of its files. So the same
load twice is one run and changes nothing, and a load that was killed goes on where its run says it stopped. A batch and
the run's progress commit in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, TypeVar

from kgplatform import queries
from kgplatform.batches import GraphBatch, Properties, Reject, Source
from kgplatform.dry_run import rehearse
from kgplatform.errors import ConnectionFailed, InputError, KgpError
from kgplatform.graph import Graph, Transaction
from kgplatform.survey import Account, Survey, checked, survey_source

BATCH_ROWS: Final = 10_000
INDEXES: Final = ("schema/concept_names",)  # filled faster when the data is there already
CONSTRAINTS: Final = tuple(name for name in queries.names("schema") if name not in INDEXES)
FIRST_BATCH_ROWS: Final = 300  # planned while the graph may have no edges at all, so kept small
REPLANNED_BATCHES: Final = 2  # from the second batch on, plans know that there are edges

NAMED_FILES: Final = 5  # a data set of reports has 200,000

PREDICTION: Final = "prediction"  # kind of the runs that assert PREDICTED edges alone; see cypher/runs/undo_begin

T = TypeVar("T")
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Merged:
    """What writing one batch changed: new edges, completed nodes of an `enrich` batch, new nodes."""

    written: int = 0
    enriched: int = 0
    new_nodes: int = 0


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


def run_id(source: Source) -> tuple[str, str]:
    """The run's id and the sha256 of the source's files. Raises `InputError` for an unreadable file."""
    if source.kind == PREDICTION:
        raise InputError(f"a loader cannot be called {PREDICTION}", "Give it another name.")
    digest = hashlib.sha256()
    for path in source.files:
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", "Check the path.", path=path) from None
    files = digest.hexdigest()
    return name_run(source.kind, source.version, source.parameters, files), files


def name_run(kind: str, version: int, parameters: Mapping[str, Any], sha256: str) -> str:
    """The id of the run that loads content of that hash in that way."""
    identity = json.dumps([kind, version, parameters, sha256], sort_keys=True)
    return f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def run_properties(source: Source, sha256: str) -> dict[str, Any]:
    """What the graph keeps about a run from its beginning."""
    return {
        "kind": source.kind,
        "source": _named(source.files),
        "sha256": sha256,
        "version": source.version,
        "parameters": json.dumps(source.parameters, sort_keys=True),
    }


def _named(files: Sequence[Path]) -> str:
    """The names of the files; of many, the first."""
    names = ", ".join(path.name for path in files[:NAMED_FILES])
    return names if len(files) <= NAMED_FILES else f"{names} and {len(files) - NAMED_FILES:,} more"


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
        rows, enriched, new_nodes = rehearse(graph, source, run, survey, batch_rows)
        return Report(run, rows, enriched, 0, None, tuple(survey.first_rejects), new_nodes, dry_run=True)
    with ThreadPoolExecutor(1) as beside:  # a fresh server takes a second for its constraints
        constraints = beside.submit(_create, graph, CONSTRAINTS)
        survey = survey_source(source, on_error, rejects, batch_rows)
        constraints.result()
    load = Load(graph, run, run_properties(source, sha256), merge, told)
    resumed_at = load.begin()
    batches = survey.batches or (checked(batch, source) for batch in source.batches(batch_rows))
    load.write_all(batches, lambda done: progress(done, survey.total))
    _create(graph, INDEXES)
    load.finish(survey)
    rows = Account(survey.rows.read, load.written, survey.asserted - load.written, survey.rows.rejected)
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


class Prepared:
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


# Writes the batch's elements in the transaction, asserted by the run; the last argument: whether to plan anew.
Merge = Callable[[Transaction, Prepared, str, bool], Merged]


class Load:
    """One load under way: where it is, and what it has done. What a batch becomes in the graph is `merging`'s part."""

    def __init__(
        self, graph: Graph, run: str, properties: Mapping[str, Any], merging: Merge, told: Callable[[str], None]
    ) -> None:
        self._graph = graph
        self._run = run
        self._properties = dict(properties)
        self._merge = merging
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
        [state] = self._graph.write(queries.get("ingest/begin"), run=self._run, properties=self._properties).records
        if state["was"] == "undoing":
            raise KgpError(f"run {self._run} is half undone", f"Finish it first: kgp runs undo {self._run}")
        if state["was"] == "running":
            self._done_before = state["rows_done"]
            self.written = state["rows_written"]
            self.enriched = state["rows_enriched"]
        self._record = state["was"] != "done"
        return self._done_before

    def write_all(self, batches: Iterable[GraphBatch], progress: Callable[[int], None]) -> None:
        """Write the batches that are not in yet, each prepared while the one before is written."""
        for prepared in _ahead(map(Prepared, _first_small(batches))):
            self.write(prepared)
            progress(self.position)

    def write(self, prepared: Prepared) -> None:
        """Write one batch, exactly once, whatever happens to the connection meanwhile."""
        batch = prepared.batch
        self.position += batch.read
        if self.position <= self._done_before:
            return
        token = f"{self._attempt}:{self.position}"
        try:
            merged = self._graph.transact(lambda tx: self._write(tx, prepared, token))
        except ConnectionFailed:
            self._graph.wait(told=self._told)
            [last] = self._graph.read(queries.get("ingest/last_batch"), run=self._run)
            if last["batch"] != token:
                self.position -= batch.read
                return self.write(prepared)
            # the commit went through; only its answer was lost
            merged = Merged(last["written"], last["enriched"])
        self._batches += 1
        self.written += merged.written
        self.enriched += merged.enriched
        self.new_nodes += merged.new_nodes

    def _write(self, transaction: Transaction, prepared: Prepared, token: str) -> Merged:
        batch = prepared.batch
        merged = self._merge(transaction, prepared, self._run, self._batches < REPLANNED_BATCHES)
        if self._record:
            transaction.run(
                queries.get("ingest/checkpoint"),
                run=self._run,
                batch=token,
                rows_done=self.position,
                rows_written=merged.written,
                rows_existing=0 if batch.enrich else batch.asserted - merged.written,
                rows_enriched=merged.enriched,
            )
        return merged

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


def merge(transaction: Transaction, prepared: Prepared, run: str, replan: bool) -> Merged:
    """Write what a source asserts: nodes, their properties, and edges; new ones outdate the NaF scores."""
    ids, unasserted, created = _nodes(transaction, prepared, run)
    changed = written = 0
    if unasserted:
        [answer] = transaction.run(queries.get("ingest/assert_nodes"), rows=unasserted, run=run).records
        changed = answer["changed"]
    if entities := [ids[place] for _, _, place in prepared.nodes.get("Entity", ()) if ids[place] is not None]:
        transaction.run(queries.get("ingest/label_entities"), ids=entities)
    if prepared.edges:
        merging = queries.get("ingest/merge_edges")
        written = transaction.run(merging, replan=replan, ids=ids, rows=prepared.edges, run=run).relationships_created
    if written or created:
        transaction.run(queries.get("ingest/outdate"))
    return Merged(written, changed if prepared.batch.enrich else 0, created)


def _nodes(
    transaction: Transaction, prepared: Prepared, run: str
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
            result = transaction.run(queries.get(f"ingest/merge_{label.lower()}"), rows=rows, run=run)
        created += result.nodes_created
        for place, element, asserted in result.records[0]["nodes"]:
            ids[place] = element
            if not asserted:
                unasserted.append((element, dict(prepared.batch.nodes[prepared.refs[place]])))
    return ids, unasserted, created


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
    head = GraphBatch(read=edges, edges=dict(pairs[:edges]), given=None if batch.given is None else edges)
    for (h, _, t), _properties in pairs[:edges]:
        head.nodes[h] = batch.nodes[h]
        head.nodes[t] = batch.nodes[t]
    rest = GraphBatch(batch.read - edges, batch.nodes, dict(pairs[edges:]), batch.rejects)
    rest.given = None if batch.given is None else batch.given - edges
    return head, rest
