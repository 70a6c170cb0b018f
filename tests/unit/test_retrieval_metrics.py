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

from kgplatform.retrieval.metrics import KS, Scores, both, chance, paired_bootstrap, popularity, score

Array = NDArray[np.float64]
SEEDS = st.integers(0, 2**32 - 1)


def plain(order: list[bool], k: int) -> tuple[float, float, float, float]:
    """P@k, R@k, the rank of the first relevant item and its reciprocal, of items in order: the definitions."""
    hits = sum(order[:k])
    first = order.index(True) + 1
    return hits / k, hits / sum(order), first, 1 / first


def expected(cosines: list[int], relevant: list[bool], k: int) -> list[float]:
    """The means of `plain` over all orders that the cosines allow."""
    places = itertools.permutations(range(len(cosines)))
    allowed = [order for order in places if all(cosines[a] >= cosines[b] for a, b in itertools.pairwise(order))]
    figures = [plain([relevant[place] for place in order], k) for order in allowed]
    return [statistics.fmean(column) for column in zip(*figures, strict=True)]


def vectors(seed: int, count: int, width: int = 8) -> Array:
    return np.random.default_rng(seed).normal(size=(count, width))


def at_angles(steps: list[int]) -> Array:
    """Vectors whose cosine with (1, 0) grows with their step; those of one step are the same."""
    angle = np.pi / 2 - np.array(steps) * 0.1
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def drawn(seed: int, queries: int = 30, items: int = 50, groups: int = 12) -> tuple[Array, Array, Array, Array]:
    """Queries and items of some groups; every query has an item."""
    rng = np.random.default_rng(seed)
    there = np.concatenate([np.arange(groups), rng.integers(groups, size=items - groups)])
    return vectors(seed, queries), vectors(seed + 1, items), rng.integers(groups, size=queries), there


def same(one: Scores, other: Scores) -> None:
    for name in ("precision", "recall", "first", "reciprocal", "relevant"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=0, atol=1e-12, err_msg=name)


@given(st.data())
@example_settings(max_examples=150)
def test_ties_count_as_the_mean_of_all_their_orders(data: st.DataObject) -> None:
    steps = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    relevant = data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps)).filter(any))
    ks = (1, 2, 3, 9)
    found = score([[1.0, 0.0]], at_angles(steps), [1], np.array(relevant, dtype=int), ks)
    for place, k in enumerate(ks):
        figures = [found.precision[0, place], found.recall[0, place], found.first[0], found.reciprocal[0]]
        assert figures == pytest.approx(expected(steps, relevant, k))


@pytest.mark.parametrize("seed", range(10))
def test_the_definitions_where_nothing_ties(seed: int) -> None:
    queries, items, asked, there = drawn(seed)
    found = score(queries, items, asked, there)
    assert found.items == 50
    for query in range(len(queries)):
        cosines = [
            float(queries[query] @ item / np.linalg.norm(queries[query]) / np.linalg.norm(item)) for item in items
        ]
        order = sorted(range(len(items)), key=lambda item: -cosines[item])
        for place, k in enumerate(KS):
            wanted = plain([bool(there[item] == asked[query]) for item in order], k)
            figures = (
                found.precision[query, place],
                found.recall[query, place],
                found.first[query],
                found.reciprocal[query],
            )
            assert figures == pytest.approx(wanted)
        assert found.relevant[query] == sum(there == asked[query])


@given(SEEDS, st.integers(1, 40))
def test_blocks_change_nothing(seed: int, block: int) -> None:
    queries, items, asked, there = drawn(seed % 10_000)
    same(score(queries, items, asked, there, block=block), score(queries, items, asked, there, block=1_000))


@given(SEEDS, st.booleans())
def test_bounds_and_recall_grows_with_k(seed: int, coarse: bool) -> None:
    queries, items, asked, there = drawn(seed % 10_000)
    if coarse:  # many ties
        queries, items = np.sign(queries[:, :2]), np.sign(items[:, :2])
    found = score(queries, items, asked, there, ks=(1, 2, 5, 10, 49, 50, 51, 200))
    for figure in (found.precision, found.recall):
        assert (figure >= 0).all()
        assert (figure <= 1 + 1e-12).all()
    assert (np.diff(found.recall, axis=1) >= -1e-12).all()
    hits = found.precision * np.array(found.ks)
    np.testing.assert_allclose(hits, found.recall * found.relevant[:, None], atol=1e-12)
    np.testing.assert_allclose(found.recall[:, 5:], 1)  # k beyond the gallery finds all
    np.testing.assert_allclose(found.precision[:, 7], found.relevant / 200)
    assert ((found.first >= 1) & (found.first <= 50)).all()
    assert (found.reciprocal >= 1 / found.first - 1e-12).all()  # Jensen


