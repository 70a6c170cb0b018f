"""From a question to its subgraph: which concepts it names, which edges are kept, in which order, never too many."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.retrieval.knowledge import STANCES, GraphImage, Knowledge
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
    named = names or [f"concept {n}" for n in range(6)]
    return Knowledge(
        [GraphImage(f"I{n}") for n in range(images)],
        [f"C{n:07d}" for n in range(len(named))],
        named,
        RELATIONS,
        np.array(stances, dtype=np.int64).reshape(-1, 3),
        np.array(relations, dtype=np.int64).reshape(-1, 3),
    )


def plainly(knowledge: Knowledge, seeds: list[int], hops: int, cap: int) -> list[tuple[int, int, int]]:
    """The rules of the module, word by word, over a list of edges."""
    concepts = len(knowledge.cuis)
    edges = {(h, r + len(STANCES), t) for h, r, t in knowledge.relations.tolist()}
    edges |= {(concepts + i, s, c) for i, s, c in knowledge.stances.tolist()}
    degree = {n: sum(n in (h, t) for h, _, t in edges) for n in range(concepts + len(knowledge.images))}

    def between(a: int, b: int) -> list[tuple[int, int, int]]:
        return [e for pair in ((a, b), (b, a)) for e in sorted(edges) if (e[0], e[2]) == pair]

    def row(node: int) -> list[tuple[int, int, int]]:
        ends = [(k, 0, t, (h, k, t)) for h, k, t in edges if h == node]
        ends += [(k, 1, h, (h, k, t)) for h, k, t in edges if t == node != h]
        ranked = []
        for kind in {(k, back) for k, back, _, _ in ends}:
            those = sorted(
                (degree[other] if other < concepts else 0, other, edge)
                for k, back, other, edge in ends
                if (k, back) == kind
            )
            ranked += [(turn, kind, edge) for turn, (_, _, edge) in enumerate(those)]
        return [edge for _, _, edge in sorted(ranked)]

    wanted: list[tuple[int, int, int]] = []
    for a, b in combinations(seeds, 2):
        wanted += between(a, b)
    for a, b in combinations(seeds, 2):
        both = [
            n for n in range(concepts)
            if n not in (a, b) and all(any({e[0], e[2]} == {end, n} for e in edges) for end in (a, b))
        ]  # fmt: skip
        for middle in sorted(both, key=lambda n: (degree[n], n))[:PATHS]:
            wanted += between(a, middle) + between(middle, b)
    rows = [row(seed)[:cap] for seed in seeds]
    wanted += [those[turn] for turn in range(cap) for those in rows if turn < len(those)]
    if hops > 1:
        reached = dict.fromkeys(n for those in rows for h, _, t in those for n in (h, t))
        wanted += [e for n in reached if n < concepts and n not in seeds for e in row(n)[:FURTHER]]
    return list(dict.fromkeys(wanted))[:cap]


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
    found = Neighbourhoods(knowledge, hops=hops, cap=cap).of(seeds)
    nodes = found.nodes.tolist()
    assert nodes[: found.seeds] == seeds
    assert len(nodes) == len(set(nodes))
    assert [(nodes[h], k, nodes[t]) for h, k, t in found.edges.tolist()] == plainly(knowledge, seeds, hops, cap)


def test_what_joins_the_questions_concepts_comes_before_all_else() -> None:
    knowledge = world([(n % 4, 0, 0) for n in range(4)], [(0, 1, 5), (5, 0, 1), (0, 0, 2), (0, 0, 3), (0, 0, 4)])
    around = Neighbourhoods(knowledge, cap=2)
    assert around.named(around.of([0, 1])) == [
        ("concept 0", "isa", "concept 5"),
        ("concept 5", "finding_site_of", "concept 1"),
    ]
    direct = world([], [(1, 1, 0), *[(0, 0, n) for n in range(2, 6)]])
    assert plainly(direct, [0, 1], 1, 1) == [(1, 4, 0)]


def test_every_stance_and_relation_is_seen_before_one_is_seen_twice() -> None:
    knowledge = world([(0, 0, 0), (1, 0, 0), (2, 2, 0), (3, 1, 0)], [(0, 0, 1), (0, 0, 2), (3, 1, 0)])
    found = Neighbourhoods(knowledge, cap=5).of([0])
    assert sorted(found.edges[:, 1].tolist()) == [0, 1, 2, 3, 4]


def test_stances_can_be_left_out() -> None:
    knowledge = world([(0, 0, 0)], [(0, 1, 1)])
    found = Neighbourhoods(knowledge, images=False).of([0])
    assert found.edges[:, 1].tolist() == [4]


def test_a_question_without_concepts_and_an_empty_graph_give_nothing() -> None:
    assert len(Neighbourhoods(world([], [(0, 0, 1)])).of([])) == 0
    alone = Neighbourhoods(world([], [])).of([3])
    assert (alone.nodes.tolist(), len(alone), alone.seeds) == ([3], 0, 1)


def test_the_same_question_is_answered_from_memory_and_too_many_concepts_are_cut() -> None:
    around = Neighbourhoods(world([], [(0, 0, 1)]))
    assert around.of([0, 1, 0]) is around.of([0, 1])
    many = Neighbourhoods(world([], [], names=[f"n{n}" for n in range(20)])).of(list(range(20)))
    assert many.seeds == SEEDS


class TestConceptsOfAQuestion:
    """By construction's tagger, by words and not by letters."""

    NAMES = ("Pleural effusion", "IS", "At", "1", "Structure of heart, unspecified", "effusion")
    TAGGER = QuestionTagger(world([(n, 0, 5) for n in range(4)], [], names=list(NAMES)))

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
        assert [self.NAMES[place] for place in self.TAGGER.concepts(question)] == named

    @given(st.text(max_size=300))
    def test_any_text(self, text: str) -> None:
        found = self.TAGGER.concepts(text)
        assert len(set(found)) == len(found)
        assert set(found) <= set(range(len(self.NAMES)))

    def test_names_of_files(self, tmp_path: Path) -> None:
        (tmp_path / "names.tsv").write_text("cui\tname\nC0000000\tfluid around the lung\n", encoding="utf-8")
        tagger = QuestionTagger(world([], [], names=list(self.NAMES)), [tmp_path / "names.tsv"])
        assert tagger.concepts("Is there fluid around the lung?") == [0]
        assert tagger.concepts("Is there a cyst?") == []
