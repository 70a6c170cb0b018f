"""MKBN (Huang et al., Information Processing & Management 2023): three interactions of image, question and graph.

A graph encoder gives the subgraph's entities and relations states; image and question, image and entities, and question
and relations interact by bilinear attention (Kim et al. 2018, one glimpse), and the three results answer together.

Followed is the publication as MedMKG's text has it, with the graph in place of its own knowledge base. MedMKG's code
lets one vector attend to one vector, so that attention has nothing to choose, and has no relations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kgp_models.vqa.base import Method, Sizes, mlp
from kgp_models.vqa.batch import Batch
from kgp_models.vqa.message_passing import GraphEncoder, pooled


class MKBN(Method):
    """`kinds` are the vectors of the kinds' names, (K, Dt)."""

    def __init__(self, sizes: Sizes, kinds: Tensor) -> None:
        super().__init__()
        width, hidden = sizes.graph, sizes.hidden
        self.graph = GraphEncoder(sizes.image, sizes.text, width, sizes.layers, sizes.graph_dropout, kinds)
        self.image_norm, self.text_norm = nn.LayerNorm(sizes.image), nn.LayerNorm(sizes.text)
        self.region_norm = nn.LayerNorm(sizes.region)
        self.regions, self.words = nn.Linear(sizes.region, hidden), nn.Linear(sizes.text, hidden)
        self.glimpse = nn.Parameter(torch.randn(hidden) / hidden**0.5)
        self.image, self.entity = nn.Linear(sizes.image, hidden), nn.Linear(width, hidden)
        self.question = nn.Linear(sizes.text, hidden)
        self.head, self.kind, self.tail = nn.Linear(width, hidden), nn.Linear(width, hidden), nn.Linear(width, hidden)
        self.entity_score, self.relation_score = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        self.dropout = nn.Dropout(sizes.dropout)
        self.out = mlp(3 * hidden, hidden, 1, sizes.dropout)

    def forward(self, batch: Batch) -> Tensor:
        """(B,)."""
        states, kinds = self.graph(batch)
        together = [self._image_question(batch), self._image_entities(batch, states)]
        together.append(self._question_relations(batch, states, kinds))
        logits: Tensor = self.out(torch.cat(together, 1)).squeeze(1)
        return logits

    def _image_question(self, batch: Batch) -> Tensor:
        """Σ_rt α_rt (U x_r ⊙ V w_t), with α the softmax of p · (U x_r ⊙ V w_t) over pairs of a region and a word."""
        regions = torch.relu(self.regions(self.region_norm(batch.regions)))  # (B, R, H)
        words = torch.relu(self.words(self.text_norm(batch.words)))  # (B, T, H)
        scores = (regions * self.glimpse) @ words.transpose(1, 2)  # (B, R, T)
        scores = scores.masked_fill(~batch.mask.unsqueeze(1), -1e4)
        weight = scores.flatten(1).softmax(1).view_as(scores)
        joint: Tensor = self.dropout((regions * (weight @ words)).sum(1))
        return joint

    def _image_entities(self, batch: Batch, states: Tensor) -> Tensor:
        """The same for the image and the entities of the subgraph; zeros without one."""
        pairs = torch.relu(self.image(self.image_norm(batch.image)))[batch.of] * torch.relu(self.entity(states))
        joint: Tensor = self.dropout(pooled(pairs, self.entity_score(pairs).squeeze(1), batch.of, len(batch)))
        return joint

    def _question_relations(self, batch: Batch, states: Tensor, kinds: Tensor) -> Tensor:
        """The same for the question and the edges: each by both its ends and its kind."""
        source, target = batch.ends
        of = batch.of[source]
        edges = torch.relu(self.head(states)[source] + self.kind(kinds)[batch.kinds] + self.tail(states)[target])
        pairs = torch.relu(self.question(self.text_norm(batch.question)))[of] * edges
        joint: Tensor = self.dropout(pooled(pairs, self.relation_score(pairs).squeeze(1), of, len(batch)))
        return joint
