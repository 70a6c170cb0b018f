"""MurP: translations and stretches in the Poincaré ball (Balažević, Allen and Hospedales 2019, NeurIPS)."""

from __future__ import annotations

from typing import Any

from pykeen.models import ERModel
from pykeen.nn.modules import Interaction
from pykeen.triples import KGInfo
from torch import Tensor
from torch.nn.init import normal_, uniform_, zeros_

from kgp_models.link_prediction import poincare
from kgp_models.link_prediction.scorers import ModelScorer

CURVATURE = 1.0  # the paper's ball
Pair = tuple[Tensor, Tensor]


class MurPInteraction(Interaction[Pair, Pair, Pair]):
    """MurP: f(h, r, t) = −d(exp₀(R log₀(h)), t ⊕ r)² + b_h + b_t in the ball of curvature −1, with diagonal R.

    Shapes: h, t, r and R's diagonal (..., d); the biases (...).
    Balažević, Allen, Hospedales: Multi-relational Poincaré Graph Embeddings, NeurIPS 2019, section 3, arXiv:1905.09791.

    The parameters are the tangent vectors log₀(h), log₀(t) and log₀(r), mapped into the ball by exp₀, as in AttH's
    code. The authors keep the points themselves and train them with Riemannian SGD, which moves along geodesics; plain
    AdamW or Adagrad would step out of the ball. exp₀ is a bijection of ℝᵈ and the ball, smooth both ways, so the two
    parameterisations have the same models, with the same minima; only the optimiser's path differs.
    """

    entity_shape = ("d", "", "")  # vector, bias as head, bias as tail
    relation_shape = ("d", "d")  # translation, stretch
    _head_indices = (0, 1)
    _tail_indices = (0, 2)

    def head_point(self, h: Tensor, r: Pair) -> Tensor:
        """The stretched head exp₀(R log₀(h)), (..., d), for the tangent vectors log₀(h)."""
        _, stretch = r
        _check(h, stretch)
        return poincare.exp0(h * stretch, CURVATURE)

    def tail_point(self, t: Tensor, r: Pair) -> Tensor:
        """The translated tail t ⊕ r, (..., d), for the tangent vectors log₀(t)."""
        translation, _ = r
        _check(t, translation)
        return poincare.mobius_add(poincare.exp0(t, CURVATURE), poincare.exp0(translation, CURVATURE), CURVATURE)

    def forward(self, h: Pair, r: Pair, t: Pair) -> Tensor:
        """The score over broadcast leading dimensions, (...)."""
        (head, head_bias), (tail, tail_bias) = h, t
        distance = poincare.squared_distance(self.head_point(head, r), self.tail_point(tail, r), CURVATURE)
        return head_bias + tail_bias - distance


def _check(entity: Tensor, relation: Tensor) -> None:
    """Raise ValueError for unequal dimensions: 1 and d would broadcast."""
    entity_size, relation_size = entity.shape[-1], relation.shape[-1]
    if entity_size != relation_size:
        raise ValueError(f"entity and relation must have the same dimension, not {entity_size} and {relation_size}")


class MurP(ERModel[Pair, Pair, Pair]):  # type: ignore[no-untyped-call]
    """Entities with a tangent vector and two biases, relations with a translation and a stretch (`MurPInteraction`).

    Initial values are the authors': vectors from N(0, 0.001²), stretches from U(−1, 1), biases 0.
    """

    def __init__(
        self, *, triples_factory: KGInfo, embedding_dim: int = 40, init_std: float = 1e-3, **kwargs: Any
    ) -> None:
        vector_settings = {"shape": embedding_dim, "initializer": normal_, "initializer_kwargs": {"std": init_std}}
        bias_settings = {"shape": (), "initializer": zeros_}
        stretch_settings = {
            "shape": embedding_dim,
            "initializer": uniform_,
            "initializer_kwargs": {"a": -1.0, "b": 1.0},
        }
        super().__init__(
            triples_factory=triples_factory,
            interaction=MurPInteraction(),
            entity_representations_kwargs=[vector_settings, bias_settings, bias_settings],
            relation_representations_kwargs=[vector_settings, stretch_settings],
            **kwargs,
        )


class MurPScorer(ModelScorer):
    """Candidate scores of MurP from inner products alone.

    exp₀(v) is a multiple of v, and x ⊕ y a combination of x and y, with factors that depend on ‖·‖² and ⟨·,·⟩ only. So
    every distance follows from matrix products of (b, d) with (E, d), and neither points nor relations are looped over.
    """

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = (self.entities[0](h), self.entities[1](h)), (self.entities[0](t), self.entities[2](t))
        triple_scores: Tensor = self.interaction(head, (self.links[0](r), self.links[1](r)), tail)
        return triple_scores

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        relation_pair = self.links[0](r), self.links[1](r)
        head_points = self.interaction.head_point(self.entities[0](h), relation_pair)  # (b, d)
        translations = poincare.exp0(relation_pair[0], CURVATURE)  # (b, d)
        tail_points = poincare.exp0(self.entities[0](None), CURVATURE)  # (E, d)
        distance = _distance_to_sum(
            poincare.squared_norm(head_points),
            poincare.squared_norm(tail_points).T,
            poincare.squared_norm(translations),
            xz=head_points @ tail_points.T,
            xy=(head_points * translations).sum(dim=1, keepdim=True),
            zy=translations @ tail_points.T,
        )
        return self.entities[1](h).unsqueeze(1) + self.entities[2](None) - distance

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        relation_pair = self.links[0](r), self.links[1](r)
        tail_points = self.interaction.tail_point(self.entities[0](t), relation_pair)  # (b, d)
        v = self.entities[0](None)  # (E, d)
        v2 = relation_pair[1].square() @ v.square().T  # ‖R v‖², (b, E)
        head_scale = poincare.exp0_scale(v2, CURVATURE)
        xy = head_scale * ((relation_pair[1] * tail_points) @ v.T)
        distance = poincare.squared_distance_from_products(
            head_scale.square() * v2, poincare.squared_norm(tail_points), xy, CURVATURE
        )
        return self.entities[1](None) + self.entities[2](t).unsqueeze(1) - distance

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation, (b, R)."""
        translation, stretch = self.links[0](None), self.links[1](None)  # (R, d)
        v = self.entities[0](h)  # (b, d)
        y = poincare.exp0(translation, CURVATURE)
        z = poincare.exp0(self.entities[0](t), CURVATURE)
        v2 = v.square() @ stretch.square().T  # ‖R v‖², (b, R)
        head_scale = poincare.exp0_scale(v2, CURVATURE)
        distance = _distance_to_sum(
            head_scale.square() * v2,
            poincare.squared_norm(z),
            poincare.squared_norm(y).T,
            xz=head_scale * ((v * z) @ stretch.T),
            xy=head_scale * (v @ (stretch * y).T),
            zy=z @ y.T,
        )
        return (self.entities[1](h) + self.entities[2](t)).unsqueeze(1) - distance


def _distance_to_sum(x2: Tensor, z2: Tensor, y2: Tensor, *, xz: Tensor, xy: Tensor, zy: Tensor) -> Tensor:
    """d(x, z ⊕ y)² from squared norms and inner products that broadcast to (b, n)."""
    sum2 = (z2 + y2 + 2 * zy).clamp_min(0)
    z_factor, y_factor, norm2 = poincare.mobius_coefficients(z2, y2, sum2, CURVATURE)
    return poincare.squared_distance_from_products(x2, norm2, z_factor * xz + y_factor * xy, CURVATURE)
