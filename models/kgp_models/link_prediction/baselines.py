"""Baselines without training: how far counting, inverse edges and similar neighbourhoods alone go.

They are `Scorer`s, so they are ranked just as the models are. A model that stays below them has learned less than a
lookup. Scores are not negative; 0 says that nothing speaks for a candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from kgp_models.link_prediction.scoring import ByRelation, Scorer
from kgplatform.datasets.splits import Split


class Frequency:
    """Candidates by how often training has them with the same relation; among those never seen with it, by how often
    it has them at all.
    """

    def __init__(self, split: Split) -> None:
        triples, train = split.triples, torch.from_numpy(split.train.copy())
        self.num_entities, self.num_relations = triples.num_entities, triples.num_relations
        self.kinds = torch.from_numpy(np.unique(triples.kinds, return_inverse=True)[1].reshape(-1))
        count_shape = self.num_relations, self.num_entities
        self._heads, self._tails = (_counts(count_shape, train[:, 1], train[:, column]) for column in (0, 2))
        kind_pairs = self.kinds[train[:, 0]] * (int(self.kinds.max()) + 1) + self.kinds[train[:, 2]]
        pair_count = (int(self.kinds.max()) + 1) ** 2
        self._relations = _counts((pair_count, self.num_relations), kind_pairs, train[:, 1])

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """How often the relation has this head and this tail, (b,)."""
        return self.heads(r, t).gather(1, h.unsqueeze(1))[:, 0] + self.tails(h, r).gather(1, t.unsqueeze(1))[:, 0]

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Each entity's count as the relation's tail, (b, E)."""
        return self._tails[r]

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Each entity's count as the relation's head, (b, E)."""
        return self._heads[r]

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Each relation's count between nodes of the two node types, (b, R)."""
        return self._relations[self.kinds[h] * (int(self.kinds.max()) + 1) + self.kinds[t]]


class InverseRule:
    """Candidates that training joins to the known entity the other way round, or by another relation, come first: by
    P(r | r′ between the same two entities), estimated on training. The rest is ordered by `Frequency`.
    """

    def __init__(self, split: Split) -> None:
        self._frequency = Frequency(split)
        triples, train = split.triples, split.train
        self.num_entities, self.num_relations = entity_count, relation_count = (
            triples.num_entities,
            triples.num_relations,
        )
        two_way_edges = np.concatenate(
            [train, train[:, [2, 1, 0]] + np.array([0, relation_count, 0])]
        )  # r + m: the edge runs t → h
        self._around = _Lookup(
            two_way_edges[:, 0] * entity_count + two_way_edges[:, 2], two_way_edges[:, 1], entity_count * entity_count
        )
        self._edges_by_entity = _Lookup(
            two_way_edges[:, 0], two_way_edges[:, 2] * (2 * relation_count) + two_way_edges[:, 1], entity_count
        )
        self._rules = self._learned(train, two_way_edges, entity_count, relation_count)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,): the mean of its scores as tail and as head."""
        tail_scores, head_scores = self.tails(h, r), self.heads(r, t)
        return (tail_scores.gather(1, t.unsqueeze(1)) + head_scores.gather(1, h.unsqueeze(1)))[:, 0] / 2

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Each entity as tail, (b, E)."""
        return _below(self._frequency.tails(h, r)) + self._joined(h, r)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Each entity as head, (b, E): the question turned round."""
        return _below(self._frequency.heads(r, t)) + self._joined(t, r + self.num_relations)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Each relation, (b, R), by the other edges between the two."""
        scores = _below(self._frequency.relations(h, t))
        row_indices, other_relations = self._around.find((h * self.num_entities + t).numpy())
        scores.index_put_((row_indices,), self._rules[other_relations, : self.num_relations], accumulate=True)
        return scores

    def _joined(self, anchor_entities: Tensor, r: Tensor) -> Tensor:
        """For each entity, Σ of P(r | r′) over the edges r′ that join it to the known one, (b, E)."""
        row_indices, packed_edges = self._edges_by_entity.find(anchor_entities.numpy())
        other_relations, entities = packed_edges % (2 * self.num_relations), packed_edges // (2 * self.num_relations)
        scores = torch.zeros(len(anchor_entities), self.num_entities)
        return scores.index_put_((row_indices, entities), self._rules[other_relations, r[row_indices]], accumulate=True)

    def _learned(self, train: np.ndarray, two_way_edges: np.ndarray, entity_count: int, relation_count: int) -> Tensor:
        """P(r | r′), (2m, 2m): of the pairs that r′ joins, the share that r joins too; 0 on the diagonal."""
        entity_pairs, pair_index = np.unique(
            two_way_edges[:, 0] * entity_count + two_way_edges[:, 2], return_inverse=True
        )
        pair_relations = csr_array(
            (np.ones(len(two_way_edges)), (pair_index.reshape(-1), two_way_edges[:, 1])),
            shape=(len(entity_pairs), 2 * relation_count),
        )
        cooccurrence = torch.from_numpy((pair_relations.T @ pair_relations).toarray().astype(np.float32))
        rules: Tensor = cooccurrence / cooccurrence.diagonal().clamp_min(1).unsqueeze(1)
        return rules.fill_diagonal_(0.0)


