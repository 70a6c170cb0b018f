"""The rival of loading: what a careful user writes first, one `UNWIND … MERGE` text for each relation type."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from kgplatform.graph import Graph

BATCH = 10_000  # rows of a statement


def load_plain(graph: Graph, folder: Path) -> None:
    """The plain loader: nodes first, then one statement text a relation type."""
    driver = graph._driver
    run_query = driver.execute_query
    run_query("CREATE CONSTRAINT c IF NOT EXISTS FOR (n:Concept) REQUIRE n.cui IS UNIQUE")
    run_query("CREATE CONSTRAINT i IF NOT EXISTS FOR (n:Image) REQUIRE n.id IS UNIQUE")
    names_by_cui: dict[str, str] = {}
    image_ids: set[str] = set()
    edges_by_type: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    with (folder / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        for edge_row in csv.DictReader(csv_file):
            for node_id, node_name in (
                (edge_row["Head"], edge_row["Head_Name"]),
                (edge_row["Tail"], edge_row["Tail_Name"]),
            ):
                if node_id[0] == "C":
                    names_by_cui[node_id] = node_name
                else:
                    image_ids.add(node_id)
            edges_by_type[edge_row["Head"][0], edge_row["Relation"]].append(
                {"h": edge_row["Head"], "t": edge_row["Tail"]}
            )
    concept_rows = [{"cui": cui, "name": node_name} for cui, node_name in names_by_cui.items()]
    for query_rows in _chunks(concept_rows):
        run_query("UNWIND $rows AS row MERGE (n:Concept {cui: row.cui}) SET n.name = row.name", rows=query_rows)
    for query_rows in _chunks([{"id": image_id} for image_id in image_ids]):
        run_query("UNWIND $rows AS row MERGE (n:Image {id: row.id})", rows=query_rows)
    for (head_kind, relation), relation_edges in edges_by_type.items():
        head_pattern = "Concept {cui: row.h}" if head_kind == "C" else "Image {id: row.h}"
        query_text = (
            f"UNWIND $rows AS row MATCH (h:{head_pattern}) MATCH (t:Concept {{cui: row.t}}) MERGE "
            f"(h)-[:`{relation}`]->(t)"
        )
        for query_rows in _chunks(relation_edges):
            run_query(query_text, rows=query_rows)


def _chunks(rows: list[Any]) -> list[list[Any]]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
