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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples as TriplesFile
from kgplatform.batches import GraphBatch
from kgplatform.errors import DatabaseError, InputError, KgpError, NotFoundError
from kgplatform.export import formats, splits
from kgplatform.export.read import Selection, read_triples
from kgplatform.export.triples import Node, Triples
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.settings import Settings
from tests.conftest import WIPE, Kgp
from tests.integration.sources import Handmade, small_rows, write_medmkg
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


# The sampler


@pytest.mark.data
def test_samples_are_edges_of_the_graph_and_keep_to_the_fanout(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    triples = read_triples(medmkg_graph)
    edges = set(map(tuple, triples.ids.tolist()))
    images = np.flatnonzero(triples.kinds == "Image").tolist()
    degree = np.bincount(triples.ids[:, [0, 2]].reshape(-1))
    sampler = sampler_of(medmkg_graph, triples, fanout=[4, 3], seed=1)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=images[:200], batch_size=50)
    for number, found in enumerate(loader):
        assert found.n_id[: found.batch_size].tolist() == images[number * 50 : number * 50 + 50]
        assert len(set(found.n_id.tolist())) == len(found.n_id) == sum(found.num_sampled_nodes)
        source, target = (found.n_id[row].tolist() for row in found.edge_index)
        for s, t, e, kind in zip(source, target, found.e_id.tolist(), found.edge_type.tolist(), strict=True):
            forward = e < len(triples)
            head, relation, tail = triples.ids[e % len(triples)].tolist()
            assert (head, relation, tail) in edges
            assert (s, t) == ((head, tail) if forward else (tail, head))
            assert kind == (relation if forward else relation + triples.num_relations)
        drawn = np.bincount(found.edge_index[1], minlength=len(found.n_id))
        first, second = found.num_sampled_nodes[:2]
        for i, entity in enumerate(found.n_id.tolist()):
            wanted = 4 if i < first else 3 if i < first + second else 0
            assert drawn[i] == min(wanted, degree[entity])
        assert len(set(found.e_id.tolist())) == len(found.e_id)


@pytest.mark.data
def test_the_same_seed_draws_the_same_and_another_seed_draws_elsewhere(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    triples = read_triples(medmkg_graph)

    def drawn(seed: int) -> list[list[int]]:
        sampler = sampler_of(medmkg_graph, triples, fanout=[5], seed=seed)
        loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=list(range(300)), batch_size=100)
        return [found.e_id.tolist() for found in loader]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


@pytest.mark.data
def test_a_small_rgcn_trains_from_the_live_database(medmkg_graph: Graph) -> None:
    """To tell the images with mostly positive findings from the others."""
    sampler_of, loaders = _pyg()
    import torch
    from torch_geometric.nn import RGCNConv

    torch.manual_seed(0)
    triples = read_triples(medmkg_graph, Selection(only="cross"))
    positive = triples.ids[:, 1] == triples.relations.index("POSITIVE")
    share = np.bincount(triples.ids[positive, 0], minlength=triples.num_entities) / np.maximum(
        np.bincount(triples.ids[:, 0], minlength=triples.num_entities), 1
    )
    sampler = sampler_of(medmkg_graph, triples, fanout=[5, 3])
    data = sampler.data
    data.y = torch.from_numpy(share > 0.6).float()
    images = np.flatnonzero(triples.kinds == "Image")[:512].tolist()
    loader = loaders.NodeLoader(data, sampler, input_nodes=images, batch_size=64, shuffle=True)
    embedding = torch.nn.Embedding(triples.num_entities, 16)
    layers = torch.nn.ModuleList([RGCNConv(16, 16, 6), RGCNConv(16, 1, 6)])
    optimiser = torch.optim.Adam([*embedding.parameters(), *layers.parameters()], lr=0.01)
    losses = []
    for _ in range(4):
        total = 0.0
        for found in loader:
            x = layers[0](embedding(found.n_id), found.edge_index, found.edge_type).relu()
            out = layers[1](x, found.edge_index, found.edge_type)[: found.batch_size, 0]
            loss = torch.nn.functional.binary_cross_entropy_with_logits(out, found.y[: found.batch_size])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        losses.append(total)
    assert losses[-1] < 0.6 * losses[0], losses


@pytest.mark.data
def test_links_with_negatives_are_sampled(medmkg_graph: Graph) -> None:
    sampler_of, loaders = _pyg()
    from torch_geometric.sampler import NegativeSampling

    triples = read_triples(medmkg_graph)
    sampler = sampler_of(medmkg_graph, triples, fanout=[3])
    links = sampler.data.edge_index[:, :60]
    negatives = NegativeSampling("binary", 1.0)
    loader = loaders.LinkLoader(sampler.data, sampler, edge_label_index=links, neg_sampling=negatives, batch_size=30)
    for number, found in enumerate(loader):
        assert found.edge_label.tolist() == [1.0] * 30 + [0.0] * 30
        told = found.n_id[found.edge_label_index[:, :30]]
        assert told.tolist() == links[:, number * 30 : number * 30 + 30].tolist()


