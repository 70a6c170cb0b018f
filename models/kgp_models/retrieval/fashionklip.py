"""FashionKLIP (Wang et al., ACL 2023): in addition to the image-text loss, concepts are aligned with their visual
prototypes.

A concept's prototypes are images of the graph that are POSITIVE to it: the nearest to its name and, among these,
different from each other (maximal marginal relevance). For a concept of a pair's report, the prototypes nearest to the
pair's image stand for the concept, weighed by how near they are; they and the concept's name are drawn together (CVA).

Two things are other than in the authors' code. Prototypes pass through the image tower with gradients: there they are
constants of an epoch, so that the graph's images teach the text tower alone. And a prototype that is POSITIVE to
another concept of the batch is no negative of it, an UNCERTAIN one neither; a NEGATIVE one is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kgp_models.retrieval.inputs import image_embeddings, text_embeddings
from kgp_models.retrieval.losses import symmetric_contrastive
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.tokens import Tokens
from kgplatform.datasets.knowledge import POSITIVE, UNCERTAIN, Knowledge
from kgplatform.yaml_settings import NaturalInteger, NonNegativeNumber, PositiveInteger, Text


@dataclass(frozen=True)
class FashionSettings:
    """How concepts are aligned. Concepts, prototypes, nearest and diversity are as in the authors' code by default."""

    weight: NonNegativeNumber = 0.5
    """Of CVA in addition to ITC (MedMKG's code defines 0.5 and does not use it)."""
    concepts: PositiveInteger = 3
    """Concepts of a report in a step."""
    candidates: PositiveInteger = 20
    """The images nearest to a concept's name that its prototypes are chosen from."""
    prototypes: PositiveInteger = 10
    """Prototypes of a concept."""
    nearest: PositiveInteger = 5
    """The prototypes that stand for a concept: those nearest to the pair's image."""
    drawn: NaturalInteger = 0
    """So many of the nearest are drawn by their weights in place of all: the same loss in expectation, for less time.
    0: all."""
    diversity: NonNegativeNumber = 0.8
    """At most 1."""
    prompt: Text = "{}"
    """The concept's name takes the place of {}."""


