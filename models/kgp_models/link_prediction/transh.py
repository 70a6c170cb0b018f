"""TransH, as published.

``pykeen.models.TransH`` 1.11.1 hands its interaction the translation as normal and the normalised normal as
translation, so its hyperplanes have no unit normal. Here w is the unit normal.
"""

from __future__ import annotations

from typing import Any

from pykeen.models import ERModel
from pykeen.nn.init import xavier_normal_
from pykeen.nn.modules import TransHInteraction
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.translational import Projected


class TransH(ERModel[Any, Any, Any]):
    """−‖h_⊥ + d − t_⊥‖ with e_⊥ = e − (wᵀe) w and ‖w‖ = 1 (Wang et al. 2014, §3.2).

    The soft constraint that entities have at most norm 1 (eq. 1) is a hard one here, as in TransE.
    """

    def __init__(self, *, embedding_dim: int = 64, scoring_fct_norm: int = 2, **model_options: Any) -> None:
        vector_settings = {"shape": embedding_dim, "initializer": xavier_normal_}
        unit_settings = {**vector_settings, "constrainer": functional.normalize}
        super().__init__(  # type: ignore[no-untyped-call]
            interaction=TransHInteraction,
            interaction_kwargs={"p": scoring_fct_norm},
            entity_representations_kwargs=unit_settings,
            relation_representations_kwargs=[unit_settings, vector_settings],  # w, d
            **model_options,
        )


class TransHScorer(Projected):
    """Candidate scores of TransH."""

    def relation_links(self, relations: Tensor) -> tuple[Tensor, Tensor]:
        """The translations and the normals, (u, d) each."""
        return self.links[1](relations), self.links[0](relations)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,): h_⊥ − t_⊥ = (h − t)_⊥, since the projection is linear."""
        head, tail = self.ends(h, t)
        translations, normals = self.relation_links(r)
        return self.norm(self.project(head - tail, normals) + translations)

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """The entities on the hyperplane, (n, d)."""
        return vectors - (vectors * projection).sum(dim=-1, keepdim=True) * projection
