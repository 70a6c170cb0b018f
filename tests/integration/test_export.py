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

from kgplatform.datasets import splits
from kgplatform.errors import NotFoundError
from kgplatform.export import formats
from kgplatform.export.read import Selection, read_triples
from kgplatform.export.triples import Node, Triples
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests.conftest import Kgp
from tests.integration.test_naf import algorithm1, read_pairs_by_image, reference_naf_ranking, reference_naf_scores

pytestmark = pytest.mark.server

STANCES = {"POSITIVE", "NEGATIVE", "UNCERTAIN"}

Edge = tuple[str, str, str]


def _csv_edges(path: Path) -> set[Edge]:
    with path.open(newline="", encoding="utf-8") as csv_file:
        return {(csv_row["Head"], csv_row["Relation"], csv_row["Tail"]) for csv_row in csv.DictReader(csv_file)}


def edges_by_key(triples: Triples) -> set[Edge]:
    """By key; in these graphs no two nodes share one."""
    node_keys = [node.key for node in triples.nodes]
    return {
        (node_keys[head_id], triples.relations[relation_id], node_keys[tail_id])
        for head_id, relation_id, tail_id in triples.ids.tolist()
    }


def ends(edges: Iterable[Edge]) -> set[str]:
    return {node_key for head, _, tail in edges for node_key in (head, tail)}


