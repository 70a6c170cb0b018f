"""From a question to its subgraph: which concepts it names, which edges are kept, in which order, never too many."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.datasets.knowledge import STANCES, GraphImage, Knowledge
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.subgraph import FURTHER, PATHS, SEEDS, Neighbourhoods

RELATIONS = ("finding_site_of", "isa")


def world(
    stances: list[tuple[int, int, int]],
    relations: list[tuple[int, int, int]],
    images: int = 4,
    names: list[str] | None = None,
) -> Knowledge:
    """A graph of stances (image, stance, concept) and relations (head, relation, tail)."""
    concept_names = names or [f"concept {number}" for number in range(6)]
    return Knowledge(
        [GraphImage(f"I{number}") for number in range(images)],
        [f"C{number:07d}" for number in range(len(concept_names))],
        concept_names,
        RELATIONS,
        np.array(stances, dtype=np.int64).reshape(-1, 3),
        np.array(relations, dtype=np.int64).reshape(-1, 3),
    )


def plainly(knowledge: Knowledge, seeds: list[int], hops: int, cap: int) -> list[tuple[int, int, int]]:
    """The rules of the module, word by word, over a list of edges."""
    concept_count = len(knowledge.cuis)
    edges = {(head, relation + len(STANCES), tail) for head, relation, tail in knowledge.relations.tolist()}
    edges |= {(concept_count + image, stance, concept) for image, stance, concept in knowledge.stances.tolist()}
    degree = {
        vertex: sum(vertex in (head, tail) for head, _, tail in edges)
        for vertex in range(concept_count + len(knowledge.images))
    }

    def between(first: int, second: int) -> list[tuple[int, int, int]]:
        return [
            candidate
            for pair in ((first, second), (second, first))
            for candidate in sorted(edges)
            if (candidate[0], candidate[2]) == pair
        ]

    def row(node: int) -> list[tuple[int, int, int]]:
        incident = [(edge_kind, 0, tail, (head, edge_kind, tail)) for head, edge_kind, tail in edges if head == node]
        incident += [
            (edge_kind, 1, head, (head, edge_kind, tail)) for head, edge_kind, tail in edges if tail == node != head
        ]
        ranked_edges = []
        for group in {(edge_kind, is_backward) for edge_kind, is_backward, _, _ in incident}:
            edge_list = sorted(
                (degree[neighbour] if neighbour < concept_count else 0, neighbour, edge)
                for edge_kind, is_backward, neighbour, edge in incident
                if (edge_kind, is_backward) == group
            )
            ranked_edges += [(position, group, edge) for position, (_, _, edge) in enumerate(edge_list)]
        return [edge for _, _, edge in sorted(ranked_edges)]

    selected: list[tuple[int, int, int]] = []
    for first, second in combinations(seeds, 2):
        selected += between(first, second)
    for first, second in combinations(seeds, 2):
        shared_neighbours = [
            vertex
            for vertex in range(concept_count)
            if vertex not in (first, second)
            and all(
                any({candidate[0], candidate[2]} == {endpoint, vertex} for candidate in edges)
                for endpoint in (first, second)
            )
        ]
        for middle_node in sorted(shared_neighbours, key=lambda vertex: (degree[vertex], vertex))[:PATHS]:
            selected += between(first, middle_node) + between(middle_node, second)
    seed_edges = [row(seed)[:cap] for seed in seeds]
    selected += [
        edge_list[position] for position in range(cap) for edge_list in seed_edges if position < len(edge_list)
    ]
    if hops > 1:
        frontier = dict.fromkeys(
            vertex for edge_list in seed_edges for head, _, tail in edge_list for vertex in (head, tail)
        )
        selected += [
            candidate
            for vertex in frontier
            if vertex < concept_count and vertex not in seeds
            for candidate in row(vertex)[:FURTHER]
        ]
    return list(dict.fromkeys(selected))[:cap]


triples = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 5)), max_size=25)
related = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 5)), max_size=25)


@given(
    triples,
    related,
    st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
    st.integers(1, 2),
    st.integers(1, 30),
)
def test_the_edges_are_those_that_the_rules_name(
    stances: list[tuple[int, int, int]], relations: list[tuple[int, int, int]], seeds: list[int], hops: int, cap: int
) -> None:
    knowledge = world(stances, relations)
    subgraph = Neighbourhoods(knowledge, hops=hops, cap=cap).subgraph(seeds)
    nodes = subgraph.nodes.tolist()
    assert nodes[: subgraph.seeds] == seeds
    assert len(nodes) == len(set(nodes))
    assert [(nodes[head], edge_kind, nodes[tail]) for head, edge_kind, tail in subgraph.edges.tolist()] == plainly(
        knowledge, seeds, hops, cap
    )


def test_what_joins_the_questions_concepts_comes_before_all_else() -> None:
    knowledge = world(
        [(number % 4, 0, 0) for number in range(4)], [(0, 1, 5), (5, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4)]
    )
    neighbourhoods = Neighbourhoods(knowledge, cap=2)
    assert neighbourhoods.named(neighbourhoods.subgraph([0, 1])) == [
        ("concept 0", "isa", "concept 5"),
        ("concept 5", "finding_site_of", "concept 1"),
    ]
    direct_graph = world([], [(1, 1, 0), *[(0, 0, number) for number in range(2, 6)]])
    assert plainly(direct_graph, [0, 1], 1, 1) == [(1, 4, 0)]


def test_every_stance_and_relation_is_seen_before_one_is_seen_twice() -> None:
    knowledge = world([(0, 0, 0), (1, 0, 0), (2, 2, 0), (3, 1, 0)], [(0, 0, 1), (0, 0, 2), (3, 1, 0)])
    subgraph = Neighbourhoods(knowledge, cap=5).subgraph([0])
    assert sorted(subgraph.edges[:, 1].tolist()) == [0, 1, 2, 3, 4]


def test_stances_can_be_left_out() -> None:
    knowledge = world([(0, 0, 0)], [(0, 1, 1)])
    subgraph = Neighbourhoods(knowledge, images=False).subgraph([0])
    assert subgraph.edges[:, 1].tolist() == [4]


def test_a_question_without_concepts_and_an_empty_graph_give_nothing() -> None:
    assert len(Neighbourhoods(world([], [(0, 0, 1)])).subgraph([])) == 0
    subgraph = Neighbourhoods(world([], [])).subgraph([3])
    assert (subgraph.nodes.tolist(), len(subgraph), subgraph.seeds) == ([3], 0, 1)


def test_the_same_question_is_answered_from_memory_and_too_many_concepts_are_cut() -> None:
    neighbourhoods = Neighbourhoods(world([], [(0, 0, 1)]))
    assert neighbourhoods.subgraph([0, 1, 0]) is neighbourhoods.subgraph([0, 1])
    large_subgraph = Neighbourhoods(world([], [], names=[f"n{number}" for number in range(20)])).subgraph(
        list(range(20))
    )
    assert large_subgraph.seeds == SEEDS


class TestQuestionConcepts:
    """By construction's tagger, by words and not by letters."""

    NAMES = ("Pleural effusion", "IS", "At", "1", "Structure of heart, unspecified", "effusion")
    TAGGER = QuestionTagger(world([(number, 0, 5) for number in range(4)], [], names=list(NAMES)))

    @pytest.mark.parametrize(
        ("question", "named"),
        [
            ("Is this a plain film?", []),
            ("Is there a pleural effusion at the left?", ["Pleural effusion"]),
            ("Are pleural effusions or an effusion seen?", ["Pleural effusion", "effusion"]),
            ("Does the heart look enlarged? The heart?", ["Structure of heart, unspecified"]),
            ("Is there 1 mass?", []),
            ("", []),
            ("???", []),
            ("Is it catatonic?", []),
        ],
    )
    def test_named(self, question: str, named: list[str]) -> None:
        assert [self.NAMES[concept_index] for concept_index in self.TAGGER.concepts(question)] == named

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        concept_indices = self.TAGGER.concepts(text)
        assert len(set(concept_indices)) == len(concept_indices)
        assert set(concept_indices) <= set(range(len(self.NAMES)))

    def test_names_of_files(self, tmp_path: Path) -> None:
        (tmp_path / "names.tsv").write_text("cui\tname\nC0000000\tfluid around the lung\n", encoding="utf-8")
        tagger = QuestionTagger(world([], [], names=list(self.NAMES)), [tmp_path / "names.tsv"])
        assert tagger.concepts("Is there fluid around the lung?") == [0]
        assert tagger.concepts("Is there a cyst?") == []
