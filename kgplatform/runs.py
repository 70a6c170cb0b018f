"""Provenance: what was loaded or generated when, and how to take it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from kgplatform import queries
from kgplatform.errors import NotFoundError
from kgplatform.graph import Graph
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
        raise NotFoundError(f"no run is called {run}", "`kgp runs list` shows them.")
    return records[0]


def undo(graph: Graph, run: str) -> Undone:
    """Take out everything that only `run` asserts. Interrupted, it is finished by calling it again."""
    model = show(graph, run)["run"].get("embedding_model")  # of a run of `kgp embed`
    graph.write(queries.get("runs/undo_begin"), run=run)
    edges = graph.run_unmanaged(queries.get("runs/undo_edges"), run=run)
    nodes = graph.run_unmanaged(queries.get("runs/undo_nodes"), run=run)
    graph.run_unmanaged(queries.get("runs/undo_labels"))
    embeddings = 0 if model is None else sum(clear(graph, part, [model]) for part in Part)
    graph.write(queries.get("runs/undo_finish"), run=run)
    return Undone(run, edges.relationships_deleted + nodes.relationships_deleted, nodes.nodes_deleted, embeddings)
