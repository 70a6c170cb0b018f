"""Probabilities: calibrated, and combined from the encoder, similar images and related concepts."""

from __future__ import annotations

import torch
from torch.nn import functional

from kgp_models.images.calibrate import Calibration, fit_calibration
from kgp_models.images.combine import (
    NEAREST,
    SMOOTHING,
    Combination,
    fit_combination,
    make_terms,
    neighbour_shares,
    related_links,
)
from kgp_models.images.examples import Link
from kgp_models.images.losses import known_loss

LINKS = [
    Link("POSITIVE", "C1", "a"),
    Link("POSITIVE", "C2", "b"),
    Link("NEGATIVE", "C1", "a"),
    Link("POSITIVE", "C3", "c"),
]


def test_a_fitted_scale_is_that_by_which_logits_were_too_large() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4_000, 3, generator=rng)
    targets = (torch.rand(4_000, 3, generator=rng) < torch.sigmoid(logits)).float()
    targets[:5] = torch.nan
    calibration = fit_calibration(3.0 * logits, targets)
    assert abs(calibration.scale - 1 / 3) < 0.03
    before = known_loss(3.0 * logits, targets)
    after = functional.binary_cross_entropy(calibration.probabilities(3.0 * logits)[5:], targets[5:])
    assert after < before
    assert fit_calibration(torch.empty(0, 3), torch.empty(0, 3)).scale == Calibration().scale == 1.0


def test_shares_of_neighbours_are_those_of_the_most_similar_images_without_the_own_subject() -> None:
    first_axis, second_axis = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    graph_vectors = torch.cat([first_axis.repeat(NEAREST, 1), second_axis.repeat(NEAREST, 1)])
    graph_targets = torch.cat([torch.ones(NEAREST, 1), torch.zeros(NEAREST, 1)])
    graph_targets[0] = torch.nan
    shares = torch.tensor([0.5])
    image_shares = neighbour_shares(torch.cat([first_axis, second_axis]), graph_vectors, graph_targets, shares)
    neighbour_count = NEAREST - 1
    assert torch.allclose(
        image_shares[0], torch.tensor([(neighbour_count + SMOOTHING * 0.5) / (neighbour_count + SMOOTHING)])
    )
    assert torch.allclose(image_shares[1], torch.tensor([SMOOTHING * 0.5 / (NEAREST + SMOOTHING)]))
    groups = ["p", "q"], ["p"] * NEAREST + ["other"] * NEAREST
    own_left_out = neighbour_shares(torch.cat([first_axis, second_axis]), graph_vectors, graph_targets, shares, groups)
    assert torch.allclose(own_left_out[0], image_shares[1])
    assert torch.allclose(own_left_out[1], image_shares[1])


def test_links_of_related_concepts_with_one_stance_are_related() -> None:
    matrix = related_links(LINKS, [("C1", "C2"), ("C3", "C1"), ("C2", "C2")])
    assert matrix.tolist() == [[0.0, 0.5, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0], [0.0] * 4, [1.0, 0.0, 0.0, 0.0]]
    assert related_links([], []).shape == (0, 0)


def test_the_combination_weighs_what_helps_and_is_stored_as_it_is() -> None:
    rng = torch.Generator().manual_seed(1)
    shares = torch.tensor([0.3, 0.1])
    truth = torch.logit(shares) + torch.randn(3_000, 2, generator=rng)
    targets = (torch.rand(3_000, 2, generator=rng) < torch.sigmoid(truth)).float()
    noise = torch.logit(shares) + torch.randn(3_000, 2, generator=rng)
    terms = make_terms(noise, torch.sigmoid(truth), shares, torch.zeros(2, 2))
    combination = fit_combination(terms, targets)
    assert abs(combination.neighbours - 1.0) < 0.15
    assert abs(combination.encoder) < 0.1
    assert known_loss(combination.logits(terms), targets) < known_loss(torch.logit(shares).expand(3_000, 2), targets)
    stored = Combination.from_dict(combination.as_dict())
    assert stored is not None
    assert torch.allclose(stored.logits(terms), combination.logits(terms), atol=1e-4)
    assert Combination.from_dict(None) is None
