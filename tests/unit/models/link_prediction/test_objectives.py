"""Losses, each against its formula."""

from __future__ import annotations

import math
from statistics import fmean
from typing import cast

import numpy as np
import pytest

from kgplatform.errors import UsageError
from tests.unit.models.link_prediction.link_graphs import N, R, TableScorer, assert_close, small_graph

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from kgp_models.link_prediction import zoo  # noqa: E402
from kgp_models.link_prediction.evaluate import TASKS  # noqa: E402
from kgp_models.link_prediction.objectives import AllCandidates, Sampled, objective  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize("name", ["margin", "softplus", "self-adversarial"])
def test_sampled_losses_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "margin": 2.0, "negatives": 3, "temperature": 0.5}
    settings = TrainingSettings.from_document(document)
    loss = Sampled(settings, triples.ids, N, R, "cpu")
    scorer = TableScorer(np.random.default_rng(0).normal(size=(N, R, N)))
    batch = torch.from_numpy(triples.ids[:4])
    torch.manual_seed(5)
    loss_value = loss.loss(scorer, batch).item()  # type: ignore[arg-type]
    torch.manual_seed(5)
    negatives = loss.corrupted(batch, 3)
    loss_terms: list[float] = []
    for index, triple in enumerate(batch.tolist()):
        true_score = float(scorer.scores[tuple(triple)])
        false_scores = [
            float(scorer.scores[tuple(negative)]) for negative in negatives[3 * index : 3 * index + 3].tolist()
        ]
        if name == "margin":
            loss_terms.append(fmean(max(0.0, 2 + false_score - true_score) for false_score in false_scores))
        elif name == "softplus":
            loss_terms.append(
                (
                    math.log(1 + math.exp(-true_score))
                    + fmean(math.log(1 + math.exp(false_score)) for false_score in false_scores)
                )
                / 2
            )
        else:
            weights = np.exp(0.5 * np.array(false_scores)) / np.exp(0.5 * np.array(false_scores)).sum()
            negative_term = -sum(
                weight * math.log(_sigmoid(-2 - false_score))
                for weight, false_score in zip(weights, false_scores, strict=True)
            )
            loss_terms.append((negative_term - math.log(_sigmoid(2 + true_score))) / 2)
    assert loss_value == pytest.approx(np.mean(loss_terms), rel=1e-9)


def test_a_corrupted_triple_differs_in_one_part_and_the_parts_take_turns() -> None:
    triples = small_graph()
    loss = Sampled(TrainingSettings("distmult", negatives=3), triples.ids, N, R, "cpu")
    batch = torch.from_numpy(triples.ids)
    is_different = (loss.corrupted(batch, 3) != batch.repeat_interleave(3, dim=0)).numpy()
    assert is_different.sum(axis=1).tolist() == [1] * (3 * len(batch))
    assert is_different.sum(axis=0).tolist() == [len(batch)] * 3


def test_the_only_relation_of_a_graph_is_not_replaced() -> None:
    batch = torch.tensor([[0, 0, 1], [1, 0, 2]])
    loss = Sampled(TrainingSettings("distmult", negatives=4), batch.numpy(), 3, 1, "cpu")
    is_different = (loss.corrupted(batch, 4) != batch.repeat_interleave(4, dim=0)).numpy()
    assert is_different.sum(axis=0).tolist() == [4, 0, 4]
    with pytest.raises(UsageError, match="one relation"):
        Sampled(TrainingSettings("distmult", corrupt=("relation",)), batch.numpy(), 3, 1, "cpu")


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_losses_over_all_candidates_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "relation_weight": 0.25, "batch_size": 40}
    if name == "binary-cross-entropy":
        document["label_smoothing"] = 0.1
    loss = AllCandidates(TrainingSettings.from_document(document), triples.ids, N, R, "cpu")
    scores = np.random.default_rng(0).normal(size=(N, R, N))
    true_triples = {tuple(triple) for triple in triples.ids.tolist()}
    batches = list(loss.batches())
    assert len(batches) == math.ceil(len(triples) / 40)
    for batch in batches:
        expected_loss = 0.0
        for task_index, task in enumerate(TASKS):
            task_loss, label_count = 0.0, 0
            for question in map(tuple, batch[task].tolist()):
                candidates = [
                    (*question[:task_index], candidate, *question[task_index + 1 :])
                    for candidate in range((N, R, N)[task_index])
                ]
                candidate_scores = np.array([scores[candidate] for candidate in candidates])
                labels = np.array([float(candidate in true_triples) for candidate in candidates])
                if name == "cross-entropy":
                    task_loss += (labels * (np.log(np.exp(candidate_scores).sum()) - candidate_scores)).sum()
                    label_count += labels.sum()
                else:
                    labels = 0.9 * labels + 0.1 / len(labels)
                    task_loss -= (labels * np.log(1 / (1 + np.exp(-candidate_scores)))).sum()
                    task_loss -= ((1 - labels) * np.log(1 / (1 + np.exp(candidate_scores)))).sum()
                    label_count += len(labels)
            expected_loss += (0.25 if task == "relation" else 1.0) * task_loss / label_count
        assert loss.loss(TableScorer(scores), batch).item() == pytest.approx(expected_loss, rel=1e-6)  # type: ignore[arg-type]


def test_the_fast_gradient_of_cross_entropy_is_autograds() -> None:
    triples = small_graph()
    settings = TrainingSettings.from_document(
        {"model": "distmult", "objective": "cross-entropy", "arguments": {"embedding_dim": 6}}
    )
    model, scorer = zoo.build_link_model(settings, N, R, seed=0)
    loss = objective(settings, triples.ids, N, R)
    assert isinstance(loss, AllCandidates)
    batch = next(loss.batches())
    torch.autograd.backward(loss.loss(scorer, batch))
    own_gradients = [cast(Tensor, parameter.grad).clone() for parameter in model.parameters()]
    model.zero_grad()
    total_loss = torch.zeros(())
    for task_index, task in enumerate(TASKS):
        head_ids, relation_ids, tail_ids = torch.from_numpy(batch[task]).unbind(1)
        logits = {"head": scorer.heads, "relation": scorer.relations, "tail": scorer.tails}[task](
            *[
                index_tensor
                for position, index_tensor in enumerate((head_ids, relation_ids, tail_ids))
                if position != task_index
            ]
        )
        question_rows, answers = (
            torch.from_numpy(index_array) for index_array in loss.true_triples.answers(task, batch[task])
        )
        total_loss = total_loss - torch.log_softmax(logits, dim=1)[question_rows, answers].mean()
    total_loss.backward()
    for own_gradient, parameter in zip(own_gradients, model.parameters(), strict=True):
        assert_close(own_gradient, parameter.grad)


def test_each_question_is_asked_once_an_epoch_with_all_its_answers() -> None:
    triples = small_graph()
    loss = AllCandidates(
        TrainingSettings("distmult", objective="cross-entropy", batch_size=30), triples.ids, N, R, "cpu"
    )
    for task_index, task in enumerate(TASKS):
        questions = np.concatenate([batch[task] for batch in loss.batches()])
        question_rows, answers = loss.true_triples.answers(task, questions)
        answered_triples = questions[question_rows].copy()
        answered_triples[:, task_index] = answers
        assert sorted(map(tuple, answered_triples.tolist())) == sorted(map(tuple, triples.ids.tolist()))
