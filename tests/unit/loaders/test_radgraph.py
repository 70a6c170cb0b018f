"""RadGraph's files: every graph comes out unchanged, or as one reject that quotes nothing of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.phantom import study_set
from kgp_loaders.radgraph import PRESENCE_STANCE, Entity, RadGraph, ReportGraph, image, read_report_graphs, triplets
from kgplatform.batches import Reject
from kgplatform.errors import UsageError
from kgplatform.schema import IMAGE_ID, Stance, image_id
from kgplatform.triplets.linking import ConceptLink
from kgplatform.triplets.text import Relation
from tests.unit.loaders.radgraph_reports import (
    STUDY,
    merged_batch,
    radgraph_entity,
    radgraph_report,
    read_graphs,
    write_graphs,
)


@pytest.mark.data
def test_the_samples_of_both_versions(data_dir: Path) -> None:
    xl_graph, v1_graph = read_graphs(data_dir / "radgraph" / "samples.json")
    assert [(entity.text, entity.kind, entity.presence) for entity in xl_graph.entities] == [
        ("pneumothorax", "Observation", "absent"),
        ("chest", "Anatomy", "present"),
        ("tube", "Observation", "present"),
    ]
    assert (xl_graph.source, xl_graph.split, v1_graph.source) == ("", "inference", "")
    assert [", ".join(triplet) for triplet in triplets(xl_graph)] == ["tube, located_at, chest"]
    assert [", ".join(triplet) for triplet in triplets(v1_graph)] == [
        "normal, located_at, heart",
        "size, modify, heart",
        "stable, located_at, mediastinum",
        "postsurgical, modify, changes",
        "changes, located_at, breast",
        "left, modify, breast",
        "clear, located_at, lungs",
    ]
    for graph in (xl_graph, v1_graph):
        tokens = graph.text.split(" ")
        assert all(" ".join(tokens[entity.start : entity.end + 1]) == entity.text for entity in graph.entities)


@pytest.mark.data
def test_a_mocked_file_whose_places_are_off_says_what_its_tokens_say(data_dir: Path) -> None:
    mocked_graphs = read_graphs(data_dir / "radgraph" / "mockedReports_MedKGC_MIT.json")
    assert [len(graph.entities) for graph in mocked_graphs] == [5, 6, 7]
    first_graph = mocked_graphs[0]
    assert [entity.text for entity in first_graph.entities if entity.presence == "absent"] == [
        "pulmonary edema", "focal consolidation", "pleural effusion", "pneumothorax"
    ]  # fmt: skip
    assert first_graph.entities[-1].start >= len(first_graph.text.split(" "))
    assert not any(map(triplets, mocked_graphs))  # it has no relations


def test_the_phantom_studies_truth(tmp_path: Path) -> None:
    study_set.build_study_set(tmp_path / "p", 60, 7, images=False)
    graphs_path = tmp_path / "p" / "truth" / "radgraph.json"
    content = json.loads(graphs_path.read_text(encoding="utf-8"))
    loaded_graphs = read_graphs(graphs_path)
    assert [graph.name for graph in loaded_graphs] == list(content)
    for graph in loaded_graphs:
        entities_by_id = content[graph.name]["entities"]
        relation_texts = [
            (entities_by_id[head]["tokens"], relation, entities_by_id[tail]["tokens"])
            for head in entities_by_id
            for relation, tail in entities_by_id[head]["relations"]
        ]
        assert triplets(graph) == list(
            dict.fromkeys((head.lower(), relation, tail.lower()) for head, relation, tail in relation_texts)
        )
    dataset_names = {image(graph).properties["dataset"] for graph in loaded_graphs}
    assert dataset_names == {"Phantom"}
    assert {
        presence for graph in loaded_graphs for presence in (entity.presence for entity in graph.entities)
    } == PRESENCE_STANCE.keys()


@pytest.mark.parametrize(
    ("label", "kind", "presence"),
    [
        ("ANAT-DP", "Anatomy", "present"),
        ("OBS-DP", "Observation", "present"),
        ("OBS-DA", "Observation", "absent"),
        ("OBS-U", "Observation", "uncertain"),
        ("Anatomy::definitely present", "Anatomy", "present"),
        ("Anatomy::uncertain", "Anatomy", "uncertain"),
        ("Observation::definitely absent", "Observation", "absent"),
        ("Observation::measurement::uncertain", "Observation", "uncertain"),
    ],
)
def test_labels_of_both_versions(tmp_path: Path, label: str, kind: str, presence: str) -> None:
    [graph] = read_graphs(write_graphs(tmp_path / "a.json", {STUDY: radgraph_report(e1=radgraph_entity(label=label))}))
    assert [(entity.kind, entity.presence) for entity in graph.entities] == [(kind, presence)]


def test_presence_is_a_stance() -> None:
    assert PRESENCE_STANCE == {
        "present": Stance.POSITIVE, "absent": Stance.NEGATIVE, "uncertain": Stance.UNCERTAIN
    }  # fmt: skip


def test_triplets_come_in_the_order_of_the_heads_each_once_in_normal_form(tmp_path: Path) -> None:
    entities = {
        "2": radgraph_entity(tokens="Left  Lung", label="ANAT-DP"),
        "1": radgraph_entity(relations=[["located_at", "2"], ["located_at", "9"], ["suggestive_of", "3"]]),
        "3": radgraph_entity(tokens="/", relations=[["modify", "2"]]),
        "9": radgraph_entity(tokens="left lung", label="ANAT-DP"),
    }
    [graph] = read_graphs(write_graphs(tmp_path / "a.json", {STUDY: {**radgraph_report(), "entities": entities}}))
    assert triplets(graph) == [("effusion", Relation.LOCATED_AT, "left lung")]
    assert graph.entities[0] == Entity("2", "Left Lung", "Anatomy", "present", 1, 1)


def test_of_two_labelers_the_first_or_the_one_asked_for(tmp_path: Path) -> None:
    two_labelers = {
        "labeler_1": {"entities": {"1": radgraph_entity()}},
        "labeler_2": {"entities": {"1": radgraph_entity(label="OBS-U")}},
    }
    graphs_path = write_graphs(
        tmp_path / "test.json",
        {STUDY: {"text": "a b", **two_labelers}, "chexpert": radgraph_report(e1=radgraph_entity())},
    )
    assert [entity.presence for graph in read_graphs(graphs_path) for entity in graph.entities] == [
        "present",
        "present",
    ]
    second_graph, missing_reject = read_report_graphs(graphs_path, labeler=2)
    assert isinstance(second_graph, ReportGraph)
    assert [entity.presence for entity in second_graph.entities] == ["uncertain"]
    assert missing_reject == Reject(graphs_path, 2, "there are no entities of labeler 2")
    entity_ids = [
        {key for label, key in merged_batch(RadGraph(graphs_path, labeler_number)).nodes if label == "Entity"}
        for labeler_number in (1, 2)
    ]
    assert not entity_ids[0] & entity_ids[1]  # two people's entities do not become one
    with pytest.raises(UsageError):
        RadGraph(graphs_path, 0)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (STUDY, ("I50414267", "MIMIC-CXR", "50414267", "10000032")),
        (f"files/{STUDY}", ("I50414267", "MIMIC-CXR", "50414267", "10000032")),
        ("p97/p97368787/s91234567.txt", ("I91234567", "Phantom", "91234567", "97368787")),
        ("p11/p10000032/s50414267.txt", None),  # not of this subject
        ("p1/mock001/s00001.txt", None),
        ("patient46600/study1", None),
    ],
)
def test_the_image_of_a_graph(name: str, expected: tuple[str, str, str, str] | None) -> None:
    graph_image = image(ReportGraph(name, "", (), "", ""))
    if expected is None:
        assert graph_image == (image_id("RadGraph", name), {"dataset": "RadGraph", "study_id": name})
    else:
        assert (graph_image.id, *graph_image.properties.values()) == expected
    assert IMAGE_ID.fullmatch(graph_image.id)


# What becomes of it in the graph


def test_a_graph_is_an_image_that_shows_entities(tmp_path: Path) -> None:
    content = radgraph_report(
        e1=radgraph_entity(relations=[["located_at", "2"]]), e2=radgraph_entity(tokens="lung", label="ANAT-DP")
    )
    batch = merged_batch(RadGraph(write_graphs(tmp_path / "a.json", {STUDY: content, "none": radgraph_report()})))
    entity_keys = {node_key.rsplit(":", 1)[1]: node_key for label, node_key in batch.nodes if label == "Entity"}
    image_node, effusion, lung = ("Image", "I50414267"), ("Entity", entity_keys["1"]), ("Entity", entity_keys["2"])
    assert batch.nodes == {
        image_node: {"dataset": "MIMIC-CXR", "study_id": "50414267", "subject_id": "10000032"},
        effusion: {"text": "effusion", "kind": "Observation", "presence": "present"},
        lung: {"text": "lung", "kind": "Anatomy", "presence": "present"},
    }
    assert batch.edges == {
        (image_node, "SHOWS", effusion): {}, (image_node, "SHOWS", lung): {}, (effusion, "LOCATED_AT", lung): {}
    }  # fmt: skip
    assert (batch.read, batch.rejects) == (2, [])
    assert entity_keys["1"].startswith("I50414267:")
    assert len(entity_keys["1"].split(":")[1]) == 8


def test_the_same_graph_in_another_file_is_the_same_and_another_graph_of_the_image_is_not(tmp_path: Path) -> None:
    original = merged_batch(RadGraph(write_graphs(tmp_path / "a.json", {STUDY: radgraph_report(e1=radgraph_entity())})))
    extended = merged_batch(
        RadGraph(
            write_graphs(
                tmp_path / "b.json",
                {"x": radgraph_report(e1=radgraph_entity()), STUDY: radgraph_report(e1=radgraph_entity())},
            )
        )
    )
    relabelled = merged_batch(
        RadGraph(write_graphs(tmp_path / "c.json", {STUDY: radgraph_report(e1=radgraph_entity(label="OBS-U"))}))
    )
    assert original.nodes.keys() < extended.nodes.keys()
    assert original.nodes.keys() & relabelled.nodes.keys() == {("Image", "I50414267")}


def test_entities_refer_to_the_concepts_that_a_linker_names(tmp_path: Path) -> None:
    links = {
        "effusion": ConceptLink("C0032227", "Pleural effusion", ("Finding",), 0.9, "m"),
        "lung": ConceptLink("C0024109", "Lung", (), 1.0, "m"),
        "odd": ConceptLink("12345", "not of UMLS", (), 1.0, "m"),
    }
    content = radgraph_report(
        e1=radgraph_entity(label="OBS-DA"),
        e2=radgraph_entity(tokens="lung"),
        e3=radgraph_entity(tokens="odd"),
        e4=radgraph_entity(tokens="else"),
    )
    graphs_path = write_graphs(tmp_path / "a.json", {STUDY: content})
    batch = merged_batch(RadGraph(graphs_path, link=links.get, about={"by": "hand"}))
    concepts = {node_key: properties for (label, node_key), properties in batch.nodes.items() if label == "Concept"}
    assert concepts == {
        "C0032227": {"name": "Pleural effusion", "semantic_types": ["Finding"]},
        "C0024109": {"name": "Lung"},
    }
    reference_edges = [properties for (_, relation, _), properties in batch.edges.items() if relation == "REFERS_TO"]
    assert reference_edges == [
        {"score": 0.9, "method": "m", "stance": "NEGATIVE"},
        {"score": 1.0, "method": "m", "stance": "POSITIVE"},
    ]
    assert RadGraph(graphs_path).parameters != RadGraph(graphs_path, link=links.get, about={"by": "hand"}).parameters
    assert RadGraph(graphs_path).parameters != RadGraph(graphs_path, 2).parameters


def test_batches_are_the_same_whatever_their_size(tmp_path: Path) -> None:
    graphs_path = write_graphs(
        tmp_path / "a.json", {f"s{number}": radgraph_report(e1=radgraph_entity()) for number in range(700)}
    )
    batch_sizes = [batch.read for batch in RadGraph(graphs_path).batches(10_000)]
    assert (sum(batch_sizes), max(batch_sizes)) == (700, 250)
    assert max(batch.read for batch in RadGraph(graphs_path).batches(7)) == 7
    assert merged_batch(RadGraph(graphs_path)) == merged_batch(RadGraph(graphs_path), 7)


def _dygie(**changes: Any) -> dict[str, Any]:
    """A line in DyGIE++'s form."""
    return {
        "doc_key": STUDY,
        "dataset": "mimic",
        "sentences": [["Small", "left", "effusion", "."], ["No", "nodule", "."]],
        "ner": [[[0, 0, "OBS-DP"], [1, 1, "ANAT-DP"], [2, 2, "OBS-DP"]], [[5, 5, "OBS-DA"]]],
        "relations": [[[0, 0, 2, 2, "modify"], [2, 2, 1, 1, "located_at"]], []],
        **changes,
    }


