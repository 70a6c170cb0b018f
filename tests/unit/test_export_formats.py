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
from kgplatform.spreadsheets import unescaped
from tests.unit.export_graphs import graphs, random_triples, same


def _unescaped(row: dict[str, str]) -> dict[str, str]:
    return {name: unescaped(value) for name, value in row.items()}


@pytest.fixture(scope="module")
def triples() -> Triples:
    return random_triples()


@pytest.mark.parametrize("kind", formats.FORMATS)
def test_every_format_holds_the_id_maps_and_a_manifest(triples: Triples, tmp_path: Path, kind: str) -> None:
    selection = {"stances": ["POSITIVE"]}
    manifest = formats.write(triples, tmp_path / "a" / "out", kind, selection)
    folder = tmp_path / "a" / "out"
    assert same(Triples.read(folder), triples)
    assert formats.read_manifest(folder) == manifest
    assert manifest.files == sorted(path.name for path in folder.iterdir())
    document = json.loads((folder / "export.json").read_text())
    assert document["format"] == kind
    assert document["selection"] == selection
    assert document["sha256"] == triples.sha256
    counted = (document["entities"], document["relations"], document["triples"])
    assert counted == (triples.num_entities, triples.num_relations, len(triples))
    assert list(folder.parent.iterdir()) == [folder]
    assert formats.write(triples, folder, kind, selection) == manifest


def test_pykeen_reads_its_own_files(triples: Triples, tmp_path: Path) -> None:
    formats.write(triples, tmp_path / "out", "pykeen")
    factory = type(formats.to_pykeen(triples)).from_path_binary(tmp_path / "out")
    assert np.array_equal(factory.mapped_triples.numpy(), triples.ids)
    assert factory.entity_to_id == {label: i for i, label in enumerate(triples.labels)}
    assert factory.relation_to_id == {name: i for i, name in enumerate(triples.relations)}


@pytest.mark.parametrize("name", ["NA", "null", "nan", "None"])
def test_a_name_that_pykeen_would_lose_is_refused(tmp_path: Path, name: str) -> None:
    described = {0: Node("C1", "Concept"), 1: Node("C2", "Concept")}
    triples = Triples.build([(0, name, 1), (0, "isa", 1)], described)
    with pytest.raises(InputError, match="relation"):
        formats.write(triples, tmp_path / "out", "pykeen")
    assert not list(tmp_path.iterdir())
    assert formats.to_pykeen(triples).relation_to_id[name] == triples.relations.index(name)


@example_settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=graphs())
def test_pykeen_gets_back_every_name_or_the_export_is_refused(
    made: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    triples = made[1]
    try:
        formats.write(triples, tmp_path / "out", "pykeen")
    except InputError:
        return
    factory = type(formats.to_pykeen(triples)).from_path_binary(tmp_path / "out")
    named = {(triples.labels[h], triples.relations[r], triples.labels[t]) for h, r, t in triples.ids.tolist()}
    names, relations = factory.entity_id_to_label, factory.relation_id_to_label
    assert {(names[h], relations[r], names[t]) for h, r, t in factory.mapped_triples.tolist()} == named


@example_settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=graphs())
def test_pyg_gets_back_every_edge(made: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path) -> None:
    triples = made[1]
    formats.write(triples, tmp_path / "out", "pyg")
    data = formats.read_pyg(tmp_path / "out")
    assert data.validate()
    assert {kind: data[kind].num_nodes for kind in data.node_types} == {
        kind: int((triples.kinds == kind).sum()) for kind in set(triples.kinds.tolist())
    }
    found = set()
    for head_kind, relation, tail_kind in data.edge_types:
        edges = data[head_kind, relation, tail_kind]
        heads = data[head_kind].entity[edges.edge_index[0]]
        tails = data[tail_kind].entity[edges.edge_index[1]]
        for h, t, row in zip(heads.tolist(), tails.tolist(), edges.triple.tolist(), strict=True):
            assert triples.ids[row].tolist() == [h, triples.relations.index(relation), t]
            assert (triples.nodes[h].kind, triples.nodes[t].kind) == (head_kind, tail_kind)
            found.add((triples.nodes[h], relation, triples.nodes[t]))
    assert found == set(made[0])


@pytest.mark.parametrize("damage", ["cut", "text", "none"])
def test_a_damaged_pyg_file_is_an_input_error(triples: Triples, tmp_path: Path, damage: str) -> None:
    formats.write(triples, tmp_path / "out", "pyg")
    file = tmp_path / "out" / formats.PYG
    whole = file.read_bytes()
    file.unlink()
    if damage != "none":
        file.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no tensors")
    with pytest.raises(InputError, match=formats.PYG):
        formats.read_pyg(tmp_path / "out")


