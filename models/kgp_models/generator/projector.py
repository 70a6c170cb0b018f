"""The projector: an image's vector becomes a sequence of the language model's width (VLM-KG §2.2, after ClipCap)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from torch import Tensor, nn

from kgp_models.generator.settings import ProjectorSettings
from kgplatform.errors import InputError

LEAST_DEVIATION: Final = 0.01  # of the largest: a dimension that hardly varies is not blown up


class Projector(nn.Module):
    """Positions of the language model from an image's vector.

    A linear layer makes k positions of the image's vector, a learned constant of n positions joins them, a
    transformer lets all of them attend to each other, and the k image positions are what comes out.

    Vectors are standardised by the training's mean and deviation (`standardise`; the paper says nothing of it): what
    all radiographs have in common is much larger than what tells them apart.

    The paper says "focusing on the transformed sequence corresponding to the original image features"; ClipCap
    (Mokady et al. 2021) returns the n positions of the constant instead. The paper is followed.
    Raises `InputError` where the heads do not divide the width.
    """

    def __init__(self, image_width: int, width: int, settings: ProjectorSettings) -> None:
        super().__init__()
        if width % settings.heads:
            raise InputError(f"projector.heads does not divide the language model's width, {width}", "It must.")
        self.settings = settings
        self.width = width
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(image_width))
        self.register_buffer("deviation", torch.ones(image_width))
        self.spread = nn.Linear(image_width, settings.clip_length * width)
        self.prefix = nn.Parameter(torch.randn(settings.prefix_length, width) * 0.02)
        encoder_layer = nn.TransformerEncoderLayer(
            width,
            settings.heads,
            int(width * settings.mlp_ratio),
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.transformer = nn.TransformerEncoder(encoder_layer, settings.layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    @torch.no_grad()
    def standardise(self, vectors: Tensor) -> None:
        """Take the mean and the deviations of the training's vectors, (n, image_width)."""
        self.mean.copy_(vectors.mean(0))
        deviations = vectors.std(0, correction=0)
        self.deviation.copy_(deviations.clamp(min=LEAST_DEVIATION * float(deviations.max().clamp(min=1e-6))))

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Weights of a file; those of before `standardise` have no mean and deviation. Raises `RuntimeError`."""
        self.load_state_dict({"mean": self.mean, "deviation": self.deviation, **weights})

    def forward(self, image: Tensor) -> Tensor:
        """(B, image_width) to (B, k, width)."""
        standard_image = (image - self.mean) / self.deviation
        spread_image = self.spread(standard_image).view(len(image), self.settings.clip_length, self.width)
        learned_prefix = self.prefix.expand(len(image), -1, -1)
        transformed = self.transformer(torch.cat([spread_image, learned_prefix], 1))  # (B, k + n, width)
        image_positions: Tensor = self.norm(transformed[:, : self.settings.clip_length])
        return image_positions
