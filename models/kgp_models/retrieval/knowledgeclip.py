"""KnowledgeCLIP (Pan et al., NeurIPS 2022): pre-training on the graph's triplets, before the fine-tuning on pairs.

A multi-modal encoder, a transformer, sees a triplet (head, relation, tail) as three vectors of the common space, one of
them masked. Three objectives of the paper's §3.3, and its §3.4's distillation:

- entity-entity (E2E): from head and relation, what is the tail, and from relation and tail, what is the head, among all
  concepts, or the images of the batch; contrastive.
- entity-relation (E2R): from head and tail, what is the relation; cross-entropy.
- graph-entity (G2E): a graph network's vector of an entity, of its neighbours, against the entity's own; contrastive.
- distillation (KD): on pairs of image and report, the backbone's similarities stay as they were.

Where stances matter: E2E has POSITIVE edges only; what is UNCERTAIN is left out of the softmax, what is NEGATIVE or not
mentioned is a negative. E2R tells the three stances apart. The graph network has weights of its own for each stance.

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

from kgp_models.retrieval.backbone import WIDTH, Backbone, plain_attention
from kgp_models.retrieval.losses import both_ways, contrastive
from kgplatform.retrieval.knowledge import POSITIVE, STANCES, UNCERTAIN, Knowledge

LOSSES: Final = ("e2e", "e2r", "g2e", "kd")


@dataclass(frozen=True)
class KnowledgeSettings:
    """The pre-training. Weights of the losses are all 1 in the paper; 0 leaves one out."""

    epochs: int = 10
    batch: int = 64
    learning_rate: float = 1e-4
    layers: int = 2
    heads: int = 8
    e2e: float = 1.0
    e2r: float = 1.0
    g2e: float = 1.0
    kd: float = 1.0
    pairs: int = 32  # of image and report in a step, for KD
    relations: int = 64  # triplets between concepts in a step
    most_concepts: int = 512  # in a step: those of the batch, then others by chance
    prompt: str = "{}"


class TripletEncoder(nn.Module):
    """The multi-modal encoder over a triplet's three vectors, one of them masked; and the relations' vectors."""

    def __init__(self, relations: int, layers: int, heads: int) -> None:
        super().__init__()
        self.relations = nn.Embedding(relations, WIDTH)
        self.masked = nn.Parameter(torch.randn(WIDTH) * 0.02)
        self.places = nn.Parameter(torch.randn(3, WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(WIDTH, heads, 2 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.entity = nn.Linear(WIDTH, WIDTH)
        self.relation = nn.Linear(WIDTH, relations)
        nn.init.normal_(self.relations.weight, std=0.02)
        nn.init.zeros_(self.entity.weight)  # so that it begins with the space as it is
        nn.init.zeros_(self.entity.bias)

    def tail(self, heads: Tensor, relations: Tensor) -> Tensor:
        """What the tail should be: heads (B, 512) and relations (B,) to (B, 512), of length 1."""
        out = self._run(heads, self.relations(relations), self._mask(heads))[:, 2]
        return functional.normalize((heads + self.entity(out)).float(), dim=-1)

    def head(self, relations: Tensor, tails: Tensor) -> Tensor:
        """What the head should be: relations (B,) and tails (B, 512) to (B, 512), of length 1."""
        out = self._run(self._mask(tails), self.relations(relations), tails)[:, 0]
        return functional.normalize((tails + self.entity(out)).float(), dim=-1)

    def between(self, heads: Tensor, tails: Tensor) -> Tensor:
        """Which relation it is: (B, 512) and (B, 512) to logits (B, relations)."""
        out: Tensor = self.relation(self._run(heads, self._mask(heads), tails)[:, 1])
        return out.float()

    def _mask(self, like: Tensor) -> Tensor:
        return self.masked.expand_as(like)

    def _run(self, head: Tensor, relation: Tensor, tail: Tensor) -> Tensor:
        given = torch.stack([head, relation, tail], dim=1) + self.places  # (B, 3, 512)
        with plain_attention(given):
            out: Tensor = self.layers(given)
        return out


class GraphNetwork(nn.Module):
    """One layer of a relational graph network (R-GCN, Schlichtkrull et al. 2018): an entity from its neighbours, by a
    mean and a map of its own for each relation and direction; without the entity itself, which it is compared with.
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
        relations = len(self.gate) // 2
        source = torch.cat([edges[:, 0], edges[:, 2]])
        target = torch.cat([edges[:, 2], edges[:, 0]])
        kind = torch.cat([edges[:, 1], edges[:, 1] + relations])
        messages = entities[source] * self.gate[kind] + self.shift[kind]  # (2E, 512)
        total = torch.zeros_like(entities).index_add(0, target, messages)
        counts = torch.bincount(target, minlength=len(entities))
        mean = total / counts.clamp(min=1).unsqueeze(1)
        return functional.normalize(self.out(mean).float(), dim=-1), counts > 0


@dataclass(frozen=True, eq=False)
class Batch:
    """A step's part of the graph: places of images and concepts, and of the edges among them.

    `stances` (E, 3) and `relations` (R, 3) count images and concepts by their place in the batch.
    """

    images: Tensor
    concepts: Tensor
    stances: Tensor
    relations: Tensor


