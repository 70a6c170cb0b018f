"""Pictures varied and mixed by chance, so that few of them are not learnt by heart."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor, nn

SHIFT: Final = 8 / 256  # of a side by which an image is moved, at most
TURN: Final = 0.05  # radians by which it is turned
SCALE: Final = 0.05  # share by which it is made smaller or larger
LIGHT: Final = 0.1  # standard deviation, where black is -1 and white 1; also of the contrast


def varied(grey: Tensor, rng: torch.Generator, amount: float = 1.0) -> Tensor:
    """Grey pictures (B, 1, size, size), 0 to 255, turned, scaled and moved a little, made lighter or darker, each at
    random; from -1 to 1, or a little beyond. Never mirrored, as a finding's side counts. `amount` multiplies how much.
    """
    image_count = len(grey)
    turn_angle, scale_change = (
        (torch.rand(2, image_count, generator=rng) * 2 - 1) * torch.tensor([[TURN], [SCALE]]) * amount
    )
    offsets = (torch.rand(2, image_count, generator=rng) * 2 - 1) * (2 * SHIFT * amount)
    cosine, sine = torch.cos(turn_angle) * (1 + scale_change), torch.sin(turn_angle) * (1 + scale_change)
    transforms = torch.stack(
        [torch.stack([cosine, -sine, offsets[0]], 1), torch.stack([sine, cosine, offsets[1]], 1)], 1
    )
    sampling_grid = nn.functional.affine_grid(transforms, list(grey.shape), align_corners=False)
    pixels = nn.functional.grid_sample(
        grey.float() / 127.5 - 1.0, sampling_grid, padding_mode="border", align_corners=False
    )
    contrast, brightness = (torch.randn(image_count, 1, 1, 1, generator=rng) * LIGHT * amount for _ in range(2))
    return pixels * (1.0 + contrast) + brightness


def mixed(grey: Tensor, targets: Tensor, rng: torch.Generator, parameter: float) -> tuple[Tensor, Tensor]:
    """Pictures (B, 1, size, size) and targets (B, links), each mixed with those of another by a share of a symmetric
    Beta distribution; the larger share is the picture's own. A target that is not known (NaN) stays so.

    Source: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization" (ICLR).
    """
    others = torch.randperm(len(grey), generator=rng)
    beta_rng = np.random.default_rng(int(torch.randint(2**31, (1,), generator=rng)))
    shares = torch.from_numpy(beta_rng.beta(parameter, parameter, len(grey))).float()
    shares = torch.maximum(shares, 1.0 - shares)
    by_picture, by_target = shares.view(-1, 1, 1, 1), shares.view(-1, 1)
    return (
        by_picture * grey + (1.0 - by_picture) * grey[others],
        by_target * targets + (1.0 - by_target) * targets[others],
    )
