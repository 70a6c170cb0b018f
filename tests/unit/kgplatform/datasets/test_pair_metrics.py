"""Retrieval's figures against the definitions in plain Python, and what no model may gain by."""

from __future__ import annotations

import itertools
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kgplatform.datasets.pair_metrics import (
    KS,
    RetrievalScores,
    chance,
    paired_bootstrap,
    popularity,
    retrieval_scores,
    score_retrieval,
)

Array = NDArray[np.float64]
Groups = NDArray[np.int64]
SEEDS = st.integers(0, 2**32 - 1)


def _metrics_by_definition(order: list[bool], k: int) -> tuple[float, float, float, float]:
    """P@k, R@k, the rank of the first relevant item and its reciprocal, of items in order: the definitions."""
    hits = sum(order[:k])
    first_rank = order.index(True) + 1
    return hits / k, hits / sum(order), first_rank, 1 / first_rank


def expected(cosines: list[int], relevant: list[bool], k: int) -> list[float]:
    """The means of `plain` over all orders that the cosines allow."""
    all_orders = itertools.permutations(range(len(cosines)))
    allowed_orders = [
        order
        for order in all_orders
        if all(cosines[first] >= cosines[second] for first, second in itertools.pairwise(order))
    ]
    figures = [_metrics_by_definition([relevant[position] for position in order], k) for order in allowed_orders]
    return [statistics.fmean(column) for column in zip(*figures, strict=True)]


def _random_vectors(seed: int, count: int, width: int = 8) -> Array:
    return np.random.default_rng(seed).normal(size=(count, width))


def at_angles(steps: list[int]) -> Array:
    """Vectors whose cosine with (1, 0) grows with their step; those of one step are the same."""
    angle = np.pi / 2 - np.array(steps) * 0.1
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _random_queries_and_items(
    seed: int, queries: int = 30, items: int = 50, groups: int = 12
) -> tuple[Array, Array, Groups, Groups]:
    """Queries and items of some groups; every query has an item."""
    generator = np.random.default_rng(seed)
    item_groups = np.concatenate([np.arange(groups), generator.integers(groups, size=items - groups)])
    return (
        _random_vectors(seed, queries),
        _random_vectors(seed + 1, items),
        generator.integers(groups, size=queries),
        item_groups,
    )


def _assert_same_scores(first: RetrievalScores, second: RetrievalScores) -> None:
    for figure_name in ("precision", "recall", "first", "reciprocal", "relevant"):
        np.testing.assert_allclose(
            getattr(first, figure_name), getattr(second, figure_name), rtol=0, atol=1e-12, err_msg=figure_name
        )


@given(st.data())
@example_settings(max_examples=150)
def test_ties_count_as_the_mean_of_all_their_orders(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    relevant = data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)).filter(any))
    cutoffs = (1, 2, 3, 9)
    scores = score_retrieval([[1.0, 0.0]], at_angles(steps), [1], np.array(relevant, dtype=int), cutoffs)
    for cutoff_index, cutoff in enumerate(cutoffs):
        figures = [
            scores.precision[0, cutoff_index],
            scores.recall[0, cutoff_index],
            scores.first[0],
            scores.reciprocal[0],
        ]
        assert figures == pytest.approx(expected(steps, relevant, cutoff))


@pytest.mark.parametrize("seed", range(10))
def test_the_definitions_where_nothing_ties(seed: int) -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(seed)
    scores = score_retrieval(queries, items, query_groups, item_groups)
    assert scores.items == 50
    for query in range(len(queries)):
        cosines = [
            float(queries[query] @ item / np.linalg.norm(queries[query]) / np.linalg.norm(item)) for item in items
        ]
        order = sorted(range(len(items)), key=lambda item: -cosines[item])
        for cutoff_index, cutoff in enumerate(KS):
            expected_figures = _metrics_by_definition(
                [bool(item_groups[item] == query_groups[query]) for item in order], cutoff
            )
            figures = (
                scores.precision[query, cutoff_index],
                scores.recall[query, cutoff_index],
                scores.first[query],
                scores.reciprocal[query],
            )
            assert figures == pytest.approx(expected_figures)
        assert scores.relevant[query] == sum(item_groups == query_groups[query])


