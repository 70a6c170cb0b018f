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
from kgplatform.export.splits import Split


class Frequency:
    """Candidates by how often training has them with the same relation; among those never seen with it, by how often
    it has them at all.
    """

    def __init__(self, split: Split) -> None:
        triples, train = split.triples, torch.from_numpy(split.train.copy())
        self.num_entities, self.num_relations = triples.num_entities, triples.num_relations
        self.kinds = torch.from_numpy(np.unique(triples.kinds, return_inverse=True)[1].reshape(-1))
        shape = self.num_relations, self.num_entities
        self._heads, self._tails = (_counts(shape, train[:, 1], train[:, place]) for place in (0, 2))
        pairs = self.kinds[train[:, 0]] * (int(self.kinds.max()) + 1) + self.kinds[train[:, 2]]
        number = (int(self.kinds.max()) + 1) ** 2
        self._relations = _counts((number, self.num_relations), pairs, train[:, 1])

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
        self.num_entities, self.num_relations = n, m = triples.num_entities, triples.num_relations
        both = np.concatenate([train, train[:, [2, 1, 0]] + np.array([0, m, 0])])  # r + m: the edge runs t → h
        self._around = _Lookup(both[:, 0] * n + both[:, 2], both[:, 1], n * n)
        self._of_entity = _Lookup(both[:, 0], both[:, 2] * (2 * m) + both[:, 1], n)
        self._rules = self._learned(train, both, n, m)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,): the mean of its scores as tail and as head."""
        tails, heads = self.tails(h, r), self.heads(r, t)
        return (tails.gather(1, t.unsqueeze(1)) + heads.gather(1, h.unsqueeze(1)))[:, 0] / 2

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Each entity as tail, (b, E)."""
        return _below(self._frequency.tails(h, r)) + self._joined(h, r)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Each entity as head, (b, E): the question turned round."""
        return _below(self._frequency.heads(r, t)) + self._joined(t, r + self.num_relations)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Each relation, (b, R), by the other edges between the two."""
        scores = _below(self._frequency.relations(h, t))
        rows, others = self._around.find((h * self.num_entities + t).numpy())
        scores.index_put_((rows,), self._rules[others, : self.num_relations], accumulate=True)
        return scores

    def _joined(self, known: Tensor, r: Tensor) -> Tensor:
        """For each entity, Σ of P(r | r′) over the edges r′ that join it to the known one, (b, E)."""
        rows, packed = self._of_entity.find(known.numpy())
        others, entities = packed % (2 * self.num_relations), packed // (2 * self.num_relations)
        scores = torch.zeros(len(known), self.num_entities)
        return scores.index_put_((rows, entities), self._rules[others, r[rows]], accumulate=True)

    def _learned(self, train: np.ndarray, both: np.ndarray, n: int, m: int) -> Tensor:
        """P(r | r′), (2m, 2m): of the pairs that r′ joins, the share that r joins too; 0 on the diagonal."""
        pairs, place = np.unique(both[:, 0] * n + both[:, 2], return_inverse=True)
        has = csr_array((np.ones(len(both)), (place.reshape(-1), both[:, 1])), shape=(len(pairs), 2 * m))
        together = torch.from_numpy((has.T @ has).toarray().astype(np.float32))
        rules: Tensor = together / together.diagonal().clamp_min(1).unsqueeze(1)
        return rules.fill_diagonal_(0.0)


