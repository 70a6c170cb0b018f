"""What link prediction needs of a model: scores of given triples, and of every candidate for a missing part.

PyKEEN's models score candidates by broadcasting to (batch, entities, dimension). A `Scorer` does it by matrix products
and pairwise distances, without that intermediate; its scores are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
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
    times. `relations` are those of the batch, (u,), the rare ones first.

    For products, the rows are laid out in places, `rows` (p,): relations with up to 1, 2, 4, 8, … rows have that many
    places each, and what is missing is filled with other rows. So at most half is in vain, and one batched product
    does all relations of one width: log₂ b of them, not one a relation nor one a row.
    """

    def __init__(self, r: Tensor) -> None:
        relations, rank, counts = torch.unique(r, return_inverse=True, return_counts=True)
        self._counts, by_count = torch.sort(counts, stable=True)
        self.relations = relations[by_count]
        self._order = torch.argsort(torch.argsort(by_count)[rank], stable=True)

    @cached_property
    def rows(self) -> Tensor:
        """The row of the batch in each place, (p,)."""
        widths, places = self._layout
        rows = self._order.new_zeros(int(widths.sum()))
        rows[places] = self._order
        return rows

    def multiply(self, vectors: Tensor, matrices: Tensor) -> Tensor:
        """Vectors in places, (p, …, d), times the matrices of their relations, (u, d, k): (p, …, k)."""
        sizes, groups = (x.tolist() for x in torch.unique_consecutive(self._layout[0], return_counts=True))
        parts = torch.split(vectors, [size * group for size, group in zip(sizes, groups, strict=True)])
        products = [
            torch.bmm(part.reshape(len(some), -1, part.shape[-1]), some).view(*part.shape[:-1], -1)
            for part, some in zip(parts, torch.split(matrices, groups), strict=True)
        ]
        return torch.cat(products)

    @cached_property
    def places(self) -> Tensor:
        """The place of each row of the batch, (b,)."""
        places = torch.empty_like(self._order)
        places[self._order] = self._layout[1]
        return places

    def back(self, values: Tensor) -> Tensor:
        """What is in places, (p, …), in the batch's order, (b, …)."""
        return values[self.places]

    def cut(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows (b, …) of each relation."""
        return torch.split(rows[self._order], self._counts.tolist())

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Undo `cut`: (b, …) in the batch's order."""
        return torch.cat(list(parts))[torch.argsort(self._order)]

    @cached_property
    def _layout(self) -> tuple[Tensor, Tensor]:
        """How many places each relation has, (u,), rising; and the place of each sorted row, (b,)."""
        counts = self._counts
        widths = 2 ** torch.ceil(torch.log2(counts.double())).long()
        starts, first = torch.cumsum(widths, 0) - widths, torch.cumsum(counts, 0) - counts
        rows = torch.arange(len(self._order), device=counts.device)
        return widths, rows + torch.repeat_interleave(starts - first, counts)


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