@given(SEEDS, st.integers(1, 40))
def test_blocks_change_nothing(seed: int, block: int) -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(seed % 10_000)
    _assert_same_scores(
        score_retrieval(queries, items, query_groups, item_groups, block=block),
        score_retrieval(queries, items, query_groups, item_groups, block=1_000),
    )


@given(SEEDS, st.booleans())
def test_bounds_and_recall_grows_with_k(seed: int, coarse: bool) -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(seed % 10_000)
    if coarse:  # many ties
        queries, items = np.sign(queries[:, :2]), np.sign(items[:, :2])
    scores = score_retrieval(queries, items, query_groups, item_groups, ks=(1, 2, 5, 10, 49, 50, 51, 200))
    for figure in (scores.precision, scores.recall):
        assert (figure >= 0).all()
        assert (figure <= 1 + 1e-12).all()
    assert (np.diff(scores.recall, axis=1) >= -1e-12).all()
    hits = scores.precision * np.array(scores.ks)
    np.testing.assert_allclose(hits, scores.recall * scores.relevant[:, None], atol=1e-12)
    np.testing.assert_allclose(scores.recall[:, 5:], 1)  # k beyond the gallery finds all
    np.testing.assert_allclose(scores.precision[:, 7], scores.relevant / 200)
    assert ((scores.first >= 1) & (scores.first <= 50)).all()
    assert (scores.reciprocal >= 1 / scores.first - 1e-12).all()  # Jensen


@given(SEEDS, st.booleans())
def test_the_order_of_items_and_queries_does_not_matter(seed: int, coarse: bool) -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(seed % 10_000)
    if coarse:
        queries, items = np.sign(queries[:, :2]), np.sign(items[:, :2])
    generator = np.random.default_rng(seed)
    query_order, item_order = generator.permutation(len(queries)), generator.permutation(len(items))
    first_scores, second_scores = (
        score_retrieval(queries, items, query_groups, item_groups),
        score_retrieval(queries[query_order], items[item_order], query_groups[query_order], item_groups[item_order]),
    )
    np.testing.assert_allclose(first_scores.recall[query_order], second_scores.recall, atol=1e-12)
    np.testing.assert_allclose(first_scores.reciprocal[query_order], second_scores.reciprocal, atol=1e-12)


@given(SEEDS)
def test_lengths_and_numbers_of_groups_do_not_matter(seed: int) -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(seed % 10_000)
    lengths = np.random.default_rng(seed).uniform(0.1, 1e3, size=(len(items), 1))
    _assert_same_scores(
        score_retrieval(queries * 7, items * lengths, query_groups * 5 - 3, item_groups * 5 - 3),
        score_retrieval(queries, items, query_groups, item_groups),
    )


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_a_constant_model_is_as_good_as_chance(value: float) -> None:
    _, _, query_groups, item_groups = _random_queries_and_items(3)
    constant_scores = score_retrieval(np.full((30, 4), value), np.full((50, 4), value), query_groups, item_groups)
    _assert_same_scores(constant_scores, chance(query_groups, item_groups))
    noisy_items = np.full((50, 4), 1 / 3) * np.random.default_rng(1).uniform(
        0.5, 2, size=(50, 1)
    )  # the same but for rounding
    _assert_same_scores(
        score_retrieval(np.full((30, 4), 0.1), noisy_items.astype(np.float32), query_groups, item_groups),
        chance(query_groups, item_groups),
    )


def test_chance_is_what_random_orders_give() -> None:
    query_groups, item_groups = np.array([0, 1, 2]), np.array([0, 0, 0, 1, 2, 2, 3])
    orders = list(itertools.permutations(range(7)))
    scores = chance(query_groups, item_groups, (1, 3, 10))
    for query in range(3):
        for cutoff_index, cutoff in enumerate((1, 3, 10)):
            order_figures = [
                _metrics_by_definition([bool(item_groups[item] == query) for item in order], cutoff) for order in orders
            ]
            figures = [scores.precision[query, cutoff_index], scores.recall[query, cutoff_index], scores.first[query]]
            assert [*figures, scores.reciprocal[query]] == pytest.approx(
                [statistics.fmean(column) for column in zip(*order_figures, strict=True)]
            )


