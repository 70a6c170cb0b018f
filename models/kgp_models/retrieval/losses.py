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
    positive_counts = positive.sum(dim=1)
    has_positive = positive_counts > 0
    if not bool(has_positive.any()):
        return logits.new_zeros(())
    row_losses = -log_share.sum(dim=1)[has_positive] / positive_counts[has_positive]
    if weights is None:
        return row_losses.mean()
    row_weights = weights[has_positive]
    return (row_losses * row_weights).sum() / row_weights.sum().clamp(min=1e-9)


def symmetric_contrastive(
    logits: Tensor, positive: Tensor, ignored: Tensor | None = None, weights: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """The mean of `contrastive` over the rows and over the columns."""
    ignored_columns = None if ignored is None else ignored.T
    row_weights, column_weights = (None, None) if weights is None else weights
    return (
        contrastive(logits, positive, ignored, row_weights)
        + contrastive(logits.T, positive.T, ignored_columns, column_weights)
    ) / 2


def image_text(images: Tensor, texts: Tensor, scale: Tensor, groups: Tensor) -> Tensor:
    """ITC, the image-text contrastive loss: (B, D) and (B, D) of length 1; `groups` (B,) are the same where a report is
    the same, so that a study's other image, or an equal report, is no negative.
    """
    return symmetric_contrastive(scale * images @ texts.T, groups[:, None] == groups[None, :])


def distillation(images: Tensor, texts: Tensor, scale: Tensor, teacher: Tensor) -> Tensor:
    """KL divergence of the similarities' distribution from a teacher's `teacher` logits (B, B), both ways."""
    logits = scale * images @ texts.T
    divergences = [
        torch.nn.functional.kl_div(
            own_logits.log_softmax(1), teacher_logits.log_softmax(1), log_target=True, reduction="batchmean"
        )
        for own_logits, teacher_logits in ((logits, teacher), (logits.T, teacher.T))
    ]
    return (divergences[0] + divergences[1]) / 2
