"""`Scorer`s of the models that multiply head, relation and tail."""

from __future__ import annotations

import torch
from torch import Tensor

from kgp_models.link_prediction.scorers import ModelScorer, as_real
from kgp_models.link_prediction.scoring import ByRelation


class Bilinear(ModelScorer):
    """Scores that are a product of a query and the candidate: q(h, r)·t = q′(r, t)·h."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """q(h, r), (b, k)."""
        raise NotImplementedError

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """q′(r, t), (b, k)."""
        raise NotImplementedError

    def candidates(self, entities: Tensor | None) -> Tensor:
        """The vectors that queries are multiplied with, (n, k)."""
        return self.entities[0](entities)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        return (self.tail_query(h, r) * self.candidates(t)).sum(dim=1)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self.tail_query(h, r) @ self.candidates(None).T

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self.head_query(r, t) @ self.candidates(None).T


class DistMult(Bilinear):
    """⟨h, r, t⟩ (Yang et al. 2015)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """The product h ∘ r, (b, d)."""
        return self.entities[0](h) * self.links[0](r)

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """The product r ∘ t, (b, d)."""
        return self.tail_query(t, r)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return (head * self.links[0](r) * tail).sum(dim=1)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), by one product."""
        all_relations = self.links[0](torch.arange(self.num_relations, device=h.device))
        return (self.entities[0](h) * self.entities[0](t)) @ all_relations.T


class ComplEx(Bilinear):
    """Re⟨h, r, t̄⟩ (Trouillon et al. 2016); complex vectors as (real, imaginary) pairs."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """The product h ∘ r of complex vectors, (b, 2d)."""
        return as_real(self.entities[0](h) * self.links[0](r))

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """The product r̄ ∘ t of complex vectors, (b, 2d)."""
        return as_real(self.links[0](r).conj() * self.entities[0](t))

    def candidates(self, entities: Tensor | None) -> Tensor:
        """The entities' pairs, (n, 2d)."""
        return as_real(self.entities[0](entities))

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return (as_real(head * self.links[0](r)) * as_real(tail)).sum(dim=1)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), by one product."""
        all_relations = self.links[0](torch.arange(self.num_relations, device=h.device))
        return as_real(self.entities[0](h).conj() * self.entities[0](t)) @ as_real(all_relations).T


class RESCAL(Bilinear):
    """hᵀ R t with a full matrix R (Nickel et al. 2011)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        relation_groups = ByRelation(r)
        head, tail = self.ends(h[relation_groups.rows], t[relation_groups.rows])
        return relation_groups.back(
            (relation_groups.multiply(head, self.links[0](relation_groups.relations)) * tail).sum(dim=1)
        )

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """Rᵀh, (b, d)."""
        relation_groups = ByRelation(r)
        return relation_groups.back(
            relation_groups.multiply(
                self.entities[0](h[relation_groups.rows]), self.links[0](relation_groups.relations)
            )
        )

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """R t, (b, d)."""
        relation_groups = ByRelation(r)
        matrices = self.links[0](relation_groups.relations).transpose(1, 2)
        return relation_groups.back(relation_groups.multiply(self.entities[0](t[relation_groups.rows]), matrices))

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R): the outer products h tᵀ times the matrices, some rows at a time."""
        matrices = self.links[0](torch.arange(self.num_relations, device=h.device)).flatten(1)
        score_parts = []
        for head_part, tail_part in zip(
            torch.split(self.entities[0](h), 1024), torch.split(self.entities[0](t), 1024), strict=True
        ):
            score_parts.append((head_part.unsqueeze(2) * tail_part.unsqueeze(1)).flatten(1) @ matrices.T)
        return torch.cat(score_parts)
