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
    unchanged_count = enriched_count = 0
    for batch in source.batches(batch_rows):
        node_index, element_ids = _find_nodes(graph, batch)
        if batch.enrich:
            node_rows = [
                [element_ids[node_index[node_ref]], properties]
                for node_ref, properties in batch.nodes.items()
                if node_ref in node_index
            ]
            [answer] = graph.read(queries.get("ingest/count_changes"), rows=node_rows, run=run)
            enriched_count += answer["changed"] + sum(node_ref in new_nodes for node_ref in batch.nodes)
            continue
        new_nodes.update(node_ref for node_ref in batch.nodes if node_ref not in node_index)
        linked_edges = [edge for edge in batch.edges if edge[0] in node_index and edge[2] in node_index]
        edge_rows = [
            [node_index[head], relation, node_index[tail], edge_index]
            for edge_index, (head, relation, tail) in enumerate(linked_edges)
        ]
        edge_records = (
            graph.read(queries.get("ingest/find_edges"), ids=element_ids, rows=edge_rows) if edge_rows else []
        )
        existing_edges = {linked_edges[record["position"]] for record in edge_records}
        unchanged_count += len(existing_edges)
        new_edges.update(edge for edge in batch.edges if edge not in existing_edges)
    existing_count = survey.asserted - len(new_edges)
    rows_account = Account(survey.rows.read, len(new_edges), existing_count, survey.rows.rejected)
    surveyed = survey.enriched
    enriched_account = Account(
        surveyed.read, enriched_count, surveyed.read - surveyed.rejected - enriched_count, surveyed.rejected
    )
    return rows_account, enriched_account, len(new_nodes)


def _find_nodes(graph: Graph, batch: GraphBatch) -> tuple[dict[NodeRef, int], list[str]]:
    node_index: dict[NodeRef, int] = {}
    element_ids: list[str] = []
    for label in {label for label, _ in batch.nodes}:
        node_keys = [node_key for node_label, node_key in batch.nodes if node_label == label]
        key_rows = [[node_key, {}, key_index] for key_index, node_key in enumerate(node_keys)]
        [answer] = graph.read(queries.get(f"ingest/find_{label.lower()}"), rows=key_rows)
        for key_index, element_id, _ in answer["nodes"]:
            node_index[label, node_keys[key_index]] = len(element_ids)
            element_ids.append(element_id)
    return node_index, element_ids
