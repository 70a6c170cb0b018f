"""From a question to the part of the graph that it speaks of: the concepts that it names and what lies around them.

What is kept, most relevant first, until `cap` edges are reached:

1. edges between two concepts of the question, and paths of two edges between them by way of a third concept, the one
   with the fewest edges first: what joins the question's concepts is what it asks about;
2. edges of each concept in turn. A concept's edges are ordered so that every kind (stance or relation, forth or back)
   comes once before one comes twice; of a kind, the concept with the fewest edges comes first, as the most specific,
   and images come by id;
3. with two hops, the first edges of the concepts reached, in the order in which they were reached.

All of it is read from arrays that were sorted once, so the time for a question does not depend on the graph's size.
``cypher/vqa/neighbourhood.cypher`` answers the second rule from a live graph, in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from kgplatform.datasets.knowledge import STANCES, Ids, Knowledge

CAP: Final = 64  # edges of a subgraph
PATHS: Final = 8  # paths between two concepts of a question
FURTHER: Final = 4  # edges of each concept that was reached, with two hops
SEEDS: Final = 8  # concepts of a question: more than a question has


@dataclass(frozen=True, eq=False)
class Subgraph:
    """Places in the graph `nodes` (n,), concepts before images; `edges` (e, 3) are head, kind, tail, head and tail as
    places in `nodes`; the first `seeds` nodes are those that the question names.
    """

    nodes: Ids
    edges: Ids
    seeds: int

    def __len__(self) -> int:
        """How many edges there are."""
        return len(self.edges)


EMPTY: Final = Subgraph(np.empty(0, dtype=np.int64), np.empty((0, 3), dtype=np.int64), 0)


class Neighbourhoods:
    """The graph, ready for questions. Nodes are numbered concepts first, as in `Knowledge`, then images.

    `kinds` names the kinds of edges: the stances, then the relations. Subgraphs are kept by the concepts asked for.
    """

    def __init__(self, knowledge: Knowledge, *, hops: int = 1, cap: int = CAP, images: bool = True) -> None:
        """`images`: whether images, and so stances, are part of a subgraph."""
        self.knowledge = knowledge
        self.hops, self.cap = hops, cap
        self.kinds: tuple[str, ...] = (*STANCES, *knowledge.relation_names)
        self.concepts = len(knowledge.cuis)
        edges = _edges(knowledge)
        self.nodes = self.concepts + len(knowledge.images)
        non_loops = edges[edges[:, 0] != edges[:, 2]]
        self._degree = np.bincount(np.concatenate([edges[:, 0], non_loops[:, 2]]), minlength=self.nodes)
        self._sort(edges if images else edges[edges[:, 0] < self.concepts])
        self._subgraph_by_seeds: dict[tuple[int, ...], Subgraph] = {}
        self._neighbours_by_node: dict[int, Ids] = {}

    def _sort(self, edges: Ids) -> None:
        """Rows of neighbours, in order of relevance; and all edges by their ends."""
        non_loops = edges[edges[:, 0] != edges[:, 2]]  # an edge to itself comes once
        sources = np.concatenate([edges[:, 0], non_loops[:, 2]])
        targets = np.concatenate([edges[:, 2], non_loops[:, 0]])
        kinds = np.concatenate([edges[:, 1], non_loops[:, 1]])
        backwards = np.repeat([0, 1], [len(edges), len(non_loops)])
        weights = np.where(targets < self.concepts, self._degree[targets], 0)
        order = np.lexsort((targets, weights, backwards, kinds, sources))
        groups = np.stack([sources, kinds, backwards])[:, order]
        group_starts = np.flatnonzero(np.r_[True, (groups[:, 1:] != groups[:, :-1]).any(0)]) if len(order) else order
        turns = np.empty(len(order), dtype=np.int64)
        turns[order] = np.arange(len(order)) - np.repeat(group_starts, np.diff(np.r_[group_starts, len(order)]))
        ranking = np.lexsort((backwards, kinds, turns, sources))
        self._rows = np.r_[0, np.cumsum(np.bincount(sources, minlength=self.nodes))]
        self._target, self._kind, self._back = targets[ranking], kinds[ranking], backwards[ranking]
        self._pairs = edges[np.argsort(edges[:, 0] * self.nodes + edges[:, 2], kind="stable")]
        self._keys = self._pairs[:, 0] * self.nodes + self._pairs[:, 2]

    def subgraph(self, seeds: Sequence[int]) -> Subgraph:
        """The subgraph around concepts; of more than eight, around the first eight. Empty for none."""
        seed_key = tuple(dict.fromkeys(seeds))[:SEEDS]
        subgraph = self._subgraph_by_seeds.get(seed_key)
        if subgraph is None:
            subgraph = self._subgraph_by_seeds[seed_key] = self._collect(seed_key)
        return subgraph

    def forget(self) -> None:
        """Keep no subgraph any longer."""
        self._subgraph_by_seeds.clear()
        self._neighbours_by_node.clear()

    def _collect(self, seeds: tuple[int, ...]) -> Subgraph:
        if not seeds:
            return EMPTY
        collected: dict[tuple[int, int, int], None] = {}
        for edge in self._ordered(seeds):
            if len(collected) == self.cap:
                break
            collected[edge] = None
        node_numbers = {seed: position for position, seed in enumerate(seeds)}
        edges = [
            (node_numbers.setdefault(head, len(node_numbers)), kind, node_numbers.setdefault(tail, len(node_numbers)))
            for head, kind, tail in collected
        ]
        nodes = np.fromiter(node_numbers, dtype=np.int64, count=len(node_numbers))
        return Subgraph(nodes, np.array(edges, dtype=np.int64).reshape(-1, 3), len(seeds))

    def _ordered(self, seeds: tuple[int, ...]) -> Iterator[tuple[int, int, int]]:
        for first_seed, second_seed in combinations(seeds, 2):
            yield from self.between(first_seed, second_seed)
        for first_seed, second_seed in combinations(seeds, 2):
            for middle in self.joining(first_seed, second_seed):
                yield from self.between(first_seed, middle)
                yield from self.between(middle, second_seed)
        edge_rows = [self._row(seed, self.cap) for seed in seeds]
        for edge_index in range(self.cap):
            for edge_row in edge_rows:
                if edge_index < len(edge_row):
                    yield edge_row[edge_index]
        if self.hops > 1:
            neighbours = dict.fromkeys(
                node for edge_row in edge_rows for head, _, tail in edge_row for node in (head, tail)
            )
            for node in neighbours:
                if node < self.concepts and node not in seeds:
                    yield from self._row(node, FURTHER)

    def _row(self, node: int, count: int) -> list[tuple[int, int, int]]:
        """The first edges of a node, as head, kind, tail."""
        first_row = self._rows[node]
        window = slice(first_row, min(first_row + count, self._rows[node + 1]))
        return [
            (target, kind, node) if back else (node, kind, target)
            for target, kind, back in zip(
                self._target[window].tolist(), self._kind[window].tolist(), self._back[window].tolist(), strict=True
            )
        ]

    def between(self, first: int, second: int) -> Iterator[tuple[int, int, int]]:
        """The edges between two nodes, in both directions."""
        for head, tail in ((first, second), (second, first)):
            pair_key = head * self.nodes + tail
            first_index, last_index = np.searchsorted(self._keys, (pair_key, pair_key + 1))
            yield from ((head, kind, tail) for kind in self._pairs[first_index:last_index, 1].tolist())

    def joining(self, first: int, second: int) -> list[int]:
        """The concepts that are neighbours of both, those with the fewest edges first, at most `PATHS`."""
        shared = np.intersect1d(self._concepts_near(first), self._concepts_near(second), assume_unique=True)
        shared = shared[(shared != first) & (shared != second)]
        best_concepts: list[int] = shared[np.lexsort((shared, self._degree[shared]))][:PATHS].tolist()
        return best_concepts

    def _concepts_near(self, node: int) -> Ids:
        if node not in self._neighbours_by_node:
            neighbours = self._target[self._rows[node] : self._rows[node + 1]]
            self._neighbours_by_node[node] = np.unique(neighbours[neighbours < self.concepts])
        return self._neighbours_by_node[node]

    def named(self, subgraph: Subgraph) -> list[tuple[str, str, str]]:
        """The edges of a subgraph by names of concepts, ids of images, and kinds."""
        node_names = [
            self.knowledge.concepts[node] if node < self.concepts else self.knowledge.images[node - self.concepts].id
            for node in subgraph.nodes.tolist()
        ]
        return [(node_names[head], self.kinds[kind], node_names[tail]) for head, kind, tail in subgraph.edges.tolist()]


def _edges(knowledge: Knowledge) -> Ids:
    """All edges as head, kind, tail, concepts numbered before images; each once."""
    relation_edges = knowledge.relations + np.array([0, len(STANCES), 0])
    stance_edges = knowledge.stances + np.array([len(knowledge.cuis), 0, 0])
    return np.unique(np.concatenate([relation_edges, stance_edges]), axis=0)
