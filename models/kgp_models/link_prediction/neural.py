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
        heads, place = torch.unique(h, return_inverse=True)
        tails, scores = self.candidates(t), []
        for relation in range(self.num_relations):
            queries = self.tail_query(heads, torch.full_like(heads, relation))
            scores.append((queries[place] * tails).sum(dim=1))
        bias = self.bias(t)
        return torch.stack(scores, dim=1) + (bias.unsqueeze(1) if isinstance(bias, Tensor) else bias)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E), each encoded once a relation. `Reciprocal` does without."""
        groups = ByRelation(r)
        every = torch.arange(self.num_entities, device=r.device)
        parts = []
        for relation, ids in zip(groups.relations.tolist(), groups.cut(t), strict=True):
            scores = self.candidates(ids) @ self.tail_query(every, torch.full_like(every, relation)).T
            bias = self.bias(ids)
            parts.append(scores + (bias.unsqueeze(1) if isinstance(bias, Tensor) else bias))
        return groups.join(parts)


class TuckER(Encoded):
    """W ×₁ h ×₂ r ×₃ t with a core tensor W (Balažević et al. 2019)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """W ×₁ h ×₂ r, (b, d), with the published batch normalisations and dropouts.

        A relation's matrix is made once a batch, so the rows of a relation share its dropout.
        """
        tucker = self.interaction
        groups = ByRelation(r)
        core = tucker.core_tensor
        matrices = torch.einsum("ijk,uj->uik", core, self.links[0](groups.relations))
        matrices = tucker.relation_dropout(matrices)
        x = self.entities[0](h)
        x = tucker.head_dropout(x if tucker.head_batch_norm is None else tucker.head_batch_norm(x))
        x = groups.back(groups.multiply(x[groups.rows], matrices))
        normal = tucker.head_relation_batch_norm
        dropped: Tensor = tucker.head_relation_dropout(x if normal is None else normal(x))
        return dropped


class ConvE(Encoded):
    """A 2-D convolution over h and r reshaped and stacked, then a dense layer (Dettmers et al. 2018)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """vec(f([h; r] ∗ ω)) W, (b, d)."""
        shape = self.interaction.shape_info
        planes = (-1, shape.input_channels, shape.image_height, shape.image_width)
        stacked = torch.cat([self.entities[0](h).view(planes), self.links[0](r).view(planes)], dim=2)
        query: Tensor = self.interaction.hr1d(self.interaction.hr2d(stacked).flatten(1))
        return query

    def bias(self, entities: Tensor | None) -> Tensor:
        """b_t, (n,)."""
        return self.entities[1](entities)


class NTN(ModelScorer):
    """uᵀ tanh(hᵀ W t + V_h h + V_t t + b) with k slices a relation (Socher et al. 2013)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        groups = ByRelation(r)
        links = zip(*(link(groups.relations).unbind(0) for link in self.links), strict=True)
        heads, tails = groups.cut(self.entities[0](h)), groups.cut(self.entities[0](t))
        parts = []
        for x, y, (w, vh, vt, b, u) in zip(heads, tails, links, strict=True):
            mixed = (x @ w * y).sum(dim=2).T  # (k, n, d) summed to (n, k)
            parts.append(self.interaction.activation(mixed + x @ vh.T + y @ vt.T + b) @ u)
        return groups.join(parts)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        every = self.entities[0](None)
        return self._grouped(r, h, lambda known, link: self._pairs(every[known], every, link))

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        every = self.entities[0](None)
        return self._grouped(r, t, lambda known, link: self._pairs(every, every[known], link).T)

    def _grouped(self, r: Tensor, known: Tensor, pairs: Callable[[Tensor, tuple[Tensor, ...]], Tensor]) -> Tensor:
        groups = ByRelation(r)
        links = zip(*(link(groups.relations).unbind(0) for link in self.links), strict=True)
        return groups.join(pairs(ids, link) for ids, link in zip(groups.cut(known), links, strict=True))

    def _pairs(self, x: Tensor, y: Tensor, link: tuple[Tensor, ...]) -> Tensor:
        """The scores of all pairs, (n, m), one slice at a time so that memory stays at (n, m)."""
        w, vh, vt, b, u = link
        total = x.new_zeros(len(x), len(y))
        for k in range(len(b)):
            mixed = torch.addmm((x @ vh[k]).unsqueeze(1) + y @ vt[k] + b[k], x @ w[k], y.T)
            total = total + u[k] * self.interaction.activation(mixed)
        return total
