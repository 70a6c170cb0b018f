"""The contrastive losses that all methods are made of."""

from __future__ import annotations

import torch
from torch import Tensor


def contrastive(
    logits: Tensor, positive: Tensor, ignored: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """InfoNCE with several positives: −log softmax of each row's positives, their mean, then the mean over the rows.

    `logits` is (A, B); `positive` and `ignored` are (A, B) and boolean, and what is ignored is neither positive nor
    negative; rows without a positive do not count. With one positive a row this is CLIP's loss (Radford et al. 2021);
    with several, SupCon's with the mean outside (Khosla et al. 2020, eq. 2). `weights` (A,) weigh the rows.
    """
    if ignored is not None:
        logits = logits.masked_fill(ignored & ~positive, float("-inf"))
    log_share = logits.log_softmax(dim=1).masked_fill(~positive, 0.0)
    counts = positive.sum(dim=1)
    counted = counts > 0
    if not bool(counted.any()):
        return logits.new_zeros(())
    rows = -log_share.sum(dim=1)[counted] / counts[counted]
    if weights is None:
        return rows.mean()
    kept = weights[counted]
    return (rows * kept).sum() / kept.sum().clamp(min=1e-9)


def both_ways(
    logits: Tensor, positive: Tensor, ignored: Tensor | None = None, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The mean of `contrastive` over the rows and over the columns."""
    across = None if ignored is None else ignored.T
    rows, columns = (None, None) if weights is None else weights
    return (contrastive(logits, positive, ignored, rows) + contrastive(logits.T, positive.T, across, columns)) / 2


def image_text(images: Tensor, texts: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """ITC, the image-text contrastive loss: (B, D) and (B, D) of length 1; `groups` (B,) are the same where a report is
    the same, so that a study's other image, or an equal report, is no negative.
    """
    return both_ways(scale * images @ texts.T, groups[:, None] == groups[None, :])


def distillation(images: Tensor, texts: Tensor, scale: Tensor, known: Tensor) -> Tensor:
    """KL divergence of the similarities' distribution from a teacher's `known` logits (B, B), both ways."""
    logits = scale * images @ texts.T
    parts = [
        torch.nn.functional.kl_div(mine.log_softmax(1), its.log_softmax(1), log_target=True, reduction="batchmean")
        for mine, its in ((logits, known), (logits.T, known.T))
    ]
    return (parts[0] + parts[1]) / 2
