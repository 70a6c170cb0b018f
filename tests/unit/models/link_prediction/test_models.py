"""HypER, ConvR, MurP and AttH against their papers' formulas in plain NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("pykeen")

import torch
from pykeen.models import ERModel
from pykeen.triples import KGInfo
from torch.utils._python_dispatch import TorchDispatchMode

from kgp_models.link_prediction import poincare
from kgp_models.link_prediction.atth import AttH, AttHInteraction, AttHScorer
from kgp_models.link_prediction.convr import ConvRInteraction, ConvRScorer, image_shape
from kgp_models.link_prediction.hyper import HypERInteraction, HypERScorer
from kgp_models.link_prediction.murp import MurPInteraction, MurPScorer
from kgp_models.link_prediction.scorers import Reciprocal
from tests.unit.models.link_prediction.paper_scores import ORACLES, attention
from tests.unit.models.link_prediction.random_models import ENTITIES, MODELS, RELATIONS, all_triples, random_link_model

pytestmark = pytest.mark.usefixtures("single_thread")

SCORERS: dict[str, Any] = {
    "hyper": HypERScorer,
    "convr": ConvRScorer,
    "convr-bare": ConvRScorer,
    "murp": MurPScorer,
    "atth": AttHScorer,
}
HYPERBOLIC = ["murp", "atth"]
every_model = pytest.mark.parametrize("name", MODELS)
every_hyperbolic = pytest.mark.parametrize("name", HYPERBOLIC)


@every_model
def test_a_score_is_the_papers(name: str) -> None:
    model = random_link_model(name)
    triples = all_triples()[::4]
    expected_scores = [ORACLES[name](model, *triple) for triple in triples.tolist()]
    assert np.ptp(expected_scores) > 0.5  # the oracle tells triples apart
    np.testing.assert_allclose(model.score_hrt(triples).squeeze(1).detach(), expected_scores, rtol=1e-9, atol=1e-9)


# ---------------------------------------------------------------- PyKEEN's four ways to score, and the scorers


@every_model
def test_all_ways_of_pykeen_to_score_agree(name: str) -> None:
    model = random_link_model(name)
    score_cube = model.score_hrt(all_triples()).view(ENTITIES, RELATIONS, ENTITIES)
    for head_id in range(ENTITIES):
        pairs = torch.cartesian_prod(torch.tensor([head_id]), torch.arange(RELATIONS))
        torch.testing.assert_close(model.score_t(pairs), score_cube[head_id])
        torch.testing.assert_close(model.score_t(pairs, slice_size=2), score_cube[head_id])
        tail_ids = torch.tensor([5, 0, 5])
        torch.testing.assert_close(model.score_t(pairs, tails=tail_ids), score_cube[head_id][:, tail_ids])
        torch.testing.assert_close(
            model.score_t(pairs, tails=tail_ids.expand(RELATIONS, 3)), score_cube[head_id][:, tail_ids]
        )
        pairs = torch.cartesian_prod(torch.tensor([head_id]), torch.arange(ENTITIES))
        torch.testing.assert_close(model.score_r(pairs), score_cube[head_id].T)
        torch.testing.assert_close(model.score_r(pairs, slice_size=2), score_cube[head_id].T)
    pairs = torch.cartesian_prod(torch.arange(RELATIONS), torch.arange(ENTITIES))
    torch.testing.assert_close(model.score_h(pairs), score_cube.flatten(1).T)
    torch.testing.assert_close(model.score_h(pairs, slice_size=3), score_cube.flatten(1).T)


@every_model
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
def test_a_scorer_gives_the_models_scores_and_gradients(name: str, dtype: torch.dtype, tolerance: float) -> None:
    model = random_link_model(name, dtype=dtype)
    scorer = SCORERS[name](model)
    head_ids, relation_ids, tail_ids = torch.tensor([[0, 2, 1], [6, 0, 6], [3, 2, 5], [0, 1, 0], [4, 2, 2]]).unbind(1)
    scores: list[tuple[Callable[[], Any], Callable[[], Any]]] = [
        (
            lambda: scorer.triples(head_ids, relation_ids, tail_ids),
            lambda: model.score_hrt(torch.stack([head_ids, relation_ids, tail_ids], 1)).squeeze(1),
        ),
        (lambda: scorer.tails(head_ids, relation_ids), lambda: model.score_t(torch.stack([head_ids, relation_ids], 1))),
        (lambda: scorer.heads(relation_ids, tail_ids), lambda: model.score_h(torch.stack([relation_ids, tail_ids], 1))),
        (lambda: scorer.relations(head_ids, tail_ids), lambda: model.score_r(torch.stack([head_ids, tail_ids], 1))),
    ]
    for fast_scores, model_scores in scores:
        torch.testing.assert_close(fast_scores(), model_scores(), rtol=tolerance, atol=tolerance)
        gradients = [
            torch.autograd.grad(score_function().sigmoid().sum(), list(model.parameters()))
            for score_function in (fast_scores, model_scores)
        ]
        for fast_gradient, model_gradient in zip(*gradients, strict=True):
            torch.testing.assert_close(fast_gradient, model_gradient, rtol=10 * tolerance, atol=10 * tolerance)


@every_model
def test_with_inverse_triples_heads_are_pykeens_predictions(name: str) -> None:
    model = random_link_model(name, inverse=True)
    scorer = Reciprocal(SCORERS[name](model))
    relation_ids, tail_ids = torch.tensor([2, 0, 1]), torch.tensor([6, 0, 6])
    torch.testing.assert_close(
        scorer.heads(relation_ids, tail_ids), model.predict_h(torch.stack([relation_ids, tail_ids], 1))
    )
    torch.testing.assert_close(
        scorer.tails(tail_ids, relation_ids), model.predict_t(torch.stack([tail_ids, relation_ids], 1))
    )


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not state its types
    """Keeps the size of the largest tensor that was made."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.numel = max(self.numel, result.numel())
        return result


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("hyper", ["tails"]),
        ("convr", ["tails"]),
        ("murp", ["tails", "heads", "relations"]),
        ("atth", ["tails", "heads"]),
    ],
)
def test_candidates_are_scored_without_a_tensor_of_batch_by_entities_by_dimension(name: str, ways: Any) -> None:
    batch, entities, relations = 64, 300, 100
    model = random_link_model(name, entities, relations)
    scorer = SCORERS[name](model)
    batch_ids = torch.arange(batch)
    for method_name in ways:
        with torch.no_grad(), Largest() as largest:
            getattr(scorer, method_name)(batch_ids, batch_ids)
        assert largest.numel <= 2 * batch * entities, method_name