def test_both_directions_of_a_perfect_model_with_several_images_a_text() -> None:
    groups = np.array([0, 1, 1, 2, 0, 1])
    text_vectors = np.eye(3)
    scores = retrieval_scores(text_vectors[groups], text_vectors, groups, (1, 2, 5))
    text_to_image, image_to_text = scores["text_to_image"], scores["image_to_text"]
    assert text_to_image.relevant.tolist() == [2, 3, 1]
    np.testing.assert_allclose(text_to_image.recall, [[1 / 2, 1, 1], [1 / 3, 2 / 3, 1], [1.0, 1, 1]])
    np.testing.assert_allclose(text_to_image.precision, [[1, 1, 2 / 5], [1, 1, 3 / 5], [1, 1 / 2, 1 / 5]])
    assert image_to_text.relevant.tolist() == [1] * 6
    np.testing.assert_allclose(image_to_text.recall, 1)
    np.testing.assert_allclose(image_to_text.precision, np.tile([1, 1 / 2, 1 / 5], (6, 1)))
    assert text_to_image.means()["MRR"] == image_to_text.means()["MRR"] == 1
    assert text_to_image.means()["median rank"] == 1
    assert text_to_image.as_dict()["relevant"] == 2
    assert list(text_to_image.means()) == ["P@1", "P@2", "P@5", "R@1", "R@2", "R@5", "MRR", "median rank"]
    assert text_to_image.at("R@5").tolist() == [1, 1, 1]


