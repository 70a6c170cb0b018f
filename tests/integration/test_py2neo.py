"""py2neo code and the platform share a graph; no name gets past the schema on the way."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kgplatform.batches import GraphBatch
from kgplatform.digest import digest
from kgplatform.errors import ConnectionFailed, InputError, LoginFailed, SettingsError
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.py2neo_interop import connect, from_subgraph, to_subgraph
from kgplatform.settings import Settings
from tests.integration.sources import Handmade

if TYPE_CHECKING:
    import py2neo

pytestmark = [
    pytest.mark.server,
    # py2neo is end-of-life: it uses what newer Pythons and its own dependencies deprecate, and leaves sockets open
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::SyntaxWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LUNG = ("Concept", "C9900001")
OPACITY = ("Concept", "C9900002")
IMAGE = ("Image", "I90000001")
GENE = ("Thing", "Gene:ENSG00000000001")
HOSTILE = (
    "x`]->() DETACH DELETE n //",
    "x\\u0060]->(m) DETACH DELETE m //",
    "isa {a: 1}",
    "isa\x00",
    "",
    "é",
    "a" * 101,
)


@pytest.fixture(autouse=True)
def sockets() -> Iterator[None]:
    """Sockets that py2neo leaves open are closed here, where the warning about them is ignored."""
    yield
    gc.collect()


@pytest.fixture
def old(settings: Settings) -> Iterator[py2neo.Graph]:
    py2neo_graph = connect(settings)
    yield py2neo_graph
    py2neo_graph.service.connector.close()


@pytest.fixture
def py2neo_batch() -> GraphBatch:
    return GraphBatch(
        read=3,
        nodes={
            LUNG: {"name": "Lung"},
            OPACITY: {"name": 'Opacity, "hazy" `and` more'},
            IMAGE: {"dataset": "MIMIC-CXR"},
            GENE: {"type": "Gene", "name": "BRCA0"},
        },
        edges={
            (OPACITY, "has_finding_site", LUNG): {},
            (LUNG, "co-occurs_with", OPACITY): {},
            (IMAGE, "POSITIVE", OPACITY): {},
            (GENE, "associated_with", OPACITY): {},
        },
    )


def test_what_the_platform_loads_py2neo_sees(
    graph: Graph, old: py2neo.Graph, py2neo_batch: GraphBatch, tmp_path: Path
) -> None:
    ingest(graph, Handmade(tmp_path / "held", [py2neo_batch]))
    assert old.evaluate("MATCH (:Image)-[:POSITIVE]->(c:Concept) RETURN c.name") == py2neo_batch.nodes[OPACITY]["name"]
    gene_path = old.evaluate("MATCH path = (:Thing:Gene)-[:associated_with]->(:Concept) RETURN path")
    path_batch = from_subgraph(gene_path)
    assert path_batch.edges == {(GENE, "associated_with", OPACITY): {}}
    assert path_batch.nodes == {
        node_ref: py2neo_batch.nodes[node_ref] for node_ref in (GENE, OPACITY)
    }  # without runs and claims


def test_merging_a_batch_by_py2neo_gives_the_same_graph_as_loading_it(
    graph: Graph, old: py2neo.Graph, py2neo_batch: GraphBatch, tmp_path: Path
) -> None:
    for _ in range(2):  # the second time changes nothing
        old.merge(to_subgraph(py2neo_batch))
        assert old.evaluate("MATCH (n) WHERE NOT n:Run AND NOT n:Platform RETURN count(n)") == 4
        assert old.evaluate("MATCH ()-[r]->() RETURN count(r)") == 4
    ingest(graph, Handmade(tmp_path / "held", [py2neo_batch]))
    assert old.evaluate("MATCH ()-[r]->() RETURN count(r)") == 4
    assert old.evaluate("MATCH (n:Thing) RETURN labels(n)") == ["Thing", "Gene"]


def test_a_subgraph_made_with_py2neo_can_be_loaded_with_provenance(
    graph: Graph, py2neo_batch: GraphBatch, tmp_path: Path
) -> None:
    import py2neo

    image_node, opacity_node = (
        py2neo.Node("Image", id=IMAGE[1], dataset="MIMIC-CXR"),
        py2neo.Node("Concept", cui=OPACITY[1]),
    )
    graph_batch = from_subgraph(py2neo.Relationship(image_node, "UNCERTAIN", opacity_node))
    load_report = ingest(graph, Handmade(tmp_path / "made", [graph_batch]))
    assert load_report.rows.written == 1
    first_digest = digest(graph)
    ingest(graph, Handmade(tmp_path / "made", [graph_batch]))
    assert digest(graph) == first_digest


def test_an_entity_crosses_with_the_label_of_its_presence() -> None:
    entity_batch = GraphBatch(nodes={("Entity", "I1:m:1"): {"text": "edema", "presence": "absent"}})
    [entity_node] = to_subgraph(entity_batch).nodes
    assert set(entity_node.labels) == {"Entity", "Absent"}
    assert from_subgraph(entity_node).nodes == entity_batch.nodes
    entity_node["presence"] = "present"
    with pytest.raises(InputError, match="presence"):
        from_subgraph(entity_node)


def test_a_batch_survives_the_round_trip(py2neo_batch: GraphBatch) -> None:
    returned_batch = from_subgraph(to_subgraph(py2neo_batch))
    assert (returned_batch.nodes, returned_batch.edges) == (py2neo_batch.nodes, py2neo_batch.edges)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_do_not_cross(graph: Graph, old: py2neo.Graph, name: str) -> None:
    import py2neo

    end_nodes: Any = {OPACITY: {}, LUNG: {}}
    lung_properties = {"cui": LUNG[1]}
    for hostile_batch in (
        GraphBatch(nodes=end_nodes, edges={(OPACITY, name, LUNG): {}}),
        GraphBatch(nodes={("Concept", name): {}}),
        GraphBatch(nodes={(name, "x"): {}}),
        GraphBatch(nodes={("Thing", f"{name}:x"): {}}),
        GraphBatch(nodes={LUNG: {name: 1}}),
        GraphBatch(nodes=end_nodes, edges={(OPACITY, "isa", LUNG): {name: 1}}),
    ):
        with pytest.raises(InputError):
            to_subgraph(hostile_batch)
    for subgraph in (
        py2neo.Node("Concept", name, **lung_properties),
        py2neo.Node("Concept", cui=name),
        py2neo.Node("Thing", name, id=f"{name}:x"),
        py2neo.Node("Concept", **lung_properties, **{name: 1}),
        py2neo.Relationship(
            py2neo.Node("Concept", **lung_properties),
            (name or " ").replace("\0", " "),
            py2neo.Node("Concept", cui=OPACITY[1]),
        ),
    ):
        with pytest.raises(InputError):
            from_subgraph(subgraph)


def test_hostile_values_are_only_values(graph: Graph, old: py2neo.Graph) -> None:
    nodes: Any = {
        ("Concept", f"C{concept_number:07d}"): {"name": hostile_name}
        for concept_number, hostile_name in enumerate(HOSTILE)
    }
    old.merge(to_subgraph(GraphBatch(nodes=nodes)))
    stored_names = {record["name"] for record in old.run("MATCH (c:Concept) RETURN c.name AS name")}
    assert stored_names == set(HOSTILE)


def test_mapping_batches_are_not_merged() -> None:
    with pytest.raises(InputError, match="would create"):
        to_subgraph(GraphBatch(nodes={IMAGE: {"path": "a.jpg"}}, enrich=True))


def test_a_server_that_is_not_there_or_refuses(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ConnectionFailed):
        connect(Settings(home=tmp_path, uri="bolt://127.0.0.1:1", password="x"))
    with pytest.raises(LoginFailed) as caught:
        connect(Settings(home=tmp_path, uri=graph.uri, password="canary-secret"))
    assert "canary-secret" not in caught.value.message + caught.value.hint


def test_without_py2neo_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py2neo", None)
    with pytest.raises(SettingsError, match="not installed") as caught:
        connect()
    assert "[py2neo]" in caught.value.hint
