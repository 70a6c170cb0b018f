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


class SubgraphNode(NamedTuple):
    """A concept by CUI and name, or an image by id and path."""

    key: str
    name: str
    image: bool = False


@dataclass(frozen=True)
class SubgraphEdge:
    """A stance or a relation."""

    head: SubgraphNode
    kind: str
    tail: SubgraphNode


def subgraphs(
    graph: Graph, questions: Sequence[Sequence[str]], *, hops: int = 1, cap: int = CAP, images: bool = True
) -> list[list[SubgraphEdge]]:
    """For the CUIs that each question names, the edges around them, most relevant first, at most `cap`; `hops` is 1 or
    2.

    Concepts that the graph does not have give nothing.
    """
    seed_lists = [list(dict.fromkeys(cuis))[:SEEDS] for cuis in questions]
    all_cuis = sorted({cui for cuis in seed_lists for cui in cuis})
    cui_pairs = sorted({cui_pair for cuis in seed_lists for cui_pair in combinations(cuis, 2)})
    neighbourhoods = _neighbourhoods(graph, all_cuis, cap, images)
    edges_between: dict[tuple[str, str], dict[bool, list[SubgraphEdge]]] = {cui_pair: {} for cui_pair in cui_pairs}
    numbered_pairs = [[pair_number, *cui_pair] for pair_number, cui_pair in enumerate(cui_pairs)]
    for record in graph.read(queries.get("vqa/joining"), pairs=numbered_pairs, paths=PATHS):
        edges_between[cui_pairs[record["number"]]][record["direct"]] = [
            SubgraphEdge(SubgraphNode(head, head_name), kind, SubgraphNode(tail, tail_name))
            for kind, head, head_name, tail, tail_name in record["edges"]
        ]
    reached_cuis = [_reached(cuis, neighbourhoods) if hops > 1 else [] for cuis in seed_lists]
    further_edges = _neighbourhoods(graph, sorted({cui for cuis in reached_cuis for cui in cuis}), FURTHER, images)
    edge_lists = []
    for cuis, further_cuis in zip(seed_lists, reached_cuis, strict=True):
        ordered_edges = chain(
            _ordered(cuis, neighbourhoods, edges_between, cap), *(further_edges.get(cui, ()) for cui in further_cuis)
        )
        edge_lists.append(list(_first(ordered_edges, cap)))
    return edge_lists


def _neighbourhoods(graph: Graph, cuis: Sequence[str], cap: int, images: bool) -> dict[str, list[SubgraphEdge]]:
    """Of each concept its first edges, at most `cap`."""
    if not cuis:
        return {}
    return {
        record["cui"]: list(_around(record["edges"], record["cui"], record["name"]))
        for record in graph.read(queries.get("vqa/neighbourhood"), cuis=cuis, cap=cap, images=images)
    }


def _reached(cuis: Sequence[str], neighbourhoods: Mapping[str, Sequence[SubgraphEdge]]) -> list[str]:
    """The concepts around those of a question, in the order in which they are reached."""
    nodes = (node for cui in cuis for edge in neighbourhoods.get(cui, ()) for node in (edge.head, edge.tail))
    return list(dict.fromkeys(node.key for node in nodes if not node.image and node.key not in cuis))


def _around(edges: Sequence[Any], cui: str, concept_name: str) -> Iterator[SubgraphEdge]:
    concept = SubgraphNode(cui, concept_name)
    for kind, is_reversed, is_image, node_key, node_name in edges:
        neighbour = SubgraphNode(node_key, node_name or node_key, is_image)
        yield SubgraphEdge(neighbour, kind, concept) if is_reversed else SubgraphEdge(concept, kind, neighbour)


def _ordered(
    cuis: Sequence[str],
    neighbourhoods: Mapping[str, Sequence[SubgraphEdge]],
    edges_between: Mapping[tuple[str, str], Mapping[bool, Sequence[SubgraphEdge]]],
    cap: int,
) -> Iterator[SubgraphEdge]:
    for direct in (True, False):
        for cui_pair in combinations(cuis, 2):
            yield from edges_between[cui_pair].get(direct, ())
    edge_rows = [neighbourhoods.get(cui, ()) for cui in cuis]
    for edge_index in range(cap):
        yield from (edge_row[edge_index] for edge_row in edge_rows if edge_index < len(edge_row))


def _first(edges: Iterator[SubgraphEdge], cap: int) -> Iterator[SubgraphEdge]:
    yielded: dict[SubgraphEdge, None] = {}
    for edge in edges:
        if len(yielded) == cap:
            return
        if edge not in yielded:
            yielded[edge] = None
            yield edge
