"""A small vision encoder of our own for one grey radiograph, trained on synthetic ones, for machines without
weights.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 256  # pixels of a side
WIDTH = 512  # of the vector, as MedCLIP's
CHANNELS = (16, 32, 64, 128)


class _Block(nn.Module):
    """Two convolutions next to a short cut (He et al. 2016), at half the size."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inward, outward, 3, 2, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outward)
        self.second = nn.Conv2d(outward, outward, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outward)
        self.skip = nn.Conv2d(inward, outward, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        features = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(features)) + self.skip(x))


class SmallVision(nn.Module):
    """A residual network whose vector keeps places: what stands where decides the side of a finding.

    (B, 1, size, size), grey values from -1 to 1, to (B, 512); the size is a multiple of 32.
    """

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS[0])
        channel_counts = (*CHANNELS, CHANNELS[-1])
        self.blocks = nn.Sequential(*(_Block(inward, outward) for inward, outward in pairwise(channel_counts)))
        self.places = nn.Conv2d(CHANNELS[-1], 32, 1)
        grid_side = size // 2 ** (len(channel_counts))
        self.out = nn.Linear(32 * grid_side * grid_side + CHANNELS[-1], WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1, size, size) to (B, 512)."""
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, (B, 512), and those of the picture's regions, row by row, (B, (size / 32)², 128)."""
        feature_map = functional.relu(self.stem_norm(self.stem(pixels)))  # (B, 16, size / 2, size / 2)
        feature_map = self.blocks(feature_map)  # (B, 128, size / 32, size / 32)
        joined_features = torch.cat([self.places(feature_map).flatten(1), feature_map.amax((2, 3))], 1)
        image_vectors: Tensor = functional.relu(self.out(joined_features))
        return image_vectors, feature_map.flatten(2).transpose(1, 2)
