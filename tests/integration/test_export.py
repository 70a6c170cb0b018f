"""Exports of a real graph against the source's CSV, read independently with the `csv` module."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from kgplatform.errors import NotFoundError
from kgplatform.export import formats, splits
from kgplatform.export.read import Selection, read_triples
from kgplatform.export.triples import Node, Triples
from kgplatform.graph import Graph
from kgplatform.queries import parse
from kgplatform.settings import Settings
from tests.conftest import Kgp
from tests.integration.test_naf import algorithm1, oracle, pairs_of, ranking

pytestmark = pytest.mark.server

STANCES = {"POSITIVE", "NEGATIVE", "UNCERTAIN"}

Edge = tuple[str, str, str]


def edges_in(path: Path) -> set[Edge]:
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["Head"], row["Relation"], row["Tail"]) for row in csv.DictReader(file)}


def edges_of(triples: Triples) -> set[Edge]:
    """By key; in these graphs no two nodes share one."""
    keys = [node.key for node in triples.nodes]
    return {(keys[h], triples.relations[r], keys[t]) for h, r, t in triples.ids.tolist()}


def ends(edges: Iterable[Edge]) -> set[str]:
    return {end for h, _, t in edges for end in (h, t)}


def around(edges: set[Edge], seeds: set[str], hops: int) -> set[Edge]:
    """The edges between nodes at most `hops` away, by breadth-first search."""
    beside: dict[str, set[str]] = defaultdict(set)
    for h, _, t in edges:
        beside[h].add(t)
        beside[t].add(h)
    reached = set(seeds)
    for _ in range(hops):
        reached |= {other for node in reached for other in beside[node]}
    return {(h, r, t) for h, r, t in edges if h in reached and t in reached}


@pytest.fixture(scope="module")
def released(data_dir: Path) -> set[Edge]:
    return edges_in(data_dir / "medmkg" / "MedMKG.csv")


@pytest.fixture(scope="module")
def kept(data_dir: Path) -> set[str]:
    """What Algorithm 1 keeps, computed from the CSV."""
    pairs = pairs_of(data_dir / "medmkg" / "MedMKG.csv")
    return set(algorithm1(pairs, ranking(oracle(pairs))))


# The released graph


@pytest.mark.data
def test_the_whole_released_graph(medmkg_graph: Graph, released: set[Edge], data_dir: Path) -> None:
    triples = read_triples(medmkg_graph)
    assert (len(triples), triples.num_entities, triples.num_relations) == (35_387, 8_017, 262)
    assert edges_of(triples) == released
    assert set(triples.labels) == ends(released)
    names: dict[str, str] = {}
    with (data_dir / "medmkg" / "MedMKG.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for end in ("Head", "Tail"):
                if row[end].startswith("C") and row[f"{end}_Name"]:
                    names.setdefault(row[end], row[f"{end}_Name"])
    with (data_dir / "medmkg" / "image_mapping.csv").open(newline="", encoding="utf-8") as file:
        patients = {row["IID"]: row["Image_Path"].split("/s")[0].rpartition("/p")[2] for row in csv.DictReader(file)}
    for node in triples.nodes:
        image = node.key.startswith("I")
        wanted = Node(node.key, "Image" if image else "Concept", names.get(node.key, ""), patients.get(node.key, ""))
        assert node == wanted
    assert read_triples(medmkg_graph).sha256 == triples.sha256


@pytest.mark.data
@pytest.mark.parametrize("kind", formats.FORMATS)
def test_every_format_of_the_released_graph_is_read_back(
    medmkg_graph: Graph, released: set[Edge], tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "out"
    manifest = formats.write(read_triples(medmkg_graph), folder, kind)
    assert (manifest.triples, manifest.entities, manifest.relations) == (35_387, 8_017, 262)
    assert edges_of(Triples.read(folder)) == released
    assert READERS[kind](folder) == released


def _read_pykeen(folder: Path) -> set[Edge]:
    factory = type(formats.to_pykeen(Triples.read(folder))).from_path_binary(folder)
    entities, relations = factory.entity_id_to_label, factory.relation_id_to_label
    return {(entities[h], relations[r], entities[t]) for h, r, t in factory.mapped_triples.tolist()}


def _read_pyg(folder: Path) -> set[Edge]:
    data = formats.read_pyg(folder)
    assert data.validate()
    assert (data["Image"].num_nodes, data["Concept"].num_nodes) == (4_868, 3_149)
    with (folder / "entities.tsv").open(newline="", encoding="utf-8") as file:
        keys = [row["key"] for row in csv.DictReader(file, delimiter="\t")]
    found = set()
    for head, relation, tail in data.edge_types:
        for h, t in data[head, relation, tail].edge_index.T.tolist():
            found.add((keys[data[head].entity[h]], relation, keys[data[tail].entity[t]]))
    return found


def _read_csv(folder: Path) -> set[Edge]:
    with (folder / "triples.csv").open(newline="", encoding="utf-8") as file:
        return {(row["head"], row["relation"], row["tail"]) for row in csv.DictReader(file)}


def _read_parquet(folder: Path) -> set[Edge]:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "edges.parquet").to_pylist()
    return {(row["head"], row["relation"], row["tail"]) for row in rows}


READERS = {"pykeen": _read_pykeen, "pyg": _read_pyg, "csv": _read_csv, "parquet": _read_parquet}


@pytest.mark.data
def test_every_selection_against_the_csv(medmkg_graph: Graph, released: set[Edge], kept: set[str]) -> None:
    """Each narrows, and together they narrow to what passes all."""
    chance = random.Random(4)
    images = sorted(end for end in ends(released) if end.startswith("I"))
    some = tuple(chance.sample(images, 300))
    cross = {edge for edge in released if edge[1] in STANCES}
    positive = {edge for edge in released if edge[1] not in {"NEGATIVE", "UNCERTAIN"}}
    isa = {edge for edge in released if edge[1] in {"isa", "POSITIVE"}}
    of_kept = {edge for edge in released if edge[0] in kept or edge[0].startswith("C")}
    of_some = {edge for edge in released if edge[0] in some or edge[0].startswith("C")}
    expected: list[tuple[Selection, set[Edge]]] = [
        (Selection(stances=("POSITIVE",)), positive),
        (Selection(stances=("POSITIVE",), only="cross"), positive & cross),
        (Selection(relations=("isa", "POSITIVE")), isa),
        (Selection(images="kept"), of_kept),
        (Selection(images=some), of_some),
        (Selection(images=some, only="cross", stances=("NEGATIVE", "POSITIVE")),
         {edge for edge in of_some & cross if edge[1] != "UNCERTAIN"}),
        (Selection(only="cross"), cross),
        (Selection(only="intra"), released - cross),
        (Selection(only="intra", relations=("isa",)), isa - cross),
        (Selection(images="kept", relations=("isa", "POSITIVE")), isa & of_kept),
        (Selection(around=("C0032285",)), around(released, {"C0032285"}, 1)),
        (Selection(around=("I50978146", "C0032285"), hops=2), around(released, {"I50978146", "C0032285"}, 2)),
        (Selection(around=("C0032285",), hops=3, only="intra"), around(released - cross, {"C0032285"}, 3)),
        (Selection(around=("C0032285",), hops=2, images=some, stances=("POSITIVE",)),
         around(of_some & positive, {"C0032285"}, 2)),
        (Selection(run=run_of(medmkg_graph)), released),
    ]  # fmt: skip
    for selection, wanted in expected:
        triples = read_triples(medmkg_graph, selection)
        assert edges_of(triples) == wanted, selection
        assert set(triples.labels) == ends(wanted), selection
        assert set(triples.relations) == {r for _, r, _ in wanted}, selection


def run_of(graph: Graph) -> str:
    found = graph.read(parse("t/r", "// Runs.\nMATCH (r:Run) RETURN r.id AS id"))
    return str(found[0]["id"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("selection", "told"),
    [
        (Selection(relations=("isa", "no_such", "nor_this")), r"no relation no_such \(and 1 more"),
        (Selection(images=("I50978146", "I1", "I2", "I3")), r"no image I1 \(and 2 more"),
        (Selection(around=("C0032285", "C0000000")), r"no node C0000000$"),
        (Selection(run="medmkg-000000000000"), "no run medmkg-000000000000"),
        (Selection(only="cross", relations=("isa",)), "selection is empty"),
        (Selection(images=("I50978146",), around=("I58123117",)), "selection is empty"),
    ],
)
def test_what_is_not_there_is_named(medmkg_graph: Graph, selection: Selection, told: str) -> None:
    with pytest.raises(NotFoundError, match=told):
        read_triples(medmkg_graph, selection)


@pytest.mark.data
def test_splits_of_the_released_graph(medmkg_graph: Graph) -> None:
    """MedMKG §4.1 cuts at random, and 36 % of its test triples are then known from training."""
    triples = read_triples(medmkg_graph)
    paper = splits.make("paper", triples)
    assert [len(paper.part(part)) for part in splits.PARTS] == [28_309, 3_539, 3_539]
    assert 0.34 < splits.leak(paper).either / 3_539 < 0.39
    assert splits.leak(splits.make("leakage-free", triples)).either == 0
    inductive = splits.make("inductive", triples)
    images = [set(inductive.part(part)[:, 0].tolist()) for part in splits.PARTS]
    assert all(triples.nodes[i].kind == "Image" for i in images[2])
    assert not {triples.nodes[i].subject for i in images[0] & images[2]}


# The command


@pytest.mark.data
def test_export_and_split_on_the_command_line(medmkg_graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    out = tmp_path / "out"
    listed = tmp_path / "images.txt"
    listed.write_text("I50978146\nI58123117\n")
    ran = kgp("export", "csv", "--out", out, "--stance", "positive", "--cross-only", "--images", listed, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["folder"] == str(out)
    assert ran.json["selection"]["images"]["listed"] == 2
    assert ran.json["sha256"] == Triples.read(out).sha256
    assert ran.json["triples"] == len(_read_csv(out))
    assert {(h, r) for h, r, _ in _read_csv(out)} == {("I50978146", "POSITIVE"), ("I58123117", "POSITIVE")}
    whole = tmp_path / "whole"
    ran = kgp("export", "parquet", "--out", whole)
    assert "35,387 triples, 8,017 entities, 262 relations" in ran.out
    ran = kgp("split", "leakage-free", whole, "--seed", 7, "--out", tmp_path / "split.parquet", "--json")
    split = splits.Split.read(tmp_path / "split.parquet", Triples.read(whole))
    assert (split.kind, split.seed, split.sha256) == ("leakage-free", 7, ran.json["sha256"])
    assert ran.json["leak"]["test"]["either"] == 0
    assert kgp("export", "csv", "--out", tmp_path, "--json").json["error"]["kind"] == "usage"
    ran = kgp("export", "csv", "--out", tmp_path / "no", "--relation", "nope")
    assert (ran.code, ran.out) == (1, "")
    assert "no relation nope" in ran.err
    assert not (tmp_path / "no").exists()


@pytest.mark.data
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_an_export_killed_at_random_is_whole_or_not_there(
    medmkg_graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    code = "from kgplatform.cli import main; main()"
    command = [sys.executable, "-c", code, "export", "csv", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    chance = random.Random(6)
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.5, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "out").exists():
            assert len(Triples.read(tmp_path / "out")) == 35_387
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
