"""The graph's knowledge as arrays, and its controls."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.retrieval.knowledge import NEGATIVE, POSITIVE, GraphImage, Knowledge

IMAGES, CONCEPTS = 12, 7
ROWS = st.tuples(st.integers(0, IMAGES - 1), st.integers(0, 2), st.integers(0, CONCEPTS - 1))
RELATED = st.tuples(st.integers(0, CONCEPTS - 1), st.integers(0, 1), st.integers(0, CONCEPTS - 1))


def knowledge(stances: set[tuple[int, int, int]], relations: set[tuple[int, int, int]]) -> Knowledge:
    return Knowledge(
        [GraphImage(f"I{n}") for n in range(IMAGES)],
        [f"C{n}" for n in range(CONCEPTS)],
        [f"c{n}" for n in range(CONCEPTS)],
        ["isa", "may_treat"],
        *(np.array(sorted(rows), dtype=np.int64).reshape(-1, 3) for rows in (stances, relations)),
    )


def doubled(rows: np.ndarray) -> int:  # type: ignore[type-arg]
    """How many pairs of head and tail stand more than once."""
    return sum(count > 1 for count in Counter((head, tail) for head, _, tail in rows.tolist()).values())


@given(st.sets(ROWS, max_size=60), st.sets(RELATED, max_size=30), st.integers(0, 99))
def test_a_shuffled_graph_keeps_every_number_and_makes_no_contradiction(
    stances: set[tuple[int, int, int]], relations: set[tuple[int, int, int]], seed: int
) -> None:
    before = knowledge(stances, relations)
    after = before.shuffled(seed)
    for old, new in ((before.stances, after.stances), (before.relations, after.relations)):
        assert len(np.unique(new, axis=0)) == len(new) == len(old)
        for columns in ((0, 1), (1, 2)):
            assert Counter(map(tuple, old[:, columns].tolist())) == Counter(map(tuple, new[:, columns].tolist()))
        assert doubled(new) <= doubled(old)
    loops = [sum(head == tail for head, _, tail in of.relations.tolist()) for of in (before, after)]
    assert loops[1] <= loops[0]
    assert np.array_equal(before.shuffled(seed).stances, after.stances)


def test_a_shuffled_graph_is_another_one() -> None:
    rng = np.random.default_rng(1)
    stances = {
        (image, int(rng.integers(3)), concept) for image in range(12) for concept in range(7) if rng.random() < 0.4
    }
    before = knowledge(stances, set())
    same = stances & {tuple(row) for row in before.shuffled(3).stances.tolist()}
    assert len(same) < 0.6 * len(stances)  # half of so dense a graph is there by chance
    assert not np.array_equal(before.shuffled(3).stances, before.shuffled(4).stances)


def test_without_stance_every_mention_counts_once_and_without_edges_none() -> None:
    before = knowledge({(0, POSITIVE, 1), (0, NEGATIVE, 1), (2, NEGATIVE, 3)}, {(0, 1, 2)})
    assert before.without_stance().stances.tolist() == [[0, POSITIVE, 1], [2, POSITIVE, 3]]
    assert len(before.without_edges().stances) == len(before.without_edges().relations) == 0


@pytest.mark.parametrize("kept", [{0}, {1, 2}, set()])
def test_some_images(kept: set[int]) -> None:
    before = knowledge({(0, POSITIVE, 1), (2, NEGATIVE, 3)}, {(0, 1, 2)})
    after = before.of_images(lambda image: int(image.id[1:]) in kept)
    names = [(after.images[i].id, s, c) for i, s, c in after.stances.tolist()]
    assert names == [(f"I{i}", s, c) for i, s, c in before.stances.tolist() if i in kept]
    assert np.array_equal(after.relations, before.relations)
