"""Baselines and the pool, each against a few plain lines that compute it again."""

from __future__ import annotations

import math

import pytest

from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from tests.unit.models.link_prediction.link_graphs import QUICK, N, R, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction.baselines import BASELINES, Frequency, InverseRule, Neighbours  # noqa: E402
from kgp_models.link_prediction.evaluate import TASKS, TrueTriples, evaluate  # noqa: E402
from kgp_models.link_prediction.pool import Pool  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train_link_model  # noqa: E402


@pytest.fixture
def baseline_split() -> Split:
    return splits.make("paper", small_graph(), 1)


def test_the_frequency_baseline_counts(baseline_split: Split) -> None:
    scorer = Frequency(baseline_split)
    train_rows = baseline_split.train.tolist()
    for head, relation, tail in baseline_split.test[:10].tolist():
        scores = scorer.tails(torch.tensor([head]), torch.tensor([relation]))[0]
        assert int(scores[tail]) == sum(train_row[1] == relation and train_row[2] == tail for train_row in train_rows)
        scores = scorer.heads(torch.tensor([relation]), torch.tensor([tail]))[0]
        assert int(scores[head]) == sum(train_row[1] == relation and train_row[0] == head for train_row in train_rows)
    concept, image = N - 1, 0
    relations = scorer.relations(torch.tensor([image, concept]), torch.tensor([concept, concept - 1]))
    assert relations.argmax(dim=1).tolist()[0] == 0
    assert relations.argmax(dim=1).tolist()[1] in (1, 2)


def test_the_inverse_rule_finds_what_training_has_the_other_way_round() -> None:
    triples = small_graph(edges=200, entities=40)
    split = splits.make("paper", triples, 0)
    scorer = InverseRule(split)
    training_triples = {tuple(triple) for triple in split.train.tolist()}
    inverse_relations = {1: 2, 2: 1}
    inverse_triples = [
        (head, relation, tail)
        for head, relation, tail in split.test.tolist()
        if relation in inverse_relations and (tail, inverse_relations[relation], head) in training_triples
    ]
    assert inverse_triples
    for head, relation, tail in inverse_triples:
        assert float(scorer.tails(torch.tensor([head]), torch.tensor([relation]))[0, tail]) > 0.5
        assert float(scorer.heads(torch.tensor([relation]), torch.tensor([tail]))[0, head]) > 0.5
        if head != tail:
            assert (
                int(scorer.relations(torch.tensor([head]), torch.tensor([tail]))[0].argmax()) == relation
                or (head, inverse_relations[relation], tail) in training_triples
            )


def test_neighbours_are_weighted_by_the_cosine_of_their_edges(baseline_split: Split) -> None:
    train_rows = baseline_split.train.tolist()
    edges_by_entity = [
        {(relation, "to", tail) for head, relation, tail in train_rows if head == entity}
        | {(relation, "from", head) for head, relation, tail in train_rows if tail == entity}
        for entity in range(N)
    ]
    edge_weights = {
        edge: math.log(N / sum(edge in entity_edges for entity_edges in edges_by_entity))
        for entity_edges in edges_by_entity
        for edge in entity_edges
    }
    edge_norms = [
        math.sqrt(sum(edge_weights[edge] ** 2 for edge in entity_edges)) + Neighbours.DAMPING
        for entity_edges in edges_by_entity
    ]

    def alike(a: int, b: int) -> float:
        return (
            0.0
            if a == b
            else sum(edge_weights[x] ** 2 for x in edges_by_entity[a] & edges_by_entity[b])
            / edge_norms[a]
            / edge_norms[b]
        )

    scorer = Neighbours(baseline_split)
    for head, relation, tail in baseline_split.test[:6].tolist():
        query_tensors = [torch.tensor([x]) for x in (head, relation, tail)]
        tail_scores = [
            sum(alike(head, a) for a, b, c in train_rows if (b, c) == (relation, entity)) for entity in range(N)
        ]
        head_scores = [
            sum(alike(tail, c) for a, b, c in train_rows if (a, b) == (entity, relation)) for entity in range(N)
        ]
        relation_scores = [
            sum(alike(head, a) for a, b, c in train_rows if (b, c) == (candidate_relation, tail))
            + sum(alike(tail, c) for a, b, c in train_rows if (a, b) == (head, candidate_relation))
            for candidate_relation in range(R)
        ]
        assert scorer.tails(query_tensors[0], query_tensors[1])[0].tolist() == pytest.approx(tail_scores, abs=1e-5)
        assert scorer.heads(query_tensors[1], query_tensors[2])[0].tolist() == pytest.approx(head_scores, abs=1e-5)
        assert scorer.relations(query_tensors[0], query_tensors[2])[0].tolist() == pytest.approx(
            relation_scores, abs=1e-5
        )


def test_a_pool_is_at_least_as_likely_as_its_best_member_on_validation() -> None:
    triples = small_graph(edges=300, entities=60)
    split = splits.make("paper", triples, 0)
    trained_model = train_link_model(TrainingSettings.from_document({**QUICK, "epochs": 10}), split)
    pool = Pool(split, {"distmult": trained_model.scorer}).fit(split)
    assert pool.names == ["distmult", *BASELINES]
    true_triples = TrueTriples(triples.ids, triples.num_entities, triples.num_relations)
    for task in TASKS:
        assert (pool.weights[task] >= 0).all()
        pooled_likelihood = likelihood(pool, task, split, true_triples)
        for member_number in range(len(pool.names)):
            single_pool = Pool(split, {"distmult": trained_model.scorer})
            single_pool.weights[task] = torch.zeros_like(single_pool.weights[task])
            single_pool.weights[task][:, member_number] = 1.0
            assert pooled_likelihood >= likelihood(single_pool, task, split, true_triples) - 1e-3


def likelihood(pool: Pool, task: str, split: Split, true_triples: TrueTriples) -> float:
    """The mean log-probability of the validation answers among the candidates not known to be true."""
    target_position, total = TASKS.index(task), 0.0
    for triple in split.valid:
        head, relation, tail = torch.from_numpy(triple).unsqueeze(1)
        with torch.no_grad():
            scores = {"head": pool.heads, "relation": pool.relations, "tail": pool.tails}[task](
                *[
                    index_tensor
                    for position, index_tensor in enumerate((head, relation, tail))
                    if position != target_position
                ]
            )[0]
        true_score = scores[triple[target_position]].clone()
        scores[true_triples.answers(task, triple[None])[1]] = -torch.inf
        scores[triple[target_position]] = true_score
        total += float(true_score - scores.logsumexp(0))
    return total / len(split.valid)


def test_baselines_answer_in_the_shapes_that_ranks_need(baseline_split: Split) -> None:
    true_triples = TrueTriples(baseline_split.triples.ids, N, R)
    for scorer in (build_scorer(baseline_split) for build_scorer in BASELINES.values()):
        metrics = evaluate(scorer, baseline_split.test, true_triples).metrics()
        assert metrics["tail"].mr < (N + 1) / 2
