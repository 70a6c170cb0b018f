"""AttH: rotations and reflections in hyperbolic space, mixed by attention (Chami et al. 2020, ACL)."""

from __future__ import annotations

import math
from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.nn.modules import Interaction
from pykeen.triples import KGInfo
from torch import Tensor
from torch.nn.functional import softplus
from torch.nn.init import normal_, ones_, uniform_, zeros_

from kgp_models.link_prediction import poincare
from kgp_models.link_prediction.scorers import ModelScorer
from kgp_models.link_prediction.scoring import ByRelation

# translation (..., d), rotation and reflection angles (..., d/2), context (..., d), raw curvature (...)
Relation = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


class AttHInteraction(Interaction[tuple[Tensor, Tensor], Relation, tuple[Tensor, Tensor]]):
    """AttH: f(h, r, t) = −d(Q(h, r), exp₀(t))² + b_h + b_t in the ball of the relation's curvature.

    Q(h, r) = exp₀(α Rot(Θ_r) h + (1 − α) Ref(Φ_r) h) ⊕ exp₀(r), where (α, 1 − α) is the softmax of ⟨a_r, Rot(Θ_r) h⟩/√d
    and ⟨a_r, Ref(Φ_r) h⟩/√d. Rot and Ref turn each pair of coordinates by [[cos θ, −sin θ], [sin θ, cos θ]] and
    [[cos φ, sin φ], [sin φ, −cos φ]]; the curvature is −softplus(c_r).
    Shapes: h, t, r, a_r (..., d); Θ_r, Φ_r (..., d/2); c_r and the biases (...).
    Chami, Wolf, Juan, Sala, Ravi, Ré: Low-Dimensional Hyperbolic Knowledge Graph Embeddings, ACL 2020, section 4,
    arXiv:2005.00545.

    h, t and r are tangent vectors at the origin, as in the authors' code (github.com/HazyResearch/KGEmb). The paper
    turns points of the ball and takes log₀ of them before attention; turning keeps norms, so it commutes with exp₀ and
    log₀, and turning the tangent vector gives the same. The scale 1/√d is from the authors' code; its reflection (at
    2c64476) has −x₁ where the paper has −x₂; here it is the paper's, which keeps norms.
    """

    entity_shape = ("d", "", "")  # vector, bias as head, bias as tail
    relation_shape = ("d", "e", "e", "d", "")
    _head_indices = (0, 1)
    _tail_indices = (0, 2)

    def query(self, h: Tensor, r: Relation) -> tuple[Tensor, Tensor]:
        """Q(h, r), (..., d), and the curvature's absolute value, (..., 1). Raises ValueError for angles not of d/2."""
        translation, rotation, reflection, context, raw_curvature = r
        if translation.shape[-1] != h.shape[-1] or 2 * rotation.shape[-1] != h.shape[-1]:
            actual_sizes = (translation.shape[-1], rotation.shape[-1])
            raise ValueError(f"for d = {h.shape[-1]}, translation and angles must be of d and d/2, not {actual_sizes}")
        curvature = softplus(raw_curvature).unsqueeze(-1)
        rotated, reflected = rotate(h, rotation), reflect(h, reflection)
        # the softmax over two is the logistic function of the difference
        logit = (context * (rotated - reflected)).sum(dim=-1, keepdim=True) / math.sqrt(h.shape[-1])
        mixed_tangent = reflected + logit.sigmoid() * (rotated - reflected)
        point = poincare.exp0(mixed_tangent, curvature)
        return poincare.mobius_add(point, poincare.exp0(translation, curvature), curvature), curvature

    def forward(self, h: tuple[Tensor, Tensor], r: Relation, t: tuple[Tensor, Tensor]) -> Tensor:
        """The score over broadcast leading dimensions, (...)."""
        (head, head_bias), (tail, tail_bias) = h, t
        point, curvature = self.query(head, r)
        distance = poincare.squared_distance(point, poincare.exp0(tail, curvature), curvature)
        return head_bias + tail_bias - distance


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """Each pair (x₁, x₂) to (x₁ cos θ − x₂ sin θ, x₁ sin θ + x₂ cos θ); x (..., d), angle (..., d/2)."""
    even_entries, odd_entries = x[..., 0::2], x[..., 1::2]
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack(
        [even_entries * cosine - odd_entries * sine, even_entries * sine + odd_entries * cosine], dim=-1
    ).flatten(-2)