def test_popularity_ranks_by_what_training_says_most_often() -> None:
    query_groups = np.array([0, 0, 0, 1, 2])
    scores = popularity([9, 5, 5, 1], query_groups, np.arange(4), (1, 2, 3, 4))
    np.testing.assert_allclose(scores.recall[0], [1, 1, 1, 1])
    np.testing.assert_allclose(scores.recall[3], [0, 1 / 2, 1, 1])
    _assert_same_scores(scores, popularity([900.0, 0.2, 0.2, -1], query_groups, np.arange(4), (1, 2, 3, 4), block=2))
    _assert_same_scores(popularity([1, 1, 1, 1], query_groups, np.arange(4)), chance(query_groups, np.arange(4)))
    image_groups = np.array([0, 0, 1, 2, 2, 2])  # texts look for images: any ranking that is the same for all
    fixed_scores, chance_scores = (
        popularity([5, 1, 3, 2, 6, 4], np.arange(3), image_groups),
        chance(np.arange(3), image_groups),
    )
    np.testing.assert_allclose(fixed_scores.precision.mean(axis=0), chance_scores.precision.mean(axis=0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_vectors_that_are_no_numbers_are_refused(bad: float, side: int) -> None:
    queries, items = _random_vectors(1, 5), _random_vectors(2, 5)
    (queries, items)[side][3, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        score_retrieval(queries, items, np.arange(5), np.arange(5))
    with pytest.raises(ValueError, match="not finite"):
        popularity([bad], [0], [0])
    with pytest.raises(ValueError, match="not finite"):
        paired_bootstrap([bad], [0])


def test_shapes_that_do_not_fit_are_refused() -> None:
    five_groups = np.arange(5)
    with pytest.raises(ValueError, match="1 of 5 queries have no relevant item"):
        score_retrieval(_random_vectors(1, 5), _random_vectors(2, 5), five_groups, [0, 1, 2, 3, 3])
    with pytest.raises(ValueError, match="0 of 0 queries"):
        chance([], [1])
    with pytest.raises(ValueError, match="8 values and items 4"):
        score_retrieval(_random_vectors(1, 5), _random_vectors(2, 5, 4), five_groups, five_groups)
    with pytest.raises(ValueError, match="not as many vectors"):
        score_retrieval(_random_vectors(1, 5), _random_vectors(2, 5), five_groups[:4], five_groups)
    with pytest.raises(ValueError, match="not as many vectors"):
        score_retrieval(_random_vectors(1, 4), _random_vectors(2, 5), five_groups, five_groups)
    with pytest.raises(ValueError, match="not as many vectors"):
        score_retrieval(_random_vectors(1, 5), _random_vectors(2, 6), five_groups, five_groups)
    with pytest.raises(ValueError, match=r"shape \(0, 3\)"):
        score_retrieval(np.zeros((0, 3)), _random_vectors(2, 5, 3), [], five_groups)
    for cutoffs in ((), (0,), (5, -1)):
        with pytest.raises(ValueError, match="at least 1"):
            score_retrieval(_random_vectors(1, 5), _random_vectors(2, 5), five_groups, five_groups, cutoffs)


def test_very_long_and_very_short_vectors_have_their_cosines() -> None:
    queries, items, query_groups, item_groups = _random_queries_and_items(4)
    _assert_same_scores(
        score_retrieval(queries * 1e200, items * 1e-200, query_groups, item_groups),
        score_retrieval(queries, items, query_groups, item_groups),
    )


def test_the_bootstrap_is_of_differences_query_by_query() -> None:
    generator = np.random.default_rng(0)
    difficulty = generator.random(400)
    better, baseline = difficulty + 0.02 + generator.normal(0, 0.01, 400), difficulty
    interval = paired_bootstrap(better, baseline, repeats=2_000)
    assert interval.value == pytest.approx(float((better - baseline).mean()))
    assert interval.low < interval.value < interval.high
    half_width = 1.96 * 0.01 / 20
    assert interval.high - interval.value == pytest.approx(half_width, rel=0.15)
    assert paired_bootstrap(better, baseline, repeats=2_000) == interval
    assert paired_bootstrap(better, baseline, repeats=2_000, seed=1) != interval
    reversed_interval = paired_bootstrap(baseline, better, repeats=2_000)
    assert (reversed_interval.value, reversed_interval.low, reversed_interval.high) == pytest.approx(
        (-interval.value, -interval.high, -interval.low)
    )
    assert paired_bootstrap(difficulty, difficulty).as_dict() == {"value": 0, "low": 0, "high": 0}


def test_seeds_are_averaged_first() -> None:
    generator = np.random.default_rng(1)
    first_runs, second_runs = generator.random((5, 60)), generator.random((3, 60))
    assert paired_bootstrap(first_runs, second_runs) == paired_bootstrap(
        first_runs.mean(axis=0), second_runs.mean(axis=0)
    )
    assert paired_bootstrap(first_runs.mean(axis=0), second_runs).value == pytest.approx(
        first_runs.mean() - second_runs.mean()
    )


def test_queries_of_one_subject_are_drawn_together() -> None:
    generator = np.random.default_rng(2)
    subjects = np.repeat([f"p{number}" for number in range(50)], 8)
    effect = np.repeat(generator.normal(0, 1, 50), 8)
    by_query = paired_bootstrap(effect, np.zeros(400), repeats=2_000)
    by_subject = paired_bootstrap(effect, np.zeros(400), subjects, repeats=2_000)
    assert by_subject.value == pytest.approx(by_query.value)
    assert (by_subject.high - by_subject.low) / (by_query.high - by_query.low) == pytest.approx(8**0.5, rel=0.15)
    uneven = paired_bootstrap([1.0, 1, 1, 0], [0.0] * 4, ["a", "a", "a", "b"], repeats=500)
    assert (uneven.value, uneven.low, uneven.high) == (0.75, 0, 1)
    by_number = paired_bootstrap(effect, np.zeros(400), np.arange(400), repeats=2_000)
    assert by_number == by_query


def test_figures_that_do_not_make_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="3 and 4 queries"):
        paired_bootstrap([1, 2, 3], [1, 2, 3, 4])
    with pytest.raises(ValueError, match="0 and 0 queries"):
        paired_bootstrap([], [])
    with pytest.raises(ValueError, match="2 clusters for 3"):
        paired_bootstrap([1, 2, 3], [1, 2, 3], ["a", "b"])


@pytest.mark.parametrize(("above", "level", "among"), [(0, 5, 2), (3, 4, 4), (7, 1, 1), (2, 6, 1)])
def test_the_expected_reciprocal_rank_exactly(above: int, level: int, among: int) -> None:
    steps = [9] * above + [5] * level
    relevant = [0] * above + [1] * among + [0] * (level - among)
    scores = score_retrieval([[1.0, 0.0]], at_angles(steps), [1], relevant)
    placements = list(itertools.combinations(range(level), among))
    expected_rank = sum(Fraction(1, above + 1 + placement[0]) for placement in placements) / len(placements)
    assert scores.reciprocal[0] == pytest.approx(float(expected_rank))
