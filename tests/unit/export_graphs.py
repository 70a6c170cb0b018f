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
    unique_by=lambda n: (n.kind, n.key),
)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[tuple[Node, str, Node]], Triples]:
    """Edges, and the triples built of them."""
    pool = draw(nodes)
    relations = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    ends = st.integers(0, len(pool) - 1)
    rows = draw(st.lists(st.tuples(ends, st.sampled_from(relations), ends), min_size=1, max_size=20))
    handles = draw(st.permutations(range(100, 100 + len(pool))))  # any integers will do
    used = {end for h, _, t in rows for end in (h, t)}
    described = {handles[i]: node for i, node in enumerate(pool) if i in used}
    triples = Triples.build([(handles[h], r, handles[t]) for h, r, t in rows], described)
    return [(pool[h], r, pool[t]) for h, r, t in rows], triples


def edges_of(triples: Triples) -> set[tuple[Node, str, Node]]:
    return {(triples.nodes[h], triples.relations[r], triples.nodes[t]) for h, r, t in triples.ids.tolist()}


def same(one: Triples, other: Triples) -> bool:
    return (
        np.array_equal(one.ids, other.ids)
        and list(one.nodes) == list(other.nodes)
        and list(one.relations) == list(other.relations)
        and one.sha256 == other.sha256
    )


def random_triples(seed: int = 1, images: int = 40, concepts: int = 30, patients: int = 15) -> Triples:
    """Stances, and relations between concepts with inverses."""
    chance = random.Random(seed)
    described = {i: Node(f"I{i}", "Image", "", f"p{chance.randrange(patients)}") for i in range(images)}
    described |= {1000 + c: Node(f"C{c:07d}", "Concept", f"finding {c}") for c in range(concepts)}
    edges = []
    for image in range(images):
        stances = chance.choices(["POSITIVE", "NEGATIVE"], k=4)
        edges += [(image, s, 1000 + c) for s, c in zip(stances, chance.sample(range(concepts), 4), strict=True)]
    for concept in range(concepts):
        other = (concept + 1 + chance.randrange(concepts - 1)) % concepts
        edges += [(1000 + concept, "isa", 1000 + other), (1000 + other, "inverse_isa", 1000 + concept)]
    return Triples.build(edges, described)