def reflect(x: Tensor, angle: Tensor) -> Tensor:
    """Each pair (x₁, x₂) to (x₁ cos φ + x₂ sin φ, x₁ sin φ − x₂ cos φ); x (..., d), angle (..., d/2)."""
    even_entries, odd_entries = x[..., 0::2], x[..., 1::2]
    cosine, sine = angle.cos(), angle.sin()
    return torch.stack(
        [even_entries * cosine + odd_entries * sine, even_entries * sine - odd_entries * cosine], dim=-1
    ).flatten(-2)


class AttH(ERModel[tuple[Tensor, Tensor], Relation, tuple[Tensor, Tensor]]):  # type: ignore[no-untyped-call]
    """Entities with a tangent vector and two biases, relations as in `AttHInteraction`. `embedding_dim` is even.

    Initial values are the authors': vectors from N(0, 0.001²), raw curvatures 1, biases 0; angles are uniform.
    """

    def __init__(
        self, *, triples_factory: KGInfo, embedding_dim: int = 32, init_std: float = 1e-3, **kwargs: Any
    ) -> None:
        if embedding_dim % 2:
            raise ValueError(f"AttH turns pairs of coordinates: the dimension must be even, not {embedding_dim}")
        vector_settings = {"shape": embedding_dim, "initializer": normal_, "initializer_kwargs": {"std": init_std}}
        bias_settings = {"shape": (), "initializer": zeros_}
        angle_settings = {
            "shape": embedding_dim // 2,
            "initializer": uniform_,
            "initializer_kwargs": {"a": -math.pi, "b": math.pi},
        }
        super().__init__(
            triples_factory=triples_factory,
            interaction=AttHInteraction(),
            entity_representations_kwargs=[vector_settings, bias_settings, bias_settings],
            relation_representations_kwargs=[
                vector_settings,
                angle_settings,
                angle_settings,
                vector_settings,
                {"shape": (), "initializer": ones_},
            ],
            **kwargs,
        )


class AttHScorer(ModelScorer):
    """Candidate scores of AttH by matrix products.

    Tails need one product, as exp₀(t) is a multiple of t in every curvature. For heads every entity is transformed
    once for each relation of the batch.
    """

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = (self.entities[0](h), self.entities[1](h)), (self.entities[0](t), self.entities[2](t))
        triple_scores: Tensor = self.interaction(head, self._relation(r), tail)
        return triple_scores

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        query_points, curvature = self.interaction.query(self.entities[0](h), self._relation(r))  # (b, d), (b, 1)
        v = self.entities[0](None)  # (E, d)
        v2 = poincare.squared_norm(v).T  # (1, E)
        tail_scale = poincare.exp0_scale(v2, curvature)  # (b, E)
        distance = poincare.squared_distance_from_products(
            poincare.squared_norm(query_points), tail_scale.square() * v2, tail_scale * (query_points @ v.T), curvature
        )
        return self.entities[1](h).unsqueeze(1) + self.entities[2](None) - distance

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        relation_groups = ByRelation(r)
        v = self.entities[0](None)  # (E, d)
        relation_parameters = zip(
            *(parameter.unbind(0) for parameter in self._relation(relation_groups.relations)), strict=True
        )
        group_distances = []
        for group_tails, relation in zip(relation_groups.cut(self.entities[0](t)), relation_parameters, strict=True):
            head_points, curvature = self.interaction.query(v, relation)  # (E, d), (1,)
            group_distances.append(
                poincare.squared_distances(poincare.exp0(group_tails, curvature), head_points, curvature)
            )
        return self.entities[1](None) + self.entities[2](t).unsqueeze(1) - relation_groups.join(group_distances)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation, (b, R), through (b, R, d): there are few relations."""
        head = self.entities[0](h).unsqueeze(1), self.entities[1](h).unsqueeze(1)
        tail = self.entities[0](t).unsqueeze(1), self.entities[2](t).unsqueeze(1)
        relation_scores: Tensor = self.interaction(head, self._relation(None), tail)
        return relation_scores

    def _relation(self, r: Tensor | None) -> Relation:
        translation, rotation, reflection, context, raw_curvature = (representation(r) for representation in self.links)
        return translation, rotation, reflection, context, raw_curvature
