"""Brings a graph that an earlier version wrote up to date: the platform's own notes in it, and its embeddings.

Each step looks for what is still to be done, so an upgrade that was interrupted is finished by the next one.
"""

from __future__ import annotations

from typing import Any, Final

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.load import ELEMENTS_AT_A_TIME, OWN, write_by_id
from kgplatform.search import index
from kgplatform.search.index import Part

LAYOUT: Final = 4  # of the platform's own notes in the graph; raised when there is something to do
VECTORS_AT_A_TIME: Final = 1_000  # 512 numbers are 4 kB, and a transaction holds them several times: old, new, logged


def outdated(graph: Graph) -> bool:
    """Whether an earlier version wrote the graph."""
    [record] = graph.read(queries.get("ingest/layout"))
    return bool(record["layout"] < LAYOUT)


def embeddings_outdated(graph: Graph) -> bool:
    """Whether images or concepts hold embeddings themselves, as an earlier version wrote them."""
    return outdated(graph) and bool(graph.read(queries.get("ingest/outdated_vectors")))


def upgrade(graph: Graph) -> None:
    """Bring the graph up to date; changes nothing the second time. Its vector indexes are made, and fill by and by."""
    if not outdated(graph):
        return
    _convert(graph, "nodes", own=OWN)
    _convert(graph, "edges", own=OWN)
    for record in graph.read(queries.get("ingest/outdated_indexes")):
        graph.run_unmanaged(queries.get("embed/drop_index"), name=record["name"])
    _convert(graph, "vectors", VECTORS_AT_A_TIME)
    for record in graph.read(queries.get("embed/widths")):
        index.restore(graph, Part(record["part"]), record["width"])
    graph.write(queries.get("ingest/upgraded"), layout=LAYOUT)


def _convert(graph: Graph, kind: str, at_a_time: int = ELEMENTS_AT_A_TIME, **own: Any) -> None:
    ids = [record["id"] for record in graph.read(queries.get(f"ingest/outdated_{kind}"), **own)]
    query = queries.get(f"ingest/upgrade_{kind}")
    write_by_id(
        graph, "upgrade", ids, lambda transaction, id_chunk, _: transaction.run(query, ids=id_chunk, **own), at_a_time
    )
