"""Ranks, each against a slow count of candidates, and against PyKEEN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import KgpError
from tests.unit.models.link_prediction.link_graphs import QUICK, N, R, TableScorer, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction.evaluate import TASKS, Metrics, TrueTriples, evaluate  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train_link_model  # noqa: E402


@pytest.fixture
def evaluation_split() -> Split:
    return splits.make("paper", small_graph(), 1)


def slow_rank(scores: np.ndarray, triple: tuple[int, int, int], column: int, true: set[tuple[int, ...]]) -> float:
    """The realistic rank, candidate by candidate."""
    higher_count = equal_count = 0
    for candidate in range(scores.shape[column]):
        other_triple = (*triple[:column], candidate, *triple[column + 1 :])
        if other_triple == triple or other_triple in true:
            continue
        higher_count += scores[other_triple] > scores[triple]
        equal_count += scores[other_triple] == scores[triple]
    return 1 + higher_count + equal_count / 2


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 7))
@hypothesis_settings(max_examples=60)
def test_ranks_equal_a_slow_count_of_candidates_with_ties(seed: int, n: int, m: int, values: int, batch: int) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.integers(values, size=(n, m, n)).astype(float)  # few values, so many ties
    true_triples = np.argwhere(generator.random((n, m, n)) < 0.4)
    if not len(true_triples):
        return
    test_triples = true_triples[generator.permutation(len(true_triples))[: len(true_triples) // 2 + 1]]
    result = evaluate(TableScorer(scores), test_triples, TrueTriples(true_triples, n, m), batch=batch)
    true_set = {tuple(row) for row in true_triples.tolist()}
    for task_index, task in enumerate(TASKS):
        for row, triple in enumerate(map(tuple, test_triples.tolist())):
            assert result.filtered[task][row] == slow_rank(scores, triple, task_index, true_set)
            assert result.raw[task][row] == slow_rank(scores, triple, task_index, set())


def test_metrics_are_their_definitions() -> None:
    metrics = Metrics.from_ranks(np.array([1.0, 2.5, 4.0, 20.0]))
    assert metrics.mr == (1 + 2.5 + 4 + 20) / 4
    assert metrics.mrr == pytest.approx((1 + 1 / 2.5 + 1 / 4 + 1 / 20) / 4)
    assert metrics.hits == {1: 25.0, 3: 50.0, 5: 75.0, 10: 75.0}
    assert math.isnan(Metrics.from_ranks(np.array([])).mr)


def test_a_constant_score_ranks_in_the_middle() -> None:
    triples = small_graph()
    true_triples = TrueTriples(np.empty((0, 3), dtype=np.int64), N, R)
    true_triples = TrueTriples(triples.ids[:5], N, R)
    result = evaluate(TableScorer(np.zeros((N, R, N))), triples.ids[:5], true_triples)
    assert result.raw["tail"].tolist() == [1 + (N - 1) / 2] * 5


def test_a_model_that_diverged_is_an_error() -> None:
    triples = small_graph()
    with pytest.raises(KgpError, match="diverged"):
        evaluate(TableScorer(np.full((N, R, N), np.nan)), triples.ids[:3], TrueTriples(triples.ids, N, R))


def test_pykeen_computes_the_same_realistic_ranks(evaluation_split: Split) -> None:
    from pykeen.evaluation import RankBasedEvaluator

    trained_model = train_link_model(
        TrainingSettings.from_document({**QUICK, "arguments": {"embedding_dim": 16}}), evaluation_split
    )
    true_triples = TrueTriples(evaluation_split.triples.ids, N, R)
    own_metrics = evaluate(trained_model.scorer, evaluation_split.test, true_triples).metrics()
    filter_triples = [
        torch.from_numpy(split_part.copy()) for split_part in (evaluation_split.train, evaluation_split.valid)
    ]
    pykeen_result = RankBasedEvaluator().evaluate(
        trained_model.model,
        torch.from_numpy(evaluation_split.test.copy()),
        additional_filter_triples=filter_triples,
        use_tqdm=False,
        batch_size=16,
    )
    for task in ("head", "tail"):
        assert own_metrics[task].mr == pytest.approx(
            pykeen_result.get_metric(f"{task}.realistic.arithmetic_mean_rank"), rel=1e-6
        )
        assert own_metrics[task].mrr == pytest.approx(
            pykeen_result.get_metric(f"{task}.realistic.inverse_harmonic_mean_rank"), rel=1e-6
        )
        for cutoff in (1, 3, 5, 10):
            assert own_metrics[task].hits[cutoff] == pytest.approx(
                100 * pykeen_result.get_metric(f"{task}.realistic.hits_at_{cutoff}")
            )
