"""Triples: what is built, written and read back, and damage that never passes for data."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgplatform.errors import InputError
from kgplatform.export.triples import ENTITIES, RELATIONS, TRIPLES, Node, Triples
from tests.unit.kgplatform.export.export_graphs import edges_and_triples, equal_triples, node_edges, random_triples


@pytest.fixture(scope="module")
def triples_to_write() -> Triples:
    return random_triples()


@given(edges_and_built=edges_and_triples())
def test_built_triples_are_the_edges_each_once_and_sorted(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples],
) -> None:
    edges, triples = edges_and_built
    assert node_edges(triples) == set(edges)
    assert len(triples) == len(set(edges))
    assert triples.ids.tolist() == sorted(triples.ids.tolist())
    assert len(set(triples.labels)) == triples.num_entities
    assert list(triples.named()) == [
        (triples.labels[head], triples.relations[relation], triples.labels[tail])
        for head, relation, tail in triples.ids.tolist()
    ]


@given(edges_and_built=edges_and_triples(), chance=st.randoms(use_true_random=False))
def test_the_order_of_edges_and_nodes_changes_nothing(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples], chance: random.Random
) -> None:
    edges, triples = edges_and_built
    chance.shuffle(edges)
    node_numbers = {
        node: number
        for number, node in enumerate(dict.fromkeys(endpoint for head, _, tail in edges for endpoint in (tail, head)))
    }
    rebuilt = Triples.build(
        [(node_numbers[head], relation, node_numbers[tail]) for head, relation, tail in edges],
        {number: node for node, number in node_numbers.items()},
    )
    assert equal_triples(rebuilt, triples)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges_and_built=edges_and_triples())
def test_written_triples_are_read_back_exactly(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    edges_and_built[1].write(tmp_path)
    assert equal_triples(Triples.read(tmp_path), edges_and_built[1])


def test_nodes_of_different_kinds_that_share_a_key_stay_apart() -> None:
    described_nodes = {0: Node("1", "Image"), 1: Node("1", "Thing"), 2: Node("2", "Thing")}
    triples = Triples.build([(0, "r", 1), (1, "r", 2)], described_nodes)
    assert set(triples.labels) == {"Image:1", "Thing:1", "2"}
    described_nodes[2] = Node("Thing:1", "Concept")
    triples = Triples.build([(0, "r", 1), (1, "r", 2)], described_nodes)
    assert set(triples.labels) == {"Image:1", "Thing:1", "Concept:Thing:1"}


@pytest.mark.parametrize("name", [ENTITIES, RELATIONS, TRIPLES])
def test_a_damaged_file_is_an_input_error_or_no_damage(triples_to_write: Triples, tmp_path: Path, name: str) -> None:
    triples_to_write.write(tmp_path)
    file_path = tmp_path / name
    file_bytes = file_path.read_bytes()
    generator = random.Random(3)
    for _ in range(150):
        damaged_bytes = bytearray(file_bytes)
        if generator.random() < 0.5:
            del damaged_bytes[generator.randrange(len(file_bytes)) :]
        else:
            for _ in range(generator.choice([1, 1, 5])):
                damaged_bytes[generator.randrange(len(file_bytes))] = generator.randrange(256)
        file_path.write_bytes(damaged_bytes)
        try:
            read_triples = Triples.read(tmp_path)
        except InputError:
            continue
        assert (
            read_triples.sha256 == triples_to_write.sha256
        )  # what a name means may differ; which triples there are may not


@pytest.mark.parametrize(("was", "becomes"), [("Image", "Concept"), ("Concept", "Image"), ("\tp", "\tq")])
def test_another_node_type_or_patient_is_noticed(
    triples_to_write: Triples, tmp_path: Path, was: str, becomes: str
) -> None:
    triples_to_write.write(tmp_path)
    entities_path = tmp_path / ENTITIES
    original_bytes = entities_path.read_bytes()
    entities_path.write_bytes(original_bytes.replace(was.encode(), becomes.encode(), 1))
    assert entities_path.read_bytes() != original_bytes
    with pytest.raises(InputError, match="do not match their hash"):
        Triples.read(tmp_path)


@pytest.mark.parametrize("name", [ENTITIES, RELATIONS, TRIPLES])
@pytest.mark.parametrize("content", [None, b"", b"id\n", b"\xff\xfe\0", b"PAR1PAR1"])
def test_a_missing_or_foreign_file_is_an_input_error(
    triples_to_write: Triples, tmp_path: Path, name: str, content: bytes | None
) -> None:
    triples_to_write.write(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        Triples.read(tmp_path)


@pytest.mark.parametrize(
    "columns",
    [
        {"head": [0], "relation": [0]},
        {"head": [0], "relation": [0], "tail": [999]},
        {"head": [-1], "relation": [0], "tail": [0]},
        {"head": [0], "relation": [0], "tail": [None]},
        {"head": ["0"], "relation": ["0"], "tail": ["0"]},
        {"head": [0], "relation": [0], "tail": [0]},
    ],
)
def test_a_table_of_triples_that_is_none_of_this_graph(
    triples_to_write: Triples, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    triples_to_write.write(tmp_path)
    pq.write_table(pa.table(columns).replace_schema_metadata({"sha256": triples_to_write.sha256}), tmp_path / TRIPLES)
    with pytest.raises(InputError):
        Triples.read(tmp_path)
