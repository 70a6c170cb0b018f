"""Subgraphs of questions from a live graph are those from arrays."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.triples import Triples
from kgplatform.datasets.knowledge import read_knowledge
from kgplatform.datasets.questions import read_questions
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.vqa.linking import QuestionTagger
from kgplatform.vqa.live import SubgraphEdge, SubgraphNode, subgraphs
from kgplatform.vqa.subgraph import Neighbourhoods

pytestmark = pytest.mark.server


def _named_edges(edges: list[SubgraphEdge]) -> list[tuple[str, str, str]]:
    return [(_node_label(edge.head), _node_label(edge.tail), edge.kind) for edge in edges]


def _node_label(node: SubgraphNode) -> str:
    return node.key if node.image else node.name


@pytest.mark.data
@pytest.mark.parametrize(("images", "hops"), [(True, 1), (False, 1), (False, 2)])
def test_questions_of_vqa_rad_on_the_released_graph(
    medmkg_graph: Graph, data_dir: Path, images: bool, hops: int
) -> None:
    knowledge = read_knowledge(medmkg_graph)
    neighbourhoods = Neighbourhoods(knowledge, hops=hops, images=images)
    tagger = QuestionTagger(knowledge, own_words=True)
    questions, _ = read_questions("vqa_rad", data_dir / "vqa_rad")
    tagged = [tagger.concepts(question.text) for question in questions]
    question_concepts = [
        list(concepts) for concepts in dict.fromkeys(tuple(concepts) for concepts in tagged if concepts)
    ]
    assert len(question_concepts) > 200
    assert any(len(concepts) > 2 for concepts in question_concepts)
    cuis = [[knowledge.cuis[concept] for concept in concepts] for concepts in question_concepts]
    live_subgraphs = subgraphs(medmkg_graph, cuis, hops=hops, images=images)
    for concepts, edges in zip(question_concepts, live_subgraphs, strict=True):
        expected = [(head, tail, kind) for head, kind, tail in neighbourhoods.named(neighbourhoods.subgraph(concepts))]
        assert _named_edges(edges) == expected


def test_unknown_concepts_and_names_that_are_not_there(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "g.csv").write_text(
        "head,relation,tail\nC0000001,isa,C0000003\nC0000001,isa,C0000002\nI1,NEGATIVE,C0000001\nI2,POSITIVE,C0000001\n",
        encoding="utf-8",
    )
    ingest(graph, Triples(tmp_path / "g.csv"))
    assert subgraphs(graph, [["C0000009"], [], ["C0000009", "C0000001"]])[:2] == [[], []]
    [edges] = subgraphs(graph, [["C0000001", "C0000002"]])
    knowledge = read_knowledge(graph)
    neighbourhoods = Neighbourhoods(knowledge)
    assert _named_edges(edges) == [
        (head, tail, kind) for head, kind, tail in neighbourhoods.named(neighbourhoods.subgraph([0, 1]))
    ]
    assert len(edges) == 4
    assert len(subgraphs(graph, [["C0000001", "C0000002"]], cap=2)[0]) == 2
