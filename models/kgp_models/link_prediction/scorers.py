"""What the `Scorer`s of PyKEEN's models share: the same scores as its interactions, without broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pykeen.models import ERModel
from torch import Tensor


class ModelScorer:
    """What the scorers of PyKEEN's models share. Subclasses give `triples`, `tails` and `heads`."""

    def __init__(self, model: ERModel[Any, Any, Any]) -> None:
        self.model = model
        self.num_entities: int = model.num_entities
        self.num_relations: int = model.num_relations  # with inverse ones, if the model has them
        self.entities: list[Callable[..., Tensor]] = list(model.entity_representations)
        self.links: list[Callable[..., Tensor]] = list(model.relation_representations)
        self.interaction: Any = model.interaction

    def ends(self, h: Tensor, t: Tensor, which: int = 0) -> tuple[Tensor, Tensor]:
        """A vector of the heads and of the tails, (b, …) each, in one look-up: so one dense gradient, not two."""
        head, tail = torch.split(self.entities[which](torch.cat([h, t])), [len(h), len(t)])
        return head, tail

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        raise NotImplementedError

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        raise NotImplementedError

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        raise NotImplementedError

    def nuclear_3_norm(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """Σ |h|³ + |r|³ + |t|³ over the triples (Lacroix et al. 2018, eq. 9), of factors with one vector each."""
        factors = (self.entities[0](h), self.links[0](r), self.entities[0](t))
        return sum((factor.abs().pow(3).sum() for factor in factors), start=torch.zeros((), device=h.device))

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), one relation at a time."""
        relation_scores = [self.triples(h, torch.full_like(h, relation), t) for relation in range(self.num_relations)]
        return torch.stack(relation_scores, dim=1)


class Reciprocal:
    """A model with two vectors a relation, r and r⁻¹: heads are predicted as tails of r⁻¹ (Lacroix et al. 2018).

    PyKEEN gives relation r the places 2r and 2r + 1.
    """

    def __init__(self, doubled: ModelScorer) -> None:
        self.doubled = doubled
        self.num_entities = doubled.num_entities
        self.num_relations = doubled.num_relations // 2

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,), as a tail prediction."""
        return self.doubled.triples(h, 2 * r, t)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self.doubled.tails(h, 2 * r)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self.doubled.tails(t, 2 * r + 1)

    def nuclear_3_norm(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The penalty of the triples and of their inverses, halved."""
        return (self.doubled.nuclear_3_norm(h, 2 * r, t) + self.doubled.nuclear_3_norm(t, 2 * r + 1, h)) / 2

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation, (b, R): the sum of what both directions say."""
        return self.doubled.relations(h, t)[:, 0::2] + self.doubled.relations(t, h)[:, 1::2]


def as_real(x: Tensor) -> Tensor:
    """A complex (n, d) as real (n, 2d)."""
    return torch.view_as_real(x.resolve_conj()).flatten(1)