@given(SEEDS, st.booleans())
def test_the_order_of_items_and_queries_does_not_matter(seed: int, coarse: bool) -> None:
    queries, items, asked, there = drawn(seed % 10_000)
    if coarse:
        queries, items = np.sign(queries[:, :2]), np.sign(items[:, :2])
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(len(queries)), rng.permutation(len(items))
    first, second = (
        score(queries, items, asked, there),
        score(queries[rows], items[columns], asked[rows], there[columns]),
    )
    np.testing.assert_allclose(first.recall[rows], second.recall, atol=1e-12)
    np.testing.assert_allclose(first.reciprocal[rows], second.reciprocal, atol=1e-12)


@given(SEEDS)
def test_lengths_and_numbers_of_groups_do_not_matter(seed: int) -> None:
    queries, items, asked, there = drawn(seed % 10_000)
    scale = np.random.default_rng(seed).uniform(0.1, 1e3, size=(len(items), 1))
    same(score(queries * 7, items * scale, asked * 5 - 3, there * 5 - 3), score(queries, items, asked, there))


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_a_constant_model_is_as_good_as_chance(value: float) -> None:
    _, _, asked, there = drawn(3)
    constant = score(np.full((30, 4), value), np.full((50, 4), value), asked, there)
    same(constant, chance(asked, there))
    noisy = np.full((50, 4), 1 / 3) * np.random.default_rng(1).uniform(
        0.5, 2, size=(50, 1)
    )  # the same but for rounding
    same(score(np.full((30, 4), 0.1), noisy.astype(np.float32), asked, there), chance(asked, there))


def test_chance_is_what_random_orders_give() -> None:
    asked, there = np.array([0, 1, 2]), np.array([0, 0, 0, 1, 2, 2, 3])
    orders = list(itertools.permutations(range(7)))
    found = chance(asked, there, (1, 3, 10))
    for query in range(3):
        for place, k in enumerate((1, 3, 10)):
            each = [plain([bool(there[item] == query) for item in order], k) for order in orders]
            figures = [found.precision[query, place], found.recall[query, place], found.first[query]]
            assert [*figures, found.reciprocal[query]] == pytest.approx(
                [statistics.fmean(column) for column in zip(*each, strict=True)]
            )


def test_both_directions_of_a_perfect_model_with_several_images_a_text() -> None:
    groups = np.array([0, 1, 1, 2, 0, 1])
    texts = np.eye(3)
    found = both(texts[groups], texts, groups, (1, 2, 5))
    forth, back = found["text_to_image"], found["image_to_text"]
    assert forth.relevant.tolist() == [2, 3, 1]
    np.testing.assert_allclose(forth.recall, [[1 / 2, 1, 1], [1 / 3, 2 / 3, 1], [1, 1, 1]])
    np.testing.assert_allclose(forth.precision, [[1, 1, 2 / 5], [1, 1, 3 / 5], [1, 1 / 2, 1 / 5]])
    assert back.relevant.tolist() == [1] * 6
    np.testing.assert_allclose(back.recall, 1)
    np.testing.assert_allclose(back.precision, np.tile([1, 1 / 2, 1 / 5], (6, 1)))
    assert forth.means()["MRR"] == back.means()["MRR"] == 1
    assert forth.means()["median rank"] == 1
    assert forth.as_dict()["relevant"] == 2
    assert list(forth.means()) == ["P@1", "P@2", "P@5", "R@1", "R@2", "R@5", "MRR", "median rank"]
    assert forth.at("R@5").tolist() == [1, 1, 1]


