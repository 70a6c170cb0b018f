"""The graph's knowledge as arrays, and its controls."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kgplatform.datasets.knowledge import NEGATIVE, POSITIVE, GraphImage, Knowledge

IMAGES, CONCEPTS = 12, 7
ROWS = st.tuples(st.integers(0, IMAGES - 1), st.integers(0, 2), st.integers(0, CONCEPTS - 1))
RELATED = st.tuples(st.integers(0, CONCEPTS - 1), st.integers(0, 1), st.integers(0, CONCEPTS - 1))


def _graph_knowledge(stances: set[tuple[int, int, int]], relations: set[tuple[int, int, int]]) -> Knowledge:
    return Knowledge(
        [GraphImage(f"I{number}") for number in range(IMAGES)],
        [f"C{number}" for number in range(CONCEPTS)],
        [f"c{number}" for number in range(CONCEPTS)],
        ["isa", "may_treat"],
        *(np.array(sorted(edge_rows), dtype=np.int64).reshape(-1, 3) for edge_rows in (stances, relations)),
    )


def doubled(rows: NDArray[np.int64]) -> int:
    """How many pairs of head and tail stand more than once."""
    return sum(count > 1 for count in Counter((head, tail) for head, _, tail in rows.tolist()).values())


@given(st.sets(ROWS, max_size=60), st.sets(RELATED, max_size=30), st.integers(0, 99))
def test_a_shuffled_graph_keeps_every_number_and_makes_no_contradiction(
    stances: set[tuple[int, int, int]], relations: set[tuple[int, int, int]], seed: int
) -> None:
    original = _graph_knowledge(stances, relations)
    shuffled_graph = original.shuffled(seed)
    for original_edges, shuffled_edges in (
        (original.stances, shuffled_graph.stances),
        (original.relations, shuffled_graph.relations),
    ):
        assert len(np.unique(shuffled_edges, axis=0)) == len(shuffled_edges) == len(original_edges)
        for columns in ((0, 1), (1, 2)):
            assert Counter(map(tuple, original_edges[:, columns].tolist())) == Counter(
                map(tuple, shuffled_edges[:, columns].tolist())
            )
        assert doubled(shuffled_edges) <= doubled(original_edges)
    loop_counts = [
        sum(head == tail for head, _, tail in graph.relations.tolist()) for graph in (original, shuffled_graph)
    ]
    assert loop_counts[1] <= loop_counts[0]
    assert np.array_equal(original.shuffled(seed).stances, shuffled_graph.stances)


def test_a_shuffled_graph_is_another_one() -> None:
    generator = np.random.default_rng(1)
    stances = {
        (image, int(generator.integers(3)), concept)
        for image in range(12)
        for concept in range(7)
        if generator.random() < 0.4
    }
    original = _graph_knowledge(stances, set())
    shared_stances = stances & {tuple(row) for row in original.shuffled(3).stances.tolist()}
    assert len(shared_stances) < 0.6 * len(stances)  # half of so dense a graph is there by chance
    assert not np.array_equal(original.shuffled(3).stances, original.shuffled(4).stances)


def test_without_stance_every_mention_counts_once_and_without_edges_none() -> None:
    original = _graph_knowledge({(0, POSITIVE, 1), (0, NEGATIVE, 1), (2, NEGATIVE, 3)}, {(0, 1, 2)})
    assert original.without_stance().stances.tolist() == [[0, POSITIVE, 1], [2, POSITIVE, 3]]
    assert len(original.without_edges().stances) == len(original.without_edges().relations) == 0


@pytest.mark.parametrize("numbers", [{0}, {1, 2}, set()])
def test_some_images(numbers: set[int]) -> None:
    original = _graph_knowledge({(0, POSITIVE, 1), (2, NEGATIVE, 3)}, {(0, 1, 2)})
    subset = original.select_images(lambda image: int(image.id[1:]) in numbers)
    subset_stances = [
        (subset.images[image_index].id, stance, concept) for image_index, stance, concept in subset.stances.tolist()
    ]
    assert subset_stances == [
        (f"I{image_index}", stance, concept)
        for image_index, stance, concept in original.stances.tolist()
        if image_index in numbers
    ]
    assert np.array_equal(subset.relations, original.relations)
