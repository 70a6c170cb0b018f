"""Fast scores, each against the interaction itself or a few plain lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.link_graphs import N, R, assert_close, small_arguments

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import zoo  # noqa: E402
from kgp_models.link_prediction.scoring import ByRelation, negative_distances  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402


@pytest.mark.parametrize("name", zoo.ZOO)
@pytest.mark.parametrize("reciprocal", [False, True])
def test_every_scorer_gives_the_scores_of_its_own_interaction(name: str, reciprocal: bool) -> None:
    document = {"model": name, "arguments": small_arguments(name), "objective": "cross-entropy"}
    model, scorer = zoo.build(TrainingSettings.of({**document, "reciprocal": reciprocal}), N, R, seed=1)
    with torch.no_grad():  # away from zero, where many are the same
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    model.post_parameter_update()  # where the model is constrained
    model.eval()
    h, r, t = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 1], [5, 9, 9, 4]])
    forward, backward = (2 * r, 2 * r + 1) if reciprocal else (r, r)
    with torch.no_grad():
        assert_close(scorer.triples(h, r, t), model.score_hrt(torch.stack([h, forward, t], dim=1))[:, 0])
        assert_close(scorer.tails(h, r), model.score_t(torch.stack([h, forward], dim=1)))
        if reciprocal:
            assert_close(scorer.heads(r, t), model.score_t(torch.stack([t, backward], dim=1)))
        else:
            assert_close(scorer.heads(r, t), model.score_h(torch.stack([r, t], dim=1)))
            every = [model.score_hrt(torch.stack([h, torch.full_like(h, i), t], dim=1)) for i in range(R)]
            assert_close(scorer.relations(h, t), torch.cat(every, dim=1))


def test_simple_lets_a_head_vector_meet_a_tail_vector() -> None:
    model, _ = zoo.build(TrainingSettings("simple", {"embedding_dim": 4}), N, R, seed=0)
    e1, e2 = (representation(None).detach().numpy() for representation in model.entity_representations)
    r1, r2 = (representation(None).detach().numpy() for representation in model.relation_representations)
    expected = sum(e1[3] * r1[1] * e2[7]) / 2 + sum(e1[7] * r2[1] * e2[3]) / 2
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected, rel=1e-5)


def test_transh_projects_on_a_plane_with_a_unit_normal() -> None:
    model, _ = zoo.build(TrainingSettings("transh", {"embedding_dim": 4}), N, R, seed=0)
    model.post_parameter_update()
    e = model.entity_representations[0](None).detach().numpy()
    w, d = (representation(None).detach().numpy()[1] for representation in model.relation_representations)
    assert np.linalg.norm(w) == pytest.approx(1, abs=1e-6)
    h, t = (e[i] - w.dot(e[i]) * w for i in (3, 7))
    assert abs(h.dot(w)) < 1e-6
    expected = -np.linalg.norm(h + d - t)
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected, rel=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_each_row_is_multiplied_with_its_relations_matrix(relations: list[int]) -> None:
    r, rows, matrices = torch.tensor(relations), torch.randn(len(relations), 3), torch.randn(5, 3, 2)
    groups = ByRelation(r)
    product = groups.back(groups.multiply(rows[groups.rows], matrices[groups.relations]))
    assert_close(product, torch.stack([row @ matrices[i] for row, i in zip(rows, relations, strict=True)]))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_cutting_by_relation_and_joining_gives_the_batch_back(relations: list[int]) -> None:
    r = torch.tensor(relations)
    groups, rows = ByRelation(r), torch.arange(len(r))
    parts = groups.cut(rows)
    assert [set(r[part].tolist()) for part in parts] == [{relation} for relation in groups.relations.tolist()]
    assert sorted(groups.relations.tolist()) == sorted(set(relations))
    assert groups.join(parts).tolist() == rows.tolist()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("power", [False, True])
def test_pairwise_distances_are_the_norms_of_the_differences(p: int, power: bool) -> None:
    x, y = torch.randn(5, 7, dtype=torch.float64), torch.randn(6, 7, dtype=torch.float64)
    norms = torch.linalg.vector_norm(x.unsqueeze(1) - y, ord=p, dim=-1)
    assert_close(negative_distances(x, y, p, power), -norms.pow(p) if power else -norms)


def test_the_nuclear_3_norm_is_its_formula() -> None:
    settings = TrainingSettings.of(
        {"model": "complex-n3", "objective": "cross-entropy", "reciprocal": True, "arguments": {"embedding_dim": 4}}
    )
    model, scorer = zoo.build(settings, N, R, seed=0)
    e, links = (
        part[0](None).detach().numpy() for part in (model.entity_representations, model.relation_representations)
    )
    h, r, t = torch.tensor([1, 2]), torch.tensor([0, 2]), torch.tensor([3, 4])
    cube = lambda x: (np.abs(x) ** 3).sum()  # noqa: E731
    expected = sum(cube(e[i]) for i in (1, 2, 3, 4)) + sum(cube(links[i]) for i in (0, 4, 1, 5)) / 2
    assert scorer.nuclear_3_norm(h, r, t).item() == pytest.approx(expected, rel=1e-5)