def test_popularity_ranks_by_what_training_says_most_often() -> None:
    asked = np.array([0, 0, 0, 1, 2])
    found = popularity([9, 5, 5, 1], asked, np.arange(4), (1, 2, 3, 4))
    np.testing.assert_allclose(found.recall[0], [1, 1, 1, 1])
    np.testing.assert_allclose(found.recall[3], [0, 1 / 2, 1, 1])
    same(found, popularity([900.0, 0.2, 0.2, -1], asked, np.arange(4), (1, 2, 3, 4), block=2))
    same(popularity([1, 1, 1, 1], asked, np.arange(4)), chance(asked, np.arange(4)))
    images = np.array([0, 0, 1, 2, 2, 2])  # texts look for images: any ranking that is the same for all
    fixed, random = popularity([5, 1, 3, 2, 6, 4], np.arange(3), images), chance(np.arange(3), images)
    np.testing.assert_allclose(fixed.precision.mean(axis=0), random.precision.mean(axis=0))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_vectors_that_are_no_numbers_are_refused(bad: float, side: int) -> None:
    sides = [vectors(1, 5), vectors(2, 5)]
    sides[side][3, 2] = bad
    with pytest.raises(ValueError, match="not finite"):
        score(*sides, np.arange(5), np.arange(5))
    with pytest.raises(ValueError, match="not finite"):
        popularity([bad], [0], [0])
    with pytest.raises(ValueError, match="not finite"):
        paired_bootstrap([bad], [0])


def test_shapes_that_do_not_fit_are_refused() -> None:
    five = np.arange(5)
    with pytest.raises(ValueError, match="1 of 5 queries have no relevant item"):
        score(vectors(1, 5), vectors(2, 5), five, [0, 1, 2, 3, 3])
    with pytest.raises(ValueError, match="0 of 0 queries"):
        chance([], [1])
    with pytest.raises(ValueError, match="8 values and items 4"):
        score(vectors(1, 5), vectors(2, 5, 4), five, five)
    with pytest.raises(ValueError, match="not as many vectors"):
        score(vectors(1, 5), vectors(2, 5), five[:4], five)
    with pytest.raises(ValueError, match="not as many vectors"):
        score(vectors(1, 4), vectors(2, 5), five, five)
    with pytest.raises(ValueError, match="not as many vectors"):
        score(vectors(1, 5), vectors(2, 6), five, five)
    with pytest.raises(ValueError, match=r"shape \(0, 3\)"):
        score(np.zeros((0, 3)), vectors(2, 5, 3), [], five)
    for ks in ((), (0,), (5, -1)):
        with pytest.raises(ValueError, match="at least 1"):
            score(vectors(1, 5), vectors(2, 5), five, five, ks)


def test_very_long_and_very_short_vectors_have_their_cosines() -> None:
    queries, items, asked, there = drawn(4)
    same(score(queries * 1e200, items * 1e-200, asked, there), score(queries, items, asked, there))


def test_the_bootstrap_is_of_differences_query_by_query() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(400)
    one, other = hard + 0.02 + rng.normal(0, 0.01, 400), hard
    found = paired_bootstrap(one, other, repeats=2_000)
    assert found.value == pytest.approx(float((one - other).mean()))
    assert found.low < found.value < found.high
    wanted = 1.96 * 0.01 / 20
    assert found.high - found.value == pytest.approx(wanted, rel=0.15)
    assert paired_bootstrap(one, other, repeats=2_000) == found
    assert paired_bootstrap(one, other, repeats=2_000, seed=1) != found
    back = paired_bootstrap(other, one, repeats=2_000)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    assert paired_bootstrap(hard, hard).as_dict() == {"value": 0, "low": 0, "high": 0}


def test_seeds_are_averaged_first() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.random((5, 60)), rng.random((3, 60))
    assert paired_bootstrap(one, other) == paired_bootstrap(one.mean(axis=0), other.mean(axis=0))
    assert paired_bootstrap(one.mean(axis=0), other).value == pytest.approx(one.mean() - other.mean())


def test_queries_of_one_subject_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    subjects = np.repeat([f"p{n}" for n in range(50)], 8)
    effect = np.repeat(rng.normal(0, 1, 50), 8)
    alone = paired_bootstrap(effect, np.zeros(400), repeats=2_000)
    together = paired_bootstrap(effect, np.zeros(400), subjects, repeats=2_000)
    assert together.value == pytest.approx(alone.value)
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(8**0.5, rel=0.15)
    uneven = paired_bootstrap([1.0, 1, 1, 0], [0.0] * 4, ["a", "a", "a", "b"], repeats=500)
    assert (uneven.value, uneven.low, uneven.high) == (0.75, 0, 1)
    each = paired_bootstrap(effect, np.zeros(400), np.arange(400), repeats=2_000)
    assert each == alone


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
    found = score([[1.0, 0.0]], at_angles(steps), [1], relevant)
    ways = list(itertools.combinations(range(level), among))
    wanted = sum(Fraction(1, above + 1 + way[0]) for way in ways) / len(ways)
    assert found.reciprocal[0] == pytest.approx(float(wanted))
