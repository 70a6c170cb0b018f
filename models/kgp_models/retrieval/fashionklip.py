"""FashionKLIP (Wang et al., ACL 2023): beside the image-text loss, concepts are aligned with their visual prototypes.

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

from kgp_models.retrieval.backbone import Backbone
from kgp_models.retrieval.inputs import vectors_of_images, vectors_of_texts
from kgp_models.retrieval.losses import both_ways
from kgp_models.retrieval.tokens import Tokens
from kgplatform.retrieval.knowledge import POSITIVE, UNCERTAIN, Knowledge


@dataclass(frozen=True)
class FashionSettings:
    """How concepts are aligned.

    `weight` is of CVA beside ITC (MedMKG's code defines 0.5 and does not use it). `concepts` of a report and step,
    `prototypes` of a concept, the `nearest` of which stand for it, and `diversity` are as in the authors' code by
    default; `candidates` are the images nearest to a concept's name that its prototypes are chosen of. With `drawn`, so
    many of the nearest are drawn by their weights in place of all: the same loss in expectation, for less time.
    """

    weight: float = 0.5
    concepts: int = 3
    candidates: int = 20
    prototypes: int = 10
    nearest: int = 5
    drawn: int = 0
    diversity: float = 0.8
    prompt: str = "{}"


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
        self._names = [settings.prompt.format(name) for name in knowledge.concepts]
        self._images = knowledge.images_of(POSITIVE)
        self._mentioned = [[concept for concept in found if concept in self._images] for found in mentioned]
        shape = (len(knowledge.images), len(knowledge.concepts))
        self._positive, self._uncertain = (_table(knowledge, stance, shape) for stance in (POSITIVE, UNCERTAIN))
        self._prototypes: dict[int, Tensor] = {}
        self._vectors = torch.empty(0)

    @property
    def nothing(self) -> bool:
        """Whether no training report has a concept that an image of the graph shows."""
        return not any(self._mentioned)

    def begin_epoch(self, backbone: Backbone) -> None:
        """Choose the prototypes anew, by the backbone as it is."""
        if self.nothing:
            return
        self._vectors = vectors_of_images(backbone, self.pictures)
        wanted = sorted({concept for found in self._mentioned for concept in found})
        names = vectors_of_texts(backbone, [self._names[concept] for concept in wanted])
        for concept, name in zip(wanted, names, strict=True):
            places = torch.from_numpy(self._images[concept])
            options = (self.settings.candidates, self.settings.prototypes, self.settings.diversity)
            chosen = diverse(self._vectors[places], name, *options)
            self._prototypes[concept] = places[chosen]

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
        concepts = sorted({concept for concept, _, _ in slots})
        shown = sorted({image for _, image, _ in slots})
        device = images.device
        names: Tokens = backbone.tokens([self._names[concept] for concept in concepts])
        texts = backbone.embed_texts({name: value.to(device) for name, value in names.items()})  # (C, 512)
        seen = backbone.embed_images(self.pictures[shown].to(device))  # (P, 512)
        positive, uncertain = (table[shown][:, concepts].to(device) for table in (self._positive, self._uncertain))
        weights = torch.zeros(len(shown), len(concepts))
        for concept, image, weight in slots:
            weights[shown.index(image), concepts.index(concept)] += weight
        both = (weights.sum(1).to(device), weights.sum(0).to(device))
        return both_ways(backbone.scale * seen @ texts.T, positive, uncertain, both)

    def _slots(self, rows: Tensor, images: Tensor, rng: torch.Generator) -> list[tuple[int, int, float]]:
        """Concept, prototype and weight, for some concepts of each row's report."""
        slots = []
        for row, vector in zip(rows.tolist(), images, strict=True):
            found = self._mentioned[row]
            order = torch.randperm(len(found), generator=rng)[: self.settings.concepts]
            for concept in (found[place] for place in order.tolist()):
                prototypes = self._prototypes[concept]
                near = self._vectors[prototypes] @ vector
                weights, best = near.topk(min(self.settings.nearest, len(near)))
                weights = functional.softmax(weights, dim=0)
                if self.settings.drawn:
                    places = torch.multinomial(weights, min(self.settings.drawn, len(weights)), generator=rng)
                    best, weights = best[places], torch.full((len(places),), 1.0 / len(places))
                slots += [(concept, int(prototypes[i]), float(w)) for i, w in zip(best.tolist(), weights, strict=True)]
        return slots


def _table(knowledge: Knowledge, stance: int, shape: tuple[int, int]) -> Tensor:
    """Which image has that stance to which concept: (images, concepts), boolean."""
    table = np.zeros(shape, dtype=bool)
    rows = knowledge.stances[knowledge.stances[:, 1] == stance]
    table[rows[:, 0], rows[:, 2]] = True
    return torch.from_numpy(table)


def diverse(vectors: Tensor, query: Tensor, candidates: int, count: int, diversity: float) -> Tensor:
    """Places of `count` vectors (n, D) that are near the query (D,) and far from each other: maximal marginal relevance
    (Carbonell & Goldstein 1998), (1 − λ) cos(v, q) − λ max cos(v, chosen), among the nearest `candidates`.
    """
    near = (vectors @ query).topk(min(candidates, len(vectors))).indices
    relevance = vectors[near] @ query
    likeness = vectors[near] @ vectors[near].T
    chosen = [int(relevance.argmax())]
    while len(chosen) < min(count, len(near)):
        gain = (1 - diversity) * relevance - diversity * likeness[:, chosen].max(dim=1).values
        gain[chosen] = float("-inf")
        chosen.append(int(gain.argmax()))
    return near[chosen]
