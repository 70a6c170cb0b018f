"""Logistic regressions on the vectors of a frozen encoder, one for each output, fitted together."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

STEPS: Final = 200


def fit_regressions(vectors: Tensor, targets: Tensor, penalty: float, steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Weights (width, outputs) and biases (outputs,) for `targets` (n, outputs) of 0 and 1, given standardised
    `vectors` (n, width). Each output's loss is its mean cross-entropy and `penalty` times the squares of its weights.
    """
    weights = torch.zeros(vectors.shape[1], targets.shape[1], requires_grad=True)
    biases = torch.logit(targets.mean(0).clamp(1e-4, 1 - 1e-4)).clone().requires_grad_(True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=steps, line_search_fn="strong_wolfe")

    def loss() -> Any:
        optimizer.zero_grad()
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(vectors @ weights + biases, targets)
        total = entropy * targets.shape[1] + penalty * weights.square().sum()
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach(), biases.detach()
