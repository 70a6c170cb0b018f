"""The formats, and the folder they are written to: what goes in comes out, whole or not at all."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings

from kgplatform.errors import InputError, SettingsError, UsageError
from kgplatform.export import formats
from kgplatform.export.triples import Node, Triples
from kgplatform.extras import install_command
from kgplatform.spreadsheets import unescaped
from tests.unit.kgplatform.export.export_graphs import edges_and_triples, equal_triples, random_triples


def _unescaped(table_row: dict[str, str]) -> dict[str, str]:
    return {column_name: unescaped(cell) for column_name, cell in table_row.items()}


@pytest.fixture(scope="module")
def triples_to_export() -> Triples:
    return random_triples()


@pytest.mark.parametrize("kind", formats.FORMATS)
def test_every_format_holds_the_id_maps_and_a_manifest(triples_to_export: Triples, tmp_path: Path, kind: str) -> None:
    selection = {"stances": ["POSITIVE"]}
    manifest = formats.write(triples_to_export, tmp_path / "a" / "out", kind, selection)
    export_folder = tmp_path / "a" / "out"
    assert equal_triples(Triples.read(export_folder), triples_to_export)
    assert formats.read_manifest(export_folder) == manifest
    assert manifest.files == sorted(file_path.name for file_path in export_folder.iterdir())
    document = json.loads((export_folder / "export.json").read_text())
    assert document["format"] == kind
    assert document["selection"] == selection
    assert document["sha256"] == triples_to_export.sha256
    document_counts = (document["entities"], document["relations"], document["triples"])
    assert document_counts == (triples_to_export.num_entities, triples_to_export.num_relations, len(triples_to_export))
    assert list(export_folder.parent.iterdir()) == [export_folder]
    assert formats.write(triples_to_export, export_folder, kind, selection) == manifest


def test_pykeen_reads_its_own_files(triples_to_export: Triples, tmp_path: Path) -> None:
    formats.write(triples_to_export, tmp_path / "out", "pykeen")
    factory = type(formats.to_pykeen(triples_to_export)).from_path_binary(tmp_path / "out")
    assert np.array_equal(factory.mapped_triples.numpy(), triples_to_export.ids)
    assert factory.entity_to_id == {label: number for number, label in enumerate(triples_to_export.labels)}
    assert factory.relation_to_id == {
        relation_name: number for number, relation_name in enumerate(triples_to_export.relations)
    }


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None"])
def test_a_name_that_pykeen_would_lose_is_refused(tmp_path: Path, name: str) -> None:
    described_nodes = {0: Node("C1", "Concept"), 1: Node("C2", "Concept")}
    triples = Triples.build([(0, name, 1), (0, "isa", 1)], described_nodes)
    with pytest.raises(InputError, match="relation"):
        formats.write(triples, tmp_path / "out", "pykeen")
    assert not list(tmp_path.iterdir())
    assert formats.to_pykeen(triples).relation_to_id[name] == triples.relations.index(name)


@example_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges_and_built=edges_and_triples())
def test_pykeen_gets_back_every_name_or_the_export_is_refused(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    triples = edges_and_built[1]
    try:
        formats.write(triples, tmp_path / "out", "pykeen")
    except InputError:
        return
    factory = type(formats.to_pykeen(triples)).from_path_binary(tmp_path / "out")
    expected_names = {
        (triples.labels[head], triples.relations[relation], triples.labels[tail])
        for head, relation, tail in triples.ids.tolist()
    }
    entity_names, relation_names = factory.entity_id_to_label, factory.relation_id_to_label
    assert {
        (entity_names[head], relation_names[relation], entity_names[tail])
        for head, relation, tail in factory.mapped_triples.tolist()
    } == expected_names


@example_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges_and_built=edges_and_triples())
def test_pyg_gets_back_every_edge(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    triples = edges_and_built[1]
    formats.write(triples, tmp_path / "out", "pyg")
    hetero_graph = formats.read_pyg(tmp_path / "out")
    assert hetero_graph.validate()
    assert {kind: hetero_graph[kind].num_nodes for kind in hetero_graph.node_types} == {
        kind: int((triples.kinds == kind).sum()) for kind in set(triples.kinds.tolist())
    }
    edge_set = set()
    for head_kind, relation, tail_kind in hetero_graph.edge_types:
        edges = hetero_graph[head_kind, relation, tail_kind]
        heads = hetero_graph[head_kind].entity[edges.edge_index[0]]
        tails = hetero_graph[tail_kind].entity[edges.edge_index[1]]
        for head, tail, triple_row in zip(heads.tolist(), tails.tolist(), edges.triple.tolist(), strict=True):
            assert triples.ids[triple_row].tolist() == [head, triples.relations.index(relation), tail]
            assert (triples.nodes[head].kind, triples.nodes[tail].kind) == (head_kind, tail_kind)
            edge_set.add((triples.nodes[head], relation, triples.nodes[tail]))
    assert edge_set == set(edges_and_built[0])


@pytest.mark.parametrize("damage", ["cut", "text", "none"])
def test_a_damaged_pyg_file_is_an_input_error(triples_to_export: Triples, tmp_path: Path, damage: str) -> None:
    formats.write(triples_to_export, tmp_path / "out", "pyg")
    tensor_file = tmp_path / "out" / formats.PYG
    file_bytes = tensor_file.read_bytes()
    tensor_file.unlink()
    if damage != "none":
        tensor_file.write_bytes(file_bytes[: len(file_bytes) // 2] if damage == "cut" else b"no tensors")
    with pytest.raises(InputError, match=formats.PYG):
        formats.read_pyg(tmp_path / "out")


@example_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edges_and_built=edges_and_triples())
def test_tables_hold_the_data_exactly(
    edges_and_built: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    import pyarrow.parquet as pq

    triples = edges_and_built[1]
    expected_edges = [
        {
            "head": head.key,
            "relation": relation,
            "tail": tail.key,
            "head_type": head.kind,
            "tail_type": tail.kind,
            "head_name": head.name,
            "tail_name": tail.name,
        }
        for head, relation, tail in (
            (triples.nodes[head], triples.relations[relation], triples.nodes[tail])
            for head, relation, tail in triples.ids.tolist()
        )
    ]
    formats.write(triples, tmp_path / "csv", "csv")
    formats.write(triples, tmp_path / "parquet", "parquet")
    with io.StringIO((tmp_path / "csv" / "triples.csv").read_bytes().decode(), newline="") as csv_file:
        assert [_unescaped(table_row) for table_row in csv.DictReader(csv_file)] == expected_edges
    assert pq.read_table(tmp_path / "parquet" / "edges.parquet").to_pylist() == expected_edges
    with io.StringIO((tmp_path / "csv" / "nodes.csv").read_bytes().decode(), newline="") as csv_file:
        csv_nodes = [_unescaped(table_row) for table_row in csv.DictReader(csv_file)]
    assert [(int(table_row["id"]), table_row["label"]) for table_row in csv_nodes] == list(enumerate(triples.labels))
    assert [
        Node(table_row["key"], table_row["type"], table_row["name"], table_row["subject"]) for table_row in csv_nodes
    ] == list(triples.nodes)
    parquet_nodes = pq.read_table(tmp_path / "parquet" / "nodes.parquet").to_pylist()
    assert [{**table_row, "id": str(table_row["id"])} for table_row in parquet_nodes] == csv_nodes


def test_an_unknown_format_is_a_usage_error(triples_to_export: Triples, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rdf"):
        formats.write(triples_to_export, tmp_path / "out", "rdf")


def _a_file(target_path: Path) -> None:
    target_path.write_text("mine")


def _foreign(target_path: Path) -> None:
    target_path.mkdir()
    (target_path / "thesis.tex").write_text("mine")


def _added_to(target_path: Path) -> None:
    formats.write(random_triples(), target_path, "csv")
    (target_path / "split.parquet").write_text("mine")


def _foreign_manifest(target_path: Path) -> None:
    target_path.mkdir()
    (target_path / "export.json").write_text('{"mine": 1}')


@pytest.mark.parametrize("occupy", [_a_file, _foreign, _added_to, _foreign_manifest])
def test_what_is_not_an_export_is_never_replaced(
    triples_to_export: Triples, tmp_path: Path, occupy: Callable[[Path], None]
) -> None:
    occupied_path = tmp_path / "out"
    occupy(occupied_path)
    earlier_files = {file_path: file_path.read_bytes() for file_path in tmp_path.rglob("*") if file_path.is_file()}
    with pytest.raises(UsageError):
        formats.write(triples_to_export, occupied_path, "csv")
    assert {
        file_path: file_path.read_bytes() for file_path in tmp_path.rglob("*") if file_path.is_file()
    } == earlier_files


def test_an_export_replaces_an_earlier_one_or_an_empty_folder(triples_to_export: Triples, tmp_path: Path) -> None:
    export_folder = tmp_path / "out [1]"  # brackets mean something in patterns
    export_folder.mkdir()
    formats.write(random_triples(2), export_folder, "csv")
    formats.write(triples_to_export, export_folder, "parquet")
    assert not (export_folder / "triples.csv").exists()
    assert equal_triples(Triples.read(export_folder), triples_to_export)
    assert list(tmp_path.iterdir()) == [export_folder]


def test_a_failed_export_leaves_the_earlier_one(
    triples_to_export: Triples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_folder = tmp_path / "out"
    formats.write(random_triples(2), export_folder, "csv")

    def full(triples: Triples, export_folder: Path) -> None:
        (export_folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "FORMATS", {"csv": full})
    with pytest.raises(InputError, match="cannot be written: No space"):
        formats.write(triples_to_export, export_folder, "csv")
    assert equal_triples(Triples.read(export_folder), random_triples(2))
    assert list(tmp_path.iterdir()) == [export_folder]


DIE = """
import os, signal, sys
from pathlib import Path
from kgplatform.export import formats
from kgplatform.export.triples import Triples
write = formats._write_csv
def die(triples, folder):
    write(triples, folder)
    os.kill(os.getpid(), signal.SIGKILL)
