"""The synthetic data set: the same bytes for the same seed, in proportion to the released graph."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom.graph import MAX_CONCEPTS, build_phantom_graph
from kgp_loaders.phantom.vocabulary import concept
from kgplatform.batches import EdgeRef
from kgplatform.contents import CONTENTS_FILE
from kgplatform.errors import InputError, UsageError

FILES = ("MedMKG.csv", "README.txt", "image_mapping.csv")


def proportions(folder: Path) -> dict[str, float]:
    """What Table 1 and the released files say about a graph, as shares of its size."""
    edges: set[EdgeRef] = set()
    row_count = mapped_count = 0
    for batch in MedMKG.find(folder).batches(10_000):
        assert batch.rejects == []
        edges |= batch.edges.keys()
        row_count += 0 if batch.enrich else batch.read
        mapped_count += batch.read if batch.enrich else 0
    assert len(edges) == row_count  # no edge twice
    cross_edges = [edge for edge in edges if edge[0][0] == "Image"]
    intra_edges = {edge for edge in edges if edge[0][0] == "Concept"}
    assert {(tail, head) for head, _, tail in intra_edges} == {(head, tail) for head, _, tail in intra_edges}
    image_concepts = {(head, tail) for head, _, tail in cross_edges}
    image_counts = Counter(tail for _, tail in image_concepts)
    image_degrees = Counter(head for head, _, _ in cross_edges)
    stance_counts = Counter(stance for _, stance, _ in cross_edges)
    denied_counts = Counter(tail for _, stance, tail in cross_edges if stance == "NEGATIVE")
    concepts = {tail for _, _, tail in cross_edges} | {head for head, _, _ in intra_edges}
    return {
        "images a concept": len(image_degrees) / len(concepts),
        "edges an image": len(cross_edges) / len(image_degrees),
        "largest degree": max(image_degrees.values()),
        "positive": stance_counts["POSITIVE"] / len(cross_edges),
        "negative": stance_counts["NEGATIVE"] / len(cross_edges),
        "uncertain": stance_counts["UNCERTAIN"] / len(cross_edges),
        "negative at one concept": denied_counts.most_common(1)[0][1] / stance_counts["NEGATIVE"],
        "concepts with one image": sum(count == 1 for count in image_counts.values()) / len(image_counts),
        "most popular": image_counts.most_common(1)[0][1] / len(image_degrees),
        "tenth": image_counts.most_common(10)[9][1] / len(image_degrees),
        "intra edges a concept": len(intra_edges) / len(concepts),
        "concepts with intra edges": len({head for head, _, _ in intra_edges}) / len(concepts),
        "concepts with images": len(image_counts) / len(concepts),
        "mapped an image": mapped_count / len(image_degrees),
    }


@pytest.mark.slow
@pytest.mark.data
def test_the_proportions_are_the_released_graph_s(tmp_path: Path, data_dir: Path) -> None:
    build_phantom_graph(tmp_path / "phantom", 4_868)
    released, synthetic = proportions(data_dir / "medmkg"), proportions(tmp_path / "phantom")
    for quantity, released_share in released.items():
        tolerance = 0.3 if quantity == "tenth" else 0.05
        assert synthetic[quantity] == pytest.approx(released_share, rel=tolerance), quantity


@pytest.mark.parametrize("seed", [0, 7, 8])
def test_small_ones_are_like_it(tmp_path: Path, seed: int) -> None:
    synthetic = proportions(build_phantom_graph(tmp_path / "p", 500, seed).directory)
    assert synthetic["images a concept"] == pytest.approx(1.55, rel=0.02)
    assert synthetic["edges an image"] == pytest.approx(4.25, rel=0.06)
    assert synthetic["concepts with one image"] == pytest.approx(0.5, abs=0.06)
    assert synthetic["positive"] == pytest.approx(0.6, abs=0.05)
    assert synthetic["negative"] == pytest.approx(0.1, abs=0.03)
    assert synthetic["concepts with images"] == 1


def test_the_same_seed_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    build_phantom_graph(tmp_path)
    for file_name in FILES:
        digest.update((tmp_path / file_name).read_bytes())
    assert digest.hexdigest() == "e5b65e668c6a739a6565a72bb2a5880a454163aa7a85561851780e5b77e7a34a"
    build_phantom_graph(tmp_path / "other", seed=8)
    assert (tmp_path / "other" / "MedMKG.csv").read_bytes() != (tmp_path / "MedMKG.csv").read_bytes()


@pytest.mark.parametrize("images", [10, 11, 37, 100])
def test_any_size(tmp_path: Path, images: int) -> None:
    built_graph = build_phantom_graph(tmp_path / "p", images)
    nodes: set[tuple[str, str]] = set()
    mapped_nodes: set[tuple[str, str]] = set()
    for batch in MedMKG.find(built_graph.directory).batches(1_000):
        assert batch.rejects == []
        if batch.enrich:
            mapped_nodes |= batch.nodes.keys()
        else:
            nodes |= batch.nodes.keys()
    label_counts = Counter(label for label, _ in nodes)
    assert label_counts == {"Image": images, "Concept": built_graph.concepts}
    assert all(key.startswith("C99") if label == "Concept" else key.startswith("I9") for label, key in nodes)
    assert {node for node in nodes if node[0] == "Image"} <= mapped_nodes
    assert len(mapped_nodes) == built_graph.mapped_images


def test_all_concept_names_differ() -> None:
    assert len({concept(number)[1] for number in range(MAX_CONCEPTS)}) == MAX_CONCEPTS


@pytest.mark.parametrize("images", [-1, 0, 9, 2_000_001])
def test_sizes_out_of_range(tmp_path: Path, images: int) -> None:
    with pytest.raises(UsageError):
        build_phantom_graph(tmp_path / "p", images)
    assert not (tmp_path / "p").exists()


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    assert not build_phantom_graph(tmp_path, 10).existing
    assert build_phantom_graph(tmp_path, 10).existing
    with pytest.raises(InputError, match="wrote this folder, but it was written with other settings"):
        build_phantom_graph(tmp_path, 20)
    build_phantom_graph(tmp_path, 20, replace=True)
    (tmp_path / "MedMKG.csv").write_text("the real one", encoding="utf-8")
    with pytest.raises(InputError, match=r"but MedMKG\.csv was changed or deleted"):
        build_phantom_graph(tmp_path, 20)
    assert (tmp_path / "MedMKG.csv").read_text(encoding="utf-8") == "the real one"
    build_phantom_graph(tmp_path, 20, replace=True)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises((InputError, UsageError)):
            build_phantom_graph(tmp_path, 10, replace=replace)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert build_phantom_graph(tmp_path, 20).existing, "a file more does not make it another graph"


def test_nothing_but_its_files_is_left(tmp_path: Path) -> None:
    build_phantom_graph(tmp_path, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, CONTENTS_FILE])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="is not a folder"):
        build_phantom_graph(tmp_path / "file", 10)
    with pytest.raises(InputError, match="cannot be written"):
        build_phantom_graph(tmp_path / "file" / "below", 10)
