"""Baselines and the pool, each against a few plain lines that compute it again."""

from __future__ import annotations

import math

import pytest

from kgplatform.export import splits
from kgplatform.export.splits import Split
from tests.unit.link_graphs import QUICK, N, R, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction.baselines import BASELINES, Frequency, InverseRule, Neighbours  # noqa: E402
from kgp_models.link_prediction.evaluate import TASKS, Known, evaluate  # noqa: E402
from kgp_models.link_prediction.pool import Pool  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train  # noqa: E402


@pytest.fixture
def split() -> Split:
    return splits.make("paper", small_graph(), 1)


def test_the_frequency_baseline_counts(split: Split) -> None:
    scorer = Frequency(split)
    train_rows = split.train.tolist()
    for h, r, t in split.test[:10].tolist():
        ours = scorer.tails(torch.tensor([h]), torch.tensor([r]))[0]
        assert int(ours[t]) == sum(row[1] == r and row[2] == t for row in train_rows)
        ours = scorer.heads(torch.tensor([r]), torch.tensor([t]))[0]
        assert int(ours[h]) == sum(row[1] == r and row[0] == h for row in train_rows)
    concept, image = N - 1, 0
    relations = scorer.relations(torch.tensor([image, concept]), torch.tensor([concept, concept - 1]))
    assert relations.argmax(dim=1).tolist()[0] == 0
    assert relations.argmax(dim=1).tolist()[1] in (1, 2)


def test_the_inverse_rule_finds_what_training_has_the_other_way_round() -> None:
    triples = small_graph(edges=200, entities=40)
    split = splits.make("paper", triples, 0)
    scorer = InverseRule(split)
    seen = {tuple(row) for row in split.train.tolist()}
    inverse = {1: 2, 2: 1}
    found = [(h, r, t) for h, r, t in split.test.tolist() if r in inverse and (t, inverse[r], h) in seen]
    assert found
    for h, r, t in found:
        assert float(scorer.tails(torch.tensor([h]), torch.tensor([r]))[0, t]) > 0.5
        assert float(scorer.heads(torch.tensor([r]), torch.tensor([t]))[0, h]) > 0.5
        if h != t:
            assert (
                int(scorer.relations(torch.tensor([h]), torch.tensor([t]))[0].argmax()) == r
                or (h, inverse[r], t) in seen
            )


def test_neighbours_are_weighted_by_the_cosine_of_their_edges(split: Split) -> None:
    train_rows = split.train.tolist()
    edges = [{(r, "to", t) for h, r, t in train_rows if h == e} | {(r, "from", h) for h, r, t in train_rows if t == e}
             for e in range(N)]  # fmt: skip
    weight = {edge: math.log(N / sum(edge in of for of in edges)) for of in edges for edge in of}
    norms = [math.sqrt(sum(weight[edge] ** 2 for edge in of)) + Neighbours.DAMPING for of in edges]

    def alike(a: int, b: int) -> float:
        return 0.0 if a == b else sum(weight[x] ** 2 for x in edges[a] & edges[b]) / norms[a] / norms[b]

    scorer = Neighbours(split)
    for h, r, t in split.test[:6].tolist():
        one = [torch.tensor([x]) for x in (h, r, t)]
        tails = [sum(alike(h, a) for a, b, c in train_rows if (b, c) == (r, e)) for e in range(N)]
        heads = [sum(alike(t, c) for a, b, c in train_rows if (a, b) == (e, r)) for e in range(N)]
        relations = [
            sum(alike(h, a) for a, b, c in train_rows if (b, c) == (q, t))
            + sum(alike(t, c) for a, b, c in train_rows if (a, b) == (h, q))
            for q in range(R)
        ]
        assert scorer.tails(one[0], one[1])[0].tolist() == pytest.approx(tails, abs=1e-5)
        assert scorer.heads(one[1], one[2])[0].tolist() == pytest.approx(heads, abs=1e-5)
        assert scorer.relations(one[0], one[2])[0].tolist() == pytest.approx(relations, abs=1e-5)


def test_a_pool_is_at_least_as_likely_as_its_best_member_on_validation() -> None:
    triples = small_graph(edges=300, entities=60)
    split = splits.make("paper", triples, 0)
    trained = train(TrainingSettings.of({**QUICK, "epochs": 10}), split)
    pool = Pool(split, {"distmult": trained.scorer}).fit(split)
    assert pool.names == ["distmult", *BASELINES]
    known = Known(triples.ids, triples.num_entities, triples.num_relations)
    for task in TASKS:
        assert (pool.weights[task] >= 0).all()
        pooled = likelihood(pool, task, split, known)
        for number in range(len(pool.names)):
            alone = Pool(split, {"distmult": trained.scorer})
            alone.weights[task] = torch.zeros_like(alone.weights[task])
            alone.weights[task][:, number] = 1.0
            assert pooled >= likelihood(alone, task, split, known) - 1e-3


def likelihood(pool: Pool, task: str, split: Split, known: Known) -> float:
    """The mean log-probability of the validation answers among the candidates not known to be true."""
    place, total = TASKS.index(task), 0.0
    for row in split.valid:
        h, r, t = torch.from_numpy(row).unsqueeze(1)
        with torch.no_grad():
            scores = {"head": pool.heads, "relation": pool.relations, "tail": pool.tails}[task](
                *[x for i, x in enumerate((h, r, t)) if i != place]
            )[0]
        true = scores[row[place]].clone()
        scores[known.answers(task, row[None])[1]] = -torch.inf
        scores[row[place]] = true
        total += float(true - scores.logsumexp(0))
    return total / len(split.valid)


def test_baselines_answer_in_the_shapes_that_ranks_need(split: Split) -> None:
    known = Known(split.triples.ids, N, R)
    for scorer in (make(split) for make in BASELINES.values()):
        metrics = evaluate(scorer, split.test, known).metrics()
        assert metrics["tail"].mr < (N + 1) / 2
