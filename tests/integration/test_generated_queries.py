"""The queries over what models generated, on a real graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.radgraph import RadGraph
from kgplatform import queries
from kgplatform.batches import EdgeRef, GraphBatch, NodeRef, Properties
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.readonly import open_query
from tests.integration import radgraph_files
from tests.integration.radgraph_files import EDEMA, EFFUSION, GRAPHS, STUDY
from tests.integration.sources import Handmade

pytestmark = pytest.mark.server

path = radgraph_files.path


class Generated:
    """A batch as `kgp generate` writes it, entity by entity."""

    def __init__(self) -> None:
        self.batch = GraphBatch(stated_edges=0)

    def edge(self, head: NodeRef, relation: str, tail: NodeRef, **properties: Any) -> EdgeRef:
        self.batch.edges[head, relation, tail] = properties
        for end_node in (head, tail):
            self.batch.nodes.setdefault(end_node, {})
        self.batch.stated_edges = len(self.batch.edges)
        return head, relation, tail

    def entity(self, image: str, model: str, number: int, **properties: Any) -> NodeRef:
        entity_node = ("Entity", f"{image}:{model}:{number}")
        self.edge(
            ("Image", image), "SHOWS", entity_node, model=model, mode={"m1": "image and report", "m2": "image"}[model]
        )
        entity_properties: Properties = properties
        self.batch.nodes[entity_node] = entity_properties
        return entity_node

    def triplet(self, image: str, model: str, number: int, head: str, relation: str, tail: str, **more: Any) -> NodeRef:
        """A triplet of two new entities; returns its head."""
        head_node = self.entity(image, model, number, text=head)
        tail_node = self.entity(image, model, number + 1, text=tail)
        self.edge(head_node, relation, tail_node, model=model, settings="ab", **more)
        return head_node


A, B, PNEUMONIA, OPACITY = "I50000001", "I50000002", "C0032285", "C0029053"


@pytest.fixture
def generated(graph: Graph, tmp_path: Path) -> Graph:
    """Two images with stances; what m1 wrote of them with their reports (whose stances its entities have), m2 without;
    and a RadGraph graph, which no query may count.
    """
    generation = Generated()
    for image_id, stance, cui in (
        (A, "NEGATIVE", EFFUSION), (A, "POSITIVE", EDEMA), (A, "UNCERTAIN", PNEUMONIA), (B, "POSITIVE", EFFUSION),
        (B, "NEGATIVE", EFFUSION), (B, "NEGATIVE", EDEMA),
    ):  # fmt: skip
        generation.edge(("Image", image_id), stance, ("Concept", cui))
    for cui, concept_name in ((EFFUSION, "effusion"), (EDEMA, "edema"), (PNEUMONIA, "pneumonia"), (OPACITY, "opacity")):
        generation.batch.nodes["Concept", cui] = {"name": concept_name}
    generation.edge(("Concept", PNEUMONIA), "has_manifestation", ("Concept", OPACITY))
    first_effusion = generation.triplet(A, "m1", 1, "effusion", "LOCATED_AT", "lung", score=0.9, grounded=False)
    generation.edge(first_effusion, "REFERS_TO", ("Concept", EFFUSION), score=1.0, method="m", stance="NEGATIVE")
    generation.batch.nodes[first_effusion] = {**generation.batch.nodes[first_effusion], "presence": "absent"}
    edema_entity = generation.triplet(A, "m1", 3, "edema", "LOCATED_AT", "lung", score=0.8, grounded=True)
    generation.edge(edema_entity, "REFERS_TO", ("Concept", EDEMA), score=0.9, method="m", stance="POSITIVE")
    opacity_entity = generation.triplet(A, "m1", 5, "opacity", "SUGGESTIVE_OF", "pneumonia", score=0.3)
    generation.edge(opacity_entity, "REFERS_TO", ("Concept", OPACITY), score=1.0, method="m")
    second_effusion = generation.triplet(A, "m2", 1, "Effusion", "LOCATED_AT", "lung", score=0.95, grounded=False)
    generation.edge(second_effusion, "REFERS_TO", ("Concept", EFFUSION), score=1.0, method="m")
    for image_id in (A, B):
        unsure_edema = generation.triplet(image_id, "m2", 3, "edema", "LOCATED_AT", "lung", score=0.5)
        generation.edge(unsure_edema, "REFERS_TO", ("Concept", EDEMA), score=0.7, method="m")
    ambiguous_entity = generation.triplet(B, "m2", 5, "effusion", "MODIFY", "thing", score=0.5)
    generation.edge(ambiguous_entity, "REFERS_TO", ("Concept", EFFUSION), score=0.7, method="m")
    lone_entity = generation.entity(B, "m1", 1, text="edema")  # of which the report's rules tell nothing
    generation.edge(lone_entity, "REFERS_TO", ("Concept", EDEMA), score=0.7, method="m")
    generation.batch.read = len(generation.batch.edges)
    ingest(graph, Handmade(tmp_path / "generated", [generation.batch]))
    radgraph_path = tmp_path / "theirs.json"
    radgraph_graphs = {"p10/p10000001/s50000001.txt": GRAPHS[STUDY]}
    radgraph_path.write_text(json.dumps(radgraph_graphs), encoding="utf-8")
    ingest(graph, RadGraph(radgraph_path))
    return graph


def _explore_rows(graph: Graph, name: str, *columns: str, **parameters: Any) -> list[tuple[Any, ...]]:
    named_query = queries.get(f"explore/{name}")
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        records = list(answer)
    return [tuple(record[column] for column in columns) for record in records]


def test_the_generated_triplets_of_an_image(generated: Graph) -> None:
    columns = ("image", "model", "head", "relation", "tail", "score", "grounded")
    presences = _explore_rows(generated, "generated_triplets", "head", "head_presence", "tail_presence", limit=1)
    assert presences == [("effusion", "absent", None)]
    triplet_rows = _explore_rows(generated, "generated_triplets", *columns)  # A has most generated entities
    assert triplet_rows == [
        (A, "m1", "effusion", "located_at", "lung", 0.9, False),
        (A, "m1", "edema", "located_at", "lung", 0.8, True),
        (A, "m1", "opacity", "suggestive_of", "pneumonia", 0.3, None),
        (A, "m2", "Effusion", "located_at", "lung", 0.95, False),
        (A, "m2", "edema", "located_at", "lung", 0.5, None),
    ]
    assert _explore_rows(generated, "generated_triplets", *columns, model="m2") == triplet_rows[3:]
    assert _explore_rows(generated, "generated_triplets", *columns, limit=1) == triplet_rows[:1]
    assert {triplet_row[0] for triplet_row in _explore_rows(generated, "generated_triplets", *columns, image=B)} == {B}


def test_what_was_seen_is_drawn_with_what_it_means_and_what_the_report_says(generated: Graph) -> None:
    named_query = queries.get("explore/generated_subgraph")
    with open_query(generated, named_query.text, named_query.bind({"image": A})) as answer:
        records = list(answer)
    paths = [
        record[column]
        for record in records
        for column in ("shown", "triplet", "meaning", "stance")
        if record[column] is not None
    ]
    edge_types = {edge["type"] for path in paths for edge in path["relationships"]}
    assert edge_types == {"SHOWS", "LOCATED_AT", "SUGGESTIVE_OF", "REFERS_TO", "NEGATIVE", "POSITIVE"}
    image_ids = {node["properties"]["id"] for path in paths for node in path["nodes"] if "Image" in node["labels"]}
    assert image_ids == {A}
    with open_query(generated, named_query.text, named_query.bind({"image": A, "limit": 1})) as answer:
        assert len(list(answer)) == 1


def test_what_was_seen_beside_what_was_said(generated: Graph) -> None:
    columns = ("model", "verdict", "concept", "seen", "said")
    verdict_rows = _explore_rows(generated, "seen_and_said", *columns)
    assert verdict_rows == [
        ("m1", "agree", "effusion", ["NEGATIVE"], ["NEGATIVE"]),
        ("m1", "agree", "edema", ["POSITIVE"], ["POSITIVE"]),
        ("m1", "only said", "pneumonia", [], ["UNCERTAIN"]),
        ("m1", "only seen", "opacity", [], []),
        ("m2", "agree", "edema", ["POSITIVE"], ["POSITIVE"]),
        ("m2", "differ", "effusion", ["POSITIVE"], ["NEGATIVE"]),
        ("m2", "only said", "pneumonia", [], ["UNCERTAIN"]),
    ]
    assert _explore_rows(generated, "seen_and_said", *columns, model="m1") == verdict_rows[:4]
    assert _explore_rows(generated, "seen_and_said", "concept", "presence", limit=1) == [("effusion", ["absent"])]
    assert _explore_rows(generated, "seen_and_said", *columns, image=B) == [
        ("m1", "no stance", "edema", [], ["NEGATIVE"]),
        ("m1", "only said", "effusion", [], ["NEGATIVE", "POSITIVE"]),
        ("m2", "agree", "effusion", ["POSITIVE"], ["NEGATIVE", "POSITIVE"]),
        ("m2", "differ", "edema", ["POSITIVE"], ["NEGATIVE"]),
    ]


def test_generated_findings_that_the_report_rules_out(generated: Graph) -> None:
    columns = ("image", "concept", "model", "mode", "seen", "link_score")
    contradictions = _explore_rows(generated, "generated_contradictions", *columns)
    assert contradictions == [  # of B's effusion the report says both
        (A, "effusion", "m1", "image and report", ["effusion"], 1.0),  # located where the report does not say
        (A, "effusion", "m2", "image", ["Effusion"], 1.0),
        (B, "edema", "m2", "image", ["edema"], 0.7),
    ]
    assert _explore_rows(generated, "generated_contradictions", *columns, model="m1") == contradictions[:1]
    assert _explore_rows(generated, "generated_contradictions", "presence", model="m1") == [(["absent"],)]


def test_generated_findings_one_step_from_what_the_report_names(generated: Graph) -> None:
    columns = ("image", "model", "generated", "relations", "known", "stance")
    expected = [(A, "m1", "opacity", ["← has_manifestation"], "pneumonia", "UNCERTAIN")]
    assert _explore_rows(generated, "one_step_from_known", *columns) == expected
    assert _explore_rows(generated, "one_step_from_known", *columns, image=A) == expected
    assert _explore_rows(generated, "one_step_from_known", *columns, image=B) == []
    assert _explore_rows(generated, "one_step_from_known", *columns, model="m2") == []


def test_which_models_agree_on_a_triplet(generated: Graph) -> None:
    assert _explore_rows(generated, "model_agreement", "head", "relation", "tail", "agree", "models") == [
        ("edema", "located_at", "lung", 2, ["m1", "m2"]),
        ("effusion", "located_at", "lung", 2, ["m1", "m2"]),
        ("opacity", "suggestive_of", "pneumonia", 1, ["m1"]),
    ]


def test_triplets_that_the_report_does_not_support(generated: Graph) -> None:
    columns = ("image", "model", "head", "relation", "tail", "score")
    triplet_rows = _explore_rows(generated, "ungrounded", *columns)
    assert triplet_rows == [
        (A, "m2", "Effusion", "located_at", "lung", 0.95),
        (A, "m1", "effusion", "located_at", "lung", 0.9),
    ]
    assert _explore_rows(generated, "ungrounded", *columns, model="m1") == triplet_rows[1:]
    assert _explore_rows(generated, "ungrounded", "head_presence", "tail_presence", model="m1") == [("absent", None)]
    assert _explore_rows(generated, "ungrounded", *columns, image=B) == []


def test_a_graph_without_generated_triplets_has_no_rows(graph: Graph, path: Path) -> None:
    ingest(graph, RadGraph(path))
    for query_name in (
        "generated_triplets", "seen_and_said", "generated_contradictions", "one_step_from_known", "model_agreement",
        "ungrounded", "generated_subgraph",
    ):  # fmt: skip
        assert _explore_rows(graph, query_name) == []