class Alignment:
    """Concepts, their prototypes, and the loss that aligns them.

    `pictures` are those of the graph's images, in the knowledge's order; `mentioned` the concepts that each training
    report says are there.
    """

    def __init__(
        self, knowledge: Knowledge, pictures: Tensor, mentioned: Sequence[Sequence[int]], settings: FashionSettings
    ) -> None:
        self.settings = settings
        self.pictures = pictures
        self._names = [settings.prompt.format(concept_name) for concept_name in knowledge.concepts]
        self._images = knowledge.images_by_concept(POSITIVE)
        self._mentioned = [
            [concept for concept in report_concepts if concept in self._images] for report_concepts in mentioned
        ]
        table_shape = (len(knowledge.images), len(knowledge.concepts))
        self._positive, self._uncertain = (_table(knowledge, stance, table_shape) for stance in (POSITIVE, UNCERTAIN))
        self._prototypes: dict[int, Tensor] = {}
        self._vectors = torch.empty(0)

    @property
    def nothing(self) -> bool:
        """Whether no training report has a concept that an image of the graph shows."""
        return not any(self._mentioned)

    def begin_epoch(self, backbone: Backbone) -> None:
        """Choose the prototypes again, by the current backbone."""
        if self.nothing:
            return
        self._vectors = image_embeddings(backbone, self.pictures)
        concept_ids = sorted({concept for report_concepts in self._mentioned for concept in report_concepts})
        name_vectors = text_embeddings(backbone, [self._names[concept] for concept in concept_ids])
        for concept, name_vector in zip(concept_ids, name_vectors, strict=True):
            image_ids = torch.from_numpy(self._images[concept])
            selection_options = (self.settings.candidates, self.settings.prototypes, self.settings.diversity)
            chosen_rows = diverse(self._vectors[image_ids], name_vector, *selection_options)
            self._prototypes[concept] = image_ids[chosen_rows]

    def state_dict(self) -> dict[str, Any]:
        """The prototypes of the epoch, for a training that is stopped within it."""
        return {"vectors": self._vectors, "prototypes": self._prototypes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` gave."""
        self._vectors, self._prototypes = state["vectors"], dict(state["prototypes"])

    def loss(self, backbone: Backbone, rows: Tensor, images: Tensor, rng: torch.Generator) -> Tensor:
        """CVA of training pairs: `rows` are their numbers, `images` (B, 512) their images' vectors."""
        slots = self._slots(rows, images.detach().cpu(), rng)
        if not slots:
            return images.new_zeros(())
        concept_ids = sorted({concept for concept, _, _ in slots})
        image_ids = sorted({image_id for _, image_id, _ in slots})
        device = images.device
        name_tokens: Tokens = backbone.tokens([self._names[concept] for concept in concept_ids])
        text_vectors = backbone.embed_texts(
            {input_name: tensor.to(device) for input_name, tensor in name_tokens.items()}
        )  # (C, 512)
        image_vectors = backbone.embed_images(self.pictures[image_ids].to(device))  # (P, 512)
        is_positive, is_uncertain = (
            stance_table[image_ids][:, concept_ids].to(device) for stance_table in (self._positive, self._uncertain)
        )
        pair_weights = torch.zeros(len(image_ids), len(concept_ids))
        for concept, image_id, slot_weight in slots:
            pair_weights[image_ids.index(image_id), concept_ids.index(concept)] += slot_weight
        side_weights = (pair_weights.sum(1).to(device), pair_weights.sum(0).to(device))
        return symmetric_contrastive(
            backbone.scale * image_vectors @ text_vectors.T, is_positive, is_uncertain, side_weights
        )

    def _slots(
        self, report_numbers: Tensor, image_vectors: Tensor, rng: torch.Generator
    ) -> list[tuple[int, int, float]]:
        """Concept, prototype and weight, for some concepts of each row's report."""
        slots = []
        for report_number, image_vector in zip(report_numbers.tolist(), image_vectors, strict=True):
            report_concepts = self._mentioned[report_number]
            concept_order = torch.randperm(len(report_concepts), generator=rng)[: self.settings.concepts]
            for concept in (report_concepts[concept_position] for concept_position in concept_order.tolist()):
                prototypes = self._prototypes[concept]
                similarities = self._vectors[prototypes] @ image_vector
                slot_weights, best_rows = similarities.topk(min(self.settings.nearest, len(similarities)))
                slot_weights = functional.softmax(slot_weights, dim=0)
                if self.settings.drawn:
                    sampled_positions = torch.multinomial(
                        slot_weights, min(self.settings.drawn, len(slot_weights)), generator=rng
                    )
                    best_rows, slot_weights = (
                        best_rows[sampled_positions],
                        torch.full((len(sampled_positions),), 1.0 / len(sampled_positions)),
                    )
                slots += [
                    (concept, int(prototypes[best_row]), float(slot_weight))
                    for best_row, slot_weight in zip(best_rows.tolist(), slot_weights, strict=True)
                ]
        return slots


def _table(knowledge: Knowledge, stance: int, shape: tuple[int, int]) -> Tensor:
    """Which image has that stance to which concept: (images, concepts), boolean."""
    stance_table = np.zeros(shape, dtype=bool)
    stance_rows = knowledge.stances[knowledge.stances[:, 1] == stance]
    stance_table[stance_rows[:, 0], stance_rows[:, 2]] = True
    return torch.from_numpy(stance_table)


def diverse(vectors: Tensor, query: Tensor, candidates: int, count: int, diversity: float) -> Tensor:
    """Places of `count` vectors (n, D) that are near the query (D,) and far from each other: maximal marginal relevance
    (Carbonell & Goldstein 1998), (1 − λ) cos(v, q) − λ max cos(v, chosen), among the nearest `candidates`.
    """
    closest_rows = (vectors @ query).topk(min(candidates, len(vectors))).indices
    relevance = vectors[closest_rows] @ query
    likeness = vectors[closest_rows] @ vectors[closest_rows].T
    chosen_rows = [int(relevance.argmax())]
    while len(chosen_rows) < min(count, len(closest_rows)):
        marginal_gain = (1 - diversity) * relevance - diversity * likeness[:, chosen_rows].max(dim=1).values
        marginal_gain[chosen_rows] = float("-inf")
        chosen_rows.append(int(marginal_gain.argmax()))
    return closest_rows[chosen_rows]
