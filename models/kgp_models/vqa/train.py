"""Training on closed questions, and answering them."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import nn
from torch.nn import functional

from kgp_models.training_state import TrainingState
from kgp_models.vqa.base import Method
from kgp_models.vqa.inputs import Examples
from kgp_models.vqa.settings import Tuning
from kgplatform.vqa.metrics import Answers

Progress = Callable[[int, int | None], None]
STATE: Final = "training.state"
BLOCK: Final = 128  # questions at a time, where nothing is learnt


@dataclass(frozen=True)
class Trained:
    """What came out of a training: `history` has, by epoch, the losses, and the validation's loss and accuracy."""

    epochs: int
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


@torch.inference_mode()
def answers(model: Method, examples: Examples) -> Answers:
    """The model's answers."""
    model.eval()
    logits = []
    for start in range(0, len(examples), BLOCK):
        rows = range(start, min(start + BLOCK, len(examples)))
        logits.append(model(examples.batch(rows).to(next(model.parameters()).device)).float().cpu())
    return Answers.of(examples.yes.bool().numpy(), torch.cat(logits).sigmoid().double().numpy())


def train(
    model: Method,
    given: Examples,
    valid: Examples,
    settings: Tuning,
    folder: Path,
    seed: int,
    progress: Progress = lambda done, total: None,
) -> Trained:
    """Train until the validation's figure has not been better for `patience` epochs, and go back to the best epoch.

    `folder` keeps where the training is, by epoch.
    """
    device = next(model.parameters()).device
    steps = math.ceil(len(given) / settings.batch)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _share_of_rate(step, steps * settings.epochs, settings.schedule)
    )
    state = TrainingState(folder / STATE, {"model": model, "optimizer": optimizer, "schedule": schedule})
    history, seconds = state.resume()
    best = state.best or copy.deepcopy(model.state_dict())
    while len(history) < settings.epochs and not _is_over(history, settings):
        started, epoch = time.monotonic(), len(history)
        torch.manual_seed(seed * 1_000 + epoch)  # so that an epoch is the same after a kill
        model.train()
        sums: dict[str, float] = {}
        for step, rows in enumerate(torch.split(torch.randperm(len(given)), settings.batch)):
            losses = model.losses(given.batch(rows.tolist()).to(device))
            total = torch.stack(list(losses.values())).sum()
            optimizer.zero_grad()
            torch.autograd.backward(total)
            nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            schedule.step()
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value.detach())
            progress(epoch * steps + step + 1, settings.epochs * steps)
        found = answers(model, valid)
        history.append({**{name: value / steps for name, value in sums.items()}, **_checked(found)})
        if _best(history, settings) == epoch:
            best = copy.deepcopy(model.state_dict())
        seconds += time.monotonic() - started
        state.keep(history, seconds, best)
    model.load_state_dict(best)
    model.eval()
    return Trained(len(history), _best(history, settings) + 1, history, seconds)


def _checked(found: Answers) -> dict[str, float]:
    said = torch.from_numpy(found.said).clamp(1e-7, 1 - 1e-7)
    loss = functional.binary_cross_entropy(said, torch.from_numpy(found.yes).double())
    return {"valid loss": float(loss), "valid accuracy": float(found.correct.mean())}


def _best(history: list[dict[str, float]], settings: Tuning) -> int:
    """The epoch with the lowest loss, or the highest accuracy, of those the first."""
    figures = [row["valid loss"] if settings.by == "loss" else -row["valid accuracy"] for row in history]
    return figures.index(min(figures))


def _is_over(history: list[dict[str, float]], settings: Tuning) -> bool:
    return bool(history) and len(history) - 1 - _best(history, settings) >= settings.patience


def _share_of_rate(step: int, total: int, schedule: str) -> float:
    return 1.0 if schedule == "constant" else 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / max(1, total))))
