"""The small backbone: our own towers, trained by the project on synthetic studies, for machines without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor, nn

from kgp_models.towers.backbone import MAX_TOKENS, Backbone, Picture, plain_attention
from kgp_models.towers.small_vision import WIDTH as IMAGE_WIDTH
from kgp_models.towers.small_vision import SmallVision
from kgp_models.towers.tokens import tokenize
from kgplatform.yaml_settings import NonNegativeNumber, PositiveInteger

KIND: Final = "small"


@dataclass(frozen=True)
class SmallSizes:
    """Sizes of the small backbone."""

    pixels: PositiveInteger = 128
    """Of an image's side; a multiple of 32."""
    vocabulary: PositiveInteger = 2048
    """Of the text tower."""
    hidden: PositiveInteger = 128
    """The text tower's width; a multiple of heads."""
    layers: PositiveInteger = 2
    heads: PositiveInteger = 4
    dropout: NonNegativeNumber = 0.0


class SmallText(nn.Module):
    """A transformer encoder (Vaswani et al. 2017, norms first) whose vector is the mean over the words."""

    def __init__(self, sizes: SmallSizes, vocabulary: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, sizes.hidden)
        self.places = nn.Parameter(torch.randn(MAX_TOKENS, sizes.hidden) * 0.02)
        encoder_layer = nn.TransformerEncoderLayer(
            sizes.hidden, sizes.heads, 4 * sizes.hidden, sizes.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(encoder_layer, sizes.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(sizes.hidden)
        nn.init.normal_(self.words.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Tokens (B, T) to (B, hidden)."""
        return self.spread(input_ids, attention_mask)[0]

    def spread(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, (B, hidden), and those of the words, (B, T, hidden)."""
        word_states = self.words(input_ids) + self.places[: input_ids.shape[1]]  # (B, T, hidden)
        with plain_attention(word_states):
            word_states = self.norm(self.layers(word_states, src_key_padding_mask=attention_mask == 0))
        word_mask = attention_mask.unsqueeze(-1).to(word_states.dtype)  # (B, T, 1)
        return (word_states * word_mask).sum(1) / word_mask.sum(1).clamp(min=1.0), word_states


def small_backbone(tokenizer: Any, sizes: SmallSizes, seed: int, *, frozen: bool = False) -> Backbone:
    """A new small backbone, its weights drawn by chance; `tokenizer` is in transformers' form."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        image_tower = SmallVision(sizes.pixels).to(memory_format=torch.channels_last)
        text_tower = SmallText(sizes, len(tokenizer))
        widths = (IMAGE_WIDTH, sizes.hidden)
        backbone = Backbone(
            KIND,
            image_tower,
            text_tower,
            widths,
            Picture(sizes.pixels),
            tokenize(tokenizer, MAX_TOKENS, lower=True),
            frozen=frozen,
        )
    return backbone
