"""Pictures are mixed with each other, and their targets alike."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
import torch

from kgp_models.training.augmentation import mixed


def test_pictures_and_targets_are_mixed_by_the_same_shares() -> None:
    count = 50
    grey = torch.eye(count).mul(255.0).view(count, 1, 5, 10)  # a picture has one bright pixel: its own
    targets = torch.eye(count)
    mixed_grey, mixed_targets = mixed(grey, targets, torch.Generator().manual_seed(3), 0.4)
    assert torch.allclose(mixed_grey.view(count, count) / 255.0, mixed_targets, atol=1e-6)
    assert torch.allclose(mixed_targets.sum(1), torch.ones(count))
    own_shares = mixed_targets.diagonal()
    assert bool((own_shares >= 0.5).all()), "the larger share is the picture's own"
    assert len(set(own_shares.tolist())) > count // 2


def test_what_is_not_known_of_either_picture_is_not_known_of_the_mixture() -> None:
    targets = torch.tensor([[float("nan"), 1.0], [0.0, 1.0]])
    _, mixed_targets = mixed(torch.zeros(2, 1, 2, 2), targets, torch.Generator().manual_seed(1), 0.4)
    assert bool(mixed_targets[:, 1].eq(1.0).all())
    assert bool(mixed_targets[0, 0].isnan())


def test_the_same_random_numbers_give_the_same_mixture() -> None:
    grey, targets = torch.rand(8, 1, 4, 4), torch.rand(8, 3)
    first, second = (mixed(grey, targets, torch.Generator().manual_seed(7), 0.4) for _ in range(2))
    assert bool((first[0] == second[0]).all() and (first[1] == second[1]).all())
