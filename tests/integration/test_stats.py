"""Table 1 for the released graph, recounted from the CSV, and the figures around it."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from kgplatform import stats
from kgplatform.graph import Graph
from kgplatform.queries import parse

pytestmark = pytest.mark.server


@pytest.mark.data
def test_table_1_is_the_papers(medmkg_graph: Graph) -> None:
    assert stats.overview(medmkg_graph) == stats.PAPER


@pytest.mark.data
def test_table_1_is_what_the_file_says(medmkg_graph: Graph, data_dir: Path) -> None:
    with (data_dir / "medmkg" / "MedMKG.csv").open(newline="", encoding="utf-8") as file:
        rows = [(r["Head"], r["Relation"], r["Tail"]) for r in csv.DictReader(file)]
    stances: dict[tuple[str, str], set[str]] = defaultdict(set)
    for head, relation, tail in rows:
        if head.startswith("I"):
            stances[head, tail].add(relation)
    found = stats.overview(medmkg_graph)
    assert found["relations"] == len({relation for _, relation, _ in rows})
    assert found["conflicts"] == sum(len(of_pair) > 1 for of_pair in stances.values())
    assert found["cross_edges"] == sum(head.startswith("I") for head, _, _ in rows)
    degree = Counter(tail for _, _, tail in rows) + Counter(head for head, _, _ in rows if head.startswith("C"))
    hub = stats.hubs(medmkg_graph, 1)[0]
    assert (hub["cui"], hub["edges"]) == degree.most_common(1)[0]


def test_an_empty_graph_has_zeros_and_no_ratios(graph: Graph) -> None:
    found = stats.overview(graph)
    assert found["edges"] == found["concepts"] == found["images"] == 0
    assert found["image_concept_ratio"] is None
    assert stats.hubs(graph) == stats.semantic_types(graph) == []


def test_semantic_types_are_shares_of_edge_ends(graph: Graph, tmp_path: Path) -> None:
    graph.write(
        parse(
            "t/g",
            "// A small typed graph.\n"
            "CREATE (a:Concept {cui: 'C9900001', semantic_types: ['Finding']}),"
            " (b:Concept {cui: 'C9900002', semantic_types: ['Finding', 'Medical Device']}),"
            " (i:Image {id: 'I1'}), (a)-[:isa]->(b), (b)-[:inverse_isa]->(a), (i)-[:POSITIVE]->(b)",
        )
    )
    shares = {(s["side"], s["semantic_type"]): (s["edges"], s["percent"]) for s in stats.semantic_types(graph)}
    assert shares["head", "Finding"] == (2, pytest.approx(200 / 3))
    assert shares["tail", "Medical Device"] == (2, pytest.approx(40))
    plot = tmp_path / "figure2.png"
    stats.plot_semantic_types(stats.semantic_types(graph), plot)
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_predicted_edges_are_no_facts(graph: Graph) -> None:
    graph.write(
        parse(
            "t/p",
            "// A predicted edge.\n"
            "CREATE (:Concept {cui: 'C9900001'})-[:PREDICTED {score: 0.9}]->(:Concept {cui: 'C9900002'})",
        )
    )
    assert stats.overview(graph)["edges"] == 0
