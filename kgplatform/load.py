"""One load under way: its batches are written one by one, each exactly once, and noted on its run.

A batch and the run's progress commit in one transaction, which begins by taking the platform's lock (`ingest/lock`). So
what a batch finds in the graph, and adds to, does not change until it is in, however many loaders there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final, TypeVar

from kgplatform import queries
from kgplatform.batches import GraphBatch, Properties
from kgplatform.errors import KgpError
from kgplatform.graph import Graph, Transaction, Written
from kgplatform.schema import UNCLAIMED
from kgplatform.survey import Survey

FIRST_BATCH_ROWS: Final = 300  # planned while the graph may have no edges at all, so kept small
OWN: Final = list(UNCLAIMED)
ELEMENTS_AT_A_TIME: Final = 10_000
REPLANNED_BATCHES: Final = 2  # from the second batch on, plans know that there are edges

T = TypeVar("T")


@dataclass(frozen=True)
class Merged:
    """What writing one batch changed: new edges, completed nodes of an `enrich` batch, new nodes."""

    written: int = 0
    enriched: int = 0
    new_nodes: int = 0


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


def take_lock(transaction: Transaction, run: str) -> dict[str, Any]:
    """Wait until nobody else of the platform writes; others then wait until this transaction is over. Returns where the
    run is. To be called before anything is read that the transaction adds to.
    """
    return transaction.run(queries.get("ingest/lock"), run=run).records[0]


def write_by_id(
    graph: Graph,
    writer: str,
    ids: Sequence[int],
    work: Callable[[Transaction, list[int], Mapping[str, Any]], Written],
    at_a_time: int = ELEMENTS_AT_A_TIME,
) -> list[Written]:
    """Let `work` change elements of the graph, given by their internal ids, so many at a time, under the lock. It also
    gets where the run is that writes. Returns what each transaction did.
    """
    done = []
    for start in range(0, len(ids), at_a_time):
        chunk = list(ids[start : start + at_a_time])

        def locked(transaction: Transaction, chunk: list[int] = chunk) -> Written:
            return work(transaction, chunk, take_lock(transaction, writer))

        done.append(graph.transact(locked))
    return done


# Writes the batch's elements in the transaction, asserted by the run; the last argument: whether to plan anew.
Merge = Callable[[Transaction, Prepared, str, bool], Merged]


class Load:
    """One load under way: where it is, and what it has done. What a batch becomes in the graph is `merging`'s part.

    The graph is a patient one, so that the load outlasts the server. Loaders of a run have the same rows in the same
    order, so that what one of them has done is done; but where the run `extends`, each call has rows of its own, which
    are added to the run.
    """

    def __init__(
        self, graph: Graph, run: str, properties: Mapping[str, Any], merging: Merge, *, extends: bool = False
    ) -> None:
        self._graph = graph
        self._run = run
        self._properties = dict(properties)
        self._merge = merging
        self._extends = extends
        self._attempt = uuid.uuid4().hex
        self._done_before = 0
        self._record = True  # a finished run that is loaded again only counts what is new
        self._batches = 0
        self.position = 0
        self.written = 0
        self.enriched = 0
        self.new_nodes = 0

    def begin(self) -> int:
        """Open or find the run; returns the row to go on from, 0 for a load from the start."""
        opening = {"run": self._run, "properties": self._properties, "extends": self._extends}
        [state] = self._graph.write(queries.get("ingest/begin"), **opening).records
        if state["was"] == "undoing":
            raise KgpError(f"run {self._run} is half undone", f"Finish it first: kgp runs undo {self._run}")
        self._record = self._extends or state["was"] != "done"
        if self._record and state["was"] in ("running", "done"):
            self._done_before = state["rows_done"]
            self.written = state["rows_written"]
            self.enriched = state["rows_enriched"]
        return self._done_before

    @property
    def repeats(self) -> bool:
        """Whether the run was finished before this load."""
        return not self._record

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
        merged = self._graph.transact(lambda transaction: self._write(transaction, prepared, token))
        self._batches += 1
        self.written += merged.written
        self.enriched += merged.enriched
        self.new_nodes += merged.new_nodes

    def _write(self, transaction: Transaction, prepared: Prepared, token: str) -> Merged:
        batch = prepared.batch
        run = take_lock(transaction, self._run)
        if run["status"] not in ("running", "done"):
            raise KgpError(f"run {self._run} was undone while it was loaded", "Load it again when the undo is done.")
        if run["batch"] == token:  # it went through before, only the answer was lost
            return Merged(run["written"], run["enriched"])
        if self._record and not self._extends and run["rows_done"] >= self.position:
            return Merged()  # another loader of the same run was quicker
        merged = self._merge(transaction, prepared, self._run, self._batches < REPLANNED_BATCHES)
        if self.repeats and not (merged.written or merged.enriched):
            return merged  # the record of a finished run changes only with what it asserts
        existing = batch.asserted - merged.written if self._record and not batch.enrich else 0
        transaction.run(
            queries.get("ingest/checkpoint"),
            run=self._run,
            batch=token,
            rows_done=self.position,
            rows_written=merged.written,
            rows_existing=existing,
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
        self._graph.write(queries.get("ingest/finish"), **closing)


def merge(transaction: Transaction, prepared: Prepared, run: str, replan: bool) -> Merged:
    """Write what a source asserts: nodes, their properties, and edges; new ones outdate the NaF scores."""
    ids, unasserted, created = _nodes(transaction, prepared, run)
    changed = written = 0
    if unasserted:
        [answer] = transaction.run(queries.get("ingest/assert_nodes"), rows=unasserted, run=run, own=OWN).records
        changed = answer["changed"]
    if entities := [ids[place] for _, _, place in prepared.nodes.get("Entity", ()) if ids[place] is not None]:
        transaction.run(queries.get("ingest/label_entities"), ids=entities)
    if prepared.edges:
        merging = queries.get("ingest/merge_edges")
        written = transaction.run(
            merging, replan=replan, ids=ids, rows=prepared.edges, run=run, own=OWN
        ).relationships_created
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
