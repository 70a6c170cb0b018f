"""A small vision encoder of our own for one grey radiograph, trained on invented ones, for machines without weights."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE = 256  # pixels of a side
WIDTH = 512  # of the vector, as MedCLIP's
CHANNELS = (16, 32, 64, 128)


class _Block(nn.Module):
    """Two convolutions beside a short cut (He et al. 2016), at half the size."""

    def __init__(self, inward: int, outward: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inward, outward, 3, 2, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outward)
        self.second = nn.Conv2d(outward, outward, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outward)
        self.skip = nn.Conv2d(inward, outward, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(hidden)) + self.skip(x))


class SmallVision(nn.Module):
    """A residual network whose vector keeps places: what stands where decides the side of a finding.

    (B, 1, size, size), grey values from -1 to 1, to (B, 512); the size is a multiple of 32.
    """

    def __init__(self, size: int = SIZE) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, CHANNELS[0], 5, 2, 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(CHANNELS[0])
        steps = (*CHANNELS, CHANNELS[-1])
        self.blocks = nn.Sequential(*(_Block(a, b) for a, b in pairwise(steps)))
        self.places = nn.Conv2d(CHANNELS[-1], 32, 1)
        side = size // 2 ** (len(steps))
        self.out = nn.Linear(32 * side * side + CHANNELS[-1], WIDTH)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 1, size, size) to (B, 512)."""
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, (B, 512), and those of the picture's regions, row by row, (B, (size / 32)², 128)."""
        hidden = functional.relu(self.stem_norm(self.stem(pixels)))  # (B, 16, size / 2, size / 2)
        hidden = self.blocks(hidden)  # (B, 128, size / 32, size / 32)
        vector = torch.cat([self.places(hidden).flatten(1), hidden.amax((2, 3))], 1)
        out: Tensor = functional.relu(self.out(vector))
        return out, hidden.flatten(2).transpose(1, 2)
