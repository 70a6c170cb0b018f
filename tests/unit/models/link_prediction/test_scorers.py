"""Fast scores, each against the interaction itself or a few plain lines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kgplatform import plugins
from tests.unit.models.link_prediction.link_graphs import N, R, assert_close, small_arguments

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import zoo  # noqa: E402
from kgp_models.link_prediction.scoring import ByRelation, negative_distances  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402


@pytest.mark.parametrize("name", plugins.registered_names("models"))
@pytest.mark.parametrize("reciprocal", [False, True])
def test_every_scorer_gives_the_scores_of_its_own_interaction(name: str, reciprocal: bool) -> None:
    document = {"model": name, "arguments": small_arguments(name), "objective": "cross-entropy"}
    model, scorer = zoo.build_link_model(
        TrainingSettings.from_document({**document, "reciprocal": reciprocal}), N, R, seed=1
    )
    with torch.no_grad():  # away from zero, where many are the same
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
    model.post_parameter_update()  # where the model is constrained
    model.eval()
    head_ids, relation_ids, tail_ids = torch.tensor([[0, 1, 2, 1], [2, 0, 1, 1], [5, 9, 9, 4]])
    forward_ids, inverse_ids = (2 * relation_ids, 2 * relation_ids + 1) if reciprocal else (relation_ids, relation_ids)
    with torch.no_grad():
        assert_close(
            scorer.triples(head_ids, relation_ids, tail_ids),
            model.score_hrt(torch.stack([head_ids, forward_ids, tail_ids], dim=1))[:, 0],
        )
        assert_close(scorer.tails(head_ids, relation_ids), model.score_t(torch.stack([head_ids, forward_ids], dim=1)))
        if reciprocal:
            assert_close(
                scorer.heads(relation_ids, tail_ids), model.score_t(torch.stack([tail_ids, inverse_ids], dim=1))
            )
        else:
            assert_close(
                scorer.heads(relation_ids, tail_ids), model.score_h(torch.stack([relation_ids, tail_ids], dim=1))
            )
            relation_scores = [
                model.score_hrt(torch.stack([head_ids, torch.full_like(head_ids, relation_id), tail_ids], dim=1))
                for relation_id in range(R)
            ]
            assert_close(scorer.relations(head_ids, tail_ids), torch.cat(relation_scores, dim=1))


def test_simple_lets_a_head_vector_meet_a_tail_vector() -> None:
    model, _ = zoo.build_link_model(TrainingSettings("simple", {"embedding_dim": 4}), N, R, seed=0)
    head_vectors, tail_vectors = (
        representation(None).detach().numpy() for representation in model.entity_representations
    )
    forward_vectors, inverse_vectors = (
        representation(None).detach().numpy() for representation in model.relation_representations
    )
    expected_score = (
        sum(head_vectors[3] * forward_vectors[1] * tail_vectors[7]) / 2
        + sum(head_vectors[7] * inverse_vectors[1] * tail_vectors[3]) / 2
    )
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected_score, rel=1e-5)


def test_transh_projects_on_a_plane_with_a_unit_normal() -> None:
    model, _ = zoo.build_link_model(TrainingSettings("transh", {"embedding_dim": 4}), N, R, seed=0)
    model.post_parameter_update()
    entity_vectors = model.entity_representations[0](None).detach().numpy()
    normal, translation = (
        representation(None).detach().numpy()[1] for representation in model.relation_representations
    )
    assert np.linalg.norm(normal) == pytest.approx(1, abs=1e-6)
    head_projection, tail_projection = (
        entity_vectors[entity_id] - normal.dot(entity_vectors[entity_id]) * normal for entity_id in (3, 7)
    )
    assert abs(head_projection.dot(normal)) < 1e-6
    expected_score = -np.linalg.norm(head_projection + translation - tail_projection)
    assert model.score_hrt(torch.tensor([[3, 1, 7]])).item() == pytest.approx(expected_score, rel=1e-5)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60))
def test_each_row_is_multiplied_with_its_relations_matrix(relations: list[int]) -> None:
    relation_ids, vectors, matrices = torch.tensor(relations), torch.randn(len(relations), 3), torch.randn(5, 3, 2)
    groups = ByRelation(relation_ids)
    product = groups.back(groups.multiply(vectors[groups.rows], matrices[groups.relations]))
    assert_close(
        product,
        torch.stack([vector @ matrices[relation_id] for vector, relation_id in zip(vectors, relations, strict=True)]),
    )


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_cutting_by_relation_and_joining_gives_the_batch_back(relations: list[int]) -> None:
    relation_ids = torch.tensor(relations)
    groups, row_numbers = ByRelation(relation_ids), torch.arange(len(relation_ids))
    parts = groups.cut(row_numbers)
    assert [set(relation_ids[part].tolist()) for part in parts] == [
        {relation} for relation in groups.relations.tolist()
    ]
    assert sorted(groups.relations.tolist()) == sorted(set(relations))
    assert groups.join(parts).tolist() == row_numbers.tolist()


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("power", [False, True])
def test_pairwise_distances_are_the_norms_of_the_differences(p: int, power: bool) -> None:
    first_points, second_points = torch.randn(5, 7, dtype=torch.float64), torch.randn(6, 7, dtype=torch.float64)
    norms = torch.linalg.vector_norm(first_points.unsqueeze(1) - second_points, ord=p, dim=-1)
    assert_close(negative_distances(first_points, second_points, p, power), -norms.pow(p) if power else -norms)


def test_the_nuclear_3_norm_is_its_formula() -> None:
    settings = TrainingSettings.from_document(
        {"model": "complex-n3", "objective": "cross-entropy", "reciprocal": True, "arguments": {"embedding_dim": 4}}
    )
    model, scorer = zoo.build_link_model(settings, N, R, seed=0)
    entity_vectors, relation_vectors = (
        representations[0](None).detach().numpy()
        for representations in (model.entity_representations, model.relation_representations)
    )
    head_ids, relation_ids, tail_ids = torch.tensor([1, 2]), torch.tensor([0, 2]), torch.tensor([3, 4])

    def cubed_sum(vector: NDArray[np.float32]) -> float:
        return float((np.abs(vector) ** 3).sum())

    expected_norm = (
        sum(cubed_sum(entity_vectors[index]) for index in (1, 2, 3, 4))
        + sum(cubed_sum(relation_vectors[index]) for index in (0, 4, 1, 5)) / 2
    )
    assert scorer.nuclear_3_norm(head_ids, relation_ids, tail_ids).item() == pytest.approx(expected_norm, rel=1e-5)
