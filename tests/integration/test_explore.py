"""The queries for people, on the released MedMKG: each with its defaults, and what is known of the graph."""

from __future__ import annotations

import math
from typing import Any

import pytest

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.readonly import open_query

pytestmark = [pytest.mark.server, pytest.mark.data]


def _query_rows(graph: Graph, name: str, **parameters: Any) -> list[dict[str, Any]]:
    named_query = queries.get(f"explore/{name}")
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        return list(answer)


def _path_nodes_and_types(path_rows: list[dict[str, Any]]) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """The properties of the nodes of all paths, by name or id, and the types of their relationships."""
    node_properties = [properties["properties"] for path_row in path_rows for properties in path_row["path"]["nodes"]]
    edge_types = {edge["type"] for path_row in path_rows for edge in path_row["path"]["relationships"]}
    return {properties.get("name") or properties["id"]: properties for properties in node_properties}, edge_types


# The release has no predictions and nothing generated: test_predictions.py and test_radgraph.py make some.
MODEL_QUERIES = {
    f"explore/{name}"
    for name in (
        "predicted_links", "generated_triplets", "generated_subgraph", "seen_and_said", "generated_contradictions",
        "one_step_from_known", "model_agreement", "ungrounded",
    )
}  # fmt: skip
# Nor has it attributes of findings or histories: test_explore_attributes.py constructs some.
REPORT_QUERIES = {f"explore/{name}" for name in ("finding_changes", "partly_denied", "histories")}
EMPTY = MODEL_QUERIES | REPORT_QUERIES


@pytest.mark.parametrize("name", [name for name in queries.query_names("explore") if name not in EMPTY])
def test_every_query_answers_with_its_defaults(medmkg_graph: Graph, name: str) -> None:
    assert _query_rows(medmkg_graph, name.removeprefix("explore/"))


def test_figure3_shows_the_six_findings_and_one_image_with_all_stances(medmkg_graph: Graph) -> None:
    nodes_by_name, edge_types = _path_nodes_and_types(_query_rows(medmkg_graph, "figure3"))
    assert edge_types == {"POSITIVE", "NEGATIVE", "UNCERTAIN", "isa"}
    assert set(queries.get("explore/figure3").parameters["names"].default) <= nodes_by_name.keys()
    assert [node_name for node_name in nodes_by_name if node_name.startswith("I5")] == ["I58301613"]


def test_figure3_draws_the_most_connected_concepts_where_the_six_are_not(medmkg_graph: Graph) -> None:
    nodes_by_name, _ = _path_nodes_and_types(_query_rows(medmkg_graph, "figure3", names=["no such finding"]))
    assert len(nodes_by_name) > 1


def test_neighbours_of_pneumonia_by_stance(medmkg_graph: Graph) -> None:
    rows_by_stance = {stance_row["stance"]: stance_row for stance_row in _query_rows(medmkg_graph, "finding_by_stance")}
    assert rows_by_stance["UNCERTAIN"]["images"] == 226
    assert rows_by_stance["POSITIVE"]["images"] == 64
    assert rows_by_stance["POSITIVE"]["best_images"][0] == "I50978146"


def test_neighbours_to_draw_have_every_stance_and_umls_relations(medmkg_graph: Graph) -> None:
    nodes_by_name, edge_types = _path_nodes_and_types(_query_rows(medmkg_graph, "finding_neighbours"))
    assert {"POSITIVE", "NEGATIVE", "UNCERTAIN"} < edge_types
    assert "Collapse of lung (disorder)" in nodes_by_name


def test_positive_for_one_and_negative_for_the_other(medmkg_graph: Graph) -> None:
    image_rows = _query_rows(medmkg_graph, "positive_not", limit=1000)
    assert {(image_row["shows"], image_row["rules_out"]) for image_row in image_rows} == {
        ("Collapse of lung (disorder)", "fluid in the chest")
    }
    assert {"I58427264", "I58301613", "I52672568"} <= {image_row["image"] for image_row in image_rows}


def test_cooccurrence_counts_lift_and_pmi(medmkg_graph: Graph) -> None:
    first_row = _query_rows(medmkg_graph, "cooccurring")[0]
    assert (first_row["seen_with"], first_row["together"]) == ("pleural effusion (diagnosis)", 66)
    assert first_row["lift"] == pytest.approx(66 * images_with_positive(medmkg_graph) / (468 * 293))
    assert first_row["pmi"] == pytest.approx(math.log(first_row["lift"]))


def images_with_positive(graph: Graph) -> int:
    with open_query(graph, "MATCH (i:Image)-[:POSITIVE]->() RETURN count(DISTINCT i) AS n") as answer:
        return int(next(iter(answer))["n"])


def test_the_68_conflicting_pairs(medmkg_graph: Graph) -> None:
    conflicts = _query_rows(medmkg_graph, "conflicts")
    stance_pairs = ["+".join(conflict["stances"]) for conflict in conflicts]
    assert {stance_pair: stance_pairs.count(stance_pair) for stance_pair in stance_pairs} == {
        "POSITIVE+UNCERTAIN": 56,
        "NEGATIVE+POSITIVE": 9,
        "NEGATIVE+UNCERTAIN": 3,
    }


