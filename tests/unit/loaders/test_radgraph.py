"""RadGraph's files: every graph comes out unchanged, or as one reject that quotes nothing of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.phantom import study_set
from kgp_loaders.radgraph import PRESENCE_STANCE, Entity, RadGraph, ReportGraph, image, read_report_graphs, triplets
from kgplatform import files
from kgplatform.batches import GraphBatch, Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.schema import IMAGE_ID, Stance, image_id
from kgplatform.survey import validate_batch
from kgplatform.triplets.linking import ConceptLink
from kgplatform.triplets.text import Relation

STUDY = "p10/p10000032/s50414267.txt"
CANARY = "zebrafinch"


def one(**changes: Any) -> dict[str, Any]:
    """An entity."""
    return {"tokens": "effusion", "label": "OBS-DP", "start_ix": 1, "end_ix": 1, "relations": [], **changes}


def _radgraph_report(**entities: Any) -> dict[str, Any]:
    """A graph of these entities; `e1` stands for id 1."""
    entity_records = {argument.removeprefix("e"): entity for argument, entity in entities.items()}
    return {
        "text": f"{CANARY} effusion .",
        "entities": entity_records,
        "data_source": "MIMIC-CXR",
        "data_split": "train",
    }


def _write_json(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def _read_graphs(path: Path, labeler: int = 1) -> list[ReportGraph]:
    records = list(read_report_graphs(path, labeler))
    assert not [record for record in records if isinstance(record, Reject)]
    return [record for record in records if isinstance(record, ReportGraph)]


def _merged_batch(source: RadGraph, size: int = 10_000) -> GraphBatch:
    """All batches as one."""
    all_batches = GraphBatch(given=0)
    for batch in source.batches(size):
        validate_batch(batch, source)
        assert batch.given == len(batch.edges) == batch.asserted
        all_batches.read += batch.read
        all_batches.nodes |= batch.nodes
        all_batches.edges |= batch.edges
        all_batches.rejects += batch.rejects
    return all_batches


# What the files hold


@pytest.mark.data
def test_the_samples_of_both_versions(data_dir: Path) -> None:
    xl_graph, v1_graph = _read_graphs(data_dir / "radgraph" / "samples.json")
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
    mocked_graphs = _read_graphs(data_dir / "radgraph" / "mockedReports_MedKGC_MIT.json")
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
    loaded_graphs = _read_graphs(graphs_path)
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
    [graph] = _read_graphs(_write_json(tmp_path / "a.json", {STUDY: _radgraph_report(e1=one(label=label))}))
    assert [(entity.kind, entity.presence) for entity in graph.entities] == [(kind, presence)]


def test_presence_is_a_stance() -> None:
    assert PRESENCE_STANCE == {
        "present": Stance.POSITIVE, "absent": Stance.NEGATIVE, "uncertain": Stance.UNCERTAIN
    }  # fmt: skip


def test_triplets_come_in_the_order_of_the_heads_each_once_in_normal_form(tmp_path: Path) -> None:
    entities = {
        "2": one(tokens="Left  Lung", label="ANAT-DP"),
        "1": one(relations=[["located_at", "2"], ["located_at", "9"], ["suggestive_of", "3"]]),
        "3": one(tokens="/", relations=[["modify", "2"]]),
        "9": one(tokens="left lung", label="ANAT-DP"),
    }
    [graph] = _read_graphs(_write_json(tmp_path / "a.json", {STUDY: {**_radgraph_report(), "entities": entities}}))
    assert triplets(graph) == [("effusion", Relation.LOCATED_AT, "left lung")]
    assert graph.entities[0] == Entity("2", "Left Lung", "Anatomy", "present", 1, 1)


def test_of_two_labelers_the_first_or_the_one_asked_for(tmp_path: Path) -> None:
    two_labelers = {"labeler_1": {"entities": {"1": one()}}, "labeler_2": {"entities": {"1": one(label="OBS-U")}}}
    graphs_path = _write_json(
        tmp_path / "test.json", {STUDY: {"text": "a b", **two_labelers}, "chexpert": _radgraph_report(e1=one())}
    )
    assert [entity.presence for graph in _read_graphs(graphs_path) for entity in graph.entities] == [
        "present",
        "present",
    ]
    second_graph, missing_reject = read_report_graphs(graphs_path, labeler=2)
    assert isinstance(second_graph, ReportGraph)
    assert [entity.presence for entity in second_graph.entities] == ["uncertain"]
    assert missing_reject == Reject(graphs_path, 2, "there are no entities of labeler 2")
    entity_ids = [
        {key for label, key in _merged_batch(RadGraph(graphs_path, labeler_number)).nodes if label == "Entity"}
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
    content = _radgraph_report(e1=one(relations=[["located_at", "2"]]), e2=one(tokens="lung", label="ANAT-DP"))
    batch = _merged_batch(RadGraph(_write_json(tmp_path / "a.json", {STUDY: content, "none": _radgraph_report()})))
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
    original = _merged_batch(RadGraph(_write_json(tmp_path / "a.json", {STUDY: _radgraph_report(e1=one())})))
    extended = _merged_batch(
        RadGraph(_write_json(tmp_path / "b.json", {"x": _radgraph_report(e1=one()), STUDY: _radgraph_report(e1=one())}))
    )
    relabelled = _merged_batch(
        RadGraph(_write_json(tmp_path / "c.json", {STUDY: _radgraph_report(e1=one(label="OBS-U"))}))
    )
    assert original.nodes.keys() < extended.nodes.keys()
    assert original.nodes.keys() & relabelled.nodes.keys() == {("Image", "I50414267")}


def test_entities_refer_to_the_concepts_that_a_linker_names(tmp_path: Path) -> None:
    links = {
        "effusion": ConceptLink("C0032227", "Pleural effusion", ("Finding",), 0.9, "m"),
        "lung": ConceptLink("C0024109", "Lung", (), 1.0, "m"),
        "odd": ConceptLink("12345", "not of UMLS", (), 1.0, "m"),
    }
    content = _radgraph_report(
        e1=one(label="OBS-DA"), e2=one(tokens="lung"), e3=one(tokens="odd"), e4=one(tokens="else")
    )
    graphs_path = _write_json(tmp_path / "a.json", {STUDY: content})
    batch = _merged_batch(RadGraph(graphs_path, link=links.get, about={"by": "hand"}))
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
    graphs_path = _write_json(tmp_path / "a.json", {f"s{number}": _radgraph_report(e1=one()) for number in range(700)})
    batch_sizes = [batch.read for batch in RadGraph(graphs_path).batches(10_000)]
    assert (sum(batch_sizes), max(batch_sizes)) == (700, 250)
    assert max(batch.read for batch in RadGraph(graphs_path).batches(7)) == 7
    assert _merged_batch(RadGraph(graphs_path)) == _merged_batch(RadGraph(graphs_path), 7)


# Damage


def entities_of(value: Any) -> dict[str, Any]:
    return {**_radgraph_report(), "entities": value}


DAMAGED: dict[str, Any] = {
    "not a JSON object": [CANARY],
    "there is no text": {"entities": {"1": one()}},
    "there is no text ": {"text": 7, "entities": {}},
    "there are no entities of labeler 1": {"text": CANARY},
    "the labeler's part: not": {"text": CANARY, "labeler_1": [CANARY]},
    "entities: not": entities_of([CANARY]),
    "entity 1: not": _radgraph_report(e1=CANARY),
    "entity 1: the id": entities_of({f"{CANARY} {CANARY}": one()}),
    "entity 1: the tokens": _radgraph_report(e1=one(tokens="")),
    "entity 1: the tokens ": _radgraph_report(e1=one(tokens=[CANARY])),
    "entity 1: the tokens  ": _radgraph_report(e1=one(tokens="x" * 201)),
    "entity 1: the tokens   ": _radgraph_report(e1=one(tokens="\ud800")),
    "entity 1: the label": _radgraph_report(e1=one(label="OBS-XX")),
    "entity 1: the label ": _radgraph_report(e1=one(label=["OBS-DP"])),
    "entity 1: the label  ": _radgraph_report(e1=one(label="Observation::definitely absent::")),
    "entity 1: start_ix and end_ix": _radgraph_report(e1=one(start_ix="1")),
    "entity 1: start_ix and end_ix ": _radgraph_report(e1=one(start_ix=1.0)),
    "entity 1: start_ix and end_ix  ": _radgraph_report(e1=one(start_ix=True)),
    "entity 1: start_ix and end_ix   ": _radgraph_report(e1=one(start_ix=2)),
    "entity 1: start_ix and end_ix    ": _radgraph_report(e1=one(start_ix=-1)),
    "entity 1: start_ix and end_ix     ": _radgraph_report(e1=one(end_ix=10**40)),
    "entity 1: start_ix and end_ix      ": _radgraph_report(e1={"tokens": "x", "label": "OBS-DP"}),
    "entity 1: relations are": _radgraph_report(e1=one(relations=None)),
    "entity 1: relations are ": _radgraph_report(e1=one(relations=[["modify", "1"]] * 1_001)),
    "a relation is not a name": _radgraph_report(e1=one(relations=["modify"])),
    "a relation is not a name ": _radgraph_report(e1=one(relations=[["modify", 2]]), e2=one()),
    "a relation is not a name  ": _radgraph_report(e1=one(relations=[["modify", "2", "2"]]), e2=one()),
    "the relation is none": _radgraph_report(e1=one(relations=[[CANARY, "2"]]), e2=one()),
    "an entity that is not there": _radgraph_report(e1=one(relations=[["modify", CANARY]])),
    "to itself": _radgraph_report(e1=one(relations=[["modify", "1"]])),
    "more than 5,000 entities": entities_of({str(number): one() for number in range(5_001)}),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_graph_is_one_reject_and_the_others_are_read(tmp_path: Path, reason: str) -> None:
    graphs_path = _write_json(
        tmp_path / "a.json", {"a": _radgraph_report(e1=one()), CANARY: DAMAGED[reason], "b": _radgraph_report(e1=one())}
    )
    first_graph, rejected, last_graph = read_report_graphs(graphs_path)
    assert isinstance(first_graph, ReportGraph)
    assert isinstance(last_graph, ReportGraph)
    assert isinstance(rejected, Reject)
    assert (rejected.path, rejected.row) == (graphs_path, 2)
    assert reason.strip() in rejected.reason
    assert CANARY not in rejected.reason
    batch = _merged_batch(RadGraph(graphs_path))
    assert (batch.read, batch.rejects, len(batch.edges)) == (3, [rejected], 2)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "\ud800"])
def test_a_name_that_is_none_is_a_reject(tmp_path: Path, name: str) -> None:
    [rejected] = read_report_graphs(_write_json(tmp_path / "a.json", {name: _radgraph_report(e1=one())}))
    assert isinstance(rejected, Reject)
    assert rejected.reason == "the graph's name is not 1-200 printable characters"


def test_an_id_that_stands_twice_is_a_reject_since_one_would_be_lost(tmp_path: Path) -> None:
    entity_text = json.dumps(one())
    graphs_path = _write_json(
        tmp_path / "a.json", f'{{"a": {{"text": "x", "entities": {{"1": {entity_text}, "1": {entity_text}}}}}}}'
    )
    [rejected] = read_report_graphs(graphs_path)
    assert isinstance(rejected, Reject)
    assert "twice" in rejected.reason


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "7", "null", "{", '{"a": 1}{"b": 2}', '{"a": {}, "a": {}}', "[" * 100_000, '{"a":' * 100_000,
        '{"a": {"start_ix": ' + "9" * 5_000 + "}}",
    ],
)  # fmt: skip
def test_a_damaged_radgraph_file_is_an_input_error(tmp_path: Path, content: str) -> None:
    graphs_path = _write_json(tmp_path / "a.json", content)
    with pytest.raises(InputError) as refusal:
        list(read_report_graphs(graphs_path))
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("data", [b"\xff\xfe{}", b'{"a": {}, \xff}', b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_not_utf8_is_an_input_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match="not JSON in UTF-8"):
        list(read_report_graphs(tmp_path / "a.json"))


def test_json_that_has_to_be_utf8_says_where_it_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a":\n"\xff"}')
    with pytest.raises(InputError, match=r"a\.json, row 2: the file is not JSON in UTF-8: byte 11"):
        files.read_json(tmp_path / "a.json")


def test_a_missing_file_a_folder_and_a_file_without_end_are_input_errors(tmp_path: Path) -> None:
    for graphs_path in (tmp_path / "a.json", tmp_path):
        with pytest.raises(InputError, match="no such file"):
            RadGraph(graphs_path)
        with pytest.raises(InputError, match=r"no such file|this is a folder"):
            list(read_report_graphs(graphs_path))
    with (tmp_path / "huge.json").open("wb") as huge_file:
        huge_file.truncate((2 << 30) + 1)  # takes no room
    with pytest.raises(InputError, match=r"more than 2,147,483,648 bytes"):
        list(read_report_graphs(tmp_path / "huge.json"))


def test_nothing_of_a_report_is_in_a_graphs_representation(tmp_path: Path) -> None:
    [graph] = _read_graphs(_write_json(tmp_path / "a.json", {STUDY: _radgraph_report(e1=one())}))
    assert CANARY in graph.text
    assert CANARY not in repr(graph)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(CANARY)
KEYS = st.sampled_from(["text", "entities", "tokens", "label", "start_ix", "relations", "labeler_1", "1", "2", CANARY])
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
Spoil = Callable[[dict[str, Any], Any], None]
SPOILS: list[Spoil] = [
    lambda graph, value: graph.update(text=value),
    lambda graph, value: graph.update(entities=value),
    lambda graph, value: graph["entities"].update({"3": value}),
    lambda graph, value: graph["entities"]["1"].update(tokens=value),
    lambda graph, value: graph["entities"]["1"].update(label=value),
    lambda graph, value: graph["entities"]["1"].update(start_ix=value),
    lambda graph, value: graph["entities"]["1"].update(relations=value),
    lambda graph, value: graph["entities"]["1"].update(relations=[["modify", value]]),
    lambda graph, value: graph.pop("entities") and graph.update(labeler_1=value),
]


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(SPOILS), VALUES)
def test_whatever_stands_in_a_graph_it_is_one_or_a_reject(tmp_path: Path, spoil: Spoil, value: Any) -> None:
    spoiled = _radgraph_report(e1=one(relations=[["modify", "2"]]), e2=one())
    spoil(spoiled, value)
    graphs_path = _write_json(tmp_path / "a.json", {"a": spoiled, "b": _radgraph_report(e1=one())})
    batch = _merged_batch(RadGraph(graphs_path))
    assert batch.read == 2
    assert all(CANARY not in rejected.reason and "\n" not in rejected.reason for rejected in batch.rejects)
    for label, node_key in batch.nodes:
        f"{label}{node_key}{batch.nodes[label, node_key]}".encode()


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_any_bytes_are_graphs_or_an_input_error(tmp_path: Path, noise: bytes) -> None:
    (tmp_path / "a.json").write_bytes(noise)
    with contextlib.suppress(InputError):
        assert all(isinstance(record, Reject) for record in read_report_graphs(tmp_path / "a.json"))
