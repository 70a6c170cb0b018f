"""What link prediction needs of a model: scores of given triples, and of every candidate for a missing part.

PyKEEN's models score candidates by broadcasting to (batch, entities, dimension). A `Scorer` does it by matrix products
and pairwise distances, without that intermediate; its scores are the model's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

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


FEW: Final = 16  # rows from which on a relation's matrix is worth a product of its own


class ByRelation:
    """A batch (b,) of relations, sorted so that each relation's rows are together and its matrix is used once, not b
    times. Rows are gathered before they are cut, since the gradient of a cut is a join, but that of a gather is dense.
    `relations` are those of the batch, the rare ones first.
    """

    def __init__(self, r: Tensor) -> None:
        relations, place, counts = torch.unique(r, return_inverse=True, return_counts=True)
        by_count = torch.argsort(counts >= FEW, stable=True)
        rank = torch.empty_like(by_count)
        rank[by_count] = torch.arange(len(by_count), device=r.device)
        self.relations = relations[by_count]
        self._order = torch.argsort(rank[place], stable=True)
        self._counts: list[int] = counts[by_count].tolist()
        self._rare = sum(count < FEW for count in self._counts)  # so many relations

    def multiply(self, rows: Tensor, matrices: Tensor) -> Tensor:
        """Each row (b, d) times the matrix of its relation, of (u, d, k): (b, k).

        Rare relations go together, with a copy of the matrix a row; the others one by one.
        """
        few = sum(self._counts[: self._rare])
        first, *rest = torch.split(rows[self._order], [few, *self._counts[self._rare :]])
        sizes = torch.tensor(self._counts[: self._rare], dtype=torch.int64, device=rows.device)
        copies = matrices[torch.repeat_interleave(torch.arange(self._rare, device=rows.device), sizes)]
        parts = [torch.bmm(first.unsqueeze(1), copies).squeeze(1)]
        parts += [part @ matrix for part, matrix in zip(rest, matrices[self._rare :].unbind(0), strict=True)]
        return self.join(parts)

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
