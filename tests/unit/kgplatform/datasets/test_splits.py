"""Splits: what falls on which side, and what may not be split or read back."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Node, Triples
from tests.unit.kgplatform.export.export_graphs import random_triples


@pytest.fixture(scope="module")
def triples_to_split() -> Triples:
    return random_triples()


@pytest.mark.parametrize("kind", splits.KINDS)
@pytest.mark.parametrize("seed", range(8))
def test_a_split_is_a_partition_near_8_1_1_and_repeats(kind: str, seed: int) -> None:
    triples = random_triples(seed, images=150, patients=120)
    split = splits.make(kind, triples, seed)
    assert sorted(map(tuple, np.concatenate([split.train, split.valid, split.test]))) == list(map(tuple, triples.ids))
    random_part = split
    if kind == "inductive":  # the edges between concepts are no part of the ratio
        is_stance = triples.kinds[triples.ids[:, 0]] == "Image"
        random_part = Split(replace(triples, ids=triples.ids[is_stance]), split.parts[is_stance], kind, seed)
    shares = np.bincount(random_part.parts, minlength=3) / len(random_part.parts)
    assert np.abs(shares - splits.RATIOS).max() < 0.03
    repeated = splits.make(kind, triples, seed)
    assert np.array_equal(repeated.parts, split.parts)
    assert repeated.sha256 == split.sha256
    assert splits.make(kind, triples, seed + 100).sha256 != split.sha256


@pytest.mark.parametrize("seed", range(8))
def test_a_leakage_free_split_leaks_nothing_and_the_papers_does(seed: int) -> None:
    triples = random_triples(seed, concepts=60)
    leakage_free = splits.make("leakage-free", triples, seed)
    assert [splits.leak(leakage_free, part_name).either for part_name in ("valid", "test")] == [0, 0]
    entity_pairs = [
        {frozenset((head, tail)) for head, _, tail in leakage_free.part(part_name).tolist()}
        for part_name in splits.PARTS
    ]
    assert not entity_pairs[0] & entity_pairs[1]
    assert not entity_pairs[0] & entity_pairs[2]
    assert not entity_pairs[1] & entity_pairs[2]
    paper_split = splits.make("paper", triples, seed)
    reversed_pairs = set(map(tuple, paper_split.train[:, [2, 0]].tolist()))
    reversed_count = sum((head, tail) in reversed_pairs for head, _, tail in paper_split.test.tolist())
    assert splits.leak(paper_split).reversed == reversed_count


@pytest.mark.parametrize("seed", range(8))
def test_an_inductive_split_shares_no_image_and_no_patient(seed: int) -> None:
    triples = random_triples(seed, images=80, patients=40)
    split = splits.make("inductive", triples, seed)
    part_entities = [set(split.part(part_name)[:, [0, 2]].reshape(-1).tolist()) for part_name in splits.PARTS]
    part_images = [{entity for entity in entities if triples.kinds[entity] == "Image"} for entities in part_entities]
    part_patients = [{triples.nodes[image_index].subject for image_index in entities} for entities in part_images]
    for first_part, second_part in ((0, 1), (0, 2), (1, 2)):
        assert not part_images[first_part] & part_images[second_part]
        assert not part_patients[first_part] & part_patients[second_part]
    held_out = np.concatenate([split.valid, split.test])
    assert (triples.kinds[held_out[:, 0]] == "Image").all()


def test_an_inductive_split_goes_by_image_where_no_patient_is_known() -> None:
    full_triples = random_triples()
    triples = replace(full_triples, nodes=[replace(node, subject="") for node in full_triples.nodes])
    split = splits.make("inductive", triples)
    assert not set(split.train[:, 0].tolist()) & set(split.test[:, 0].tolist())


@pytest.mark.parametrize("kind", splits.KINDS)
def test_a_split_is_read_back(triples_to_split: Triples, tmp_path: Path, kind: str) -> None:
    split = splits.make(kind, triples_to_split, 7)
    split.write(tmp_path / "split.parquet")
    reread = Split.read(tmp_path / "split.parquet", triples_to_split)
    assert np.array_equal(reread.parts, split.parts)
    assert (reread.kind, reread.seed, reread.sha256) == (kind, 7, split.sha256)


def test_a_split_of_another_graph_is_refused(triples_to_split: Triples, tmp_path: Path) -> None:
    splits.make("paper", random_triples(seed=2)).write(tmp_path / "split.parquet")
    with pytest.raises(InputError, match="another graph"):
        Split.read(tmp_path / "split.parquet", triples_to_split)


def test_a_damaged_split_is_refused(triples_to_split: Triples, tmp_path: Path) -> None:
    split_path = tmp_path / "split.parquet"
    split = splits.make("paper", triples_to_split)
    split.write(split_path)
    original_bytes = split_path.read_bytes()
    generator = random.Random(5)
    for _ in range(200):
        damaged = bytearray(original_bytes)
        damaged[generator.randrange(len(original_bytes))] = generator.randrange(256)
        split_path.write_bytes(
            damaged if generator.random() < 0.7 else original_bytes[: generator.randrange(len(original_bytes))]
        )
        try:
            reread = Split.read(split_path, triples_to_split)
        except InputError:
            continue
        assert reread.sha256 == split.sha256
    with pytest.raises(InputError):
        Split.read(tmp_path / "none.parquet", triples_to_split)


def test_splitting_unsuitable_triples_is_a_usage_error(triples_to_split: Triples) -> None:
    with pytest.raises(UsageError, match="no split"):
        splits.make("random", triples_to_split)
    single_triple = Triples.build([(0, "r", 1)], {0: Node("C1", "Concept"), 1: Node("C2", "Concept")})
    with pytest.raises(UsageError, match="too small"):
        splits.make("paper", single_triple)
    with pytest.raises(UsageError, match="images"):
        splits.make("inductive", single_triple)
