"""Graphs to export: drawn by hypothesis, or large enough to split."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import strategies as st

from kgplatform.export.triples import Node, Triples

HOSTILE = [
    "",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    '"',
    "'",
    "=1+1",
    "@x",
    "-1",
    "+1",
    ",",
    ";",
    "\\",
    "NA",
    "null",
    "ü�中",
    "🫁",
]
KINDS = ["Image", "Concept", "Entity", "Thing"]

texts = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
keys = st.one_of(texts.filter(bool), st.sampled_from(["a", "b", "Image:a", "Thing:a", "Thing:Thing:a"]))
nodes = st.lists(
    st.builds(Node, keys, st.sampled_from(KINDS), texts, texts),
    min_size=1,
    max_size=8,
    unique_by=lambda drawn_node: (drawn_node.kind, drawn_node.key),
)


@st.composite
def edges_and_triples(draw: st.DrawFn) -> tuple[list[tuple[Node, str, Node]], Triples]:
    """Edges, and the triples built of them."""
    node_pool = draw(nodes)
    relations = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    end_indices = st.integers(0, len(node_pool) - 1)
    index_edges = draw(
        st.lists(st.tuples(end_indices, st.sampled_from(relations), end_indices), min_size=1, max_size=20)
    )
    handles = draw(st.permutations(range(100, 100 + len(node_pool))))  # any integers will do
    used_indices = {node_index for head, _, tail in index_edges for node_index in (head, tail)}
    described = {
        handles[node_number]: node for node_number, node in enumerate(node_pool) if node_number in used_indices
    }
    triples = Triples.build(
        [(handles[head], relation, handles[tail]) for head, relation, tail in index_edges], described
    )
    return [(node_pool[head], relation, node_pool[tail]) for head, relation, tail in index_edges], triples


def node_edges(triples: Triples) -> set[tuple[Node, str, Node]]:
    return {
        (triples.nodes[head], triples.relations[relation], triples.nodes[tail])
        for head, relation, tail in triples.ids.tolist()
    }


def equal_triples(first: Triples, second: Triples) -> bool:
    return (
        np.array_equal(first.ids, second.ids)
        and list(first.nodes) == list(second.nodes)
        and list(first.relations) == list(second.relations)
        and first.sha256 == second.sha256
    )


def random_triples(seed: int = 1, images: int = 40, concepts: int = 30, patients: int = 15) -> Triples:
    """Stances, and relations between concepts with inverses."""
    random_source = random.Random(seed)
    described = {
        image_number: Node(f"I{image_number}", "Image", "", f"p{random_source.randrange(patients)}")
        for image_number in range(images)
    }
    described |= {
        1000 + concept_number: Node(f"C{concept_number:07d}", "Concept", f"finding {concept_number}")
        for concept_number in range(concepts)
    }
    edges = []
    for image in range(images):
        stances = random_source.choices(["POSITIVE", "NEGATIVE"], k=4)
        edges += [
            (image, stance, 1000 + concept_number)
            for stance, concept_number in zip(stances, random_source.sample(range(concepts), 4), strict=True)
        ]
    for concept in range(concepts):
        other_concept = (concept + 1 + random_source.randrange(concepts - 1)) % concepts
        edges += [(1000 + concept, "isa", 1000 + other_concept), (1000 + other_concept, "inverse_isa", 1000 + concept)]
    return Triples.build(edges, described)
