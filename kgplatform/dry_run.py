"""What a load would do, found by reading alone."""

from __future__ import annotations

from kgplatform import queries
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Source
from kgplatform.graph import Graph
from kgplatform.survey import Account, Survey


def rehearse(graph: Graph, source: Source, run: str, survey: Survey, batch_rows: int) -> tuple[Account, Account, int]:
    """The accounts of rows and of enriching rows, and how many nodes would be new.

    Remembers the keys of what is new, so memory grows with that.
    """
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
    existing = survey.asserted - len(new_edges)
    rows_account = Account(survey.rows.read, len(new_edges), existing, survey.rows.rejected)
    kept = survey.enriched
    enriched_account = Account(kept.read, enriched, kept.read - kept.rejected - enriched, kept.rejected)
    return rows_account, enriched_account, len(new_nodes)


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