@pytest.mark.parametrize("prefix", ["", "predicted_"])
def test_lines_of_dygies_form_are_graphs(tmp_path: Path, prefix: str) -> None:
    line = _dygie()
    line = {"ner": [], **line} if not prefix else line
    for kind in ("ner", "relations") if prefix else ():
        line[f"{prefix}{kind}"] = [[[*entry, 9.5, 0.9] for entry in sentence] for sentence in line.pop(kind)]
    path = write_graphs(tmp_path / "a.jsonl", "\n".join(json.dumps({**line, "doc_key": key}) for key in (STUDY, 7)))
    first_graph, second_graph = read_graphs(path)
    assert (first_graph.name, second_graph.name) == (STUDY, "mimic:7"), "numbers of two data sets are two graphs"
    assert [(entity.text, entity.presence) for entity in first_graph.entities] == [
        ("Small", "present"), ("left", "present"), ("effusion", "present"), ("nodule", "absent"),
    ]  # fmt: skip
    assert [tuple(triplet) for triplet in triplets(first_graph)] == [
        ("small", "modify", "effusion"), ("effusion", "located_at", "left"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sentences": [["a"], "b"]}, "sentences: not a list of lists"),
        ({"ner": [[[0, 99, "OBS-DP"]]]}, "ner: a position is not that of a token"),
        ({"ner": [[[0]]]}, "ner: an entry is not a list of 3 or more"),
        ({"ner": [[[0, 0, "X"]]], "relations": []}, "the label is not one of RadGraph's"),
        ({"relations": [[[0, 0, 3, 3, "modify"]]]}, "relations: an end is not an entity"),
        ({"relations": [[[0, 0, "2", 2, "modify"]]]}, "relations: a position is not a number"),
    ],
)
def test_a_damaged_line_of_dygies_form_is_rejected_alone(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    lines = [json.dumps(_dygie()), json.dumps(_dygie(**change)), "{", json.dumps(_dygie(doc_key="b"))]
    path = write_graphs(tmp_path / "a.jsonl", "\n".join(lines))
    rejects = [record for record in read_report_graphs(path) if isinstance(record, Reject)]
    assert [rejected.row for rejected in rejects] == [2, 3]
    assert reason in rejects[0].reason


def test_a_predicted_relation_to_a_span_that_is_not_predicted_is_left_out(tmp_path: Path) -> None:
    line = _dygie(
        ner=[[]], predicted_ner=_dygie()["ner"], relations=None, predicted_relations=[[[0, 0, 3, 3, "modify"]]]
    )
    [graph] = read_graphs(write_graphs(tmp_path / "a.jsonl", "\n" + json.dumps(line)))
    assert (len(graph.entities), triplets(graph)) == (4, [])


def test_a_document_that_comes_twice_is_rejected(tmp_path: Path) -> None:
    path = write_graphs(tmp_path / "a.jsonl", "\n".join([json.dumps(_dygie())] * 2))
    [rejected] = [record for record in read_report_graphs(path) if isinstance(record, Reject)]
    assert (rejected.row, rejected.reason) == (2, "the doc_key already occurs in an earlier line")


def test_a_relation_of_an_entity_to_itself_is_left_out_and_counted(tmp_path: Path) -> None:
    looped = radgraph_entity(relations=[["modify", "1"]])
    path = write_graphs(tmp_path / "a.json", {STUDY: radgraph_report(e1=looped), "radgraph_annotations": []})
    [graph] = read_graphs(path)
    assert (graph.entities[0].relations, graph.self_relations) == ((), 1)
    [batch] = RadGraph(path).batches(10)
    assert batch.left_out == {"relations of an entity to itself": 1}
