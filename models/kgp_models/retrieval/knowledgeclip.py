"""KnowledgeCLIP (Pan et al., NeurIPS 2022): pre-training on the graph's triplets, before the fine-tuning on pairs.

A multi-modal encoder, a transformer, sees a triplet (head, relation, tail) as three vectors of the common space, one of
them masked. Three objectives of the paper's §3.3, and its §3.4's distillation:

- entity-entity (E2E): from head and relation, what is the tail, and from relation and tail, what is the head, among all
  concepts, or the images of the batch; contrastive.
- entity-relation (E2R): from head and tail, what is the relation; cross-entropy.
- graph-entity (G2E): a graph network's vector of an entity, of its neighbours, against the entity's own; contrastive.
- distillation (KD): on pairs of image and report, the backbone's similarities stay as they were.

Where stances matter: E2E has POSITIVE edges only; what is UNCERTAIN is left out of the softmax, what is NEGATIVE or not
mentioned is a negative. E2R keeps the three stances apart. The graph network has its own weights for each stance.

The paper's encoder gives the masked entity's vector outright; here it gives what is added to the known entity's vector,
so that the common space itself is what learns, of which alone the fine-tuning goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.retrieval.losses import contrastive, symmetric_contrastive
from kgp_models.towers.backbone import WIDTH, Backbone, plain_attention
from kgplatform.datasets.knowledge import POSITIVE, STANCES, UNCERTAIN, Knowledge
from kgplatform.yaml_settings import NonNegativeNumber, PositiveInteger, PositiveNumber, Text

LOSSES: Final = ("e2e", "e2r", "g2e", "kd")


@dataclass(frozen=True)
class KnowledgeSettings:
    """The pre-training. Weights of the losses are all 1 in the paper; 0 leaves one out."""

    epochs: PositiveInteger = 10
    batch: PositiveInteger = 64
    learning_rate: PositiveNumber = 1e-4
    layers: PositiveInteger = 2
    heads: PositiveInteger = 8
    e2e: NonNegativeNumber = 1.0
    """Weight of entity-entity."""
    e2r: NonNegativeNumber = 1.0
    """Weight of entity-relation."""
    g2e: NonNegativeNumber = 1.0
    """Weight of graph-entity."""
    kd: NonNegativeNumber = 1.0
    """Weight of the distillation."""
    pairs: PositiveInteger = 32
    """Pairs of image and report in a step, for the distillation."""
    relations: PositiveInteger = 64
    """Triplets between concepts in a step."""
    most_concepts: PositiveInteger = 512
    """Concepts in a step: those of the batch, then others by chance."""
    prompt: Text = "{}"
    """The concept's name takes the place of {}."""


class TripletEncoder(nn.Module):
    """The multi-modal encoder over a triplet's three vectors, one of them masked; and the relations' vectors."""

    def __init__(self, relations: int, layers: int, heads: int) -> None:
        super().__init__()
        self.relations = nn.Embedding(relations, WIDTH)
        self.masked = nn.Parameter(torch.randn(WIDTH) * 0.02)
        self.places = nn.Parameter(torch.randn(3, WIDTH) * 0.02)
        encoder_layer = nn.TransformerEncoderLayer(
            WIDTH, heads, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(encoder_layer, layers, enable_nested_tensor=False)
        self.entity = nn.Linear(WIDTH, WIDTH)
        self.relation = nn.Linear(WIDTH, relations)
        nn.init.normal_(self.relations.weight, std=0.02)
        nn.init.zeros_(self.entity.weight)  # so that it begins with the space as it is
        nn.init.zeros_(self.entity.bias)

    def tail(self, heads: Tensor, relations: Tensor) -> Tensor:
        """What the tail should be: heads (B, 512) and relations (B,) to (B, 512), of length 1."""
        masked_output = self._run(heads, self.relations(relations), self._mask(heads))[:, 2]
        return functional.normalize((heads + self.entity(masked_output)).float(), dim=-1)

    def head(self, relations: Tensor, tails: Tensor) -> Tensor:
        """What the head should be: relations (B,) and tails (B, 512) to (B, 512), of length 1."""
        masked_output = self._run(self._mask(tails), self.relations(relations), tails)[:, 0]
        return functional.normalize((tails + self.entity(masked_output)).float(), dim=-1)

    def between(self, heads: Tensor, tails: Tensor) -> Tensor:
        """Which relation it is: (B, 512) and (B, 512) to logits (B, relations)."""
        relation_logits: Tensor = self.relation(self._run(heads, self._mask(heads), tails)[:, 1])
        return relation_logits.float()

    def _mask(self, template: Tensor) -> Tensor:
        return self.masked.expand_as(template)

    def _run(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        sequence = torch.stack([head, relation, tail], dim=1) + self.places  # (B, 3, 512)
        with plain_attention(sequence):
            encoded: Tensor = self.layers(sequence)
        return encoded


class GraphNetwork(nn.Module):
    """One layer of a relational graph network (R-GCN, Schlichtkrull et al. 2018): an entity from its neighbours, by a
    mean and its own map for each relation and direction; without the entity itself, which it is compared with.
    """

    def __init__(self, relations: int) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.ones(2 * relations, WIDTH))
        self.shift = nn.Parameter(torch.zeros(2 * relations, WIDTH))
        self.out = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, entities: Tensor, edges: Tensor) -> tuple[Tensor, Tensor]:
        """Entities (N, 512) and edges (E, 3) of head, relation, tail to vectors (N, 512), of length 1, and which have a
        neighbour (N,).
        """
        relation_count = len(self.gate) // 2
        source = torch.cat([edges[:, 0], edges[:, 2]])
        target = torch.cat([edges[:, 2], edges[:, 0]])
        edge_kinds = torch.cat([edges[:, 1], edges[:, 1] + relation_count])
        messages = entities[source] * self.gate[edge_kinds] + self.shift[edge_kinds]  # (2E, 512)
        message_sum = torch.zeros_like(entities).index_add(0, target, messages)
        neighbour_counts = torch.bincount(target, minlength=len(entities))
        neighbour_mean = message_sum / neighbour_counts.clamp(min=1).unsqueeze(1)
        return functional.normalize(self.out(neighbour_mean).float(), dim=-1), neighbour_counts > 0


