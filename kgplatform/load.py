"""One load under way: its batches are written one at a time, each exactly once, and noted on its run.

A batch and the run's progress commit in one transaction, which begins by taking the platform's lock (`ingest/lock`). So
what a batch finds in the graph, and adds to, does not change until it is in, however many loaders there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from kgplatform import queries
from kgplatform.background import read_ahead
from kgplatform.batches import GraphBatch, Properties
from kgplatform.errors import KgpError
from kgplatform.graph import Graph, Transaction
from kgplatform.graph_records import WriteResult
from kgplatform.schema import UNCLAIMED
from kgplatform.survey import Survey

FIRST_BATCH_ROWS: Final = 300  # planned while the graph may have no edges at all, so kept small
OWN: Final = list(UNCLAIMED)
ELEMENTS_AT_A_TIME: Final = 10_000
REPLANNED_BATCHES: Final = 2  # from the second batch on, plans know that there are edges


@dataclass(frozen=True)
class Merged:
    """What writing one batch changed: new edges, completed nodes of an `enrich` batch, new nodes."""

    written: int = 0
    enriched: int = 0
    new_nodes: int = 0


class PreparedBatch:
    """A batch as the queries take it: each node's place, and rows in an order that all loaders share.

    One order for all, so that loaders of the same rows do not wait for each other in a circle.
    """

    def __init__(self, batch: GraphBatch) -> None:
        self.batch = batch
        self.refs = sorted(batch.nodes)
        positions = {node_ref: position for position, node_ref in enumerate(self.refs)}
        self.nodes: dict[str, list[list[Any]]] = {}  # by label: [key, properties, place]
        for (label, node_key), position in positions.items():
            self.nodes.setdefault(label, []).append([node_key, dict(batch.nodes[label, node_key]), position])
        self.edges = [
            [positions[head], relation, positions[tail], dict(properties)]
            for (head, relation, tail), properties in batch.edges.items()
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
    work: Callable[[Transaction, list[int], Mapping[str, Any]], WriteResult],
    at_a_time: int = ELEMENTS_AT_A_TIME,
) -> list[WriteResult]:
    """Let `work` change elements of the graph, given by their internal ids, so many at a time, under the lock. It also
    gets where the run is that writes. Returns what each transaction did.
    """
    results = []
    for chunk_start in range(0, len(ids), at_a_time):
        id_chunk = list(ids[chunk_start : chunk_start + at_a_time])

        def locked(transaction: Transaction, id_chunk: list[int] = id_chunk) -> WriteResult:
            return work(transaction, id_chunk, take_lock(transaction, writer))

        results.append(graph.transact(locked))
    return results


# Writes the batch's elements in the transaction, asserted by the run; the last argument: whether to plan again.
Merge = Callable[[Transaction, PreparedBatch, str, bool], Merged]


class Load:
    """One load under way: where it is, and what it has done. What a batch becomes in the graph is `merging`'s part.

    The graph is a patient one, so that the load outlasts the server. Loaders of a run have the same rows in the same
    order, so that what one of them has done is done; but where the run `extends`, each call has its own rows, which
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
        self._previous_rows_done = 0
        self._record = True  # a finished run that is loaded again only counts what is new
        self._batches = 0
        self.position = 0
        self.written = 0
        self.enriched = 0
        self.new_nodes = 0

    def begin(self) -> int:
        """Open or find the run; returns the row to go on from, 0 for a load from the start."""
        run_parameters = {"run": self._run, "properties": self._properties, "extends": self._extends}
        [run_state] = self._graph.write(queries.get("ingest/begin"), **run_parameters).records
        if run_state["was"] == "undoing":
            raise KgpError(f"run {self._run} is half undone", f"Finish it first: kgp runs undo {self._run}")
        self._record = self._extends or run_state["was"] != "done"
        if self._record and run_state["was"] in ("running", "done"):
            self._previous_rows_done = run_state["rows_done"]
            self.written = run_state["rows_written"]
            self.enriched = run_state["rows_enriched"]
        return self._previous_rows_done

    @property
    def repeats(self) -> bool:
        """Whether the run was finished before this load."""
        return not self._record

    def write_all(self, batches: Iterable[GraphBatch], progress: Callable[[int], None]) -> None:
        """Write the batches that are not in yet, each prepared while the one before is written."""
        for prepared in read_ahead(map(PreparedBatch, _first_small(batches))):
            self.write(prepared)
            progress(self.position)

    def write(self, prepared: PreparedBatch) -> None:
        """Write one batch, exactly once, regardless of what happens to the connection meanwhile."""
        batch = prepared.batch
        self.position += batch.read
        if self.position <= self._previous_rows_done:
            return
        batch_token = f"{self._attempt}:{self.position}"
        merged = self._graph.transact(lambda transaction: self._write(transaction, prepared, batch_token))
        self._batches += 1
        self.written += merged.written
        self.enriched += merged.enriched
        self.new_nodes += merged.new_nodes

    def _write(self, transaction: Transaction, prepared: PreparedBatch, batch_token: str) -> Merged:
        batch = prepared.batch
        run_state = take_lock(transaction, self._run)
        if run_state["status"] not in ("running", "done"):
            raise KgpError(f"run {self._run} was undone while it was loaded", "Load it again when the undo is done.")
        if run_state["batch"] == batch_token:  # it succeeded before, only the answer was lost
            return Merged(run_state["written"], run_state["enriched"])
        if self._record and not self._extends and run_state["rows_done"] >= self.position:
            return Merged()  # another loader of the same run was faster
        merged = self._merge(transaction, prepared, self._run, self._batches < REPLANNED_BATCHES)
        if self.repeats and not (merged.written or merged.enriched):
            return merged  # the record of a finished run changes only with what it asserts
        existing_rows = batch.asserted - merged.written if self._record and not batch.enrich else 0
        transaction.run(
            queries.get("ingest/checkpoint"),
            run=self._run,
            batch=batch_token,
            rows_done=self.position,
            rows_written=merged.written,
            rows_existing=existing_rows,
            rows_enriched=merged.enriched,
        )
        return merged

    def finish(self, survey: Survey) -> None:
        """Close the run."""
        if not self._record:
            return
        run_counts = {
            "run": self._run,
            "rows_read": survey.rows.read,
            "rows_rejected": survey.rows.rejected,
            "mapping_read": survey.enriched.read,
        }
        self._graph.write(queries.get("ingest/finish"), **run_counts)


