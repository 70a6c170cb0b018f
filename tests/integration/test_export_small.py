"""Exports of small graphs made for it: what is never exported, and graphs that change meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples as TriplesFile
from kgplatform.batches import GraphBatch
from kgplatform.connect import open_graph
from kgplatform.errors import DatabaseError, InputError, KgpError, NotFoundError
from kgplatform.export import formats
from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests.conftest import WIPE
from tests.integration.sources import Handmade, small_rows, write_medmkg
from tests.integration.test_export import Edge, edges_by_key

pytestmark = pytest.mark.server


def _edge_batch(*edges: tuple[tuple[str, str], str, tuple[str, str]], **properties: Any) -> GraphBatch:
    """A batch of edges between (kind, key) pairs; `properties` go on entities."""
    graph_batch = GraphBatch(read=len(edges))
    for head, relation, tail in edges:
        for endpoint in (head, tail):
            graph_batch.nodes[endpoint] = properties if endpoint[0] == "Entity" else {}
        graph_batch.edges[head, relation, tail] = {}
    return graph_batch


def handmade(graph: Graph, tmp_path: Path, name: str, *edges: Any, **properties: Any) -> str:
    return ingest(graph, Handmade(tmp_path / name, [_edge_batch(*edges, **properties)], name)).run


IMAGES = [("Image", "I1"), ("Image", "I2")]
CONCEPTS = [("Concept", f"C000000{i}") for i in range(4)]


def test_exporting_an_empty_graph_is_a_clear_error(graph: Graph) -> None:
    with pytest.raises(NotFoundError, match="no edges to export"):
        read_triples(graph)
    with pytest.raises(KgpError, match="no image is kept"):
        read_triples(graph, Selection(images="kept"))


def test_only_what_a_run_asserts(graph: Graph, tmp_path: Path) -> None:
    first_edge = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    shared_edge = (CONCEPTS[0], "isa", CONCEPTS[1])
    second_edge = (IMAGES[1], "NEGATIVE", CONCEPTS[1])
    first_run = handmade(graph, tmp_path, "a", first_edge, shared_edge)
    second_run = handmade(graph, tmp_path, "b", shared_edge, second_edge)
    assert edges_by_key(read_triples(graph, Selection(run=first_run))) == {
        ("I1", "POSITIVE", "C0000000"),
        edge_key(shared_edge),
    }
    assert edges_by_key(read_triples(graph, Selection(run=second_run))) == {
        edge_key(shared_edge),
        edge_key(second_edge),
    }
    assert edges_by_key(read_triples(graph, Selection(run=second_run, only="cross"))) == {edge_key(second_edge)}
    assert edges_by_key(read_triples(graph, Selection(run=first_run, around=("I1",)))) == {edge_key(first_edge)}


def edge_key(edge: tuple[tuple[str, str], str, tuple[str, str]]) -> Edge:
    return edge[0][1], edge[1], edge[2][1]


HAND = parse_query(
    "t/h",
    "// Edges that are no facts, or not ours.\n"
    "MATCH (i:Image {id: 'I1'}), (c:Concept {cui: 'C0000001'}), (run:Run)\n"
    "MERGE (i)-[:PREDICTED {score: 0.9}]->(c)\n"
    "MERGE (run)-[:ASSERTS]->(c)\n"
    "MERGE (c)-[:SEEN_BY]->(:Person {id: 'P1'})\n"
    "MERGE (:Concept {cui: 'C9999999'})",
)


def test_predictions_runs_and_foreign_nodes_are_never_exported(graph: Graph, tmp_path: Path) -> None:
    fact_edge = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    isa_edge = (CONCEPTS[0], "isa", CONCEPTS[1])
    handmade(graph, tmp_path, "a", fact_edge, isa_edge)
    graph.write(HAND)
    triples = read_triples(graph)
    assert edges_by_key(triples) == {edge_key(fact_edge), edge_key(isa_edge)}
    assert set(triples.labels) == {"I1", "C0000000", "C0000001"}
    selection = Selection(around=("I1",), hops=1)  # a prediction is no way to a neighbour
    assert edges_by_key(read_triples(graph, selection)) == {edge_key(fact_edge)}
    with pytest.raises(NotFoundError, match="ASSERTS_NOT"):
        read_triples(graph, Selection(relations=("ASSERTS_NOT",)))
    with pytest.raises(NotFoundError, match="empty"):
        read_triples(graph, Selection(relations=("ASSERTS",)))


def test_entities_go_with_their_images_and_keep_their_text(graph: Graph, tmp_path: Path) -> None:
    image_edges = [
        (image, "SHOWS", ("Entity", f"E{image_number}{entity_number}"))
        for image_number, image in enumerate(IMAGES)
        for entity_number in range(2)
    ]
    location_edges = [
        (("Entity", f"E{image_number}0"), "LOCATED_AT", ("Entity", f"E{image_number}1")) for image_number in range(2)
    ]
    concept_edges = [(("Entity", "E00"), "REFERS_TO", CONCEPTS[0])]
    handmade(
        graph,
        tmp_path,
        "a",
        *image_edges,
        *location_edges,
        *concept_edges,
        text="SECRET",
        kind="Anatomy",
        presence="present",
    )
    all_triples = read_triples(graph)
    assert edges_by_key(all_triples) == {edge_key(edge) for edge in (*image_edges, *location_edges, *concept_edges)}
    assert not any(
        "SECRET" in text_field for node in all_triples.nodes for text_field in (node.key, node.name, node.subject)
    )
    named_triples = read_triples(graph, Selection(texts=True))
    assert {node.name for node in named_triples.nodes if node.kind == "Entity"} == {"SECRET"}
    assert named_triples.sha256 == all_triples.sha256
    image_triples = read_triples(graph, Selection(images=("I1",)))
    assert edges_by_key(image_triples) == {
        edge_key(edge) for edge in (*image_edges[:2], location_edges[0], *concept_edges)
    }
    assert edges_by_key(read_triples(graph, Selection(around=("E10",)))) == {
        edge_key(edge) for edge in (*image_edges[2:], location_edges[1])
    }


def test_kinds_that_share_a_key_and_nodes_without_one(graph: Graph, tmp_path: Path) -> None:
    handmade(graph, tmp_path, "a", (IMAGES[0], "POSITIVE", CONCEPTS[0]))
    graph.write(parse_query("t/t", "// By hand.\nCREATE (:Thing {id: 'I1'})-[:near]->(:Thing {id: 'x', name: 'X'})"))
    triples = read_triples(graph)
    assert set(triples.labels) == {"Thing:I1", "Image:I1", "x", "C0000000"}
    assert len(read_triples(graph, Selection(around=("I1",)))) == 2
    graph.write(
        parse_query("t/n", "// No key.\nMATCH (i:Image {id: 'I1'}) CREATE (i)-[:POSITIVE]->(:Concept {name: 'a'})")
    )
    with pytest.raises(InputError, match="1 node "):
        read_triples(graph)


WRITE = parse_query(
    "t/w",
    "// Another edge.\n// param n integer: which\n"
    "MATCH (i:Image {id: 'I10000000'})\n"
    "MERGE (c:Concept {cui: 'C77' + right('00000' + $n, 5)})\n"
    "MERGE (i)-[:POSITIVE]->(c)",
)


def test_what_is_read_is_one_state_even_when_somebody_writes(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    edges_before = edges_by_key(read_triples(graph))
    write_count = 0

    def interfere(rows_done: int, row_total: int | None, **_: object) -> None:
        nonlocal write_count
        if row_total is None and write_count < max_writes:
            write_count += 1
            other_graph.write(WRITE, n=write_count)

    with open_graph(settings) as other_graph:
        max_writes = 1
        triples = read_triples(graph, progress=interfere)
        assert write_count == 1
        assert edges_by_key(triples) == edges_before | {("I10000000", "POSITIVE", "C7700001")}
        max_writes = 10_000
        with pytest.raises(DatabaseError, match="written to while"):
            read_triples(graph, progress=interfere)


def test_a_csv_export_is_a_source_of_triples(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    triples = read_triples(graph)
    formats.write(triples, tmp_path / "out", "csv")
    graph.run_unmanaged(WIPE)
    ingest(graph, TriplesFile(tmp_path / "out" / "triples.csv"))
    assert read_triples(graph).sha256 == triples.sha256