def test_images_of_a_concept_with_what_it_adds_to_their_scores(medmkg_graph: Graph) -> None:
    image_rows = _query_rows(medmkg_graph, "concept_images", limit=1000)
    assert len(image_rows) == 46 + 2 + 16
    assert {round(image_row["adds"], 9) for image_row in image_rows} == {
        round(math.log(4868 / image_count), 9) for image_count in (46, 2, 16)
    }
    assert [image_row["rank"] for image_row in image_rows] == sorted(image_row["rank"] for image_row in image_rows)


def test_shortest_paths_over_umls_relations(medmkg_graph: Graph) -> None:
    path_rows = _query_rows(medmkg_graph, "paths")
    assert len({path_row["steps"] for path_row in path_rows}) == 1
    for path_row in path_rows:
        assert path_row["names"][0] == "Widened mediastinum (finding)"
        assert path_row["names"][-1] == "Collapse of lung (disorder)"


def test_provenance_names_the_run_of_every_edge(medmkg_graph: Graph) -> None:
    edge_rows = _query_rows(medmkg_graph, "provenance")
    assert {edge_row["head"] for edge_row in edge_rows} == {"I50978146"}
    assert all(edge_row["run"] and edge_row["kind"] for edge_row in edge_rows)
    pair_rows = _query_rows(medmkg_graph, "provenance", head="C0577559", tail="C0742352")
    assert {edge_row["relation"] for edge_row in pair_rows} == {"isa", "has_associated_morphology"}


def test_similar_images_by_jaccard(medmkg_graph: Graph) -> None:
    similar_images = _query_rows(medmkg_graph, "similar_images")
    assert (similar_images[0]["like"], similar_images[0]["jaccard"], similar_images[0]["shared"]) == (
        "I53005099",
        0.125,
        2,
    )


def test_concepts_only_ever_ruled_out_or_mostly_left_open(medmkg_graph: Graph) -> None:
    assert _query_rows(medmkg_graph, "only_negative")[0] == {
        "cui": "C1551345",
        "concept": "inpatient acute",
        "images": 13,
    }
    assert _query_rows(medmkg_graph, "uncertain")[0]["share"] == pytest.approx(79 / 81)


def test_section_headers_and_isolated_concepts(medmkg_graph: Graph) -> None:
    first_header = _query_rows(medmkg_graph, "section_headers")[0]
    assert (first_header["concept"], first_header["edges"], first_header["kind"]) == (
        "Impression",
        926,
        "section header",
    )
    assert len(_query_rows(medmkg_graph, "isolated_concepts", limit=5000)) == 3149 - 1877


def test_inventory_of_the_259_relations_and_what_runs_back(medmkg_graph: Graph) -> None:
    relation_rows = _query_rows(medmkg_graph, "relations")
    assert len(relation_rows) == 259
    assert sum(relation_row["edges"] for relation_row in relation_rows) == 14682
    inverse_row = _query_rows(medmkg_graph, "inverse_relations")[0]
    assert (inverse_row["relation"], inverse_row["back"], inverse_row["share"]) == ("isa", "inverse_isa", 1.0)


def test_1528_concepts_have_one_image(medmkg_graph: Graph) -> None:
    """1,525 of them by a single edge; three by two stances of the same image."""
    assert len(_query_rows(medmkg_graph, "one_image_concepts", limit=5000)) == 1528


def test_images_and_changes_of_a_subject(medmkg_graph: Graph) -> None:
    image_rows = _query_rows(medmkg_graph, "subject_images")
    assert len({subject_row["subject"] for subject_row in image_rows}) == 1
    assert len(image_rows) == 8
    for subject_row in _query_rows(medmkg_graph, "subject_changes"):
        assert subject_row["positive_in"] != subject_row["negative_in"]


def test_finding_a_concept_by_its_words(medmkg_graph: Graph) -> None:
    rows_by_cui = {concept_row["cui"]: concept_row for concept_row in _query_rows(medmkg_graph, "find_concept")}
    assert rows_by_cui["C0032227"]["positive"] == 293
    assert _query_rows(medmkg_graph, "find_concept", words="pnuemonia~")


def test_the_subgraph_of_an_image(medmkg_graph: Graph) -> None:
    nodes_by_name, edge_types = _path_nodes_and_types(_query_rows(medmkg_graph, "image_subgraph", image="I58301613"))
    assert {"POSITIVE", "NEGATIVE", "UNCERTAIN"} <= edge_types
    assert nodes_by_name["I58301613"]["naf"] == pytest.approx(45.17243276949418)


def test_differentials_share_the_finding_site(medmkg_graph: Graph) -> None:
    first_row = _query_rows(medmkg_graph, "differential")[0]
    assert (first_row["differential"], first_row["umls_ddx"]) == ("pneumonia (diagnosis)", True)
    assert first_row["sites"] == ["Structure of lungs, unspecified"]


def test_narrower_concepts_level_by_level(medmkg_graph: Graph) -> None:
    concept_rows = _query_rows(medmkg_graph, "narrower")
    assert concept_rows[0]["narrower"] == concept_rows[0]["concept"] == "Lump (finding)"
    assert {"Mass of chest wall (finding)", "Tumor"} <= {
        concept_row["narrower"] for concept_row in concept_rows if concept_row["level"] == 1
    }
    assert {concept_row["level"] for concept_row in _query_rows(medmkg_graph, "narrower", depth=1)} == {0, 1}


@pytest.mark.parametrize("name", queries.query_names("explore"))
def test_every_query_runs_on_an_empty_graph(graph: Graph, name: str) -> None:
    assert _query_rows(graph, name.removeprefix("explore/")) == []
