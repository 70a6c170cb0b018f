"""RadGraph's files that are damaged: a graph is a reject, a file an error, and nothing of a report is quoted."""

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

from kgp_loaders.radgraph import RadGraph, ReportGraph, read_report_graphs
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.errors import InputError
from tests.unit.loaders.radgraph_reports import (
    CANARY,
    STUDY,
    merged_batch,
    radgraph_entity,
    radgraph_report,
    read_graphs,
    write_graphs,
)


def read_entities(value: Any) -> dict[str, Any]:
    return {**radgraph_report(), "entities": value}


DAMAGED: dict[str, Any] = {
    "not a JSON object": [CANARY],
    "there is no text": {"entities": {"1": radgraph_entity()}},
    "there is no text ": {"text": 7, "entities": {}},
    "there are no entities of labeler 1": {"text": CANARY},
    "the labeler's part: not": {"text": CANARY, "labeler_1": [CANARY]},
    "entities: not": read_entities([CANARY]),
    "entity 1: not": radgraph_report(e1=CANARY),
    "entity 1: the id": read_entities({f"{CANARY} {CANARY}": radgraph_entity()}),
    "entity 1: the tokens": radgraph_report(e1=radgraph_entity(tokens="")),
    "entity 1: the tokens ": radgraph_report(e1=radgraph_entity(tokens=[CANARY])),
    "entity 1: the tokens  ": radgraph_report(e1=radgraph_entity(tokens="x" * 201)),
    "entity 1: the tokens   ": radgraph_report(e1=radgraph_entity(tokens="\ud800")),
    "entity 1: the label": radgraph_report(e1=radgraph_entity(label="OBS-XX")),
    "entity 1: the label ": radgraph_report(e1=radgraph_entity(label=["OBS-DP"])),
    "entity 1: the label  ": radgraph_report(e1=radgraph_entity(label="Observation::definitely absent::")),
    "entity 1: start_ix and end_ix": radgraph_report(e1=radgraph_entity(start_ix="1")),
    "entity 1: start_ix and end_ix ": radgraph_report(e1=radgraph_entity(start_ix=1.0)),
    "entity 1: start_ix and end_ix  ": radgraph_report(e1=radgraph_entity(start_ix=True)),
    "entity 1: start_ix and end_ix   ": radgraph_report(e1=radgraph_entity(start_ix=2)),
    "entity 1: start_ix and end_ix    ": radgraph_report(e1=radgraph_entity(start_ix=-1)),
    "entity 1: start_ix and end_ix     ": radgraph_report(e1=radgraph_entity(end_ix=10**40)),
    "entity 1: start_ix and end_ix      ": radgraph_report(e1={"tokens": "x", "label": "OBS-DP"}),
    "entity 1: relations are": radgraph_report(e1=radgraph_entity(relations=None)),
    "entity 1: relations are ": radgraph_report(e1=radgraph_entity(relations=[["modify", "1"]] * 1_001)),
    "a relation is not a name": radgraph_report(e1=radgraph_entity(relations=["modify"])),
    "a relation is not a name ": radgraph_report(e1=radgraph_entity(relations=[["modify", 2]]), e2=radgraph_entity()),
    "a relation is not a name  ": radgraph_report(
        e1=radgraph_entity(relations=[["modify", "2", "2"]]), e2=radgraph_entity()
    ),
    "the relation is not one": radgraph_report(e1=radgraph_entity(relations=[[CANARY, "2"]]), e2=radgraph_entity()),
    "an entity that does not exist": radgraph_report(e1=radgraph_entity(relations=[["modify", CANARY]])),
    "more than 5,000 entities": read_entities({str(number): radgraph_entity() for number in range(5_001)}),
}


@pytest.mark.parametrize("reason", DAMAGED)
def test_a_damaged_graph_is_one_reject_and_the_others_are_read(tmp_path: Path, reason: str) -> None:
    graphs_path = write_graphs(
        tmp_path / "a.json",
        {
            "a": radgraph_report(e1=radgraph_entity()),
            CANARY: DAMAGED[reason],
            "b": radgraph_report(e1=radgraph_entity()),
        },
    )
    first_graph, rejected, last_graph = read_report_graphs(graphs_path)
    assert isinstance(first_graph, ReportGraph)
    assert isinstance(last_graph, ReportGraph)
    assert isinstance(rejected, Reject)
    assert (rejected.path, rejected.row) == (graphs_path, 2)
    assert reason.strip() in rejected.reason
    assert CANARY not in rejected.reason
    batch = merged_batch(RadGraph(graphs_path))
    assert (batch.read, batch.rejects, len(batch.edges)) == (3, [rejected], 2)


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 201, "\ud800"])
def test_a_name_that_is_none_is_a_reject(tmp_path: Path, name: str) -> None:
    [rejected] = read_report_graphs(write_graphs(tmp_path / "a.json", {name: radgraph_report(e1=radgraph_entity())}))
    assert isinstance(rejected, Reject)
    assert rejected.reason == "the graph's name is not 1-200 printable characters"


def test_an_id_that_stands_twice_is_a_reject_since_one_would_be_lost(tmp_path: Path) -> None:
    entity_text = json.dumps(radgraph_entity())
    graphs_path = write_graphs(
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
    graphs_path = write_graphs(tmp_path / "a.json", content)
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
    [graph] = read_graphs(write_graphs(tmp_path / "a.json", {STUDY: radgraph_report(e1=radgraph_entity())}))
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


@pytest.mark.slow
@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.sampled_from(SPOILS), VALUES)
def test_whatever_stands_in_a_graph_it_is_one_or_a_reject(tmp_path: Path, spoil: Spoil, value: Any) -> None:
    spoiled = radgraph_report(e1=radgraph_entity(relations=[["modify", "2"]]), e2=radgraph_entity())
    spoil(spoiled, value)
    graphs_path = write_graphs(tmp_path / "a.json", {"a": spoiled, "b": radgraph_report(e1=radgraph_entity())})
    batch = merged_batch(RadGraph(graphs_path))
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