def merge(transaction: Transaction, prepared: PreparedBatch, run: str, replan: bool) -> Merged:
    """Write what a source asserts: nodes, their properties, and edges; new ones outdate the NaF scores."""
    element_ids, unasserted, created_count = _nodes(transaction, prepared, run)
    changed_count = written_edges = 0
    if unasserted:
        [answer] = transaction.run(queries.get("ingest/assert_nodes"), rows=unasserted, run=run, own=OWN).records
        changed_count = answer["changed"]
    if entity_ids := [
        element_ids[position]
        for _, _, position in prepared.nodes.get("Entity", ())
        if element_ids[position] is not None
    ]:
        transaction.run(queries.get("ingest/label_entities"), ids=entity_ids)
    if prepared.edges:
        merge_query = queries.get("ingest/merge_edges")
        written_edges = transaction.run(
            merge_query, replan=replan, ids=element_ids, rows=prepared.edges, run=run, own=OWN
        ).relationships_created
    if written_edges or created_count:
        transaction.run(queries.get("ingest/outdate"))
    return Merged(written_edges, changed_count if prepared.batch.enrich else 0, created_count)


def _nodes(
    transaction: Transaction, prepared: PreparedBatch, run: str
) -> tuple[list[str | None], list[tuple[str, Properties]], int]:
    """Find or create the batch's nodes; with `enrich`, only find them.

    Returns their element ids by place, those that the run has yet to assert, and how many are new.
    """
    element_ids: list[str | None] = [None] * len(prepared.refs)
    unasserted: list[tuple[str, Properties]] = []
    created_count = 0
    for label, node_rows in prepared.nodes.items():
        if prepared.batch.enrich:
            nodes_result = transaction.run(queries.get(f"ingest/find_{label.lower()}"), rows=node_rows)
        else:
            nodes_result = transaction.run(queries.get(f"ingest/merge_{label.lower()}"), rows=node_rows, run=run)
        created_count += nodes_result.nodes_created
        for position, element_id, is_asserted in nodes_result.records[0]["nodes"]:
            element_ids[position] = element_id
            if not is_asserted:
                unasserted.append((element_id, dict(prepared.batch.nodes[prepared.refs[position]])))
    return element_ids, unasserted, created_count


def _first_small(batches: Iterable[GraphBatch]) -> Iterator[GraphBatch]:
    """The batches, the first one in two: see FIRST_BATCH_ROWS."""
    for batch_number, batch in enumerate(batches):
        if batch_number == 0 and batch.read > FIRST_BATCH_ROWS and len(batch.edges) > FIRST_BATCH_ROWS:
            yield from _split(batch, FIRST_BATCH_ROWS)
        else:
            yield batch


def _split(batch: GraphBatch, edge_count: int) -> Iterable[GraphBatch]:
    """The batch as two: its first edges with their nodes, and the rest."""
    edge_items = list(batch.edges.items())
    first_batch = GraphBatch(
        read=edge_count,
        edges=dict(edge_items[:edge_count]),
        stated_edges=None if batch.stated_edges is None else edge_count,
    )
    for (head_ref, _, tail_ref), _properties in edge_items[:edge_count]:
        first_batch.nodes[head_ref] = batch.nodes[head_ref]
        first_batch.nodes[tail_ref] = batch.nodes[tail_ref]
    second_batch = GraphBatch(batch.read - edge_count, batch.nodes, dict(edge_items[edge_count:]), batch.rejects)
    second_batch.stated_edges = None if batch.stated_edges is None else batch.stated_edges - edge_count
    return first_batch, second_batch
