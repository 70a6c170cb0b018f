"""MKBN (Huang et al., Information Processing & Management 2023): three interactions of image, question and graph.

A graph encoder gives the subgraph's entities and relations states; image and question, image and entities, and question
and relations interact by bilinear attention (Kim et al. 2018, one glimpse), and the three results answer together.

Followed is the publication as MedMKG's text has it, with the graph in place of the publication's knowledge base.
MedMKG's code lets one vector attend to one vector, so that attention has nothing to choose, and has no relations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kgp_models.vqa.base import Method, Sizes, mlp
from kgp_models.vqa.batch import QuestionBatch
from kgp_models.vqa.message_passing import GraphEncoder, pooled


class MKBN(Method):
    """`kinds` are the vectors of the kinds' names, (K, Dt)."""

    def __init__(self, sizes: Sizes, kinds: Tensor) -> None:
        super().__init__()
        graph_width, hidden_size = sizes.graph, sizes.hidden
        self.graph = GraphEncoder(sizes.image, sizes.text, graph_width, sizes.layers, sizes.graph_dropout, kinds)
        self.image_norm, self.text_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.region_norm = nn.LayerNorm(sizes.region)
        self.regions, self.words = nn.Linear(sizes.region, hidden_size), nn.Linear(sizes.text, hidden_size)
        self.glimpse = nn.Parameter(torch.randn(hidden_size) / hidden_size**0.5)
        self.image, self.entity = nn.Linear(sizes.image, hidden_size), nn.Linear(graph_width, hidden_size)
        self.question = nn.Linear(sizes.text, hidden_size)
        self.head, self.kind, self.tail = (
            nn.Linear(graph_width, hidden_size),
            nn.Linear(graph_width, hidden_size),
            nn.Linear(graph_width, hidden_size),
        )
        self.entity_score, self.relation_score = nn.Linear(hidden_size, 1), nn.Linear(hidden_size, 1)
        self.dropout = nn.Dropout(sizes.dropout)
        self.out = mlp(3 * hidden_size, hidden_size, 1, sizes.dropout)

    def forward(self, batch: QuestionBatch) -> Tensor:
        """(B,)."""
        node_states, kind_vectors = self.graph(batch)
        joint_vectors = [self._image_question(batch), self._image_entities(batch, node_states)]
        joint_vectors.append(self._question_relations(batch, node_states, kind_vectors))
        logits: Tensor = self.out(torch.cat(joint_vectors, 1)).squeeze(1)
        return logits

    def _image_question(self, batch: QuestionBatch) -> Tensor:
        """Σ_rt α_rt (U x_r ⊙ V w_t), with α the softmax of p · (U x_r ⊙ V w_t) over pairs of a region and a word."""
        region_states = torch.relu(self.regions(self.region_norm(batch.regions)))  # (B, R, H)
        word_states = torch.relu(self.words(self.text_norm(batch.words)))  # (B, T, H)
        pair_scores = (region_states * self.glimpse) @ word_states.transpose(1, 2)  # (B, R, T)
        pair_scores = pair_scores.masked_fill(~batch.mask.unsqueeze(1), -1e4)
        pair_weights = pair_scores.flatten(1).softmax(1).view_as(pair_scores)
        joint_vector: Tensor = self.dropout((region_states * (pair_weights @ word_states)).sum(1))
        return joint_vector

    def _image_entities(self, batch: QuestionBatch, node_states: Tensor) -> Tensor:
        """The same for the image and the entities of the subgraph; zeros without one."""
        pair_vectors = torch.relu(self.image(self.image_norm(batch.image)))[batch.question_index] * torch.relu(
            self.entity(node_states)
        )
        joint_vector: Tensor = self.dropout(
            pooled(pair_vectors, self.entity_score(pair_vectors).squeeze(1), batch.question_index, len(batch))
        )
        return joint_vector

    def _question_relations(self, batch: QuestionBatch, node_states: Tensor, kind_vectors: Tensor) -> Tensor:
        """The same for the question and the edges: each by both its ends and its kind."""
        source_nodes, target_nodes = batch.ends
        edge_questions = batch.question_index[source_nodes]
        edge_states = torch.relu(
            self.head(node_states)[source_nodes]
            + self.kind(kind_vectors)[batch.kinds]
            + self.tail(node_states)[target_nodes]
        )
        pair_vectors = torch.relu(self.question(self.text_norm(batch.question)))[edge_questions] * edge_states
        joint_vector: Tensor = self.dropout(
            pooled(pair_vectors, self.relation_score(pair_vectors).squeeze(1), edge_questions, len(batch))
        )
        return joint_vector
