"""The loss of links of which it is not always known whether an image has them."""

from __future__ import annotations

from torch import Tensor, nn


def known_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """The mean binary cross-entropy over the targets that are known, both (B, links)."""
    is_known = ~targets.isnan()
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets.nan_to_num(), reduction="none")
    return (losses * is_known).sum() / is_known.sum().clamp(min=1)