# ---------------------------------------------------------------- training


def training_loss(scorer: Any, triples: torch.Tensor) -> Any:
    head_ids, relation_ids, tail_ids = triples.unbind(1)
    cross_entropy = torch.nn.functional.cross_entropy
    return cross_entropy(scorer.tails(head_ids, relation_ids), tail_ids) + cross_entropy(
        scorer.heads(relation_ids, tail_ids), head_ids
    )


@pytest.mark.slow
@every_model
def test_training_lowers_the_loss(name: str) -> None:
    model = MODELS[name](triples_factory=KGInfo(20, 2, create_inverse_triples=False), random_seed=0)
    scorer = SCORERS[name](model)
    ring_ids = torch.arange(20)
    triples = torch.cat(
        [
            torch.stack([ring_ids, 0 * ring_ids, (ring_ids + 1) % 20], 1),
            torch.stack([ring_ids, 0 * ring_ids + 1, (ring_ids + 5) % 20], 1),
        ]
    )
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(30):
        loss = training_loss(scorer, triples)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.slow
@every_hyperbolic
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_steps_neither_leave_the_ball_nor_break_gradients(name: str, dtype: torch.dtype) -> None:
    model = random_link_model(name, dtype=dtype).train()
    scorer = SCORERS[name](model)
    head_ids, relation_ids, tail_ids = all_triples()[::5].unbind(1)
    optimiser = torch.optim.Adam(model.parameters(), lr=2.0)
    for step in range(50):
        sign = 1 if step % 20 < 10 else -1  # apart, then together
        loss = sign * (
            scorer.tails(head_ids, relation_ids).mean()
            + scorer.heads(relation_ids, tail_ids).mean()
            + scorer.triples(head_ids, relation_ids, tail_ids).mean()
        )
        optimiser.zero_grad()
        loss.backward()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters()), step
        optimiser.step()
        heads, tails, curvature = points(name, model, head_ids, relation_ids, tail_ids)
        for point in (heads, tails):
            assert (curvature * point.square().sum(1, keepdim=True)).max() < 1
        assert scorer.relations(head_ids, tail_ids).isfinite().all()


def points(name: str, model: Any, h: int, r: int, t: int) -> Any:
    """The two points whose distance is the score, and the curvature."""
    entity_vectors, relation_vectors = (
        model.entity_representations[0],
        tuple(representation(r) for representation in model.relation_representations),
    )
    if name == "murp":
        return (
            model.interaction.head_point(entity_vectors(h), relation_vectors),
            model.interaction.tail_point(entity_vectors(t), relation_vectors),
            1.0,
        )
    query, curvature = model.interaction.query(entity_vectors(h), relation_vectors)
    return query, poincare.exp0(entity_vectors(t), curvature), curvature


