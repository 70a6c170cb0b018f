"""Ranks, each against a slow count of candidates, and against PyKEEN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from kgplatform.errors import KgpError
from kgplatform.export import splits
from kgplatform.export.splits import Split
from tests.unit.link_graphs import QUICK, N, R, Table, small_graph

torch = pytest.importorskip("torch")

from kgp_models.link_prediction.evaluate import TASKS, Known, Metrics, evaluate  # noqa: E402
from kgp_models.link_prediction.settings import TrainingSettings  # noqa: E402
from kgp_models.link_prediction.train import train  # noqa: E402


@pytest.fixture
def split() -> Split:
    return splits.make("paper", small_graph(), 1)


def slow_rank(scores: np.ndarray, triple: tuple[int, int, int], place: int, true: set[tuple[int, int, int]]) -> float:
    """The realistic rank, candidate by candidate."""
    higher = equal = 0
    for candidate in range(scores.shape[place]):
        other = (*triple[:place], candidate, *triple[place + 1 :])
        if other == triple or other in true:
            continue
        higher += scores[other] > scores[triple]
        equal += scores[other] == scores[triple]
    return 1 + higher + equal / 2


@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(1, 4), st.integers(1, 5), st.integers(1, 7))
@hypothesis_settings(max_examples=60)
def test_ranks_equal_a_slow_count_of_candidates_with_ties(seed: int, n: int, m: int, values: int, batch: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(values, size=(n, m, n)).astype(float)  # few values, so many ties
    every = np.argwhere(random.random((n, m, n)) < 0.4)
    if not len(every):
        return
    test = every[random.permutation(len(every))[: len(every) // 2 + 1]]
    result = evaluate(Table(scores), test, Known(every, n, m), batch=batch)
    true = {tuple(row) for row in every.tolist()}
    for place, task in enumerate(TASKS):
        for row, triple in enumerate(map(tuple, test.tolist())):
            assert result.filtered[task][row] == slow_rank(scores, triple, place, true)
            assert result.raw[task][row] == slow_rank(scores, triple, place, set())


def test_metrics_are_their_definitions() -> None:
    metrics = Metrics.of(np.array([1.0, 2.5, 4.0, 20.0]))
    assert metrics.mr == (1 + 2.5 + 4 + 20) / 4
    assert metrics.mrr == pytest.approx((1 + 1 / 2.5 + 1 / 4 + 1 / 20) / 4)
    assert metrics.hits == {1: 25.0, 3: 50.0, 5: 75.0, 10: 75.0}
    assert math.isnan(Metrics.of(np.array([])).mr)


def test_a_constant_score_ranks_in_the_middle() -> None:
    triples = small_graph()
    known = Known(np.empty((0, 3), dtype=np.int64), N, R)
    known = Known(triples.ids[:5], N, R)
    result = evaluate(Table(np.zeros((N, R, N))), triples.ids[:5], known)
    assert result.raw["tail"].tolist() == [1 + (N - 1) / 2] * 5


def test_a_model_that_diverged_is_an_error() -> None:
    triples = small_graph()
    with pytest.raises(KgpError, match="diverged"):
        evaluate(Table(np.full((N, R, N), np.nan)), triples.ids[:3], Known(triples.ids, N, R))


def test_pykeen_computes_the_same_realistic_ranks(split: Split) -> None:
    from pykeen.evaluation import RankBasedEvaluator

    trained = train(TrainingSettings.of({**QUICK, "arguments": {"embedding_dim": 16}}), split)
    known = Known(split.triples.ids, N, R)
    ours = evaluate(trained.scorer, split.test, known).metrics()
    rest = [torch.from_numpy(part.copy()) for part in (split.train, split.valid)]
    theirs = RankBasedEvaluator().evaluate(
        trained.model,
        torch.from_numpy(split.test.copy()),
        additional_filter_triples=rest,
        use_tqdm=False,
        batch_size=16,
    )
    for task in ("head", "tail"):
        assert ours[task].mr == pytest.approx(theirs.get_metric(f"{task}.realistic.arithmetic_mean_rank"), rel=1e-6)
        assert ours[task].mrr == pytest.approx(
            theirs.get_metric(f"{task}.realistic.inverse_harmonic_mean_rank"), rel=1e-6
        )
        for k in (1, 3, 5, 10):
            assert ours[task].hits[k] == pytest.approx(100 * theirs.get_metric(f"{task}.realistic.hits_at_{k}"))
