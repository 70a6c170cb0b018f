"""The invented data set: the same bytes for the same seed, in proportion to the released graph."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.phantom.graph import MAX_CONCEPTS, build, concept
from kgplatform.batches import EdgeRef
from kgplatform.contents import LISTED
from kgplatform.errors import InputError, UsageError

FILES = ("MedMKG.csv", "README.txt", "image_mapping.csv")


def proportions(folder: Path) -> dict[str, float]:
    """What Table 1 and the released files say about a graph, as shares of its size."""
    edges: set[EdgeRef] = set()
    rows = mapped = 0
    for batch in MedMKG.find(folder).batches(10_000):
        assert batch.rejects == []
        edges |= batch.edges.keys()
        rows += 0 if batch.enrich else batch.read
        mapped += batch.read if batch.enrich else 0
    assert len(edges) == rows  # no edge twice
    cross = [edge for edge in edges if edge[0][0] == "Image"]
    intra = {edge for edge in edges if edge[0][0] == "Concept"}
    assert {(tail, head) for head, _, tail in intra} == {(head, tail) for head, _, tail in intra}
    pairs = {(head, tail) for head, _, tail in cross}
    images = Counter(tail for _, tail in pairs)
    degrees = Counter(head for head, _, _ in cross)
    stances = Counter(stance for _, stance, _ in cross)
    denied = Counter(tail for _, stance, tail in cross if stance == "NEGATIVE")
    concepts = {tail for _, _, tail in cross} | {head for head, _, _ in intra}
    return {
        "images a concept": len(degrees) / len(concepts),
        "edges an image": len(cross) / len(degrees),
        "largest degree": max(degrees.values()),
        "positive": stances["POSITIVE"] / len(cross),
        "negative": stances["NEGATIVE"] / len(cross),
        "uncertain": stances["UNCERTAIN"] / len(cross),
        "negative at one concept": denied.most_common(1)[0][1] / stances["NEGATIVE"],
        "concepts with one image": sum(count == 1 for count in images.values()) / len(images),
        "most popular": images.most_common(1)[0][1] / len(degrees),
        "tenth": images.most_common(10)[9][1] / len(degrees),
        "intra edges a concept": len(intra) / len(concepts),
        "concepts with intra edges": len({head for head, _, _ in intra}) / len(concepts),
        "concepts with images": len(images) / len(concepts),
        "mapped an image": mapped / len(degrees),
    }


@pytest.mark.data
def test_the_proportions_are_the_released_graph_s(tmp_path: Path, data_dir: Path) -> None:
    build(tmp_path / "phantom", 4_868)
    released, invented = proportions(data_dir / "medmkg"), proportions(tmp_path / "phantom")
    for what, value in released.items():
        allowed = 0.3 if what == "tenth" else 0.05
        assert invented[what] == pytest.approx(value, rel=allowed), what


@pytest.mark.parametrize("seed", [0, 7, 8])
def test_small_ones_are_like_it(tmp_path: Path, seed: int) -> None:
    found = proportions(build(tmp_path / "p", 500, seed).directory)
    assert found["images a concept"] == pytest.approx(1.55, rel=0.02)
    assert found["edges an image"] == pytest.approx(4.25, rel=0.06)
    assert found["concepts with one image"] == pytest.approx(0.5, abs=0.06)
    assert found["positive"] == pytest.approx(0.6, abs=0.05)
    assert found["negative"] == pytest.approx(0.1, abs=0.03)
    assert found["concepts with images"] == 1


def test_the_same_seed_gives_the_same_bytes_everywhere(tmp_path: Path) -> None:
    digest = hashlib.sha256()
    build(tmp_path)
    for name in FILES:
        digest.update((tmp_path / name).read_bytes())
    assert digest.hexdigest() == "31ec04e8003b34f7b35d5354a8fbeafe185edc34aa75f982a3d90b40449079ae"
    build(tmp_path / "other", seed=8)
    assert (tmp_path / "other" / "MedMKG.csv").read_bytes() != (tmp_path / "MedMKG.csv").read_bytes()


@pytest.mark.parametrize("images", [10, 11, 37, 100])
def test_any_size(tmp_path: Path, images: int) -> None:
    made = build(tmp_path / "p", images)
    nodes: set[tuple[str, str]] = set()
    mapped: set[tuple[str, str]] = set()
    for batch in MedMKG.find(made.directory).batches(1_000):
        assert batch.rejects == []
        if batch.enrich:
            mapped |= batch.nodes.keys()
        else:
            nodes |= batch.nodes.keys()
    counts = Counter(label for label, _ in nodes)
    assert counts == {"Image": images, "Concept": made.concepts}
    assert all(key.startswith("C99") if label == "Concept" else key.startswith("I9") for label, key in nodes)
    assert {node for node in nodes if node[0] == "Image"} <= mapped
    assert len(mapped) == made.mapped_images


def test_all_concept_names_differ() -> None:
    assert len({concept(number)[1] for number in range(MAX_CONCEPTS)}) == MAX_CONCEPTS


@pytest.mark.parametrize("images", [-1, 0, 9, 2_000_001])
def test_sizes_out_of_range(tmp_path: Path, images: int) -> None:
    with pytest.raises(UsageError):
        build(tmp_path / "p", images)
    assert not (tmp_path / "p").exists()


def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    assert not build(tmp_path, 10).existing
    assert build(tmp_path, 10).existing
    with pytest.raises(InputError, match="wrote this folder, but it was written with other settings"):
        build(tmp_path, 20)
    build(tmp_path, 20, replace=True)
    (tmp_path / "MedMKG.csv").write_text("the real one", encoding="utf-8")
    with pytest.raises(InputError, match=r"but MedMKG\.csv is not as it was written"):
        build(tmp_path, 20)
    assert (tmp_path / "MedMKG.csv").read_text(encoding="utf-8") == "the real one"
    build(tmp_path, 20, replace=True)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    for replace in (False, True):
        with pytest.raises((InputError, UsageError)):
            build(tmp_path, 10, replace=replace)
    assert (tmp_path / "mine.txt").read_text(encoding="utf-8") == "mine"
    assert build(tmp_path, 20).existing, "a file more does not make it another graph"


def test_nothing_but_its_files_is_left(tmp_path: Path) -> None:
    build(tmp_path, 10)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*FILES, LISTED])


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(UsageError, match="is not a folder"):
        build(tmp_path / "file", 10)
    with pytest.raises(InputError, match="cannot be written"):
        build(tmp_path / "file" / "below", 10)
