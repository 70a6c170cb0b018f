"""Neighbour sampling for PyG from the live database, one query a hop.

    triples = read_triples(graph)
    sampler = GraphSampler(graph, triples, fanout=[10, 10], seed=0)
    loader = NodeLoader(sampler.data, sampler, input_nodes=images, batch_size=64, shuffle=True)
    for batch in loader:  # n_id (entities), edge_index, edge_type; the first batch_size nodes are the seeds
        out = model(embedding(batch.n_id), batch.edge_index, batch.edge_type)[: batch.batch_size]

What is deleted from the graph is no longer drawn; what is new in it is not drawn yet, having no number in `triples`.
A connection cannot be shared by processes, so loaders need ``num_workers=0``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.sampler import (
    BaseSampler,
    EdgeSamplerInput,
    NegativeSampling,
    NodeSamplerInput,
    SamplerOutput,
)
from torch_geometric.sampler.neighbor_sampler import edge_sample, node_sample

from kgplatform import queries
from kgplatform.errors import UsageError
from kgplatform.export.triples import Triples
from kgplatform.graph import Graph

_PRIME: Final = 2**31 - 1  # of the query's hash; its products stay below 2^63
_LISTS: Final = {"Image": "images", "Concept": "concepts", "Entity": "entities", "Thing": "things"}


class GraphSampler(BaseSampler):  # type: ignore[misc]
    """Draws up to `fanout[k]` edges a node in hop k, uniformly without replacement, along the edges of `triples`.

    Messages go from head to tail; with `inverse`, edge e (a row of `triples.ids`, relation r) is also followed
    backwards, as edge len(triples) + e of relation num_relations + r. A fanout of -1 draws all. To sample from the
    training part of a split alone, give ``dataclasses.replace(triples, ids=split.train)``: edges outside are dropped
    after the draw, so that a node then has fewer than `fanout`.

    The same seed gives the same samples in the same order of calls, as long as the graph stays the same.
    """

    def __init__(
        self, graph: Graph, triples: Triples, fanout: Sequence[int] = (10, 10), *, seed: int = 0, inverse: bool = True
    ) -> None:
        if not fanout or any(hop_fanout < 1 and hop_fanout != -1 for hop_fanout in fanout):
            raise UsageError("a fanout is a positive number for each hop, or -1 for all edges")
        self._graph = graph
        self._triples = triples
        self._fanout = tuple(fanout)
        self._inverse = inverse
        self._chance = np.random.default_rng(seed)
        self._entity = {(node.kind, node.key): position for position, node in enumerate(triples.nodes)}
        self._relation = {relation_name: position for position, relation_name in enumerate(triples.relations)}
        triple_codes = self._codes(*triples.ids.T)
        self._order = np.argsort(triple_codes)
        self._sorted = triple_codes[self._order]

    @property
    def data(self) -> Data:
        """What a loader takes features and relations from: `num_nodes`, `edge_index` and `edge_type` of all edges.

        Add what the batches shall hold, such as `x` or `y` of each entity.
        """
        heads, relations, tails = torch.from_numpy(self._triples.ids).unbind(dim=1)
        if self._inverse:
            heads, tails = torch.cat([heads, tails]), torch.cat([tails, heads])
            relations = torch.cat([relations, relations + self._triples.num_relations])
        edge_index = torch.stack([heads, tails])
        return Data(num_nodes=self._triples.num_entities, edge_index=edge_index, edge_type=relations)

    def sample_from_nodes(self, index: NodeSamplerInput, **kwargs: Any) -> SamplerOutput:
        """The sampled neighbourhood of different entities, for `torch_geometric.loader.NodeLoader`."""
        return node_sample(index, self._sample)

    def sample_from_edges(
        self, index: EdgeSamplerInput, neg_sampling: NegativeSampling | None = None, **kwargs: Any
    ) -> SamplerOutput:
        """The sampled neighbourhood of the ends of edges, for `torch_geometric.loader.LinkLoader`.

        PyG draws negative samples itself, from torch's random numbers.
        """
        return edge_sample(index, self._sample, self._triples.num_entities, disjoint=False, neg_sampling=neg_sampling)

    def _sample(self, seed: Tensor, seed_time: Tensor | None = None) -> SamplerOutput:
        """Breadth first, one query a hop; `node` begins with the seeds, rows and columns are places in it."""
        if seed_time is not None:
            raise UsageError("edges of this graph have no time to sample by")
        sampled_nodes: list[int] = seed.tolist()
        positions = {entity: position for position, entity in enumerate(sampled_nodes)}
        if len(positions) < len(sampled_nodes):
            raise UsageError("the seed nodes of a batch must be different", "Sample without replacement.")
        source_positions: list[int] = []
        target_positions: list[int] = []
        all_edges: list[int] = []
        node_counts, edge_counts, frontier_start = [len(sampled_nodes)], [], 0
        for hop_fanout in self._fanout:
            frontier, frontier_start = range(frontier_start, len(sampled_nodes)), len(sampled_nodes)
            targets, sources, edge_numbers = self._draw(sampled_nodes, frontier, hop_fanout)
            for source in sources:
                if source not in positions:
                    positions[source] = len(sampled_nodes)
                    sampled_nodes.append(source)
            source_positions += [positions[source] for source in sources]
            target_positions += targets
            all_edges += edge_numbers
            node_counts.append(len(sampled_nodes) - frontier_start)
            edge_counts.append(len(edge_numbers))
        return SamplerOutput(
            node=torch.tensor(sampled_nodes),
            row=torch.tensor(source_positions, dtype=torch.long),
            col=torch.tensor(target_positions, dtype=torch.long),
            edge=torch.tensor(all_edges, dtype=torch.long),
            num_sampled_nodes=node_counts,
            num_sampled_edges=edge_counts,
        )

    def _draw(
        self, sampled_nodes: list[int], frontier: range, hop_fanout: int
    ) -> tuple[list[int], list[int], list[int]]:
        """Edges into the nodes of the frontier: places of their targets, their sources' entities, their numbers."""
        if not frontier:
            return [], [], []
        keys_by_list: dict[str, list[list[Any]]] = {list_name: [] for list_name in _LISTS.values()}
        for position in frontier:
            node = self._triples.nodes[sampled_nodes[position]]
            keys_by_list[_LISTS[node.kind]].append([position, node.key])
        [neighbour_lists] = self._graph.read(
            queries.get("export/sample_neighbours"),
            relations=list(self._triples.relations),
            outgoing=self._inverse,
            fanout=hop_fanout if hop_fanout > 0 else _PRIME,
            a=int(self._chance.integers(1, _PRIME)),
            b=int(self._chance.integers(_PRIME)),
            **keys_by_list,
        )
        target_positions = np.array(neighbour_lists["places"], dtype=np.int64)
        source_entities = np.array(
            [
                self._entity.get(node_key, -1)
                for node_key in zip(neighbour_lists["kinds"], neighbour_lists["keys"], strict=True)
            ],
            np.int64,
        )
        relation_ids = np.array([self._relation[relation] for relation in neighbour_lists["relations"]], dtype=np.int64)
        is_incoming = np.array(neighbour_lists["incoming"], dtype=bool)
        target_entities = np.array(sampled_nodes, dtype=np.int64)[target_positions]
        triple_codes = self._codes(
            np.where(is_incoming, source_entities, target_entities),
            relation_ids,
            np.where(is_incoming, target_entities, source_entities),
        )
        code_index = np.minimum(np.searchsorted(self._sorted, triple_codes), len(self._sorted) - 1)
        in_triples = (source_entities >= 0) & (self._sorted[code_index] == triple_codes)
        edge_numbers = self._order[code_index] + np.where(is_incoming, 0, len(self._triples))
        return (
            target_positions[in_triples].tolist(),
            source_entities[in_triples].tolist(),
            edge_numbers[in_triples].tolist(),
        )

    def _codes(
        self, head: NDArray[np.int64], relation: NDArray[np.int64], tail: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """A number for each triple; different triples have different numbers."""
        return (head * self._triples.num_relations + relation) * self._triples.num_entities + tail
