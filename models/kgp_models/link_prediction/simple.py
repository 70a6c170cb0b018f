"""SimplE, as published.

``pykeen.nn.SimplEInteraction`` 1.11.1 multiplies the head vectors of both entities with each other, and the tail
vectors with each other: the mean of two DistMults, which is symmetric. In SimplE a head vector meets a tail vector.
"""

from __future__ import annotations

from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.nn.modules import Interaction
from torch import Tensor

from kgp_models.link_prediction.bilinear import Bilinear

Pair = tuple[Tensor, Tensor]


class SimplEInteraction(Interaction[Pair, Pair, Pair]):
    """½(⟨h₁, r, t₂⟩ + ⟨t₁, r⁻¹, h₂⟩) (Kazemi and Poole 2018, §4, definition 1).

    Shapes: e₁ (as head), e₂ (as tail), r, r⁻¹: (…, d).
    """

    entity_shape = ("d", "d")
    relation_shape = ("d", "d")

    def forward(self, h: Pair, r: Pair, t: Pair) -> Tensor:
        """The scores, of the broadcast leading shape."""
        return ((h[0] * r[0] * t[1]).sum(dim=-1) + (t[0] * r[1] * h[1]).sum(dim=-1)) / 2


class SimplE(ERModel[Any, Any, Any]):
    """SimplE with uniform initial values in ±6/√d, as the authors' code has it."""

    def __init__(self, *, embedding_dim: int = 64, **model_options: Any) -> None:
        bound = 6 / embedding_dim**0.5
        vector_settings = {
            "shape": embedding_dim,
            "initializer": torch.nn.init.uniform_,
            "initializer_kwargs": {"a": -bound, "b": bound},
        }
        super().__init__(  # type: ignore[no-untyped-call]
            interaction=SimplEInteraction,
            entity_representations_kwargs=[vector_settings, vector_settings],
            relation_representations_kwargs=[vector_settings, vector_settings],
            **model_options,
        )


class SimplEScorer(Bilinear):
    """Candidate scores of SimplE."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """½[h₂ ∘ r₂, h₁ ∘ r₁], (b, 2d)."""
        first_half, second_half = self.entities[0](h) * self.links[0](r), self.entities[1](h) * self.links[1](r)
        return torch.cat([second_half, first_half], dim=1) / 2

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """½[t₂ ∘ r₁, t₁ ∘ r₂], (b, 2d)."""
        first_half, second_half = self.entities[1](t) * self.links[0](r), self.entities[0](t) * self.links[1](r)
        return torch.cat([first_half, second_half], dim=1) / 2

    def candidates(self, entities: Tensor | None) -> Tensor:
        """[e₁, e₂], (n, 2d)."""
        return torch.cat([self.entities[0](entities), self.entities[1](entities)], dim=1)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        (head, tail), (head_2, tail_2) = self.ends(h, t), self.ends(h, t, 1)
        products = head * self.links[0](r) * tail_2 + tail * self.links[1](r) * head_2
        return products.sum(dim=1) / 2

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), by two products."""
        all_relations = torch.arange(self.num_relations, device=h.device)
        forward_scores = (self.entities[0](h) * self.entities[1](t)) @ self.links[0](all_relations).T
        return (forward_scores + (self.entities[1](h) * self.entities[0](t)) @ self.links[1](all_relations).T) / 2