formats.FORMATS = {"csv": die}
formats.write(Triples.read(Path(sys.argv[1])), Path(sys.argv[2]), "csv")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_export_leaves_nothing_half_written(triples_to_export: Triples, tmp_path: Path) -> None:
    triples_to_export.write(tmp_path / "source")
    export_folder = tmp_path / "exports" / "out"
    for earlier_triples in (None, random_triples(2)):
        if earlier_triples is not None:
            formats.write(earlier_triples, export_folder, "parquet")
        killed_run = subprocess.run(
            [sys.executable, "-c", DIE, str(tmp_path / "source"), str(export_folder)], check=False
        )
        assert killed_run.returncode < 0
        if earlier_triples is None:
            assert not export_folder.exists()
        else:
            assert equal_triples(Triples.read(export_folder), earlier_triples)
    formats.write(triples_to_export, export_folder, "csv")  # and the next one clears up
    assert list(export_folder.parent.iterdir()) == [export_folder]


def test_without_the_libraries_the_error_says_what_to_install(
    triples_to_export: Triples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module_name in ("torch", "pykeen.triples", "torch_geometric.data"):
        monkeypatch.setitem(sys.modules, module_name, None)
    for format_name in ("pykeen", "pyg"):
        with pytest.raises(SettingsError) as raised:
            formats.write(triples_to_export, tmp_path / "out", format_name)
        assert raised.value.hint == f"Install it: {install_command('ml')}"
    with pytest.raises(SettingsError):
        formats.read_pyg(tmp_path)
    assert not list(tmp_path.iterdir())