def around(edges: set[Edge], seeds: set[str], hops: int) -> set[Edge]:
    """The edges between nodes at most `hops` away, by breadth-first search."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for head, _, tail in edges:
        neighbours[head].add(tail)
        neighbours[tail].add(head)
    visited = set(seeds)
    for _ in range(hops):
        visited |= {neighbour for node in visited for neighbour in neighbours[node]}
    return {(head, relation, tail) for head, relation, tail in edges if head in visited and tail in visited}


@pytest.fixture(scope="module")
def released_medmkg_edges(data_dir: Path) -> set[Edge]:
    return _csv_edges(data_dir / "medmkg" / "MedMKG.csv")


@pytest.fixture(scope="module")
def naf_selected_images(data_dir: Path) -> set[str]:
    """What Algorithm 1 keeps, computed from the CSV."""
    pairs = read_pairs_by_image(data_dir / "medmkg" / "MedMKG.csv")
    return set(algorithm1(pairs, reference_naf_ranking(reference_naf_scores(pairs))))


# The released graph


@pytest.mark.data
def test_the_whole_released_graph(medmkg_graph: Graph, released_medmkg_edges: set[Edge], data_dir: Path) -> None:
    triples = read_triples(medmkg_graph)
    assert (len(triples), triples.num_entities, triples.num_relations) == (35_387, 8_017, 262)
    assert edges_by_key(triples) == released_medmkg_edges
    assert set(triples.labels) == ends(released_medmkg_edges)
    names_by_key: dict[str, str] = {}
    with (data_dir / "medmkg" / "MedMKG.csv").open(newline="", encoding="utf-8") as csv_file:
        for csv_row in csv.DictReader(csv_file):
            for column_prefix in ("Head", "Tail"):
                if csv_row[column_prefix].startswith("C") and csv_row[f"{column_prefix}_Name"]:
                    names_by_key.setdefault(csv_row[column_prefix], csv_row[f"{column_prefix}_Name"])
    with (data_dir / "medmkg" / "image_mapping.csv").open(newline="", encoding="utf-8") as csv_file:
        patients_by_image = {
            csv_row["IID"]: csv_row["Image_Path"].split("/s")[0].rpartition("/p")[2]
            for csv_row in csv.DictReader(csv_file)
        }
    for node in triples.nodes:
        is_image = node.key.startswith("I")
        expected = Node(
            node.key,
            "Image" if is_image else "Concept",
            names_by_key.get(node.key, ""),
            patients_by_image.get(node.key, ""),
        )
        assert node == expected
    assert read_triples(medmkg_graph).sha256 == triples.sha256


@pytest.mark.data
@pytest.mark.parametrize("kind", formats.FORMATS)
def test_every_format_of_the_released_graph_is_read_back(
    medmkg_graph: Graph, released_medmkg_edges: set[Edge], tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "out"
    manifest = formats.write(read_triples(medmkg_graph), folder, kind)
    assert (manifest.triples, manifest.entities, manifest.relations) == (35_387, 8_017, 262)
    assert edges_by_key(Triples.read(folder)) == released_medmkg_edges
    assert READERS[kind](folder) == released_medmkg_edges


def _read_pykeen(folder: Path) -> set[Edge]:
    factory = type(formats.to_pykeen(Triples.read(folder))).from_path_binary(folder)
    entity_labels, relation_labels = factory.entity_id_to_label, factory.relation_id_to_label
    return {
        (entity_labels[head_id], relation_labels[relation_id], entity_labels[tail_id])
        for head_id, relation_id, tail_id in factory.mapped_triples.tolist()
    }


def _read_pyg(folder: Path) -> set[Edge]:
    hetero_graph = formats.read_pyg(folder)
    assert hetero_graph.validate()
    assert (hetero_graph["Image"].num_nodes, hetero_graph["Concept"].num_nodes) == (4_868, 3_149)
    with (folder / "entities.tsv").open(newline="", encoding="utf-8") as entities_file:
        entity_keys = [entity_row["key"] for entity_row in csv.DictReader(entities_file, delimiter="\t")]
    edges_read = set()
    for head, relation, tail in hetero_graph.edge_types:
        for head_index, tail_index in hetero_graph[head, relation, tail].edge_index.T.tolist():
            edges_read.add(
                (
                    entity_keys[hetero_graph[head].entity[head_index]],
                    relation,
                    entity_keys[hetero_graph[tail].entity[tail_index]],
                )
            )
    return edges_read


def _read_csv(folder: Path) -> set[Edge]:
    with (folder / "triples.csv").open(newline="", encoding="utf-8") as csv_file:
        return {(csv_row["head"], csv_row["relation"], csv_row["tail"]) for csv_row in csv.DictReader(csv_file)}


def _read_parquet(folder: Path) -> set[Edge]:
    import pyarrow.parquet as pq

    edge_rows = pq.read_table(folder / "edges.parquet").to_pylist()
    return {(edge_row["head"], edge_row["relation"], edge_row["tail"]) for edge_row in edge_rows}


READERS = {"pykeen": _read_pykeen, "pyg": _read_pyg, "csv": _read_csv, "parquet": _read_parquet}


@pytest.mark.data
def test_every_selection_against_the_csv(
    medmkg_graph: Graph, released_medmkg_edges: set[Edge], naf_selected_images: set[str]
) -> None:
    """Each narrows, and together they narrow to what passes all."""
    random_source = random.Random(4)
    image_ids = sorted(node_key for node_key in ends(released_medmkg_edges) if node_key.startswith("I"))
    sample_ids = tuple(random_source.sample(image_ids, 300))
    cross_edges = {edge for edge in released_medmkg_edges if edge[1] in STANCES}
    positive_edges = {edge for edge in released_medmkg_edges if edge[1] not in {"NEGATIVE", "UNCERTAIN"}}
    isa_edges = {edge for edge in released_medmkg_edges if edge[1] in {"isa", "POSITIVE"}}
    kept_edges = {edge for edge in released_medmkg_edges if edge[0] in naf_selected_images or edge[0].startswith("C")}
    sample_edges = {edge for edge in released_medmkg_edges if edge[0] in sample_ids or edge[0].startswith("C")}
    expected: list[tuple[Selection, set[Edge]]] = [
        (Selection(stances=("POSITIVE",)), positive_edges),
        (Selection(stances=("POSITIVE",), only="cross"), positive_edges & cross_edges),
        (Selection(relations=("isa", "POSITIVE")), isa_edges),
        (Selection(images="kept"), kept_edges),
        (Selection(images=sample_ids), sample_edges),
        (Selection(images=sample_ids, only="cross", stances=("NEGATIVE", "POSITIVE")),
         {edge for edge in sample_edges & cross_edges if edge[1] != "UNCERTAIN"}),
        (Selection(only="cross"), cross_edges),
        (Selection(only="intra"), released_medmkg_edges - cross_edges),
        (Selection(only="intra", relations=("isa",)), isa_edges - cross_edges),
        (Selection(images="kept", relations=("isa", "POSITIVE")), isa_edges & kept_edges),
        (Selection(around=("C0032285",)), around(released_medmkg_edges, {"C0032285"}, 1)),
        (Selection(around=("I50978146", "C0032285"), hops=2),
         around(released_medmkg_edges, {"I50978146", "C0032285"}, 2)),
        (Selection(around=("C0032285",), hops=10**12), around(released_medmkg_edges, {"C0032285"}, 30)),
        (Selection(around=("C0032285",), hops=3, only="intra"),
         around(released_medmkg_edges - cross_edges, {"C0032285"}, 3)),
        (Selection(around=("C0032285",), hops=2, images=sample_ids, stances=("POSITIVE",)),
         around(sample_edges & positive_edges, {"C0032285"}, 2)),
        (Selection(run=only_run(medmkg_graph)), released_medmkg_edges),
    ]  # fmt: skip
    for selection, expected_edges in expected:
        triples = read_triples(medmkg_graph, selection)
        assert edges_by_key(triples) == expected_edges, selection
        assert set(triples.labels) == ends(expected_edges), selection
        assert set(triples.relations) == {relation for _, relation, _ in expected_edges}, selection


def only_run(graph: Graph) -> str:
    run_records = graph.read(parse_query("t/r", "// Runs.\nMATCH (r:Run) RETURN r.id AS id"))
    return str(run_records[0]["id"])


@pytest.mark.data
@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(relations=("isa", "no_such", "nor_this")), r"no relation no_such \(and 1 more"),
        (Selection(images=("I50978146", "I1", "I2", "I3")), r"no image I1 \(and 2 more"),
        (Selection(around=("C0032285", "C0000000")), r"no node C0000000$"),
        (Selection(run="medmkg-000000000000"), "no run medmkg-000000000000"),
        (Selection(only="cross", relations=("isa",)), "selection is empty"),
        (Selection(images=("I50978146",), around=("I58123117",)), "selection is empty"),
    ],
)
def test_what_is_not_there_is_named(medmkg_graph: Graph, selection: Selection, message: str) -> None:
    with pytest.raises(NotFoundError, match=message):
        read_triples(medmkg_graph, selection)


@pytest.mark.data
def test_splits_of_the_released_graph(medmkg_graph: Graph) -> None:
    """MedMKG §4.1 cuts at random, and 36 % of its test triples are then known from training."""
    triples = read_triples(medmkg_graph)
    paper_split = splits.make("paper", triples)
    assert [len(paper_split.part(part_name)) for part_name in splits.PARTS] == [28_309, 3_539, 3_539]
    assert 0.34 < splits.leak(paper_split).either / 3_539 < 0.39
    assert splits.leak(splits.make("leakage-free", triples)).either == 0
    inductive_split = splits.make("inductive", triples)
    images_by_part = [set(inductive_split.part(part_name)[:, 0].tolist()) for part_name in splits.PARTS]
    assert all(triples.nodes[image_id].kind == "Image" for image_id in images_by_part[2])
    assert not {triples.nodes[image_id].subject for image_id in images_by_part[0] & images_by_part[2]}


# The command


@pytest.mark.data
def test_export_and_split_on_the_command_line(medmkg_graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    export_folder = tmp_path / "out"
    images_list = tmp_path / "images.txt"
    images_list.write_text("I50978146\nI58123117\n")
    completed = kgp(
        "export",
        "csv",
        "--out",
        export_folder,
        "--stance",
        "positive",
        "--cross-only",
        "--images",
        images_list,
        "--json",
    )
    assert completed.code == 0, completed.err
    assert completed.json["folder"] == str(export_folder)
    assert completed.json["selection"]["images"]["listed"] == 2
    assert completed.json["sha256"] == Triples.read(export_folder).sha256
    assert completed.json["triples"] == len(_read_csv(export_folder))
    assert {(head, relation) for head, relation, _ in _read_csv(export_folder)} == {
        ("I50978146", "POSITIVE"),
        ("I58123117", "POSITIVE"),
    }
    full_export = tmp_path / "whole"
    completed = kgp("export", "parquet", "--out", full_export)
    assert "35,387 triples, 8,017 entities, 262 relations" in completed.out
    completed = kgp("split", "leakage-free", full_export, "--seed", 7, "--out", tmp_path / "split.parquet", "--json")
    triple_split = splits.Split.read(tmp_path / "split.parquet", Triples.read(full_export))
    assert (triple_split.kind, triple_split.seed, triple_split.sha256) == ("leakage-free", 7, completed.json["sha256"])
    assert completed.json["leak"]["test"]["either"] == 0
    for split_path, message in (
        (full_export / "s.parquet", "inside the export"),
        (tmp_path / "s", "contain parquet"),
    ):
        failed_run = kgp("split", "paper", full_export, "--out", split_path)
        assert (failed_run.code, message in failed_run.err, split_path.exists()) == (2, True, False), failed_run.err
    assert kgp("export", "csv", "--out", tmp_path, "--json").json["error"]["kind"] == "usage"
    completed = kgp("export", "csv", "--out", tmp_path / "no", "--relation", "nope")
    assert (completed.code, completed.out) == (1, "")
    assert "no relation nope" in completed.err
    assert not (tmp_path / "no").exists()


@pytest.mark.data
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_an_export_killed_at_random_is_whole_or_not_there(
    medmkg_graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    program = "from kgplatform.cli import main; main()"
    command = [sys.executable, "-c", program, "export", "csv", "--out", str(tmp_path / "out")]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    random_source = random.Random(6)
    for _ in range(2):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
        time.sleep(random_source.uniform(0.5, 3.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (tmp_path / "out").exists():
            assert len(Triples.read(tmp_path / "out")) == 35_387
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]