@dataclass(frozen=True, eq=False)
class GraphEdgeBatch:
    """A step's part of the graph: places of images and concepts, and of the edges among them.

    `stances` (E, 3) and `relations` (R, 3) count images and concepts by their place in the batch.
    """

    images: Tensor
    concepts: Tensor
    stances: Tensor
    relations: Tensor


def graph_edge_batches(knowledge: Knowledge, settings: KnowledgeSettings, seed: int) -> Iterator[GraphEdgeBatch]:
    """An epoch: each image that has a stance once, with all its stances; in each batch some relations of concepts."""
    rng = np.random.default_rng(seed)
    stances = knowledge.stances[np.argsort(knowledge.stances[:, 0], kind="stable")]
    image_ids, stance_starts = np.unique(stances[:, 0], return_index=True)
    stance_ends = np.append(stance_starts[1:], len(stances))
    image_order = rng.permutation(len(image_ids))
    for batch_start in range(0, len(image_order), settings.batch):
        chosen_images = image_order[batch_start : batch_start + settings.batch]
        stance_edges = np.concatenate(
            [stances[stance_starts[image_index] : stance_ends[image_index]] for image_index in chosen_images]
        )
        relation_count = min(settings.relations, len(knowledge.relations))
        related_edges = knowledge.relations[rng.choice(len(knowledge.relations), relation_count, replace=False)]
        named_concepts = np.unique(np.concatenate([stance_edges[:, 2], related_edges[:, 0], related_edges[:, 2]]))
        other_concepts = np.setdiff1d(np.arange(len(knowledge.concepts)), named_concepts)
        free_slots = max(0, settings.most_concepts - len(named_concepts))
        concept_ids = np.concatenate([named_concepts, rng.permutation(other_concepts)[:free_slots]])
        concept_positions = np.full(len(knowledge.concepts), -1)
        concept_positions[concept_ids] = np.arange(len(concept_ids))
        image_position = {int(image): position for position, image in enumerate(image_ids[chosen_images])}
        local_heads = np.array([image_position[int(image)] for image in stance_edges[:, 0]], dtype=np.int64)
        local_stances = np.stack([local_heads, stance_edges[:, 1], concept_positions[stance_edges[:, 2]]], axis=1)
        local_relations = np.stack(
            [concept_positions[related_edges[:, 0]], related_edges[:, 1], concept_positions[related_edges[:, 2]]],
            axis=1,
        )
        yield GraphEdgeBatch(
            *(
                torch.from_numpy(np.asarray(values))
                for values in (image_ids[chosen_images], concept_ids, local_stances, local_relations)
            )
        )


