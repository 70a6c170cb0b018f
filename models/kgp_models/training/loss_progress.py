"""The progress of a training with its loss, which is read from the device now and then, not at each step."""

from __future__ import annotations

import math
import time
from collections import deque
from typing import Final

import torch
from torch import Tensor

from kgplatform.progress import Progress

STEPS: Final = 20  # that the reported loss is the mean of
SECONDS: Final = 1.0  # between two readings: the host waits for the device at each


class LossProgress:
    """A `Progress` of steps that reports the mean loss of the last `STEPS` of them. It draws no random numbers, and
    changes no tensor.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._step: list[Tensor] = []  # parts of the current step's loss
        self._recent: deque[list[Tensor]] = deque(maxlen=STEPS)  # those of earlier steps
        self._mean: float | None = None
        self._last_read = -math.inf

    def add(self, loss: Tensor) -> None:
        """Add a part of the present step's loss, a scalar: a term of it, or what a batch of several contributes."""
        self._step.append(loss.detach())

    def __call__(self, done: int, total: int | None, /, *, loss: float | None = None) -> None:
        """Report that a step is done."""
        if self._step:
            self._recent.append(self._step)
            self._step = []
        current_time = time.monotonic()
        if self._recent and (done == total or current_time - self._last_read >= SECONDS):
            self._last_read = current_time
            loss_parts = [loss_part.float().reshape(()) for step_parts in self._recent for loss_part in step_parts]
            self._mean = float(torch.stack(loss_parts).sum()) / len(self._recent)
        self._progress(done, total, loss=self._mean if loss is None else loss)
