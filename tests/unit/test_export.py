"""Triples, splits and formats without a server: what goes in comes out, and damage never passes for data."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgplatform.errors import InputError, SettingsError, UsageError
from kgplatform.export import formats, splits
from kgplatform.export.read import Selection, read_image_list
from kgplatform.export.splits import Split
from kgplatform.export.triples import ENTITIES, RELATIONS, TRIPLES, Node, Triples

HOSTILE = [
    "",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    '"',
    "'",
    "=1+1",
    "@x",
    "-1",
    "+1",
    ",",
    ";",
    "\\",
    "NA",
    "null",
    "ü�中",
    "🫁",
]
KINDS = ["Image", "Concept", "Entity", "Thing"]

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
keys = st.one_of(texts.filter(bool), st.sampled_from(["a", "b", "Image:a", "Thing:a", "Thing:Thing:a"]))
nodes = st.lists(
    st.builds(Node, keys, st.sampled_from(KINDS), texts, texts),
    min_size=1,
    max_size=8,
    unique_by=lambda n: (n.kind, n.key),
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[Node, str, Node]], Triples]:
    """Edges, and the triples built of them."""
    pool = draw(nodes)
    relations = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    ends = st.integers(0, len(pool) - 1)
    rows = draw(st.lists(st.tuples(ends, st.sampled_from(relations), ends), min_size=1, max_size=20))
    handles = draw(st.permutations(range(100, 100 + len(pool))))  # any integers will do
    used = {end for h, _, t in rows for end in (h, t)}
    described = {handles[i]: node for i, node in enumerate(pool) if i in used}
    triples = Triples.build([(handles[h], r, handles[t]) for h, r, t in rows], described)
    return [(pool[h], r, pool[t]) for h, r, t in rows], triples


def edges_of(triples: Triples) -> set[tuple[Node, str, Node]]:
    return {(triples.nodes[h], triples.relations[r], triples.nodes[t]) for h, r, t in triples.ids.tolist()}


def same(one: Triples, other: Triples) -> bool:
    return (
        np.array_equal(one.ids, other.ids)
        and list(one.nodes) == list(other.nodes)
        and list(one.relations) == list(other.relations)
        and one.sha256 == other.sha256
    )


def random_triples(seed: int = 1, images: int = 40, concepts: int = 30, patients: int = 15) -> Triples:
    """Stances, and relations between concepts with inverses."""
    chance = random.Random(seed)
    described = {i: Node(f"I{i}", "Image", "", f"p{chance.randrange(patients)}") for i in range(images)}
    described |= {1000 + c: Node(f"C{c:07d}", "Concept", f"finding {c}") for c in range(concepts)}
    edges = []
    for image in range(images):
        stances = chance.choices(["POSITIVE", "NEGATIVE"], k=4)
        edges += [(image, s, 1000 + c) for s, c in zip(stances, chance.sample(range(concepts), 4), strict=True)]
    for concept in range(concepts):
        other = (concept + 1 + chance.randrange(concepts - 1)) % concepts
        edges += [(1000 + concept, "isa", 1000 + other), (1000 + other, "inverse_isa", 1000 + concept)]
    return Triples.build(edges, described)


@pytest.fixture(scope="module")
def triples() -> Triples:
    return random_triples()


# Triples


@given(made=graphs())
def test_built_triples_are_the_edges_each_once_and_sorted(made: tuple[list[tuple[Node, str, Node]], Triples]) -> None:
    edges, triples = made
    assert edges_of(triples) == set(edges)
    assert len(triples) == len(set(edges))
    assert triples.ids.tolist() == sorted(triples.ids.tolist())
    assert len(set(triples.labels)) == triples.num_entities
    assert list(triples.named()) == [
        (triples.labels[h], triples.relations[r], triples.labels[t]) for h, r, t in triples.ids.tolist()
    ]


@given(made=graphs(), chance=st.randoms(use_true_random=False))
def test_the_order_of_edges_and_nodes_changes_nothing(
    made: tuple[list[tuple[Node, str, Node]], Triples], chance: random.Random
) -> None:
    edges, triples = made
    chance.shuffle(edges)
    handle = {node: i for i, node in enumerate(dict.fromkeys(end for h, _, t in edges for end in (t, h)))}
    again = Triples.build([(handle[h], r, handle[t]) for h, r, t in edges], {i: node for node, i in handle.items()})
    assert same(again, triples)


@example_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=graphs())
def test_written_triples_are_read_back_exactly(
    made: tuple[list[tuple[Node, str, Node]], Triples], tmp_path: Path
) -> None:
    made[1].write(tmp_path)
    assert same(Triples.read(tmp_path), made[1])


def test_nodes_of_different_kinds_that_share_a_key_stay_apart() -> None:
    described = {0: Node("1", "Image"), 1: Node("1", "Thing"), 2: Node("2", "Thing")}
    triples = Triples.build([(0, "r", 1), (1, "r", 2)], described)
    assert set(triples.labels) == {"Image:1", "Thing:1", "2"}
    described[2] = Node("Thing:1", "Concept")
    triples = Triples.build([(0, "r", 1), (1, "r", 2)], described)
    assert set(triples.labels) == {"Image:1", "Thing:1", "Concept:Thing:1"}


@pytest.mark.parametrize("name", [ENTITIES, RELATIONS, TRIPLES])
def test_a_damaged_file_is_an_input_error_or_no_damage(triples: Triples, tmp_path: Path, name: str) -> None:
    triples.write(tmp_path)
    file = tmp_path / name
    whole = file.read_bytes()
    chance = random.Random(3)
    for _ in range(150):
        damaged = bytearray(whole)
        if chance.random() < 0.5:
            del damaged[chance.randrange(len(whole)) :]
        else:
            for _ in range(chance.choice([1, 1, 5])):
                damaged[chance.randrange(len(whole))] = chance.randrange(256)
        file.write_bytes(damaged)
        try:
            found = Triples.read(tmp_path)
        except InputError:
            continue
        assert found.sha256 == triples.sha256  # what a name means may differ; which triples there are may not


@pytest.mark.parametrize(("was", "becomes"), [("Image", "Concept"), ("Concept", "Image"), ("\tp", "\tq")])
def test_another_node_type_or_patient_is_noticed(triples: Triples, tmp_path: Path, was: str, becomes: str) -> None:
    triples.write(tmp_path)
    file = tmp_path / ENTITIES
    before = file.read_bytes()
    file.write_bytes(before.replace(was.encode(), becomes.encode(), 1))
    assert file.read_bytes() != before
    with pytest.raises(InputError, match="do not match their hash"):
        Triples.read(tmp_path)


@pytest.mark.parametrize("name", [ENTITIES, RELATIONS, TRIPLES])
@pytest.mark.parametrize("content", [None, b"", b"id\n", b"\xff\xfe\0", b"PAR1PAR1"])
def test_a_missing_or_foreign_file_is_an_input_error(
    triples: Triples, tmp_path: Path, name: str, content: bytes | None
) -> None:
    triples.write(tmp_path)
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
    triples: Triples, tmp_path: Path, columns: dict[str, list[Any]]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    triples.write(tmp_path)
    pq.write_table(pa.table(columns).replace_schema_metadata({"sha256": triples.sha256}), tmp_path / TRIPLES)
    with pytest.raises(InputError):
        Triples.read(tmp_path)


# Splits


@pytest.mark.parametrize("kind", splits.KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_a_split_is_a_partition_near_8_1_1_and_repeats(kind: str, seed: int) -> None:
    triples = random_triples(seed, images=150, patients=120)
    split = splits.make(kind, triples, seed)
    assert sorted(map(tuple, np.concatenate([split.train, split.valid, split.test]))) == list(map(tuple, triples.ids))
    drawn = split
    if kind == "inductive":  # the edges between concepts are no part of the ratio
        stances = triples.kinds[triples.ids[:, 0]] == "Image"
        drawn = Split(replace(triples, ids=triples.ids[stances]), split.parts[stances], kind, seed)
    shares = np.bincount(drawn.parts, minlength=3) / len(drawn.parts)
    assert np.abs(shares - splits.RATIOS).max() < 0.03
    again = splits.make(kind, triples, seed)
    assert np.array_equal(again.parts, split.parts)
    assert again.sha256 == split.sha256
    assert splits.make(kind, triples, seed + 100).sha256 != split.sha256


@pytest.mark.parametrize("seed", range(8))
def test_a_leakage_free_split_leaks_nothing_and_the_papers_does(seed: int) -> None:
    triples = random_triples(seed, concepts=60)
    free = splits.make("leakage-free", triples, seed)
    assert [splits.leak(free, part).either for part in ("valid", "test")] == [0, 0]
    pairs = [{frozenset((h, t)) for h, _, t in free.part(part).tolist()} for part in splits.PARTS]
    assert not pairs[0] & pairs[1]
    assert not pairs[0] & pairs[2]
    assert not pairs[1] & pairs[2]
    paper = splits.make("paper", triples, seed)
    known = set(map(tuple, paper.train[:, [2, 0]].tolist()))
    reversed_ = sum((h, t) in known for h, _, t in paper.test.tolist())
    assert splits.leak(paper).reversed == reversed_


@pytest.mark.parametrize("seed", range(8))
def test_an_inductive_split_shares_no_image_and_no_patient(seed: int) -> None:
    triples = random_triples(seed, images=80, patients=40)
    split = splits.make("inductive", triples, seed)
    ends = [set(split.part(part)[:, [0, 2]].reshape(-1).tolist()) for part in splits.PARTS]
    images = [{end for end in of_part if triples.kinds[end] == "Image"} for of_part in ends]
    patients = [{triples.nodes[i].subject for i in of_part} for of_part in images]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not images[one] & images[other]
        assert not patients[one] & patients[other]
    held = np.concatenate([split.valid, split.test])
    assert (triples.kinds[held[:, 0]] == "Image").all()


def test_an_inductive_split_goes_by_image_where_no_patient_is_known() -> None:
    made = random_triples()
    triples = replace(made, nodes=[replace(node, subject="") for node in made.nodes])
    split = splits.make("inductive", triples)
    assert not set(split.train[:, 0].tolist()) & set(split.test[:, 0].tolist())


@pytest.mark.parametrize("kind", splits.KINDS)
def test_a_split_is_read_back(triples: Triples, tmp_path: Path, kind: str) -> None:
    split = splits.make(kind, triples, 7)
    split.write(tmp_path / "split.parquet")
    found = Split.read(tmp_path / "split.parquet", triples)
    assert np.array_equal(found.parts, split.parts)
    assert (found.kind, found.seed, found.sha256) == (kind, 7, split.sha256)


def test_a_split_of_another_graph_is_refused(triples: Triples, tmp_path: Path) -> None:
    splits.make("paper", random_triples(seed=2)).write(tmp_path / "split.parquet")
    with pytest.raises(InputError, match="another graph"):
        Split.read(tmp_path / "split.parquet", triples)


def test_a_damaged_split_is_refused(triples: Triples, tmp_path: Path) -> None:
    file = tmp_path / "split.parquet"
    split = splits.make("paper", triples)
    split.write(file)
    whole = file.read_bytes()
    chance = random.Random(5)
    for _ in range(200):
        damaged = bytearray(whole)
        damaged[chance.randrange(len(whole))] = chance.randrange(256)
        file.write_bytes(damaged if chance.random() < 0.7 else whole[: chance.randrange(len(whole))])
        try:
            found = Split.read(file, triples)
        except InputError:
            continue
        assert found.sha256 == split.sha256
    with pytest.raises(InputError):
        Split.read(tmp_path / "none.parquet", triples)


def test_what_cannot_be_split_is_a_usage_error(triples: Triples) -> None:
    with pytest.raises(UsageError, match="no split"):
        splits.make("random", triples)
    alone = Triples.build([(0, "r", 1)], {0: Node("C1", "Concept"), 1: Node("C2", "Concept")})
    with pytest.raises(UsageError, match="too small"):
        splits.make("paper", alone)
    with pytest.raises(UsageError, match="images"):
        splits.make("inductive", alone)


# Formats


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
        assert list(csv.DictReader(file)) == wanted_edges
    assert pq.read_table(tmp_path / "parquet" / "edges.parquet").to_pylist() == wanted_edges
    with io.StringIO((tmp_path / "csv" / "nodes.csv").read_bytes().decode(), newline="") as file:
        found = list(csv.DictReader(file))
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
    with pytest.raises(OSError, match="No space"):
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


# What is selected


@pytest.mark.parametrize(
    "wrong",
    [
        {"stances": ("positive",)},
        {"relations": ("isa", "PREDICTED")},
        {"hops": 0},
        {"images": "keep"},
        {"only": "both"},
    ],
)
def test_a_selection_that_cannot_be_meant_is_a_usage_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Selection(**wrong)


def test_a_selection_as_json() -> None:
    assert Selection().as_dict() == {}
    found = Selection(stances=("POSITIVE",), images=("I2", "I1", "I2"), around=("C1",)).as_dict()
    assert found.pop("images")["listed"] == 2
    assert found == {"stances": ["POSITIVE"], "around": ["C1"], "hops": 1}
    assert json.loads(json.dumps(found)) == found


def test_a_list_of_images_is_read_or_refused(tmp_path: Path) -> None:
    file = tmp_path / "images.txt"
    file.write_text("\ufeffI1\r\n\r\n  I2 \n")
    assert read_image_list(file) == ("I1", "I2")
    file.write_text("\n\n")
    with pytest.raises(InputError, match="no image"):
        read_image_list(file)
    file.write_bytes(b"\xff\xfe\0\xff")
    with pytest.raises(InputError):
        read_image_list(file)
    file.unlink()
    with pytest.raises(InputError):
        read_image_list(file)
    shutil.rmtree(tmp_path)
