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
from kgp_models.vqa.batch import IMAGE, PICTURED, QuestionBatch
from kgp_models.vqa.message_passing import GraphEncoder, pooled
from kgplatform.datasets.knowledge import POSITIVE

MARGIN, WEIGHT = 0.2, 0.1  # α and λ
_NODE_BASE = 1 << 31  # more than there are nodes


class MRMKG(Method):
    """`kinds` are the vectors of the kinds' names, (K, Dt)."""

    def __init__(self, sizes: Sizes, kinds: Tensor, positives: Tensor, *, align: float = WEIGHT) -> None:
        """`positives` (n, 2) are the places in the graph of images and of the concepts that they are POSITIVE to."""
        super().__init__()
        self.register_buffer("positives", _keys(positives).sort().values, persistent=False)
        graph_width, hidden_size = sizes.graph, sizes.hidden
        self.align = align
        self.graph = GraphEncoder(sizes.image, sizes.text, graph_width, sizes.layers, sizes.graph_dropout, kinds)
        self.image_norm, self.text_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.region_norm = nn.LayerNorm(sizes.region)
        self.regions, self.words = nn.Linear(sizes.region, hidden_size), nn.Linear(sizes.text, hidden_size)
        self.image, self.question = nn.Linear(sizes.image, hidden_size), nn.Linear(sizes.text, hidden_size)
        self.key, self.value = nn.Linear(graph_width, hidden_size), nn.Linear(graph_width, hidden_size)
        self.out = mlp(4 * hidden_size, hidden_size, 1, sizes.dropout)

    def _answered(self, batch: QuestionBatch, node_states: Tensor) -> Tensor:
        word_states = self.words(self.text_norm(batch.words))  # (B, T, H)
        region_states = self.regions(self.region_norm(batch.regions))  # (B, R, H)
        scale = word_states.shape[2] ** -0.5
        region_weights = (scale * word_states @ region_states.transpose(1, 2)).softmax(2)  # (B, T, R)
        word_mask = batch.mask.unsqueeze(2).to(word_states.dtype)
        attended_regions = ((region_weights @ region_states) * word_mask).sum(1) / word_mask.sum(1).clamp(min=1)
        question_state = torch.relu(self.question(self.text_norm(batch.question)))
        node_scores = scale * (question_state[batch.question_index] * self.key(node_states)).sum(1)
        graph_knowledge = pooled(torch.relu(self.value(node_states)), node_scores, batch.question_index, len(batch))
        image_state = torch.relu(self.image(self.image_norm(batch.image)))
        logits: Tensor = self.out(
            torch.cat([image_state, question_state, torch.relu(attended_regions), graph_knowledge], 1)
        ).squeeze(1)
        return logits

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,)."""
        return self._answered(batch, self.graph(batch)[0])

    def losses(self, batch: QuestionBatch) -> dict[str, Tensor]:
        """The answer's and the alignment's."""
        node_states, _ = self.graph(batch)
        losses = {"answer": answer_loss(self._answered(batch, node_states), batch)}
        if self.align:
            positives: Any = self.positives
            losses["alignment"] = self.align * alignment(node_states, batch, positives)
        return losses


def _keys(node_pairs: Tensor) -> Tensor:
    """One number for each pair of places (n, 2)."""
    return node_pairs[:, 0] * _NODE_BASE + node_pairs[:, 1]


def alignment(states: Tensor, batch: QuestionBatch, positives: Tensor) -> Tensor:
    """The triplet loss of the batch's images that have a picture: a concept that the image is POSITIVE to against one,
    drawn from the batch, that it is not POSITIVE to anywhere in the graph; `positives` are the sorted keys of those.
    """
    source_nodes, target_nodes = batch.ends
    has_picture = (batch.flags[:, IMAGE] * batch.flags[:, PICTURED]) > 0
    chosen_edges = (batch.kinds == POSITIVE) & has_picture[source_nodes]
    concept_nodes = (batch.flags[:, IMAGE] == 0).nonzero().squeeze(1)
    if not bool(chosen_edges.any()):
        return states.new_zeros(())
    image_nodes, positive_concepts = source_nodes[chosen_edges], target_nodes[chosen_edges]
    other_concepts = concept_nodes[torch.randint(len(concept_nodes), (len(image_nodes),), device=concept_nodes.device)]
    pair_keys = _keys(torch.stack([batch.graph_rows[image_nodes], batch.graph_rows[other_concepts]], 1))
    is_negative = ~torch.isin(pair_keys, positives)
    distance = functional.pairwise_distance
    pair_losses = torch.relu(
        distance(states[image_nodes], states[positive_concepts])
        - distance(states[image_nodes], states[other_concepts])
        + MARGIN
    )
    return (pair_losses * is_negative).sum() / is_negative.sum().clamp(min=1)
