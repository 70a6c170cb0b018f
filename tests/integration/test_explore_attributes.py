"""The queries on attributes of findings, on a graph constructed from a few reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.readonly import open_query
from tests.integration.constructed_graphs import construct_reports

pytestmark = pytest.mark.server

EFFUSION, PNEUMOTHORAX = "C0032227", "C0032326"
REPORTS = {
    "p1-1": "Large left pleural effusion. No pneumothorax.",
    "p1-2": "The left pleural effusion has improved.",
    "p2-1": "Small right pleural effusion. No left pleural effusion. No large pneumothorax.",
    "p2-2": "Unchanged small right pleural effusion. Small pneumothorax. No large pneumothorax.",
    "p3-1": "New moderate bilateral pleural effusions at the lung bases.",
    "p3-2": "Possible pleural effusion.",
    "p3-3": "No pleural effusion.",
}


@pytest.fixture
def studies(graph: Graph, tmp_path: Path) -> dict[str, str]:
    """The study of each image of the constructed graph."""
    return {image: study for study, image in construct_reports(graph, tmp_path, REPORTS).items()}


def _query_rows(graph: Graph, name: str, **parameters: Any) -> list[dict[str, Any]]:
    named_query = queries.get(f"explore/{name}")
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        return list(answer)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, {"p1-1", "p1-2", "p2-1", "p2-2", "p3-1"}),
        ({"side": "left"}, {"p1-1", "p1-2", "p3-1"}),
        ({"side": "bilateral"}, {"p3-1"}),
        ({"severity": "moderate"}, {"p1-1", "p3-1"}),
        ({"severity": "small"}, {"p1-1", "p2-1", "p2-2", "p3-1"}),
        ({"severity": "huge"}, set()),
        ({"change": "better"}, {"p1-2"}),
        ({"location": "base"}, {"p3-1"}),
        ({"stance": "NEGATIVE", "side": "left"}, {"p2-1"}),
        ({"stance": "UNCERTAIN", "certainty": "possible"}, {"p3-2"}),
        ({"stance": ""}, set(REPORTS)),
    ],
)
def test_findings_by_attribute(
    graph: Graph, studies: dict[str, str], conditions: dict[str, str], expected: set[str]
) -> None:
    rows = _query_rows(graph, "findings_by_attribute", concept=EFFUSION, **conditions)
    assert {studies[row["image"]] for row in rows} == expected


def test_changes_sides_and_what_is_denied(graph: Graph, studies: dict[str, str]) -> None:
    changes = {row["change"]: row["images"] for row in _query_rows(graph, "finding_changes", concept=EFFUSION)}
    assert changes == {"new": 1, "better": 1, "unchanged": 1}
    [improved] = _query_rows(graph, "finding_changes", subject="p1")
    assert (improved["cui"], improved["change"], improved["subjects"]) == (EFFUSION, "better", 1)
    sides = {
        (row["stance"], row["side"], row["severity"]): row["images"]
        for row in _query_rows(graph, "finding_sides", concept=EFFUSION)
    }
    assert sides["POSITIVE", "right", "small"] == 2
    assert sides["POSITIVE", "bilateral", "moderate"] == 1
    assert sides["NEGATIVE", "left", None] == 1
    denied = {studies[row["image"]]: row for row in _query_rows(graph, "partly_denied")}
    assert denied.keys() == {"p2-1", "p2-2"}
    assert (denied["p2-2"]["cui"], denied["p2-2"]["denied"]) == (PNEUMOTHORAX, ["large"])
    assert denied["p2-2"]["other_stances"] == [["POSITIVE", "small"]]


def test_histories(graph: Graph, tmp_path: Path) -> None:
    reports = {"a": "Pneumothorax. History of lung cancer.", "b": "Cardiomegaly. Family history of lung cancer."}
    images = construct_reports(graph, tmp_path, reports)
    rows = {row["history_of"]: row for row in _query_rows(graph, "histories")}
    assert {history: (row["images"], row["best_images"]) for history, row in rows.items()} == {
        "patient": (1, [images["a"]]),
        "family": (1, [images["b"]]),
    }
    assert len(_query_rows(graph, "histories", words="LUNG CANCER")) == 2
    assert _query_rows(graph, "histories", words="zebra") == []


def test_other_queries_show_attributes_and_respect_them(graph: Graph, studies: dict[str, str]) -> None:
    assert _query_rows(graph, "conflicts") == []
    shown = {
        (studies[row["image"]], row["stance"]): row["attributes"]
        for row in _query_rows(graph, "concept_images", concept=EFFUSION)
    }
    assert shown["p1-1", "POSITIVE"] == ["large", "left"]
    assert shown["p2-2", "POSITIVE"] == ["small", "right", "unchanged"]
    assert shown["p3-3", "NEGATIVE"] == []
    by_stance = {row["stance"]: row for row in _query_rows(graph, "finding_by_stance", concept=EFFUSION)}
    assert [by_stance["POSITIVE"][side] for side in ("left", "right", "bilateral")] == [2, 2, 1]
    changes = {
        (row["finding"].lower(), studies[row["positive_in"]], studies[row["negative_in"]])
        for row in _query_rows(graph, "subject_changes")
    }
    assert changes == {("pleural effusion", "p3-1", "p3-3")}
    images = {studies[row["image"]]: row for row in _query_rows(graph, "subject_images", subject="p1")}
    assert images["p1-1"]["described"] == [["Pleural effusion", ["large", "left"]]]
    drawn = _query_rows(graph, "image_subgraph", image=next(image for image in studies if studies[image] == "p1-1"))
    assert "large" in str(drawn)


GENERATED = parse_query(
    "t/g",
    "// What a model saw.\n// param image string: id\n// param concept string: CUI\n// param words string: a modifier\n"
    "MATCH (i:Image {id: $image}), (c:Concept {cui: $concept})\n"
    "CREATE (i)-[:SHOWS {model: 'm', mode: 'image'}]->(e:Entity {id: $image + $words, text: 'finding'})"
    "-[:REFERS_TO {score: 1.0}]->(c), (e)<-[:MODIFY]-(:Entity {id: $image + $words + 'm', text: $words})",
)


def test_a_model_contradicts_what_is_denied_and_nothing_else(graph: Graph, studies: dict[str, str]) -> None:
    images = {study: image for image, study in studies.items()}
    for study, concept, words in (
        ("p2-1", PNEUMOTHORAX, "small"),  # a large one is denied
        ("p3-3", EFFUSION, "small"),
    ):
        graph.write(GENERATED, image=images[study], concept=concept, words=words)
    [row] = _query_rows(graph, "generated_contradictions")
    assert (studies[row["image"]], row["denied"]) == ("p3-3", [])
    graph.write(GENERATED, image=images["p2-1"], concept=PNEUMOTHORAX, words="Large")
    denied = {studies[row["image"]]: row["denied"] for row in _query_rows(graph, "generated_contradictions")}
    assert denied == {"p3-3": [], "p2-1": ["large"]}