class Neighbours:
    """Candidates that entities with similar edges are joined to (nearest neighbours, as in collaborative filtering).

    Two entities are as similar as their edges: the cosine of their (relation, direction, neighbour) sets, each edge
    weighted by log(E / entities that have it). `DAMPING` keeps entities with a single edge from being sure.
    """

    DAMPING = 10.0

    def __init__(self, split: Split) -> None:
        triples, train = split.triples, split.train
        self.num_entities, self.num_relations = n, m = triples.num_entities, triples.num_relations
        both = np.concatenate([train, train[:, [2, 1, 0]] + np.array([0, m, 0])])
        features, place = np.unique(both[:, 1] * n + both[:, 2], return_inverse=True)
        has = csr_array((np.ones(len(both), dtype=np.float32), (both[:, 0], place)), shape=(n, len(features)))
        weighted = has.multiply(np.log(n / has.sum(axis=0))).tocsr()
        norms = np.sqrt(weighted.multiply(weighted).sum(axis=1)) + self.DAMPING
        self._features = csr_array(diags_array((1 / norms).astype(np.float32)) @ weighted)
        self._edges = [
            csr_array((np.ones(len(rows), dtype=np.float32), (rows[:, 0], rows[:, 2])), shape=(n, n))
            for rows in (train[train[:, 1] == relation] for relation in range(m))
        ]
        self._turned = [csr_array(edges.T) for edges in self._edges]

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,): as tail and as head together."""
        tails, heads = self.tails(h, r), self.heads(r, t)
        return tails.gather(1, t.unsqueeze(1))[:, 0] + heads.gather(1, h.unsqueeze(1))[:, 0]

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Each entity as tail, (b, E): Σ of similarity(h, h′) over the edges (h′, r, t)."""
        return self._joined(h, r, self._turned)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Each entity as head, (b, E): Σ of similarity(t, t′) over the edges (h, r, t′)."""
        return self._joined(t, r, self._edges)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Each relation, (b, R), by the edges of similar heads with the tail, and of the head with similar tails."""
        near_h, near_t = self._similar(h), self._similar(t)
        heads, tails = h.numpy(), t.numpy()
        scores = []
        for edges, turned in zip(self._edges, self._turned, strict=True):
            with_tail = turned[tails].multiply(near_h).sum(axis=1)
            scores.append(with_tail + edges[heads].multiply(near_t).sum(axis=1))
        return torch.from_numpy(np.stack(scores, axis=1))

    def _similar(self, entities: Tensor) -> np.ndarray:
        """The similarity to each entity, (b, E), 0 to itself."""
        ids = entities.numpy()
        near = (self._features[ids] @ self._features.T).toarray()
        near[np.arange(len(ids)), ids] = 0
        return near

    def _joined(self, known: Tensor, r: Tensor, edges: list[csr_array]) -> Tensor:
        groups = ByRelation(r)
        parts = zip(groups.relations.tolist(), groups.cut(known), strict=True)
        return groups.join(torch.from_numpy((edges[one] @ self._similar(ids).T).T) for one, ids in parts)


class _Lookup:
    """Values by key, for many keys at once."""

    def __init__(self, keys: np.ndarray, values: np.ndarray, size: int) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys, self._values = keys[order], values[order]

    def find(self, wanted: np.ndarray) -> tuple[Tensor, Tensor]:
        """All (row of `wanted`, value) with that key."""
        start, end = (np.searchsorted(self._keys, wanted, side=side) for side in ("left", "right"))
        counts = end - start
        rows = np.repeat(np.arange(len(wanted)), counts)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        return torch.from_numpy(rows), torch.from_numpy(self._values[np.repeat(start, counts) + within])


def _counts(shape: tuple[int, int], rows: Tensor, columns: Tensor) -> Tensor:
    """How often each (row, column) occurs, and below 1, how often the column does at all."""
    ones = torch.ones(len(rows))
    counts = torch.zeros(shape).index_put_((rows, columns), ones, accumulate=True)
    overall = torch.bincount(columns, minlength=shape[1])
    return counts + overall / (overall.max() + 1)


def _below(counts: Tensor) -> Tensor:
    """Counts squeezed under the least rule score that matters, in the same order."""
    return 1e-4 * counts / (1 + counts)


BASELINES: Final[Mapping[str, Callable[[Split], Scorer]]] = {
    "frequency": Frequency,
    "inverse-rule": InverseRule,
    "neighbours": Neighbours,
}