def _pyg() -> tuple[Any, Any]:
    """The sampler's class and PyG's loaders; their imports warn."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch_geometric.loader as loaders

        from kgp_models.pyg_sampler import GraphSampler
    return GraphSampler, loaders


# Small graphs


def batch(*edges: tuple[tuple[str, str], str, tuple[str, str]], **properties: Any) -> GraphBatch:
    """A batch of edges between (kind, key) pairs; `properties` go on entities."""
    made = GraphBatch(read=len(edges))
    for head, relation, tail in edges:
        for end in (head, tail):
            made.nodes[end] = properties if end[0] == "Entity" else {}
        made.edges[head, relation, tail] = {}
    return made


def handmade(graph: Graph, tmp_path: Path, name: str, *edges: Any, **properties: Any) -> str:
    return ingest(graph, Handmade(tmp_path / name, [batch(*edges, **properties)], name)).run


IMAGES = [("Image", "I1"), ("Image", "I2")]
CONCEPTS = [("Concept", f"C000000{i}") for i in range(4)]


def test_an_empty_graph_is_a_clear_error(graph: Graph) -> None:
    with pytest.raises(NotFoundError, match="no edges to export"):
        read_triples(graph)
    with pytest.raises(KgpError, match="no image is kept"):
        read_triples(graph, Selection(images="kept"))


def test_only_what_a_run_asserts(graph: Graph, tmp_path: Path) -> None:
    one = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    both = (CONCEPTS[0], "isa", CONCEPTS[1])
    other = (IMAGES[1], "NEGATIVE", CONCEPTS[1])
    first = handmade(graph, tmp_path, "a", one, both)
    second = handmade(graph, tmp_path, "b", both, other)
    assert edges_of(read_triples(graph, Selection(run=first))) == {("I1", "POSITIVE", "C0000000"), keys_of(both)}
    assert edges_of(read_triples(graph, Selection(run=second))) == {keys_of(both), keys_of(other)}
    assert edges_of(read_triples(graph, Selection(run=second, only="cross"))) == {keys_of(other)}
    assert edges_of(read_triples(graph, Selection(run=first, around=("I1",)))) == {keys_of(one)}


def keys_of(edge: tuple[tuple[str, str], str, tuple[str, str]]) -> Edge:
    return edge[0][1], edge[1], edge[2][1]


HAND = parse(
    "t/h",
    "// Edges that are no facts, or not ours.\n"
    "MATCH (i:Image {id: 'I1'}), (c:Concept {cui: 'C0000001'}), (run:Run)\n"
    "MERGE (i)-[:PREDICTED {score: 0.9}]->(c)\n"
    "MERGE (run)-[:ASSERTS]->(c)\n"
    "MERGE (c)-[:SEEN_BY]->(:Person {id: 'P1'})\n"
    "MERGE (:Concept {cui: 'C9999999'})",
)


def test_predictions_runs_and_foreign_nodes_are_never_exported(graph: Graph, tmp_path: Path) -> None:
    fact = (IMAGES[0], "POSITIVE", CONCEPTS[0])
    other = (CONCEPTS[0], "isa", CONCEPTS[1])
    handmade(graph, tmp_path, "a", fact, other)
    graph.write(HAND)
    triples = read_triples(graph)
    assert edges_of(triples) == {keys_of(fact), keys_of(other)}
    assert set(triples.labels) == {"I1", "C0000000", "C0000001"}
    selection = Selection(around=("I1",), hops=1)  # a prediction is no way to a neighbour
    assert edges_of(read_triples(graph, selection)) == {keys_of(fact)}
    with pytest.raises(NotFoundError, match="ASSERTS_NOT"):
        read_triples(graph, Selection(relations=("ASSERTS_NOT",)))
    with pytest.raises(NotFoundError, match="empty"):
        read_triples(graph, Selection(relations=("ASSERTS",)))


def test_entities_go_with_their_images_and_keep_their_text(graph: Graph, tmp_path: Path) -> None:
    shown = [(image, "SHOWS", ("Entity", f"E{i}{n}")) for i, image in enumerate(IMAGES) for n in range(2)]
    joined = [(("Entity", f"E{i}0"), "LOCATED_AT", ("Entity", f"E{i}1")) for i in range(2)]
    linked = [(("Entity", "E00"), "REFERS_TO", CONCEPTS[0])]
    handmade(graph, tmp_path, "a", *shown, *joined, *linked, text="SECRET", kind="Anatomy", presence="present")
    everything = read_triples(graph)
    assert edges_of(everything) == {keys_of(edge) for edge in (*shown, *joined, *linked)}
    assert not any("SECRET" in part for node in everything.nodes for part in (node.key, node.name, node.subject))
    named = read_triples(graph, Selection(texts=True))
    assert {node.name for node in named.nodes if node.kind == "Entity"} == {"SECRET"}
    assert named.sha256 == everything.sha256
    of_one = read_triples(graph, Selection(images=("I1",)))
    assert edges_of(of_one) == {keys_of(edge) for edge in (*shown[:2], joined[0], *linked)}
    assert edges_of(read_triples(graph, Selection(around=("E10",)))) == {
        keys_of(edge) for edge in (*shown[2:], joined[1])
    }


def test_kinds_that_share_a_key_and_nodes_without_one(graph: Graph, tmp_path: Path) -> None:
    handmade(graph, tmp_path, "a", (IMAGES[0], "POSITIVE", CONCEPTS[0]))
    graph.write(parse("t/t", "// By hand.\nCREATE (:Thing {id: 'I1'})-[:near]->(:Thing {id: 'x', name: 'X'})"))
    triples = read_triples(graph)
    assert set(triples.labels) == {"Thing:I1", "Image:I1", "x", "C0000000"}
    assert len(read_triples(graph, Selection(around=("I1",)))) == 2
    graph.write(parse("t/n", "// No key.\nMATCH (i:Image {id: 'I1'}) CREATE (i)-[:POSITIVE]->(:Concept {name: 'a'})"))
    with pytest.raises(InputError, match="1 nodes"):
        read_triples(graph)


WRITE = parse(
    "t/w",
    "// Another edge.\n// param n integer: which\n"
    "MATCH (i:Image {id: 'I10000000'})\n"
    "MERGE (c:Concept {cui: 'C77' + right('00000' + $n, 5)})\n"
    "MERGE (i)-[:POSITIVE]->(c)",
)


def test_what_is_read_is_one_state_even_when_somebody_writes(graph: Graph, settings: Settings, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    before = edges_of(read_triples(graph))
    written = 0

    def interfere(done: int, total: int | None) -> None:
        nonlocal written
        if total is None and written < times:
            written += 1
            other.write(WRITE, n=written)

    with Graph.open(settings) as other:
        times = 1
        triples = read_triples(graph, told=interfere)
        assert written == 1
        assert edges_of(triples) == before | {("I10000000", "POSITIVE", "C7700001")}
        times = 10_000
        with pytest.raises(DatabaseError, match="written to while"):
            read_triples(graph, told=interfere)


def test_a_csv_export_is_a_source_of_triples(graph: Graph, tmp_path: Path) -> None:
    ingest(graph, MedMKG.find(write_medmkg(tmp_path / "a", small_rows())))
    triples = read_triples(graph)
    formats.write(triples, tmp_path / "out", "csv")
    graph.run_unmanaged(WIPE)
    ingest(graph, TriplesFile(tmp_path / "out" / "triples.csv"))
    assert read_triples(graph).sha256 == triples.sha256


def test_every_edge_is_drawn_as_often_as_the_others(graph: Graph, tmp_path: Path) -> None:
    sampler_of, loaders = _pyg()
    edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{i:07d}")) for i in range(20)]
    handmade(graph, tmp_path, "a", *edges)
    triples = read_triples(graph)
    sampler = sampler_of(graph, triples, fanout=[5], seed=3)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    counts = np.zeros(40)
    for _ in range(200):
        [found] = loader
        assert len(set(found.e_id.tolist())) == 5
        counts[found.e_id] += 1
    assert counts[:20].sum() == 0  # all edges leave the image, so all come backwards
    assert 25 <= counts[20:].min() <= counts[20:].max() <= 75  # 50 expected; 6 is a standard deviation


def test_what_is_deleted_is_not_drawn_and_what_is_new_is_not_either(graph: Graph, tmp_path: Path) -> None:
    sampler_of, loaders = _pyg()
    edges = [(IMAGES[0], "POSITIVE", ("Concept", f"C{i:07d}")) for i in range(4)]
    handmade(graph, tmp_path, "a", *edges)
    triples = read_triples(graph)
    sampler = sampler_of(graph, triples, fanout=[-1])
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[triples.labels.index("I1")], batch_size=1)
    assert len(next(iter(loader)).e_id) == 4
    handmade(graph, tmp_path, "b", (IMAGES[0], "POSITIVE", ("Concept", "C7777777")))
    graph.write(parse("t/d", "// Delete one.\nMATCH (:Image)-[r]->(:Concept {cui: 'C0000002'}) DELETE r"))
    found = next(iter(loader))
    assert {triples.labels[i] for i in found.n_id.tolist()} == {"I1", "C0000000", "C0000001", "C0000003"}
    training = replace(triples, ids=triples.ids[:1])
    sampler = sampler_of(graph, training, fanout=[-1], inverse=False)
    loader = loaders.NodeLoader(sampler.data, sampler, input_nodes=[int(training.ids[0, 2])], batch_size=1)
    found = next(iter(loader))
    assert found.e_id.tolist() == [0]
    assert found.edge_type.tolist() == [0]
