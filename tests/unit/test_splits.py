"""Splits: what falls on which side, and what may not be split or read back."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kgplatform.errors import InputError, UsageError
from kgplatform.export import splits
from kgplatform.export.splits import Split
from kgplatform.export.triples import Node, Triples
from tests.unit.export_graphs import random_triples


@pytest.fixture(scope="module")
def triples() -> Triples:
    return random_triples()


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
