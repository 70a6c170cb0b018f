"""Exports of small graphs made for it: what is never exported, and graphs that change meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples as TriplesFile
from kgplatform.batches import GraphBatch
from kgplatform.errors import DatabaseError, InputError, KgpError, NotFoundError
from kgplatform.export import formats
from kgplatform.export.read import Selection, read_triples
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.settings import Settings
from tests.conftest import WIPE
from tests.integration.sources import Handmade, small_rows, write_medmkg
from tests.integration.test_export import Edge, edges_of

pytestmark = pytest.mark.server


def batch(*edges: tuple[tuple[str, str], str, tuple[str, str]], **properties: Any) -> GraphBatch:
    """A batch of edges between (kind, key) pairs; `properties` go on entities."""
    made = GraphBatch(read=len(edges))
    for head, relation, tail in edges:
        for end in (head, tail):
            made.nodes[end] = properties if end[0] == "Entity" else {}
        made.edges[head, relation, tail] = {}
    return made


def handmade(graph: Graph, tmp_path: Path, name: str, *edges: Any, **properties: Any) -> str:
    return ingest(graph, Handmade(tmp_path / name, [batch(*edges, **properties)], name)).run


IMAGES = [("Image", "I1"), ("Image", "I2")]
CONCEPTS = [("Concept", f"C000000{i}") for i in range(4)]


def test_an_empty_graph_is_a_clear_error(graph: Graph) -> None:
    with pytest.raises(NotFoundError, match="no edges to export"):
        read_triples(graph)
    with pytest.raises(KgpError, match="no image is kept"):
        read_triples(graph, Selection(images="kept"))


def test_only_what_a_run_asserts(graph: Graph, tmp_path: Path) -> None:
    one = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    both = (CONCEPTS[0], "isa", CONCEPTS[1])
    other = (IMAGES[1], "NEGATIVE", CONCEPTS[1])
    first = handmade(graph, tmp_path, "a", one, both)
    second = handmade(graph, tmp_path, "b", both, other)
    assert edges_of(read_triples(graph, Selection(run=first))) == {("I1", "POSITIVE", "C0000000"), keys_of(both)}
    assert edges_of(read_triples(graph, Selection(run=second))) == {keys_of(both), keys_of(other)}
    assert edges_of(read_triples(graph, Selection(run=second, only="cross"))) == {keys_of(other)}
    assert edges_of(read_triples(graph, Selection(run=first, around=("I1",)))) == {keys_of(one)}


def keys_of(edge: tuple[tuple[str, str], str, tuple[str, str]]) -> Edge:
    return edge[0][1], edge[1], edge[2][1]


HAND = parse(
    "t/h",
    "// Edges that are no facts, or not ours.\n"
    "MATCH (i:Image {id: 'I1'}), (c:Concept {cui: 'C0000001'}), (run:Run)\n"
    "MERGE (i)-[:PREDICTED {score: 0.9}]->(c)\n"
    "MERGE (run)-[:ASSERTS]->(c)\n"
    "MERGE (c)-[:SEEN_BY]->(:Person {id: 'P1'})\n"
    "MERGE (:Concept {cui: 'C9999999'})",
)


def test_predictions_runs_and_foreign_nodes_are_never_exported(graph: Graph, tmp_path: Path) -> None:
    fact = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    other = (CONCEPTS[0], "isa", CONCEPTS[1])
    handmade(graph, tmp_path, "a", fact, other)
    graph.write(HAND)
    triples = read_triples(graph)
    assert edges_of(triples) == {keys_of(fact), keys_of(other)}
    assert set(triples.labels) == {"I1", "C0000000", "C0000001"}
    selection = Selection(around=("I1",), hops=1)  # a prediction is no way to a neighbour
    assert edges_of(read_triples(graph, selection)) == {keys_of(fact)}
    with pytest.raises(NotFoundError, match="ASSERTS_NOT"):
        read_triples(graph, Selection(relations=("ASSERTS_NOT",)))
    with pytest.raises(NotFoundError, match="empty"):
        read_triples(graph, Selection(relations=("ASSERTS",)))


def test_entities_go_with_their_images_and_keep_their_text(graph: Graph, tmp_path: Path) -> None:
    shown = [(image, "SHOWS", ("Entity", f"E{i}{n}")) for i, image in enumerate(IMAGES) for n in range(2)]
    joined = [(("Entity", f"E{i}0"), "LOCATED_AT", ("Entity", f"E{i}1")) for i in range(2)]
    linked = [(("Entity", "E00"), "REFERS_TO", CONCEPTS[0])]
    handmade(graph, tmp_path, "a", *shown, *joined, *linked, text="SECRET", kind="Anatomy", presence="present")
    everything = read_triples(graph)
    assert edges_of(everything) == {keys_of(edge) for edge in (*shown, *joined, *linked)}
    assert not any("SECRET" in part for node in everything.nodes for part in (node.key, node.name, node.subject))
    named = read_triples(graph, Selection(texts=True))
    assert {node.name for node in named.nodes if node.kind == "Entity"} == {"SECRET"}
    assert named.sha256 == everything.sha256
    of_one = read_triples(graph, Selection(images=("I1",)))
    assert edges_of(of_one) == {keys_of(edge) for edge in (*shown[:2], joined[0], *linked)}
    assert edges_of(read_triples(graph, Selection(around=("E10",)))) == {
        keys_of(edge) for edge in (*shown[2:], joined[1])
    }


def test_kinds_that_share_a_key_and_nodes_without_one(graph: Graph, tmp_path: Path) -> None:
    handmade(graph, tmp_path, "a", (IMAGES[0], "POSITIVE", CONCEPTS[0]))
    graph.write(parse("t/t", "// By hand.\nCREATE (:Thing {id: 'I1'})-[:near]->(:Thing {id: 'x', name: 'X'})"))
    triples = read_triples(graph)
    assert set(triples.labels) == {"Thing:I1", "Image:I1", "x", "C0000000"}
    assert len(read_triples(graph, Selection(around=("I1",)))) == 2
    graph.write(parse("t/n", "// No key.\nMATCH (i:Image {id: 'I1'}) CREATE (i)-[:POSITIVE]->(:Concept {name: 'a'})"))
    with pytest.raises(InputError, match="1 node "):
        read_triples(graph)


WRITE = parse(
    "t/w",
    "// Another edge.\n// param n integer: which\n"
    "MATCH (i:Image {id: 'I10000000'})\n"
    "MERGE (c:Concept {cui: 'C77' + right('00000' + $n, 5)})\n"
    "MERGE (i)-[:POSITIVE]->(c)",
)


def test_what_is_read_is_one_state_even_when_somebody_writes(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    before = edges_of(read_triples(graph))
    written = 0

    def interfere(done: int, total: int | None) -> None:
        nonlocal written
        if total is None and written < times:
            written += 1
            other.write(WRITE, n=written)

    with Graph.open(settings) as other:
        times = 1
        triples = read_triples(graph, told=interfere)
        assert written == 1
        assert edges_of(triples) == before | {("I10000000", "POSITIVE", "C7700001")}
        times = 10_000
        with pytest.raises(DatabaseError, match="written to while"):
            read_triples(graph, told=interfere)


def test_a_csv_export_is_a_source_of_triples(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    triples = read_triples(graph)
    formats.write(triples, tmp_path / "out", "csv")
    graph.run_unmanaged(WIPE)
    ingest(graph, TriplesFile(tmp_path / "out" / "triples.csv"))
    assert read_triples(graph).sha256 == triples.sha256
