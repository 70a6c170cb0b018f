"""What link prediction needs of a model: scores of given triples, and of every candidate for a missing part.

PyKEEN's models score candidates by broadcasting to (batch, entities, dimension). A `Scorer` does it by matrix products
and pairwise distances, without that intermediate; its scores are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import torch
from torch import Tensor


class Scorer(Protocol):
    """Scores by ids, shape (b,); higher is more plausible. Differentiable where the model has parameters."""

    num_entities: int
    num_relations: int

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, shape (b,)."""
        ...

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """The score of every entity as tail, shape (b, num_entities)."""
        ...

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """The score of every entity as head, shape (b, num_entities)."""
        ...

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """The score of every relation, shape (b, num_relations)."""
        ...


class Factored(Scorer, Protocol):
    """A scorer whose model can be trained with a penalty on its factors."""

    def nuclear_3_norm(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Σ |h|³ + |r|³ + |t|³ over triples, a scalar."""
        ...


class ByRelation:
    """A batch (b,) of relations, sorted so that each relation's rows are together and its matrix is used once, not b
    times. Rows are gathered before they are cut, since the gradient of a cut is a join, but that of a gather is dense.
    """

    def __init__(self, r: Tensor) -> None:
        self._order = torch.argsort(r, stable=True)
        self.relations, counts = torch.unique_consecutive(r[self._order], return_counts=True)
        self._counts: list[int] = counts.tolist()

    def cut(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows (b, …) of each relation."""
        return torch.split(rows[self._order], self._counts)

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Undo `cut`: (b, …) in the batch's order."""
        back = torch.empty_like(self._order)
        back[self._order] = torch.arange(len(back), device=back.device)
        return torch.cat(list(parts))[back]


def negative_norm(x: Tensor, p: float, power: bool) -> Tensor:
    """−‖x‖ₚ over the last dimension, to the p-th power if `power`."""
    if power:
        return -x.abs().pow(p).sum(dim=-1)
    norm: Tensor = torch.linalg.vector_norm(x, ord=p, dim=-1)
    return -norm


def negative_distances(x: Tensor, y: Tensor, p: float, power: bool) -> Tensor:
    """−‖xᵢ − yⱼ‖ₚ for all pairs of (n, d) and (m, d): (n, m). For p = 2 by one matrix product."""
    if p != 2:
        distance = torch.cdist(x, y, p=p)
        return -distance.pow(p) if power else -distance
    squared = torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2)
    if power:
        return -squared
    return -squared.clamp_min(1e-12).sqrt()
