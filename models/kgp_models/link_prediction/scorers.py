"""`Scorer`s for the 11 models that are PyKEEN's own: the same scores as its interactions, without broadcasting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pykeen.models import ERModel
from pykeen.utils import clamp_norm
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.scoring import ByRelation, negative_distances, negative_norm


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
        every = [self.triples(h, torch.full_like(h, relation), t) for relation in range(self.num_relations)]
        return torch.stack(every, dim=1)


class TransE(ModelScorer):
    """−‖h + r − t‖ (Bordes et al. 2013)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return self._norm(head + self.links[0](r) - tail)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._distances(self.entities[0](h) + self.links[0](r))

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self._distances(self.entities[0](t) - self.links[0](r))

    def _norm(self, x: Tensor) -> Tensor:
        return negative_norm(x, self.interaction.p, self.interaction.power_norm)

    def _distances(self, x: Tensor) -> Tensor:
        return negative_distances(x, self.entities[0](None), self.interaction.p, self.interaction.power_norm)


class Projected(ModelScorer):
    """−‖P_r(h) + r − P_r(t)‖: entities are projected into each relation's own space."""

    def vectors(self, entities: Tensor | None) -> Tensor:
        """What `project` needs of entities, (n, m)."""
        return self.entities[0](entities)

    def links_of(self, relations: Tensor) -> tuple[Tensor, Tensor]:
        """The translation (u, k) and the projection (u, …) of relations."""
        return self.links[0](relations), self.links[1](relations)

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """P_r of entities, (n, k), by one relation's projection."""
        raise NotImplementedError

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = torch.split(self.vectors(torch.cat([h, t])), [len(h), len(t)])
        translations, projections = self.links_of(r)
        difference = self.project(head, projections) - self.project(tail, projections)
        return negative_norm(difference + translations, self.interaction.p, self.interaction.power_norm)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._candidates(h, r, +1)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self._candidates(t, r, -1)

    def _candidates(self, known: Tensor, r: Tensor, sign: int) -> Tensor:
        groups = ByRelation(r)
        every = self.vectors(None)
        parts = []
        links = zip(*self.links_of(groups.relations), strict=True)
        for ids, (translation, projection) in zip(groups.cut(known), links, strict=True):
            points = self.project(every, projection)
            moved = points[ids] + sign * translation
            parts.append(negative_distances(moved, points, self.interaction.p, self.interaction.power_norm))
        return groups.join(parts)


class TransR(Projected):
    """Projection by a matrix: e M_r, at most of norm 1 (Lin et al. 2015)."""

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """The entities in the relation's space, (n, k)."""
        return self._limited(vectors @ projection)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        groups = ByRelation(torch.cat([r, r]))
        points = groups.multiply(self.entities[0](torch.cat([h, t])), self.links[1](groups.relations))
        head, tail = torch.split(self._limited(points), [len(h), len(t)])
        return negative_norm(head + self.links[0](r) - tail, self.interaction.p, self.interaction.power_norm)

    def _limited(self, points: Tensor) -> Tensor:
        return _clamp(points, self.interaction.p, self.interaction.max_projection_norm)


class TransD(Projected):
    """Projection by two vectors: e + r_p (e_pᵀe), at most of norm 1 (Ji et al. 2015)."""

    def vectors(self, entities: Tensor | None) -> Tensor:
        """[e, e_pᵀe], (n, d + 1)."""
        e, e_p = self.entities[0](entities), self.entities[1](entities)
        return torch.cat([e, (e * e_p).sum(dim=1, keepdim=True)], dim=1)

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """The entities in the relation's space, (n, k)."""
        e, scale = vectors[:, :-1], vectors[:, -1:]
        width = projection.shape[-1] - e.shape[1]
        padded = e[:, : projection.shape[-1]] if width <= 0 else functional.pad(e, (0, width))
        return _clamp(padded + scale * projection, 2, 1.0)


class RotatE(ModelScorer):
    """−‖h ∘ r − t‖ with |rᵢ| = 1 in the complex plane (Sun et al. 2019)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return negative_norm(_real(head * self.links[0](r) - tail), 2, False)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._distances(self.entities[0](h) * self.links[0](r))

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E): ‖h ∘ r − t‖ = ‖h − r̄ ∘ t‖."""
        return self._distances(self.entities[0](t) * self.links[0](r).conj())

    def _distances(self, x: Tensor) -> Tensor:
        return negative_distances(_real(x), _real(self.entities[0](None)), 2, False)