class Neighbours:
    """Candidates that entities with similar edges are joined to (nearest neighbours, as in collaborative filtering).

    Two entities are as similar as their edges: the cosine of their (relation, direction, neighbour) sets, each edge
    weighted by log(E / entities that have it). `DAMPING` keeps entities with a single edge from being sure.
    """

    DAMPING = 10.0

    def __init__(self, split: Split) -> None:
        triples, train = split.triples, split.train
        self.num_entities, self.num_relations = entity_count, relation_count = (
            triples.num_entities,
            triples.num_relations,
        )
        two_way_edges = np.concatenate([train, train[:, [2, 1, 0]] + np.array([0, relation_count, 0])])
        edge_features, feature_index = np.unique(
            two_way_edges[:, 1] * entity_count + two_way_edges[:, 2], return_inverse=True
        )
        entity_features = csr_array(
            (np.ones(len(two_way_edges), dtype=np.float32), (two_way_edges[:, 0], feature_index)),
            shape=(entity_count, len(edge_features)),
        )
        weighted_features = entity_features.multiply(np.log(entity_count / entity_features.sum(axis=0))).tocsr()
        vector_norms = np.sqrt(weighted_features.multiply(weighted_features).sum(axis=1)) + self.DAMPING
        self._features = csr_array(diags_array((1 / vector_norms).astype(np.float32)) @ weighted_features)
        self._edges = [
            csr_array(
                (np.ones(len(relation_rows), dtype=np.float32), (relation_rows[:, 0], relation_rows[:, 2])),
                shape=(entity_count, entity_count),
            )
            for relation_rows in (train[train[:, 1] == relation] for relation in range(relation_count))
        ]
        self._turned = [csr_array(relation_edges.T) for relation_edges in self._edges]

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,): as tail and as head together."""
        tail_scores, head_scores = self.tails(h, r), self.heads(r, t)
        return tail_scores.gather(1, t.unsqueeze(1))[:, 0] + head_scores.gather(1, h.unsqueeze(1))[:, 0]

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Each entity as tail, (b, E): Σ of similarity(h, h′) over the edges (h′, r, t)."""
        return self._joined(h, r, self._turned)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Each entity as head, (b, E): Σ of similarity(t, t′) over the edges (h, r, t′)."""
        return self._joined(t, r, self._edges)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Each relation, (b, R), by the edges of similar heads with the tail, and of the head with similar tails."""
        similar_heads, similar_tails = self._similar(h), self._similar(t)
        head_ids, tail_ids = h.numpy(), t.numpy()
        scores = []
        for relation_edges, turned_edges in zip(self._edges, self._turned, strict=True):
            tail_scores = turned_edges[tail_ids].multiply(similar_heads).sum(axis=1)
            scores.append(tail_scores + relation_edges[head_ids].multiply(similar_tails).sum(axis=1))
        return torch.from_numpy(np.stack(scores, axis=1))

    def _similar(self, entities: Tensor) -> np.ndarray:
        """The similarity to each entity, (b, E), 0 to itself."""
        entity_ids = entities.numpy()
        similarity = (self._features[entity_ids] @ self._features.T).toarray()
        similarity[np.arange(len(entity_ids)), entity_ids] = 0
        return similarity

    def _joined(self, anchor_entities: Tensor, r: Tensor, relation_edges: list[csr_array]) -> Tensor:
        groups = ByRelation(r)
        relation_groups = zip(groups.relations.tolist(), groups.cut(anchor_entities), strict=True)
        return groups.join(
            torch.from_numpy((relation_edges[relation] @ self._similar(group_entities).T).T)
            for relation, group_entities in relation_groups
        )


class _Lookup:
    """Values by key, for many keys at once."""

    def __init__(self, keys: np.ndarray, values: np.ndarray, size: int) -> None:
        key_order = np.argsort(keys, kind="stable")
        self._keys, self._values = keys[key_order], values[key_order]

    def find(self, query_keys: np.ndarray) -> tuple[Tensor, Tensor]:
        """All (row of `query_keys`, value) with that key."""
        first_match, match_end = (np.searchsorted(self._keys, query_keys, side=side) for side in ("left", "right"))
        match_counts = match_end - first_match
        row_indices = np.repeat(np.arange(len(query_keys)), match_counts)
        offsets = np.arange(len(row_indices)) - np.repeat(np.cumsum(match_counts) - match_counts, match_counts)
        return torch.from_numpy(row_indices), torch.from_numpy(
            self._values[np.repeat(first_match, match_counts) + offsets]
        )


def _counts(shape: tuple[int, int], row_indices: Tensor, column_indices: Tensor) -> Tensor:
    """How often each (row, column) occurs, and below 1, how often the column does at all."""
    unit_counts = torch.ones(len(row_indices))
    pair_counts = torch.zeros(shape).index_put_((row_indices, column_indices), unit_counts, accumulate=True)
    column_counts = torch.bincount(column_indices, minlength=shape[1])
    return pair_counts + column_counts / (column_counts.max() + 1)


def _below(raw_counts: Tensor) -> Tensor:
    """Counts squeezed under the least rule score that matters, in the same order."""
    return 1e-4 * raw_counts / (1 + raw_counts)


BASELINES: Final[Mapping[str, Callable[[Split], Scorer]]] = {
    "frequency": Frequency,
    "inverse-rule": InverseRule,
    "neighbours": Neighbours,
}