@example_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=graphs())
def test_tables_hold_the_data_exactly(made: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    triples = made[1]
    wanted_edges = [
        {
            "head": h.key,
            "relation": r,
            "tail": t.key,
            "head_type": h.kind,
            "tail_type": t.kind,
            "head_name": h.name,
            "tail_name": t.name,
        }
        for h, r, t in ((triples.nodes[h], triples.relations[r], triples.nodes[t]) for h, r, t in triples.ids.tolist())
    ]
    formats.write(triples, tmp_path / "csv", "csv")
    formats.write(triples, tmp_path / "parquet", "parquet")
    with io.StringIO((tmp_path / "csv" / "triples.csv").read_bytes().decode(), newline="") as file:
        assert [_unescaped(row) for row in csv.DictReader(file)] == wanted_edges
    assert pq.read_table(tmp_path / "parquet" / "edges.parquet").to_pylist() == wanted_edges
    with io.StringIO((tmp_path / "csv" / "nodes.csv").read_bytes().decode(), newline="") as file:
        found = [_unescaped(row) for row in csv.DictReader(file)]
    assert [(int(row["id"]), row["label"]) for row in found] == list(enumerate(triples.labels))
    assert [Node(row["key"], row["type"], row["name"], row["subject"]) for row in found] == list(triples.nodes)
    rows = pq.read_table(tmp_path / "parquet" / "nodes.parquet").to_pylist()
    assert [{**row, "id": str(row["id"])} for row in rows] == found


def test_an_unknown_format_is_a_usage_error(triples: Triples, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="rdf"):
        formats.write(triples, tmp_path / "out", "rdf")


def _a_file(folder: Path) -> None:
    folder.write_text("mine")


def _foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")


def _added_to(folder: Path) -> None:
    formats.write(random_triples(), folder, "csv")
    (folder / "split.parquet").write_text("mine")


def _no_manifest_of_ours(folder: Path) -> None:
    folder.mkdir()
    (folder / "export.json").write_text('{"mine": 1}')


@pytest.mark.parametrize("occupy", [_a_file, _foreign, _added_to, _no_manifest_of_ours])
def test_what_is_not_an_export_is_never_replaced(
    triples: Triples, tmp_path: Path, occupy: Callable[[Path], None]
) -> None:
    folder = tmp_path / "out"
    occupy(folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UsageError):
        formats.write(triples, folder, "csv")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_an_export_replaces_an_earlier_one_or_an_empty_folder(triples: Triples, tmp_path: Path) -> None:
    folder = tmp_path / "out [1]"  # brackets mean something in patterns
    folder.mkdir()
    formats.write(random_triples(2), folder, "csv")
    formats.write(triples, folder, "parquet")
    assert not (folder / "triples.csv").exists()
    assert same(Triples.read(folder), triples)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_failed_export_leaves_the_earlier_one(
    triples: Triples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    formats.write(random_triples(2), folder, "csv")

    def full(triples: Triples, folder: Path) -> None:
        (folder / "half").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formats, "FORMATS", {"csv": full})
    with pytest.raises(InputError, match="cannot be written: No space"):
        formats.write(triples, folder, "csv")
    assert same(Triples.read(folder), random_triples(2))
    assert list(tmp_path.iterdir()) == [folder]


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


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_export_leaves_nothing_half_written(triples: Triples, tmp_path: Path) -> None:
    triples.write(tmp_path / "source")
    folder = tmp_path / "exports" / "out"
    for earlier in (None, random_triples(2)):
        if earlier is not None:
            formats.write(earlier, folder, "parquet")
        killed = subprocess.run([sys.executable, "-c", DIE, str(tmp_path / "source"), str(folder)], check=False)
        assert killed.returncode < 0
        if earlier is None:
            assert not folder.exists()
        else:
            assert same(Triples.read(folder), earlier)
    formats.write(triples, folder, "csv")  # and the next one clears up
    assert list(folder.parent.iterdir()) == [folder]


def test_without_the_libraries_the_error_says_what_to_install(
    triples: Triples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torch", "pykeen.triples", "torch_geometric.data"):
        monkeypatch.setitem(sys.modules, name, None)
    for kind in ("pykeen", "pyg"):
        with pytest.raises(SettingsError) as error:
            formats.write(triples, tmp_path / "out", kind)
        assert error.value.hint == "pip install 'kgplatform[ml]'"
    with pytest.raises(SettingsError):
        formats.read_pyg(tmp_path)
    assert not list(tmp_path.iterdir())
