"""Provenance: what was loaded or generated when, and how to take it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kgplatform import queries
from kgplatform.errors import NotFoundError
from kgplatform.graph import Graph, Transaction, Written
from kgplatform.graph_names import run_hint
from kgplatform.ingest import upgrade
from kgplatform.load import OWN, write_by_id
from kgplatform.retrieval.index import Part, clear


@dataclass(frozen=True)
class Undone:
    """What undoing a run took out of the graph; `edges` includes predictions about nodes that are gone, `embeddings`
    counts nodes that lost theirs.
    """

    run: str
    edges: int
    nodes: int
    embeddings: int = 0


def list_runs(graph: Graph) -> list[dict[str, Any]]:
    """Every run, newest first."""
    return graph.read(queries.get("runs/list"))


def show(graph: Graph, run: str) -> dict[str, Any]:
    """One run's record and what it asserts now; raises `NotFoundError`."""
    records = graph.read(queries.get("runs/show"), run=run)
    if not records:
        raise NotFoundError(f"no run is called {run}", run_hint(graph, run, "`kgp runs list` shows them."))
    return records[0]


def undo(graph: Graph, run: str, told: Callable[[str], None] = lambda _: None) -> Undone:
    """Take out everything that only `run` asserts. Interrupted, it is finished by calling it again."""
    graph = graph.patient(told)
    model = show(graph, run)["run"].get("embedding_model")  # of a run of `kgp embed`
    upgrade(graph)  # an earlier version wrote embeddings elsewhere
    graph.write(queries.get("runs/undo_begin"), run=run)
    edges, _ = _take_out(graph, run, "edges")
    predictions, nodes = _take_out(graph, run, "nodes")
    graph.run_unmanaged(queries.get("runs/undo_labels"))
    graph.run_unmanaged(queries.get("runs/undo_vectors"))
    embeddings = 0 if model is None else sum(clear(graph, part, [model]) for part in Part)
    graph.write(queries.get("runs/undo_finish"), run=run)
    return Undone(run, edges + predictions, nodes, embeddings)


def _take_out(graph: Graph, run: str, what: str) -> tuple[int, int]:
    """Take the run off its edges or nodes, batch by batch; returns how many edges and nodes were deleted."""
    ids = [row["id"] for row in graph.read(queries.get(f"runs/asserted_{what}"), run=run)]

    def take_out(transaction: Transaction, chunk: list[int], state: Mapping[str, Any]) -> Written:
        if state["status"] != "undoing":
            return Written()  # another undo was quicker, and the run may have been loaded again since
        return transaction.run(queries.get(f"runs/undo_{what}"), run=run, ids=chunk, own=OWN)

    return write_by_id(graph, run, ids, take_out)
