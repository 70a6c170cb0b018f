"""Predicted links in the queries of a real graph: drawn with the known edges, and never taken for facts."""

from __future__ import annotations

import random
from typing import Any

import pytest

from kgplatform import naf, queries, runs, stats
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.predictions import Prediction
from kgplatform.queries import parse_query
from kgplatform.readonly import open_query
from tests.integration.written_predictions import write_some_predictions

pytestmark = pytest.mark.server

FORGET = parse_query(
    "t/f", "// Takes a run's record away.\n// param run string: its id\nMATCH (r:Run {id: $run}) DETACH DELETE r"
)


def explore(graph: Graph, name: str, **parameters: Any) -> list[dict[str, Any]]:
    named_query = queries.get(name)
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        return list(answer)


def _graph_facts(graph: Graph) -> dict[str, Any]:
    """All that is said of the graph's facts."""
    query_names = set(queries.query_names("explore")) - {"explore/predicted_links", "explore/provenance"}
    facts_by_name: dict[str, Any] = {
        query_name: sorted(map(repr, graph.read(queries.get(query_name)))) for query_name in query_names
    }
    for query_name in ("isolated_concepts", "one_image_concepts", "section_headers"):
        facts_by_name[f"all {query_name}"] = graph.read(queries.get(f"explore/{query_name}"), limit=10_000)
    figure_rows = graph.read(queries.get("explore/figure3"), names=["no such finding"])
    facts_by_name["most connected"] = sorted(map(repr, figure_rows))
    audit_names = set(queries.query_names("audit")) - {"audit/unfinished_runs"}  # a prediction is a run, too
    facts_by_name["audit"] = {query_name: graph.read(queries.get(query_name)) for query_name in audit_names}
    facts_by_name["stats"] = [
        stats.overview(graph),
        stats.hubs(graph, 100),
        stats.semantic_types(graph),
        stats.labels(graph),
    ]
    facts_by_name["naf"] = [naf.explain(graph, "I50978146"), graph.read(queries.get("naf/state"))]
    facts_by_name["kept"] = graph.read(queries.get("export/kept_edges"))
    return facts_by_name


@pytest.mark.data
def test_nothing_that_is_said_of_the_facts_changes(medmkg_graph: Graph) -> None:
    graph, random_source = medmkg_graph, random.Random(3)
    digest_before, facts_before = str(digest(graph)), _graph_facts(graph)
    images = [("Image", record["id"]) for record in graph.read(queries.get("naf/top"), limit=300)]
    concepts = [("Concept", record["cui"]) for record in explore(graph, "explore/isolated_concepts", limit=1000)]
    hubs = [("Concept", record["cui"]) for record in stats.hubs(graph, 40)]
    paper_concepts = [("Concept", "C0746459"), ("Concept", "C0004144"), ("Concept", "C0577559")]
    predictions = [
        *(Prediction(image, "UNCERTAIN", hub, 0.5, 1) for image in images for hub in hubs[6:12]),  # into the first six
        *(Prediction(image, "POSITIVE", random_source.choice(concepts), random_source.random(), 1) for image in images),
        *(Prediction(image, "NEGATIVE", random_source.choice(hubs), random_source.random(), 2) for image in images),
        *(Prediction(concept, "isa", random_source.choice(hubs), random_source.random(), 1) for concept in concepts),
        *(
            Prediction(head, "isa", tail, 0.5, 1)
            for head in [*paper_concepts, *hubs]
            for tail in paper_concepts
            if head != tail
        ),
        *(Prediction(head, "new_relation", tail, 0.5, 3) for head in paper_concepts for tail in hubs),
        Prediction(("Concept", "C0742352"), "new_relation", paper_concepts[2], 0.5, 1),  # the other way there is an isa
    ]
    run_id = write_some_predictions(
        graph,
        {(prediction.head, prediction.relation, prediction.tail): prediction for prediction in predictions}.values(),
    ).run
    try:
        facts_after = _graph_facts(graph)
        for fact_name, fact in facts_before.items():
            assert facts_after[fact_name] == fact, fact_name
    finally:
        runs.undo(graph, run_id)
        graph.write(FORGET, run=run_id)
    assert str(digest(graph)) == digest_before


@pytest.mark.data
def test_predicted_links_are_drawn_with_the_known_edges_around_them(medmkg_graph: Graph) -> None:
    graph = medmkg_graph
    head, tail, image = ("Concept", "C0746459"), ("Concept", "C0004144"), ("Image", "I50978146")
    new_predictions = [Prediction(head, "isa", tail, 0.5, 1), Prediction(image, "POSITIVE", head, 9.5, 2)]
    assert explore(graph, "explore/predicted_links") == []
    run_id = write_some_predictions(graph, new_predictions).run
    try:
        paths = [record["path"] for record in explore(graph, "explore/predicted_links")]
        edge_types = [edge["type"] for path in paths for edge in path["relationships"]]
        assert edge_types.count("PREDICTED") == 2
        assert len(set(edge_types)) > 2
        node_keys = {
            node["properties"].get("cui") or node["properties"]["id"] for path in paths for node in path["nodes"]
        }
        assert {"C0746459", "C0004144", "I50978146"} < node_keys
        positive_paths = [
            record["path"] for record in explore(graph, "explore/predicted_links", relation="POSITIVE", model="transe")
        ]
        predictions = [edge for path in positive_paths for edge in path["relationships"] if edge["type"] == "PREDICTED"]
        assert [edge["properties"]["score"] for edge in predictions] == [9.5]
        assert explore(graph, "explore/predicted_links", model="no such model") == []
        provenance = explore(graph, "explore/provenance", head="C0746459", tail="C0004144")
        assert [(record["relation"], record["predicted"], record["model"]) for record in provenance] == [
            ("PREDICTED", "isa", "transe")
        ]
    finally:
        runs.undo(graph, run_id)
        graph.write(FORGET, run=run_id)
