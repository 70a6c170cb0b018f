"""Table 1 for the released graph, recounted from the CSV, and the figures around it."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from kgplatform import stats
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from tests.conftest import Kgp

pytestmark = pytest.mark.server


@pytest.mark.data
def test_table_1_is_the_papers(medmkg_graph: Graph) -> None:
    assert stats.overview(medmkg_graph) == stats.PAPER


@pytest.mark.data
def test_table_1_is_what_the_file_says(medmkg_graph: Graph, data_dir: Path) -> None:
    with (data_dir / "medmkg" / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        triples = [(csv_row["Head"], csv_row["Relation"], csv_row["Tail"]) for csv_row in csv.DictReader(csv_file)]
    stances: dict[tuple[str, str], set[str]] = defaultdict(set)
    for head, relation, tail in triples:
        if head.startswith("I"):
            stances[head, tail].add(relation)
    figures = stats.overview(medmkg_graph)
    assert figures["relations"] == len({relation for _, relation, _ in triples})
    assert figures["conflicts"] == sum(len(pair_stances) > 1 for pair_stances in stances.values())
    assert figures["cross_edges"] == sum(head.startswith("I") for head, _, _ in triples)
    concept_degrees = Counter(tail for _, _, tail in triples) + Counter(
        head for head, _, _ in triples if head.startswith("C")
    )
    first_hub = stats.hubs(medmkg_graph, 1)[0]
    assert (first_hub["cui"], first_hub["edges"]) == concept_degrees.most_common(1)[0]


def test_an_empty_graph_has_zeros_and_no_ratios(graph: Graph) -> None:
    figures = stats.overview(graph)
    assert figures["edges"] == figures["concepts"] == figures["images"] == 0
    assert figures["image_concept_ratio"] is None
    assert stats.hubs(graph) == stats.semantic_types(graph) == []


def test_semantic_types_are_shares_of_edge_ends(graph: Graph, tmp_path: Path) -> None:
    graph.write(
        parse_query(
            "t/g",
            "// A small typed graph.\n"
            "CREATE (a:Concept {cui: 'C9900001', semantic_types: ['Finding']}),"
            " (b:Concept {cui: 'C9900002', semantic_types: ['Finding', 'Medical Device']}),"
            " (i:Image {id: 'I1'}), (a)-[:isa]->(b), (b)-[:inverse_isa]->(a), (i)-[:POSITIVE]->(b)",
        )
    )
    shares = {
        (type_share["side"], type_share["semantic_type"]): (type_share["edges"], type_share["percent"])
        for type_share in stats.semantic_types(graph)
    }
    assert shares["head", "Finding"] == (2, pytest.approx(200 / 3))
    assert shares["tail", "Medical Device"] == (2, pytest.approx(40))
    plot_path = tmp_path / "figure2.png"
    stats.plot_semantic_types(stats.semantic_types(graph), stats.type_coverage(graph), plot_path)
    assert plot_path.read_bytes().startswith(b"\x89PNG")


def test_predicted_edges_are_no_facts(graph: Graph) -> None:
    graph.write(
        parse_query(
            "t/p",
            "// A predicted edge.\n"
            "CREATE (:Concept {cui: 'C9900001'})-[:PREDICTED {score: 0.9}]->(:Concept {cui: 'C9900002'})",
        )
    )
    assert stats.overview(graph)["edges"] == 0


def test_shares_of_few_typed_concepts_state_their_coverage_and_are_not_compared(
    graph: Graph, kgp: Kgp, tmp_path: Path
) -> None:
    graph.write(
        parse_query(
            "t/c",
            "// Five edges, one with a typed head.\nUNWIND range(1, 5) AS n\n"
            "CREATE (:Concept {cui: 'C990000' + n})-[:isa]->(:Concept {cui: 'C991000' + n})\nWITH count(*) AS all\n"
            "MATCH (c:Concept {cui: 'C9900001'}) SET c.semantic_types = ['Finding']",
        )
    )
    coverage = {side_row["side"]: (side_row["typed"], side_row["edges"]) for side_row in stats.type_coverage(graph)}
    assert coverage == {"head": (1, 5), "tail": (0, 5)}
    plot_path = tmp_path / "figure2.svg"
    stats_run = kgp("stats", "--plot", plot_path)
    assert "known for 1 of 5 heads (20.0 %)" in stats_run.out, stats_run.err
    assert "without the paper's shares" in stats_run.out
    assert "13.300" not in stats_run.out  # the paper's share of Finding
    assert plot_path.stat().st_size
    graph.write(parse_query("t/all", "// All typed.\nMATCH (c:Concept) SET c.semantic_types = ['Finding']"))
    assert "13.300" in kgp("stats").out
    assert kgp("stats", "--json").json["semantic_type_coverage"][0]["percent"] == 100.0


def test_an_empty_graph_is_said_to_be_empty(graph: Graph, kgp: Kgp) -> None:
    assert "the graph is empty" in kgp("stats").out
    assert "no runs yet" in kgp("runs", "list").out
