"""Ranks and parts of the benchmark of image encoders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from benchmarks.images import baselines, data, figures
from kgp_models.images.examples import ImageExamples, LabelledImage, Link


def test_filtered_ranks_leave_out_other_heads_and_count_ties_half() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [0.5, 0.5, 0.5, 0.2]])
    targets = np.array([[1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
    ranks, rows = figures.filtered_ranks(scores, targets)
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
    weights, bias, mean, deviation = baselines.fit_regression(
        vectors[:150], targets[:150], vectors[150:], targets[150:]
    )
    logits = ((vectors[150:] - mean) / deviation) @ weights + bias
    assert ((logits > 0) == (targets[150:] > 0)).float().mean() > 0.95


def test_a_heads_anatomies_and_qualifiers_are_links_next_to_it() -> None:
    links = data.code_links("Opacity/lung/base/left;normal; Cardiomegaly/mild;Nodule")
    assert sorted(link.name for link in links) == ["Cardiomegaly/mild", "Opacity/base", "Opacity/left", "Opacity/lung"]


LINKS = [Link("POSITIVE", name, name) for name in ("rare", "common")]


def labelled(*rows: tuple[int, int]) -> ImageExamples:
    return ImageExamples(
        [
            LabelledImage(
                str(number), Path(), str(number), frozenset(link for link, has in zip(LINKS, row, strict=True) if has)
            )
            for number, row in enumerate(rows)
        ]
    )


def test_figures_by_frequency_are_those_of_the_heads_in_it() -> None:
    examples = labelled((1, 0), (0, 1), (0, 1), (0, 0))
    probabilities = np.array([[0.9, 0.1], [0.2, 0.4], [0.1, 0.8], [0.3, 0.6]])
    by_frequency = figures.by_frequency(probabilities, LINKS, [25, 400], examples)
    assert by_frequency == {
        "20 to 49": {"heads": 1, "macro AUC": 1.0, "mean average precision": 1.0},
        "100 and more": {"heads": 1, "macro AUC": 0.75, "mean average precision": round((1 + 2 / 3) / 2, 4)},
    }


def test_reliability_is_the_observed_share_of_each_bin() -> None:
    examples = labelled((1, 0), (0, 0))
    assert figures.reliability(np.array([[0.95, 0.05], [0.91, 0.02]]), LINKS, examples) == [
        {"predicted": 0.035, "observed": 0.0, "pairs": 2},
        {"predicted": 0.93, "observed": 0.5, "pairs": 2},
    ]


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
