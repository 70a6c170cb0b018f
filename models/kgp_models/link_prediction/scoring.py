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
        distinct_relations, relation_rank, row_counts = torch.unique(r, return_inverse=True, return_counts=True)
        self._counts, count_order = torch.sort(row_counts, stable=True)
        self.relations = distinct_relations[count_order]
        self._order = torch.argsort(torch.argsort(count_order)[relation_rank], stable=True)

    @cached_property
    def rows(self) -> Tensor:
        """The row of the batch in each place, (p,)."""
        relation_widths, row_positions = self._layout
        padded_rows = self._order.new_zeros(int(relation_widths.sum()))
        padded_rows[row_positions] = self._order
        return padded_rows

    def multiply(self, vectors: Tensor, matrices: Tensor) -> Tensor:
        """Vectors in places, (p, …, d), times the matrices of their relations, (u, d, k): (p, …, k)."""
        widths, group_sizes = (
            unique_part.tolist() for unique_part in torch.unique_consecutive(self._layout[0], return_counts=True)
        )
        vector_parts = torch.split(
            vectors, [width * group_size for width, group_size in zip(widths, group_sizes, strict=True)]
        )
        products = [
            torch.bmm(vector_part.reshape(len(group_matrices), -1, vector_part.shape[-1]), group_matrices).view(
                *vector_part.shape[:-1], -1
            )
            for vector_part, group_matrices in zip(vector_parts, torch.split(matrices, group_sizes), strict=True)
        ]
        return torch.cat(products)

    @cached_property
    def positions(self) -> Tensor:
        """The place of each row of the batch, (b,)."""
        positions = torch.empty_like(self._order)
        positions[self._order] = self._layout[1]
        return positions

    def back(self, values: Tensor) -> Tensor:
        """What is in places, (p, …), in the batch's order, (b, …)."""
        return values[self.positions]

    def cut(self, rows: Tensor) -> tuple[Tensor, ...]:
        """The rows (b, …) of each relation."""
        return torch.split(rows[self._order], self._counts.tolist())

    def join(self, parts: Iterable[Tensor]) -> Tensor:
        """Undo `cut`: (b, …) in the batch's order."""
        return torch.cat(list(parts))[torch.argsort(self._order)]

    @cached_property
    def _layout(self) -> tuple[Tensor, Tensor]:
        """How many places each relation has, (u,), rising; and the place of each sorted row, (b,)."""
        row_counts = self._counts
        relation_widths = 2 ** torch.ceil(torch.log2(row_counts.double())).long()
        start_positions, first_rows = (
            torch.cumsum(relation_widths, 0) - relation_widths,
            torch.cumsum(row_counts, 0) - row_counts,
        )
        row_numbers = torch.arange(len(self._order), device=row_counts.device)
        return relation_widths, row_numbers + torch.repeat_interleave(start_positions - first_rows, row_counts)


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
    squared_distance = torch.addmm(x.square().sum(1, keepdim=True) + y.square().sum(1), x, y.T, alpha=-2)
    if power:
        return -squared_distance
    return -squared_distance.clamp_min(1e-12).sqrt()