class MuRE(ModelScorer):
    """−‖R h + r − t‖² + b_h + b_t with diagonal R (Balažević et al. 2019)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        norm = negative_norm(
            head * self.links[1](r) + self.links[0](r) - tail, self.interaction.p, self.interaction.power_norm
        )
        return norm + self.entities[1](h) + self.entities[2](t)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        point = self.entities[0](h) * self.links[1](r) + self.links[0](r)
        distances = negative_distances(point, self.entities[0](None), self.interaction.p, self.interaction.power_norm)
        return distances + self.entities[1](h).unsqueeze(1) + self.entities[2](None)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        groups = ByRelation(r)
        every = self.entities[0](None)
        parts = []
        links = zip(self.links[0](groups.relations), self.links[1](groups.relations), strict=True)
        for ids, (translation, diagonal) in zip(groups.cut(t), links, strict=True):
            moved = every * diagonal + translation
            parts.append(negative_distances(every[ids], moved, self.interaction.p, self.interaction.power_norm))
        return groups.join(parts) + self.entities[1](None) + self.entities[2](t).unsqueeze(1)


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
        """H ∘ r, (b, d)."""
        return self.entities[0](h) * self.links[0](r)

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """R ∘ t, (b, d)."""
        return self.tail_query(t, r)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return (head * self.links[0](r) * tail).sum(dim=1)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), by one product."""
        every = self.links[0](torch.arange(self.num_relations, device=h.device))
        return (self.entities[0](h) * self.entities[0](t)) @ every.T


class ComplEx(Bilinear):
    """Re⟨h, r, t̄⟩ (Trouillon et al. 2016); complex vectors as (real, imaginary) pairs."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """H ∘ r, (b, 2d)."""
        return _real(self.entities[0](h) * self.links[0](r))

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """R̄ ∘ t, (b, 2d)."""
        return _real(self.links[0](r).conj() * self.entities[0](t))

    def candidates(self, entities: Tensor | None) -> Tensor:
        """The entities' pairs, (n, 2d)."""
        return _real(self.entities[0](entities))

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return (_real(head * self.links[0](r)) * _real(tail)).sum(dim=1)

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R), by one product."""
        every = self.links[0](torch.arange(self.num_relations, device=h.device))
        return _real(self.entities[0](h).conj() * self.entities[0](t)) @ _real(every).T


class RESCAL(Bilinear):
    """hᵀ R t with a full matrix R (Nickel et al. 2011)."""

    def tail_query(self, h: Tensor, r: Tensor) -> Tensor:
        """Rᵀh, (b, d)."""
        groups = ByRelation(r)
        return groups.multiply(self.entities[0](h), self.links[0](groups.relations))

    def head_query(self, r: Tensor, t: Tensor) -> Tensor:
        """R t, (b, d)."""
        groups = ByRelation(r)
        return groups.multiply(self.entities[0](t), self.links[0](groups.relations).transpose(1, 2))

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation's score, (b, R): the outer products h tᵀ times the matrices, some rows at a time."""
        matrices = self.links[0](torch.arange(self.num_relations, device=h.device)).flatten(1)
        parts = []
        for x, y in zip(torch.split(self.entities[0](h), 1024), torch.split(self.entities[0](t), 1024), strict=True):
            parts.append((x.unsqueeze(2) * y.unsqueeze(1)).flatten(1) @ matrices.T)
        return torch.cat(parts)


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
        x = groups.multiply(x, matrices)
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


class Reciprocal:
    """A model with two vectors a relation, r and r⁻¹: heads are predicted as tails of r⁻¹ (Lacroix et al. 2018).

    PyKEEN gives relation r the places 2r and 2r + 1.
    """

    def __init__(self, both: ModelScorer) -> None:
        self.both = both
        self.num_entities = both.num_entities
        self.num_relations = both.num_relations // 2

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,), as a tail prediction."""
        return self.both.triples(h, 2 * r, t)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self.both.tails(h, 2 * r)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self.both.tails(t, 2 * r + 1)

    def nuclear_3_norm(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The penalty of the triples and of their inverses, halved."""
        return (self.both.nuclear_3_norm(h, 2 * r, t) + self.both.nuclear_3_norm(t, 2 * r + 1, h)) / 2

    def relations(self, h: Tensor, t: Tensor) -> Tensor:
        """Every relation, (b, R): the sum of what both directions say."""
        return self.both.relations(h, t)[:, 0::2] + self.both.relations(t, h)[:, 1::2]


def _real(x: Tensor) -> Tensor:
    """A complex (n, d) as real (n, 2d)."""
    return torch.view_as_real(x.resolve_conj()).flatten(1)


def _clamp(x: Tensor, p: float, maximum: float) -> Tensor:
    clamped: Tensor = clamp_norm(x, p=p, dim=-1, maxnorm=maximum)  # type: ignore[arg-type]
    return clamped