class KnowledgeLosses(nn.Module):
    """E2E, E2R and G2E of a batch of the graph. Relations are numbered after the three stances."""

    def __init__(self, knowledge: Knowledge, settings: KnowledgeSettings) -> None:
        super().__init__()
        relation_count = len(STANCES) + len(knowledge.relation_names)
        self.settings = settings
        self.encoder = TripletEncoder(relation_count, settings.layers, settings.heads)
        self.network = GraphNetwork(relation_count)
        all_triples = np.concatenate([knowledge.relations, np.empty((0, 3), dtype=np.int64)])
        self._training_triples = {(int(head), int(relation), int(tail)) for head, relation, tail in all_triples}

    def forward(self, backbone: Backbone, batch: GraphEdgeBatch, images: Tensor, concepts: Tensor) -> dict[str, Tensor]:
        """The losses by name: `images` (I, 512) and `concepts` (C, 512) are the vectors of the batch's entities."""
        device = images.device
        stances, relations = batch.stances.to(device), batch.relations.to(device)
        related_edges = relations + torch.tensor([0, len(STANCES), 0], device=device)
        losses = {}
        if self.settings.e2e:
            losses["e2e"] = self._e2e(backbone.scale, batch, images, concepts, stances, related_edges)
        if self.settings.e2r:
            losses["e2r"] = self._e2r(images, concepts, stances, related_edges)
        if self.settings.g2e:
            losses["g2e"] = self._g2e(backbone.scale, images, concepts, stances, related_edges)
        return losses

    def _e2e(
        self,
        scale: Tensor,
        batch: GraphEdgeBatch,
        images: Tensor,
        concepts: Tensor,
        stances: Tensor,
        related_edges: Tensor,
    ) -> Tensor:
        table_shape = (len(images), len(concepts))
        positive_table, uncertain_table = (_table(stances, stance, table_shape) for stance in (POSITIVE, UNCERTAIN))
        positive_relation = torch.full((max(table_shape),), POSITIVE, device=images.device)
        tails = self.encoder.tail(images, positive_relation[: table_shape[0]])  # (I, 512)
        heads = self.encoder.head(positive_relation[: table_shape[1]], concepts)  # (C, 512)
        loss_parts = [
            contrastive(scale * tails @ concepts.T, positive_table, uncertain_table),
            contrastive(scale * heads @ images.T, positive_table.T, uncertain_table.T),
        ]
        if len(related_edges):
            tail_mask, head_mask = self._related_masks(batch, related_edges)
            tails = self.encoder.tail(concepts[related_edges[:, 0]], related_edges[:, 1])  # (R, 512)
            heads = self.encoder.head(related_edges[:, 1], concepts[related_edges[:, 2]])
            loss_parts.append(contrastive(scale * tails @ concepts.T, tail_mask.to(images.device)))
            loss_parts.append(contrastive(scale * heads @ concepts.T, head_mask.to(images.device)))
        return torch.stack(loss_parts).mean()

    def _related_masks(self, batch: GraphEdgeBatch, related_edges: Tensor) -> tuple[Tensor, Tensor]:
        """The concepts of the batch that are a tail, and a head, of the triplet with the rest of it: (R, C) each."""
        concept_ids = batch.concepts.tolist()
        triples = [
            (concept_ids[head_position], relation_number - len(STANCES), concept_ids[tail_position])
            for head_position, relation_number, tail_position in related_edges.tolist()
        ]
        tail_table = [
            [(head, relation, concept_id) in self._training_triples for concept_id in concept_ids]
            for head, relation, _ in triples
        ]
        head_table = [
            [(concept_id, relation, tail) in self._training_triples for concept_id in concept_ids]
            for _, relation, tail in triples
        ]
        return torch.tensor(tail_table), torch.tensor(head_table)

    def _e2r(self, images: Tensor, concepts: Tensor, stances: Tensor, related_edges: Tensor) -> Tensor:
        heads = torch.cat([images[stances[:, 0]], concepts[related_edges[:, 0]]])
        tails = torch.cat([concepts[stances[:, 2]], concepts[related_edges[:, 2]]])
        relation_kinds = torch.cat([stances[:, 1], related_edges[:, 1]])
        return functional.cross_entropy(self.encoder.between(heads, tails), relation_kinds)

    def _g2e(self, scale: Tensor, images: Tensor, concepts: Tensor, stances: Tensor, related_edges: Tensor) -> Tensor:
        entities = torch.cat([images, concepts])
        concept_shift = torch.tensor([0, 0, len(images)], device=images.device)
        all_edges = torch.cat(
            [stances + concept_shift, related_edges + torch.tensor([len(images), 0, len(images)], device=images.device)]
        )
        neighbour_vectors, has_neighbour = self.network(entities, all_edges)
        chosen_entities = torch.nonzero(has_neighbour).squeeze(1)
        identity_mask = torch.eye(len(chosen_entities), dtype=torch.bool, device=images.device)
        return symmetric_contrastive(
            scale * neighbour_vectors[chosen_entities] @ entities[chosen_entities].T, identity_mask
        )


def _table(stances: Tensor, stance: int, shape: tuple[int, int]) -> Tensor:
    """Which image has that stance to which concept: boolean, of that shape."""
    stance_table = torch.zeros(shape, dtype=torch.bool, device=stances.device)
    stance_rows = stances[stances[:, 1] == stance]
    stance_table[stance_rows[:, 0], stance_rows[:, 2]] = True
    return stance_table
