"""Probabilities fitted to images that the training did not use: one scale for all links, and a bias for each.

Source: Platt 1999; Guo et al. 2017, "On Calibration of Modern Neural Networks". The biases are drawn towards 0 by the
square of their distance, as a rare link has few images in the validation part.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from kgp_models.images.model import Calibration
from kgp_models.images.train import known_loss

STEPS: Final = 100
BIAS_PENALTY: Final = 0.02  # of the mean square of the biases, next to the mean loss


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
