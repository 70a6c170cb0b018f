"""Losses, each against its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kgplatform.errors import UsageError
from tests.unit.link_graphs import N, R, Table, assert_close, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction import zoo  # noqa: E402
from kgp_models.link_prediction.evaluate import TASKS  # noqa: E402
from kgp_models.link_prediction.objectives import AllCandidates, Sampled, objective  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402


@pytest.mark.parametrize("name", ["margin", "softplus", "self-adversarial"])
def test_sampled_losses_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "margin": 2.0, "negatives": 3, "temperature": 0.5}
    settings = TrainingSettings.of(document)
    loss = Sampled(settings, triples.ids, N, R, "cpu")
    scorer = Table(np.random.default_rng(0).normal(size=(N, R, N)))
    batch = torch.from_numpy(triples.ids[:4])
    torch.manual_seed(5)
    value = loss.loss(scorer, batch).item()  # type: ignore[arg-type]
    torch.manual_seed(5)
    negatives = loss.corrupted(batch, 3)
    sigmoid = lambda x: 1 / (1 + math.exp(-x))  # noqa: E731
    terms = []
    for i, triple in enumerate(batch.tolist()):
        true = float(scorer.scores[tuple(triple)])
        false = [float(scorer.scores[tuple(row)]) for row in negatives[3 * i : 3 * i + 3].tolist()]
        if name == "margin":
            terms.append(np.mean([max(0.0, 2 + f - true) for f in false]))
        elif name == "softplus":
            terms.append((math.log(1 + math.exp(-true)) + np.mean([math.log(1 + math.exp(f)) for f in false])) / 2)
        else:
            weights = np.exp(0.5 * np.array(false)) / np.exp(0.5 * np.array(false)).sum()
            against = -sum(w * math.log(sigmoid(-2 - f)) for w, f in zip(weights, false, strict=True))
            terms.append((against - math.log(sigmoid(2 + true))) / 2)
    assert value == pytest.approx(np.mean(terms), rel=1e-9)


def test_a_corrupted_triple_differs_in_one_part_and_the_parts_take_turns() -> None:
    triples = small_graph()
    loss = Sampled(TrainingSettings("distmult", negatives=3), triples.ids, N, R, "cpu")
    batch = torch.from_numpy(triples.ids)
    different = (loss.corrupted(batch, 3) != batch.repeat_interleave(3, dim=0)).numpy()
    assert different.sum(axis=1).tolist() == [1] * (3 * len(batch))
    assert different.sum(axis=0).tolist() == [len(batch)] * 3


def test_the_only_relation_of_a_graph_is_not_replaced() -> None:
    batch = torch.tensor([[0, 0, 1], [1, 0, 2]])
    loss = Sampled(TrainingSettings("distmult", negatives=4), batch.numpy(), 3, 1, "cpu")
    different = (loss.corrupted(batch, 4) != batch.repeat_interleave(4, dim=0)).numpy()
    assert different.sum(axis=0).tolist() == [4, 0, 4]
    with pytest.raises(UsageError, match="one relation"):
        Sampled(TrainingSettings("distmult", corrupt=("relation",)), batch.numpy(), 3, 1, "cpu")


@pytest.mark.parametrize("name", ["cross-entropy", "binary-cross-entropy"])
def test_losses_over_all_candidates_are_their_formulas(name: str) -> None:
    triples = small_graph()
    document = {"model": "distmult", "objective": name, "relation_weight": 0.25, "batch_size": 40}
    if name == "binary-cross-entropy":
        document["label_smoothing"] = 0.1
    loss = AllCandidates(TrainingSettings.of(document), triples.ids, N, R, "cpu")
    scores = np.random.default_rng(0).normal(size=(N, R, N))
    true = {tuple(row) for row in triples.ids.tolist()}
    batches = list(loss.batches())
    assert len(batches) == math.ceil(len(triples) / 40)
    for batch in batches:
        expected = 0.0
        for place, slot in enumerate(TASKS):
            total, count = 0.0, 0
            for question in map(tuple, batch[slot].tolist()):
                candidates = [(*question[:place], c, *question[place + 1 :]) for c in range((N, R, N)[place])]
                values = np.array([scores[c] for c in candidates])
                labels = np.array([float(c in true) for c in candidates])
                if name == "cross-entropy":
                    total += (labels * (np.log(np.exp(values).sum()) - values)).sum()
                    count += labels.sum()
                else:
                    labels = 0.9 * labels + 0.1 / len(labels)
                    total -= (labels * np.log(1 / (1 + np.exp(-values)))).sum()
                    total -= ((1 - labels) * np.log(1 / (1 + np.exp(values)))).sum()
                    count += len(labels)
            expected += (0.25 if slot == "relation" else 1.0) * total / count
        assert loss.loss(Table(scores), batch).item() == pytest.approx(expected, rel=1e-6)  # type: ignore[arg-type]


def test_the_fast_gradient_of_cross_entropy_is_autograds() -> None:
    triples = small_graph()
    settings = TrainingSettings.of(
        {"model": "distmult", "objective": "cross-entropy", "arguments": {"embedding_dim": 6}}
    )
    model, scorer = zoo.build(settings, N, R, seed=0)
    loss = objective(settings, triples.ids, N, R)
    assert isinstance(loss, AllCandidates)
    batch = next(loss.batches())
    loss.loss(scorer, batch).backward()
    ours = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    total = torch.zeros(())
    for place, slot in enumerate(TASKS):
        h, r, t = torch.from_numpy(batch[slot]).unbind(1)
        logits = {"head": scorer.heads, "relation": scorer.relations, "tail": scorer.tails}[slot](
            *[x for i, x in enumerate((h, r, t)) if i != place]
        )
        rows, answers = (torch.from_numpy(ids) for ids in loss.known.answers(slot, batch[slot]))
        total = total - torch.log_softmax(logits, dim=1)[rows, answers].mean()
    total.backward()
    for mine, parameter in zip(ours, model.parameters(), strict=True):
        assert_close(mine, parameter.grad)


def test_each_question_is_asked_once_an_epoch_with_all_its_answers() -> None:
    triples = small_graph()
    loss = AllCandidates(
        TrainingSettings("distmult", objective="cross-entropy", batch_size=30), triples.ids, N, R, "cpu"
    )
    for place, slot in enumerate(TASKS):
        asked = np.concatenate([batch[slot] for batch in loss.batches()])
        rows, answers = loss.known.answers(slot, asked)
        back = asked[rows].copy()
        back[:, place] = answers
        assert sorted(map(tuple, back.tolist())) == sorted(map(tuple, triples.ids.tolist()))
