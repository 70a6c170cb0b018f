"""`Scorer`s of the models in which a relation moves the head to the tail."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.link_prediction.scorers import ModelScorer, as_real
from kgp_models.link_prediction.scoring import ByRelation, negative_distances, negative_norm


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

    def _norm(self, offsets: Tensor) -> Tensor:
        return negative_norm(offsets, self.interaction.p, self.interaction.power_norm)

    def _distances(self, points: Tensor) -> Tensor:
        return negative_distances(points, self.entities[0](None), self.interaction.p, self.interaction.power_norm)


class Projected(ModelScorer):
    """−‖P_r(h) + r − P_r(t)‖: entities are projected into each relation's own space."""

    def vectors(self, entities: Tensor | None) -> Tensor:
        """What `project` needs of entities, (n, m)."""
        return self.entities[0](entities)

    def relation_links(self, relations: Tensor) -> tuple[Tensor, Tensor]:
        """The translation (u, k) and the projection (u, …) of relations."""
        return self.links[0](relations), self.links[1](relations)

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """P_r of entities, (n, k), by one relation's projection."""
        raise NotImplementedError

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = torch.split(self.vectors(torch.cat([h, t])), [len(h), len(t)])
        translations, projections = self.relation_links(r)
        return self.norm(self.project(head, projections) - self.project(tail, projections) + translations)

    def norm(self, x: Tensor) -> Tensor:
        """−‖x‖, (n,), as the model has it."""
        return negative_norm(x, self.interaction.p, self.interaction.power_norm)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._candidates(h, r, +1)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        return self._candidates(t, r, -1)

    def _candidates(self, anchors: Tensor, r: Tensor, sign: int) -> Tensor:
        relation_groups = ByRelation(r)
        all_vectors = self.vectors(None)
        group_distances = []
        relation_links = zip(*self.relation_links(relation_groups.relations), strict=True)
        for anchor_ids, (translation, projection) in zip(relation_groups.cut(anchors), relation_links, strict=True):
            points = self.project(all_vectors, projection)
            moved_points = points[anchor_ids] + sign * translation
            group_distances.append(
                negative_distances(moved_points, points, self.interaction.p, self.interaction.power_norm)
            )
        return relation_groups.join(group_distances)


class TransR(Projected):
    """Projection by a matrix: e M_r, at most of norm 1 (Lin et al. 2015)."""

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """The entities in the relation's space, (n, k)."""
        return self._limited(vectors @ projection)

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        pair_codes = torch.cat([r, r]) * self.num_entities + torch.cat([h, t])
        pair_codes, pair_index = torch.unique(
            pair_codes, return_inverse=True
        )  # many triples share an end and the relation
        relation_groups, pair_entities = ByRelation(pair_codes // self.num_entities), pair_codes % self.num_entities
        projected_points = relation_groups.multiply(
            self.entities[0](pair_entities[relation_groups.rows]), self.links[1](relation_groups.relations)
        )
        head, tail = torch.split(
            functional.embedding(relation_groups.positions[pair_index], self._limited(projected_points)),
            [len(h), len(t)],
        )
        return self.norm(head + self.links[0](r) - tail)

    def _limited(self, points: Tensor) -> Tensor:
        return _clamp(points, self.interaction.p, self.interaction.max_projection_norm)


class TransD(Projected):
    """Projection by two vectors: e + r_p (e_pᵀe), at most of norm 1 (Ji et al. 2015)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        (head, tail), (head_p, tail_p) = self.ends(h, t), self.ends(h, t, 1)
        translations, projections = self.relation_links(r)
        head = self._moved(head, (head * head_p).sum(dim=1, keepdim=True), projections)
        tail = self._moved(tail, (tail * tail_p).sum(dim=1, keepdim=True), projections)
        return self.norm(head + translations - tail)

    def vectors(self, entities: Tensor | None) -> Tensor:
        """[e, e_pᵀe], (n, d + 1)."""
        e, e_p = self.entities[0](entities), self.entities[1](entities)
        return torch.cat([e, (e * e_p).sum(dim=1, keepdim=True)], dim=1)

    def project(self, vectors: Tensor, projection: Tensor) -> Tensor:
        """The entities in the relation's space, (n, k)."""
        return self._moved(vectors[:, :-1], vectors[:, -1:], projection)

    @staticmethod
    def _moved(e: Tensor, scale: Tensor, projection: Tensor) -> Tensor:
        """The sum e + scale r_p, (n, k); e is cut to k or filled up with zeros."""
        missing_width = projection.shape[-1] - e.shape[1]
        if missing_width:
            e = e[:, : projection.shape[-1]] if missing_width < 0 else functional.pad(e, (0, missing_width))
        return _clamp(e + scale * projection, 2, 1.0)


class RotatE(ModelScorer):
    """−‖h ∘ r − t‖ with |rᵢ| = 1 in the complex plane (Sun et al. 2019)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        return negative_norm(as_real(head * self.links[0](r) - tail), 2, False)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        return self._distances(self.entities[0](h) * self.links[0](r))

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E): ‖h ∘ r − t‖ = ‖h − r̄ ∘ t‖."""
        return self._distances(self.entities[0](t) * self.links[0](r).conj())

    def _distances(self, points: Tensor) -> Tensor:
        return negative_distances(as_real(points), as_real(self.entities[0](None)), 2, False)


class MuRE(ModelScorer):
    """−‖R h + r − t‖² + b_h + b_t with diagonal R (Balažević et al. 2019)."""

    def triples(self, h: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The score of each triple, (b,)."""
        head, tail = self.ends(h, t)
        translation_score = negative_norm(
            head * self.links[1](r) + self.links[0](r) - tail, self.interaction.p, self.interaction.power_norm
        )
        return translation_score + self.entities[1](h) + self.entities[2](t)

    def tails(self, h: Tensor, r: Tensor) -> Tensor:
        """Every entity as tail, (b, E)."""
        moved_heads = self.entities[0](h) * self.links[1](r) + self.links[0](r)
        distances = negative_distances(
            moved_heads, self.entities[0](None), self.interaction.p, self.interaction.power_norm
        )
        return distances + self.entities[1](h).unsqueeze(1) + self.entities[2](None)

    def heads(self, r: Tensor, t: Tensor) -> Tensor:
        """Every entity as head, (b, E)."""
        relation_groups = ByRelation(r)
        all_vectors = self.entities[0](None)
        group_distances = []
        relation_links = zip(
            self.links[0](relation_groups.relations), self.links[1](relation_groups.relations), strict=True
        )
        for tail_ids, (translation, diagonal) in zip(relation_groups.cut(t), relation_links, strict=True):
            moved_points = all_vectors * diagonal + translation
            group_distances.append(
                negative_distances(all_vectors[tail_ids], moved_points, self.interaction.p, self.interaction.power_norm)
            )
        return relation_groups.join(group_distances) + self.entities[1](None) + self.entities[2](t).unsqueeze(1)


def _clamp(vectors: Tensor, p: float, maximum: float) -> Tensor:
    """The vectors, (n, d), those that are longer than `maximum` shortened to it."""
    vector_norms = torch.linalg.vector_norm(vectors, ord=p, dim=-1, keepdim=True)
    shortened: Tensor = vectors * (maximum / vector_norms.clamp_min(maximum))
    return shortened
