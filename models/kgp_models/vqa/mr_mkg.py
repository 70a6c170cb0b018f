"""MR-MKG (Lee et al., ACL 2024): relational graph attention, adapters for image and knowledge, cross-modal alignment.

The question's words attend to the image's regions (visual adapter) and to the states of the subgraph (knowledge
adapter); where the original hands both to a language model, the answer is read from them here, as MedMKG does. The
alignment draws images of the graph to concepts that they are POSITIVE to, by a triplet loss:

    L = L_answer + λ mean max(0, ‖v_i - v_c‖ - ‖v_i - v_n‖ + α),   α = 0.2, λ = 0.1

MedMKG's code takes any neighbour of an image for c, so NEGATIVE ones, too, and convolves without relations.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.vqa.base import Method, Sizes, answer_loss, mlp
from kgp_models.vqa.batch import IMAGE, PICTURED, Batch
from kgp_models.vqa.message_passing import GraphEncoder, pooled
from kgplatform.retrieval.knowledge import POSITIVE

MARGIN, WEIGHT = 0.2, 0.1  # α and λ
_MOST = 1 << 31  # more than there are nodes


class MRMKG(Method):
    """`kinds` are the vectors of the kinds' names, (K, Dt)."""

    def __init__(self, sizes: Sizes, kinds: Tensor, positives: Tensor, *, align: float = WEIGHT) -> None:
        """`positives` (n, 2) are the places in the graph of images and of the concepts that they are POSITIVE to."""
        super().__init__()
        self.register_buffer("positives", _keys(positives).sort().values, persistent=False)
        width, hidden = sizes.graph, sizes.hidden
        self.align = align
        self.graph = GraphEncoder(sizes.image, sizes.text, width, sizes.layers, sizes.graph_dropout, kinds)
        self.image_norm, self.text_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.region_norm = nn.LayerNorm(sizes.region)
        self.regions, self.words = nn.Linear(sizes.region, hidden), nn.Linear(sizes.text, hidden)
        self.image, self.question = nn.Linear(sizes.image, hidden), nn.Linear(sizes.text, hidden)
        self.key, self.value = nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.out = mlp(4 * hidden, hidden, 1, sizes.dropout)

    def _answered(self, batch: Batch, states: Tensor) -> Tensor:
        words = self.words(self.text_norm(batch.words))  # (B, T, H)
        regions = self.regions(self.region_norm(batch.regions))  # (B, R, H)
        scale = words.shape[2] ** -0.5
        weight = (scale * words @ regions.transpose(1, 2)).softmax(2)  # (B, T, R)
        there = batch.mask.unsqueeze(2).to(words.dtype)
        seen = ((weight @ regions) * there).sum(1) / there.sum(1).clamp(min=1)
        question = torch.relu(self.question(self.text_norm(batch.question)))
        scores = scale * (question[batch.of] * self.key(states)).sum(1)
        known = pooled(torch.relu(self.value(states)), scores, batch.of, len(batch))
        image = torch.relu(self.image(self.image_norm(batch.image)))
        logits: Tensor = self.out(torch.cat([image, question, torch.relu(seen), known], 1)).squeeze(1)
        return logits

    def forward(self, batch: Batch) -> Tensor:
        """(B,)."""
        return self._answered(batch, self.graph(batch)[0])

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The answer's and the alignment's."""
        states, _ = self.graph(batch)
        losses = {"answer": answer_loss(self._answered(batch, states), batch)}
        if self.align:
            positives: Any = self.positives
            losses["alignment"] = self.align * alignment(states, batch, positives)
        return losses


def _keys(pairs: Tensor) -> Tensor:
    """One number for each pair of places (n, 2)."""
    return pairs[:, 0] * _MOST + pairs[:, 1]


def alignment(states: Tensor, batch: Batch, positives: Tensor) -> Tensor:
    """The triplet loss of the batch's images that have a picture: a concept that the image is POSITIVE to against one,
    drawn from the batch, that it is not POSITIVE to anywhere in the graph; `positives` are the sorted keys of those.
    """
    source, target = batch.ends
    pictured = (batch.flags[:, IMAGE] * batch.flags[:, PICTURED]) > 0
    chosen = (batch.kinds == POSITIVE) & pictured[source]
    concepts = (batch.flags[:, IMAGE] == 0).nonzero().squeeze(1)
    if not bool(chosen.any()):
        return states.new_zeros(())
    images, near = source[chosen], target[chosen]
    far = concepts[torch.randint(len(concepts), (len(images),), device=concepts.device)]
    keys = _keys(torch.stack([batch.places[images], batch.places[far]], 1))
    other = ~torch.isin(keys, positives)
    distance = functional.pairwise_distance
    losses = torch.relu(distance(states[images], states[near]) - distance(states[images], states[far]) + MARGIN)
    return (losses * other).sum() / other.sum().clamp(min=1)
