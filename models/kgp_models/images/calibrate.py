"""Probabilities fitted to images that the training did not use: one scale for all links, and a bias for each.

Source: Platt 1999; Guo et al. 2017, "On Calibration of Modern Neural Networks". The biases are drawn towards 0 by the
square of their distance, as a rare link has few images in the validation part.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kgp_models.images.combine import BIAS_PENALTY, STEPS
from kgp_models.images.losses import known_loss


@dataclass(frozen=True, eq=False)
class Calibration:
    """How logits become probabilities: sigmoid(scale * logit + bias of the link) (Platt 1999, one scale for all links;
    Guo et al. 2017).
    """

    scale: float = 1.0
    biases: Tensor | None = None

    def probabilities(self, logits: Tensor) -> Tensor:
        """(B, links)."""
        scaled = logits * self.scale
        return torch.sigmoid(scaled if self.biases is None else scaled + self.biases)

    def folded(self, weights: Tensor, biases: Tensor) -> tuple[Tensor, Tensor]:
        """The weights (links, width) and biases (links,) of a layer whose logits need no calibration after it."""
        scaled = biases * self.scale
        return weights * self.scale, scaled if self.biases is None else scaled + self.biases


def fit_calibration(logits: Tensor, targets: Tensor) -> Calibration:
    """The scale and biases of the least loss for logits and targets, (images, links), NaN where it is not known."""
    if not len(logits):
        return Calibration()
    log_scale = torch.zeros((), requires_grad=True)
    biases = torch.zeros(logits.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([log_scale, biases], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = known_loss(logits * log_scale.exp() + biases, targets) + BIAS_PENALTY * biases.square().mean()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return Calibration(float(log_scale.detach().exp()), biases.detach().clone())