@every_hyperbolic
@pytest.mark.parametrize("value", [0.0, 1e-20, -1e4])
def test_gradients_are_finite_at_degenerate_parameters(name: str, value: float) -> None:
    model = random_link_model(name, dtype=torch.float32)
    for parameter in model.parameters():
        torch.nn.init.constant_(parameter, value)
    scorer = SCORERS[name](model)
    head_ids, relation_ids, tail_ids = all_triples()[::7].unbind(1)
    for scores in (
        scorer.tails(head_ids, relation_ids),
        scorer.heads(relation_ids, tail_ids),
        scorer.relations(head_ids, tail_ids),
        scorer.triples(head_ids, relation_ids, tail_ids),
    ):
        assert scores.isfinite().all()
        for gradient in torch.autograd.grad(scores.sum(), list(model.parameters())):
            assert gradient.isfinite().all()


@every_model
def test_a_new_model_starts_from_its_seed_and_can_be_reset(name: str) -> None:
    graph_info = KGInfo(ENTITIES, RELATIONS, create_inverse_triples=True)
    first_model, second_model = (MODELS[name](triples_factory=graph_info, random_seed=3).eval() for _ in range(2))
    torch.testing.assert_close(first_model.score_hrt(all_triples()), second_model.score_hrt(all_triples()))
    first_scores = first_model.score_hrt(all_triples())
    first_model.reset_parameters_()
    assert not torch.equal(first_model.score_hrt(all_triples()), first_scores)


def test_dropout_only_acts_in_training() -> None:
    model = random_link_model("hyper")
    pairs = torch.tensor([[0, 1], [2, 0]])
    assert torch.equal(model.score_t(pairs), model.score_t(pairs))
    model.train()
    assert not torch.equal(model.score_t(pairs), model.score_t(pairs))


# ---------------------------------------------------------------- what a careless user would do


def test_published_sizes_and_small_ones_are_accepted() -> None:
    assert image_shape(64, None, None) == (8, 8)
    assert image_shape(200, None, None) == (10, 20)
    assert image_shape(200, None, 10) == (20, 10)
    for interaction in (HypERInteraction(), HypERInteraction(64, 64), ConvRInteraction(), ConvRInteraction(64)):
        entity_size, relation_size = interaction.embedding_dim, interaction.relation_dim
        assert interaction.eval().query(torch.zeros(2, 1, entity_size), torch.zeros(1, 3, relation_size)).shape == (
            2,
            3,
            entity_size,
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HypERInteraction(embedding_dim=8, filter_length=9), "does not fit"),
        (lambda: HypERInteraction(filter_length=0), "does not fit"),
        (lambda: ConvRInteraction(embedding_dim=64, height=5), "do not make an image of 5"),
        (lambda: ConvRInteraction(embedding_dim=64, height=8, width=9), "do not make an image of 8"),
        (lambda: ConvRInteraction(embedding_dim=13), "3 × 3 does not fit into 1 × 13"),
        (lambda: ConvRInteraction(embedding_dim=64, filter_width=9), "does not fit"),
        (lambda: AttH(triples_factory=KGInfo(3, 1, False), embedding_dim=7), "even"),
        (lambda: HypERInteraction().query(torch.zeros(2, 200), torch.zeros(2, 100)), "dimensions"),
        (lambda: ConvRInteraction().query(torch.zeros(2, 1), torch.zeros(2, 900)), "dimensions"),
        (lambda: MurPInteraction().head_point(torch.zeros(2, 8), (torch.zeros(2, 8), torch.zeros(2, 1))), "dimension"),
        (lambda: MurPInteraction().tail_point(torch.zeros(2, 1), (torch.zeros(2, 8), torch.zeros(2, 8))), "dimension"),
        (lambda: AttHInteraction().query(torch.zeros(2, 8), attention(8, 8)), "d/2"),
        (lambda: AttHInteraction().query(torch.zeros(2, 8), attention(6, 4)), "d/2"),
        (lambda: mismatched(MurPInteraction(), [5, 6]), "Shape verification failed"),
        (lambda: mismatched(MurPInteraction(), [5, 5]).score_hrt(all_triples(3, 1)), "not 8 and 5"),
        (lambda: mismatched(HypERInteraction(), 100), "requires 2 entity representations"),
    ],
)
def test_wrong_shapes_are_value_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def mismatched(interaction: Any, relations: int | list[int]) -> Any:
    return ERModel(
        triples_factory=KGInfo(3, 1, False),
        interaction=interaction,
        entity_representations_kwargs=[{"shape": 8}, {"shape": ()}, {"shape": ()}]
        if isinstance(relations, list)
        else {"shape": 200},
        relation_representations_kwargs=[{"shape": shape} for shape in np.atleast_1d(relations).tolist()],
        random_seed=0,
    )
