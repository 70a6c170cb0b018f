"""Subgraphs of questions from a live graph, by two queries for all questions together (``cypher/vqa/``), with two hops
by three.

They are those of `kgplatform.vqa.subgraph`, by its rules and in its order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, combinations
from typing import Any, NamedTuple

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.vqa.subgraph import CAP, FURTHER, PATHS, SEEDS


class Node(NamedTuple):
    """A concept by CUI and name, or an image by id and path."""

    key: str
    name: str
    image: bool = False


@dataclass(frozen=True)
class Edge:
    """A stance or a relation."""

    head: Node
    kind: str
    tail: Node


def subgraphs(
    graph: Graph, questions: Sequence[Sequence[str]], *, hops: int = 1, cap: int = CAP, images: bool = True
) -> list[list[Edge]]:
    """For the CUIs that each question names, the edges around them, most relevant first, at most `cap`; `hops` is 1 or
    2.

    Concepts that the graph does not have give nothing.
    """
    asked = [list(dict.fromkeys(cuis))[:SEEDS] for cuis in questions]
    every = sorted({cui for cuis in asked for cui in cuis})
    pairs = sorted({pair for cuis in asked for pair in combinations(cuis, 2)})
    around = _neighbourhoods(graph, every, cap, images)
    between: dict[tuple[str, str], dict[bool, list[Edge]]] = {pair: {} for pair in pairs}
    numbered = [[number, *pair] for number, pair in enumerate(pairs)]
    for row in graph.read(queries.get("vqa/joining"), pairs=numbered, paths=PATHS):
        between[pairs[row["number"]]][row["direct"]] = [
            Edge(Node(head, head_name), kind, Node(tail, tail_name))
            for kind, head, head_name, tail, tail_name in row["edges"]
        ]
    reached = [_reached(cuis, around) if hops > 1 else [] for cuis in asked]
    beyond = _neighbourhoods(graph, sorted({cui for cuis in reached for cui in cuis}), FURTHER, images)
    found = []
    for cuis, further in zip(asked, reached, strict=True):
        edges = chain(_ordered(cuis, around, between, cap), *(beyond.get(cui, ()) for cui in further))
        found.append(list(_first(edges, cap)))
    return found


def _neighbourhoods(graph: Graph, cuis: Sequence[str], cap: int, images: bool) -> dict[str, list[Edge]]:
    """Of each concept its first edges, at most `cap`."""
    if not cuis:
        return {}
    return {
        row["cui"]: list(_around(row["edges"], row["cui"], row["name"]))
        for row in graph.read(queries.get("vqa/neighbourhood"), cuis=cuis, cap=cap, images=images)
    }


def _reached(cuis: Sequence[str], around: Mapping[str, Sequence[Edge]]) -> list[str]:
    """The concepts around those of a question, in the order in which they are reached."""
    nodes = (node for cui in cuis for edge in around.get(cui, ()) for node in (edge.head, edge.tail))
    return list(dict.fromkeys(node.key for node in nodes if not node.image and node.key not in cuis))


def _around(edges: Sequence[Any], cui: str, name: str) -> Iterator[Edge]:
    concept = Node(cui, name)
    for kind, back, image, key, named in edges:
        other = Node(key, named or key, image)
        yield Edge(other, kind, concept) if back else Edge(concept, kind, other)


def _ordered(
    cuis: Sequence[str],
    around: Mapping[str, Sequence[Edge]],
    between: Mapping[tuple[str, str], Mapping[bool, Sequence[Edge]]],
    cap: int,
) -> Iterator[Edge]:
    for direct in (True, False):
        for pair in combinations(cuis, 2):
            yield from between[pair].get(direct, ())
    rows = [around.get(cui, ()) for cui in cuis]
    for turn in range(cap):
        yield from (row[turn] for row in rows if turn < len(row))


def _first(edges: Iterator[Edge], cap: int) -> Iterator[Edge]:
    seen: dict[Edge, None] = {}
    for edge in edges:
        if len(seen) == cap:
            return
        if edge not in seen:
            seen[edge] = None
            yield edge
