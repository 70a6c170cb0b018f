"""Provenance: what was loaded or generated when, and how to take it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import NotFoundError
from kgplatform.graph import Graph, Transaction
from kgplatform.graph_names import run_hint
from kgplatform.graph_records import WriteResult
from kgplatform.ingest import constrain
from kgplatform.load import OWN, write_by_id
from kgplatform.search.index import Part, clear, recount

UNDONE: Final = "undone"  # the status of a run that asserts nothing any longer


@dataclass(frozen=True)
class Undone:
    """What undoing a run took out of the graph; `edges` includes predictions about nodes that are gone, `embeddings`
    are those of nodes that are gone, and all of the model where the run is its own.
    """

    run: str
    edges: int
    nodes: int
    embeddings: int = 0


@dataclass(frozen=True)
class Preview(Undone):
    """What undoing a run would take out, and what would stay, because other runs assert it, too."""

    kept_edges: int = 0
    kept_nodes: int = 0
    is_undone: bool = False  # already: then there is nothing to take out


def list_runs(graph: Graph) -> list[dict[str, Any]]:
    """Every run, newest first."""
    return graph.read(queries.get("runs/list"))


def show(graph: Graph, run: str) -> dict[str, Any]:
    """One run's record and what it asserts now; raises `NotFoundError`."""
    run_records = graph.read(queries.get("runs/show"), run=run)
    if not run_records:
        raise NotFoundError(f"no run is called {run}", run_hint(graph, run, "`kgp runs list` shows them."))
    return run_records[0]


def preview(graph: Graph, run: str) -> Preview:
    """What `undo` would do now; raises `NotFoundError`. A graph of an earlier version is brought up to date first."""
    if show(graph, run)["run"]["status"] == UNDONE:
        return Preview(run, 0, 0, is_undone=True)
    constrain(graph)
    [counts] = graph.read(queries.get("runs/undo_preview"), run=run)
    return Preview(run, **counts)


def undo(graph: Graph, run: str) -> Undone:
    """Take out everything that only `run` asserts. Interrupted, it is finished by calling it again; a run that is
    undone already changes nothing.
    """
    graph = graph.patient()
    record = show(graph, run)["run"]
    if record["status"] == UNDONE:
        return Undone(run, 0, 0)
    model_digits = record.get("embedding_model")  # of a run of `kgp embed`
    constrain(graph)  # an earlier version wrote embeddings elsewhere
    graph.write(queries.get("runs/undo_begin"), run=run)
    written_batches = [*_take_out(graph, run, "edges"), *_take_out(graph, run, "nodes")]
    graph.run_unmanaged(queries.get("runs/undo_labels"))
    embedding_count = 0 if model_digits is None else sum(clear(graph, part, [model_digits]) for part in Part)
    recount(graph)
    graph.write(queries.get("runs/undo_finish"), run=run)
    edge_count = sum(written_batch.relationships_deleted for written_batch in written_batches)
    count_rows = [count_row for written_batch in written_batches for count_row in written_batch.records]
    node_count = sum(count_row["nodes"] for count_row in count_rows)
    return Undone(
        run, edge_count, node_count, embedding_count + sum(count_row["embeddings"] for count_row in count_rows)
    )


def _take_out(graph: Graph, run: str, element_kind: str) -> list[WriteResult]:
    """Take the run off its edges or nodes, batch by batch; returns what each transaction did."""
    element_ids = [id_row["id"] for id_row in graph.read(queries.get(f"runs/asserted_{element_kind}"), run=run)]

    def take_out(transaction: Transaction, id_chunk: list[int], run_state: Mapping[str, Any]) -> WriteResult:
        if run_state["status"] != "undoing":
            return WriteResult()  # another undo was faster, and the run may have been loaded again since
        return transaction.run(queries.get(f"runs/undo_{element_kind}"), run=run, ids=id_chunk, own=OWN)

    return write_by_id(graph, run, element_ids, take_out)
