"""The loss in a training's progress: the mean of recent steps, read from the device at most once a second."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from kgp_models.training.loss_progress import STEPS, LossProgress
from tests.progress_records import ProgressRecord


def reported(losses: list[list[float]], monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[float | None]:
    """The losses that are reported of steps of so many seconds, whose losses have these parts."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    record = ProgressRecord()
    step_progress = LossProgress(record)
    for step_number, step_losses in enumerate(losses, 1):
        for loss in step_losses:
            step_progress.add(torch.tensor(loss, requires_grad=True))
        now += seconds
        step_progress(step_number, 100)
    assert record.done == list(range(1, len(losses) + 1))
    return record.losses


def test_the_loss_of_a_step_is_the_sum_of_its_parts_and_the_mean_is_of_recent_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reported([[0.5, 0.25], [0.25], []], monkeypatch, 2.0) == [0.75, 0.5, 0.5]
    steps = [[100.0]] * 3 + [[1.0]] * STEPS
    assert reported(steps, monkeypatch, 2.0)[-1] == 1.0
    assert reported([[]], monkeypatch, 2.0) == [None]


def test_a_loss_is_read_at_most_once_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read_count = 0
    original_float = Tensor.__float__

    def counted_float(tensor: Tensor) -> float:
        nonlocal read_count
        read_count += 1
        return original_float(tensor)

    monkeypatch.setattr(Tensor, "__float__", counted_float)
    losses = reported([[float(number)] for number in range(100)], monkeypatch, 0.125)
    assert losses[0] == 0.0
    assert losses[1:8] == [0.0] * 7
    assert losses[8] == 4.0
    assert losses[-1] == sum(range(80, 100)) / 20, "the last step is that of the end"
    assert read_count == 1 + 100 // 8 + 1


def test_no_random_number_is_drawn_and_no_graph_is_kept() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    step_progress = LossProgress(ProgressRecord())
    step_progress.add(torch.ones((), requires_grad=True) * 2)
    step_progress(1, 1)
    assert torch.equal(torch.rand(3), expected)
    assert not any(loss.requires_grad for step_losses in step_progress._recent for loss in step_losses)
