"""Ranks and parts of the benchmark of image encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from benchmarks.images import data, run


def test_filtered_ranks_leave_out_other_heads_and_count_ties_half() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [0.5, 0.5, 0.5, 0.2]])
    targets = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    ranks, rows = run.filtered_ranks(scores, targets)
    assert ranks.tolist() == [1.0, 2.0, 2.0], "the second head of the first radiograph is behind one head, not two"
    assert rows.tolist() == [0, 0, 1]


def test_codes_become_heads_without_normal_ones() -> None:
    links = data.head_links("Opacity/lung/base/left;Opacity/lung/right;normal; Cardiomegaly/mild")
    assert sorted(link.name for link in links) == ["Cardiomegaly", "Opacity"]
    assert data.head_links("No Indexing") == frozenset()


def test_a_regression_separates_what_can_be_separated() -> None:
    rng = torch.Generator().manual_seed(0)
    vectors = torch.randn(200, 5, generator=rng)
    targets = (vectors[:, :1] > 0).float()
    weights, bias, mean, deviation = run.fit_regression(vectors[:150], targets[:150], vectors[150:], targets[150:])
    logits = ((vectors[150:] - mean) / deviation) @ weights + bias
    assert ((logits > 0) == (targets[150:] > 0)).float().mean() > 0.95


@pytest.mark.data
def test_the_parts_are_those_of_r2gen_and_share_no_study(data_dir: Path) -> None:
    parts = data.read_mesh_images(data_dir)
    studies = {part: set(images.subjects) for part, images in parts.items()}
    assert {part: len(images.images) for part, images in parts.items()} == {
        "train": 2_139,
        "validation": 300,
        "held-out": 501,
    }
    assert not studies["train"] & studies["validation"]
    assert not studies["train"] & studies["held-out"]
    assert not studies["validation"] & studies["held-out"]
    assert len(parts["train"].frequent_links(20, ["POSITIVE"])) == 41
