"""`Scorer`s of the models that put head and relation through a network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kgp_models.link_prediction.bilinear import Bilinear
from kgp_models.link_prediction.scorers import ModelScorer
from kgp_models.link_prediction.scoring import ByRelation


class Encoded(Bilinear):
    """q(h, r)·t + b_t with a query that cannot be turned round: a candidate head has to be encoded itself."""

    def bias(self, entities: Tensor | None) -> Tensor | float:
        """b_t of some entities or all of them, (n,)."""
        return 0.0

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        return super().triples(h, r, t) + self.bias(t)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return super().tails(h, r) + self.bias(None)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R): each head is encoded once with each relation."""
        unique_heads, head_index = torch.unique(h, return_inverse=True)
        tail_vectors, relation_scores = self.candidates(t), []
        for relation in range(self.num_relations):
            queries = self.tail_query(unique_heads, torch.full_like(unique_heads, relation))
            relation_scores.append((queries[head_index] * tail_vectors).sum(dim=1))
        tail_bias = self.bias(t)
        return torch.stack(relation_scores, dim=1) + (
            tail_bias.unsqueeze(1) if isinstance(tail_bias, Tensor) else tail_bias
        )

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E), each encoded once a relation. `Reciprocal` does without."""
        relation_groups = ByRelation(r)
        all_entities = torch.arange(self.num_entities, device=r.device)
        group_scores = []
        for relation, tail_ids in zip(relation_groups.relations.tolist(), relation_groups.cut(t), strict=True):
            head_scores = (
                self.candidates(tail_ids) @ self.tail_query(all_entities, torch.full_like(all_entities, relation)).T
            )
            tail_bias = self.bias(tail_ids)
            group_scores.append(head_scores + (tail_bias.unsqueeze(1) if isinstance(tail_bias, Tensor) else tail_bias))
        return relation_groups.join(group_scores)


class TuckER(Encoded):
    """W ×₁ h ×₂ r ×₃ t with a core tensor W (Balažević et al. 2019)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """W ×₁ h ×₂ r, (b, d), with the published batch normalisations and dropouts.

        A relation's matrix is made once a batch, so the rows of a relation share its dropout.
        """
        tucker = self.interaction
        relation_groups = ByRelation(r)
        core_weights = tucker.core_tensor
        matrices = torch.einsum("ijk,uj->uik", core_weights, self.links[0](relation_groups.relations))
        matrices = tucker.relation_dropout(matrices)
        head_vectors = self.entities[0](h)
        head_vectors = tucker.head_dropout(
            head_vectors if tucker.head_batch_norm is None else tucker.head_batch_norm(head_vectors)
        )
        head_vectors = relation_groups.back(relation_groups.multiply(head_vectors[relation_groups.rows], matrices))
        batch_norm = tucker.head_relation_batch_norm
        relation_query: Tensor = tucker.head_relation_dropout(
            head_vectors if batch_norm is None else batch_norm(head_vectors)
        )
        return relation_query


class ConvE(Encoded):
    """A 2-D convolution over h and r reshaped and stacked, then a dense layer (Dettmers et al. 2018)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """vec(f([h; r] ∗ ω)) W, (b, d)."""
        image_info = self.interaction.shape_info
        plane_shape = (-1, image_info.input_channels, image_info.image_height, image_info.image_width)
        stacked_planes = torch.cat([self.entities[0](h).view(plane_shape), self.links[0](r).view(plane_shape)], dim=2)
        query: Tensor = self.interaction.hr1d(self.interaction.hr2d(stacked_planes).flatten(1))
        return query

    def bias(self, entities: Tensor | None) -> Tensor:
        """b_t, (n,)."""
        return self.entities[1](entities)


class NTN(ModelScorer):
    """uᵀ tanh(hᵀ W t + V_h h + V_t t + b) with k slices a relation (Socher et al. 2013)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        relation_groups = ByRelation(r)
        relation_parameters = zip(
            *(representation(relation_groups.relations).unbind(0) for representation in self.links), strict=True
        )
        head_groups, tail_groups = relation_groups.cut(self.entities[0](h)), relation_groups.cut(self.entities[0](t))
        group_scores = []
        for head_vectors, tail_vectors, (w, vh, vt, b, u) in zip(
            head_groups, tail_groups, relation_parameters, strict=True
        ):
            bilinear_part = (head_vectors @ w * tail_vectors).sum(dim=2).T  # (k, n, d) summed to (n, k)
            group_scores.append(
                self.interaction.activation(bilinear_part + head_vectors @ vh.T + tail_vectors @ vt.T + b) @ u
            )
        return relation_groups.join(group_scores)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        all_vectors = self.entities[0](None)
        return self._grouped(
            r, h, lambda anchor_ids, parameters: self._pairs(all_vectors[anchor_ids], all_vectors, parameters)
        )

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        all_vectors = self.entities[0](None)
        return self._grouped(
            r, t, lambda anchor_ids, parameters: self._pairs(all_vectors, all_vectors[anchor_ids], parameters).T
        )

    def _grouped(
        self, r: Tensor, anchors: Tensor, pair_scores: Callable[[Tensor, tuple[Tensor, ...]], Tensor]
    ) -> Tensor:
        relation_groups = ByRelation(r)
        relation_links = zip(*(link(relation_groups.relations).unbind(0) for link in self.links), strict=True)
        return relation_groups.join(
            pair_scores(anchor_ids, link)
            for anchor_ids, link in zip(relation_groups.cut(anchors), relation_links, strict=True)
        )

    def _pairs(self, head_vectors: Tensor, tail_vectors: Tensor, parameters: tuple[Tensor, ...]) -> Tensor:
        """The scores of all pairs, (n, m), one slice at a time so that memory stays at (n, m)."""
        w, vh, vt, b, u = parameters
        total_scores = head_vectors.new_zeros(len(head_vectors), len(tail_vectors))
        for slice_index in range(len(b)):
            slice_scores = torch.addmm(
                (head_vectors @ vh[slice_index]).unsqueeze(1) + tail_vectors @ vt[slice_index] + b[slice_index],
                head_vectors @ w[slice_index],
                tail_vectors.T,
            )
            total_scores = total_scores + u[slice_index] * self.interaction.activation(slice_scores)
        return total_scores
