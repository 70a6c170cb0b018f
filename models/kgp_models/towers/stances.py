"""Which links a text states, next to its vector: the vectors of "effusion" and "no effusion" are much alike, while
construction tells them apart. A backbone whose image tower was trained on links (`kgp train images`) can read the same
links in a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from kgp_models.towers.backbone import WIDTH, Backbone, LinkLayer
from kgp_models.towers.tokens import STANCES, Tokens
from kgplatform.datasets.mentions import MentionFinder
from kgplatform.errors import InputError

LEAST_DEVIATION: Final = 0.05  # so that a rare link does not outweigh all others


class LinkReader:
    """Which links a text states: texts to (B, links), 1 or 0."""

    def __init__(self, links: Sequence[tuple[str, str, str]]) -> None:
        self._columns = {(cui, stance): column for column, (stance, cui, _) in enumerate(links)}
        names = {cui: name for _, cui, name in links}
        self._finder = MentionFinder(names.items(), own_words=True)
        described = repr((list(links), self._finder.identity))
        self.sha256 = hashlib.sha256(described.encode()).hexdigest()

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """The links of texts."""
        stated = torch.zeros(len(texts), len(self._columns))
        for row, text in enumerate(texts):
            columns = [self._columns[edge] for edge in self._finder.edges(text) if edge in self._columns]
            stated[row, columns] = 1.0
        return stated


class StanceText(nn.Module):
    """A text tower's vectors and the links that the texts state, each of length 1, (B, width + links)."""

    def __init__(self, tower: nn.Module, shares: Tensor, reading: str) -> None:
        """`shares` are of the training images, (links,); `reading` is the hash of how links are read."""
        super().__init__()
        self.tower = tower
        self.reading = reading
        self.shares: Tensor
        self.register_buffer("shares", shares.clone())

    def forward(self, stances: Tensor, **tokens: Tensor) -> Tensor:
        """The vectors of texts; `stances` (B, links) are 1 where a link is stated."""
        unusual = functional.normalize((stances - self.shares) / _deviations(self.shares), dim=-1)
        return torch.cat([functional.normalize(self.tower(**tokens).float(), dim=-1), unusual], dim=-1)


def read_stances(backbone: Backbone) -> str:
    """Let the text tower of a backbone read stances, too; its heads are new, and begin as `likelihood_heads` says.
    Returns the hash of how texts are read. Raises `InputError` where its image tower was not trained on links.
    """
    layer = backbone.link_layer
    if layer is None:
        hint = "Leave out stances, or take an image encoder of `kgp train images`: images:FOLDER."
        raise InputError(f"the backbone {backbone.kind} was not trained on stances", hint)
    reader = LinkReader(layer.links)
    tokens = backbone.tokens

    def encode(texts: Sequence[str]) -> Tokens:
        return {**tokens(texts), STANCES: reader(texts)}

    backbone.tokens = replace(tokens, encode=encode)
    backbone.text_tower = StanceText(backbone.text_tower, layer.shares, reader.sha256).eval()
    word_width, backbone.text_width = backbone.text_width, backbone.text_width + len(layer.links)
    backbone.image_head, backbone.text_head = likelihood_heads(layer, word_width)
    return reader.sha256


def likelihood_heads(layer: LinkLayer, word_width: int) -> tuple[nn.Linear, nn.Linear]:
    """Heads of images and of texts that begin as a likelihood.

    Their products are how much likelier an image makes the stances t of a text than the training's shares s do, to the
    first order in the logits x of the image:

        log p(t | x) - log p(t | s)  ≈  Σ (t - s) (x - logit s)

    Both are divided by the deviation of t and multiplied by it. The most common links have a dimension each, up to half
    of them; the others are free: texts begin there as in a new head, images with zeros, so that training adds to it.
    """
    deviations = _deviations(layer.shares)
    links = deviations.topk(min(len(layer.links), WIDTH // 2)).indices
    image_head = nn.Linear(layer.weight.shape[1], WIDTH)
    text_head = nn.Linear(word_width + len(layer.links), WIDTH)
    dimensions = torch.arange(len(links))
    with torch.no_grad():
        image_head.weight.zero_()
        image_head.bias.zero_()
        image_head.weight[dimensions] = deviations[links, None] * layer.weight[links]
        image_head.bias[dimensions] = deviations[links] * (layer.bias[links] - torch.logit(layer.shares[links]))
        text_head.weight[dimensions] = 0.0
        text_head.bias[dimensions] = 0.0
        text_head.weight[dimensions, word_width + links] = 1.0
    return image_head, text_head


def _deviations(shares: Tensor) -> Tensor:
    return (shares * (1.0 - shares)).sqrt().clamp(min=LEAST_DEVIATION)