def batches(knowledge: Knowledge, settings: KnowledgeSettings, seed: int) -> Iterator[Batch]:
    """An epoch: each image that has a stance once, with all its stances; in each batch some relations of concepts."""
    rng = np.random.default_rng(seed)
    stances = knowledge.stances[np.argsort(knowledge.stances[:, 0], kind="stable")]
    images, starts = np.unique(stances[:, 0], return_index=True)
    ends = np.append(starts[1:], len(stances))
    order = rng.permutation(len(images))
    for start in range(0, len(order), settings.batch):
        chosen = order[start : start + settings.batch]
        edges = np.concatenate([stances[starts[place] : ends[place]] for place in chosen])
        count = min(settings.relations, len(knowledge.relations))
        related = knowledge.relations[rng.choice(len(knowledge.relations), count, replace=False)]
        named = np.unique(np.concatenate([edges[:, 2], related[:, 0], related[:, 2]]))
        others = np.setdiff1d(np.arange(len(knowledge.concepts)), named)
        room = max(0, settings.most_concepts - len(named))
        concepts = np.concatenate([named, rng.permutation(others)[:room]])
        place = np.full(len(knowledge.concepts), -1)
        place[concepts] = np.arange(len(concepts))
        of_image = {int(image): number for number, image in enumerate(images[chosen])}
        heads = np.array([of_image[int(image)] for image in edges[:, 0]], dtype=np.int64)
        local = np.stack([heads, edges[:, 1], place[edges[:, 2]]], axis=1)
        between = np.stack([place[related[:, 0]], related[:, 1], place[related[:, 2]]], axis=1)
        yield Batch(*(torch.from_numpy(np.asarray(of)) for of in (images[chosen], concepts, local, between)))


class KnowledgeLosses(nn.Module):
    """E2E, E2R and G2E of a batch of the graph. Relations are numbered after the three stances."""

    def __init__(self, knowledge: Knowledge, settings: KnowledgeSettings) -> None:
        super().__init__()
        count = len(STANCES) + len(knowledge.relation_names)
        self.settings = settings
        self.encoder = TripletEncoder(count, settings.layers, settings.heads)
        self.network = GraphNetwork(count)
        known = np.concatenate([knowledge.relations, np.empty((0, 3), dtype=np.int64)])
        self._known = {(int(h), int(r), int(t)) for h, r, t in known}

    def forward(self, backbone: Backbone, batch: Batch, images: Tensor, concepts: Tensor) -> dict[str, Tensor]:
        """The losses by name: `images` (I, 512) and `concepts` (C, 512) are the vectors of the batch's entities."""
        device = images.device
        stances, relations = batch.stances.to(device), batch.relations.to(device)
        related = relations + torch.tensor([0, len(STANCES), 0], device=device)
        found = {}
        if self.settings.e2e:
            found["e2e"] = self._e2e(backbone.scale, batch, images, concepts, stances, related)
        if self.settings.e2r:
            found["e2r"] = self._e2r(images, concepts, stances, related)
        if self.settings.g2e:
            found["g2e"] = self._g2e(backbone.scale, images, concepts, stances, related)
        return found

    def _e2e(
        self, scale: Tensor, batch: Batch, images: Tensor, concepts: Tensor, stances: Tensor, related: Tensor
    ) -> Tensor:
        shape = (len(images), len(concepts))
        positive, uncertain = (_table(stances, stance, shape) for stance in (POSITIVE, UNCERTAIN))
        is_positive = torch.full((max(shape),), POSITIVE, device=images.device)
        tails = self.encoder.tail(images, is_positive[: shape[0]])  # (I, 512)
        heads = self.encoder.head(is_positive[: shape[1]], concepts)  # (C, 512)
        found = [
            contrastive(scale * tails @ concepts.T, positive, uncertain),
            contrastive(scale * heads @ images.T, positive.T, uncertain.T),
        ]
        if len(related):
            out, into = self._known_concepts(batch, related)
            tails = self.encoder.tail(concepts[related[:, 0]], related[:, 1])  # (R, 512)
            heads = self.encoder.head(related[:, 1], concepts[related[:, 2]])
            found.append(contrastive(scale * tails @ concepts.T, out.to(images.device)))
            found.append(contrastive(scale * heads @ concepts.T, into.to(images.device)))
        return torch.stack(found).mean()

    def _known_concepts(self, batch: Batch, related: Tensor) -> tuple[Tensor, Tensor]:
        """The concepts of the batch that are a tail, and a head, of the triplet with the rest of it: (R, C) each."""
        names = batch.concepts.tolist()
        rows = [(names[h], r - len(STANCES), names[t]) for h, r, t in related.tolist()]
        out = [[(head, relation, name) in self._known for name in names] for head, relation, _ in rows]
        into = [[(name, relation, tail) in self._known for name in names] for _, relation, tail in rows]
        return torch.tensor(out), torch.tensor(into)

    def _e2r(self, images: Tensor, concepts: Tensor, stances: Tensor, related: Tensor) -> Tensor:
        heads = torch.cat([images[stances[:, 0]], concepts[related[:, 0]]])
        tails = torch.cat([concepts[stances[:, 2]], concepts[related[:, 2]]])
        kinds = torch.cat([stances[:, 1], related[:, 1]])
        return functional.cross_entropy(self.encoder.between(heads, tails), kinds)

    def _g2e(self, scale: Tensor, images: Tensor, concepts: Tensor, stances: Tensor, related: Tensor) -> Tensor:
        entities = torch.cat([images, concepts])
        after = torch.tensor([0, 0, len(images)], device=images.device)
        edges = torch.cat(
            [stances + after, related + torch.tensor([len(images), 0, len(images)], device=images.device)]
        )
        found, has = self.network(entities, edges)
        chosen = torch.nonzero(has).squeeze(1)
        same = torch.eye(len(chosen), dtype=torch.bool, device=images.device)
        return both_ways(scale * found[chosen] @ entities[chosen].T, same)


def _table(stances: Tensor, stance: int, shape: tuple[int, int]) -> Tensor:
    """Which image has that stance to which concept: boolean, of that shape."""
    table = torch.zeros(shape, dtype=torch.bool, device=stances.device)
    rows = stances[stances[:, 1] == stance]
    table[rows[:, 0], rows[:, 2]] = True
    return table
