"""Training on closed questions, and answering them."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from kgp_models.training_state import TrainingState
from kgp_models.vqa.base import Method
from kgp_models.vqa.inputs import Examples
from kgp_models.vqa.settings import Tuning
from kgplatform.interrupt import checkpoints
from kgplatform.vqa.metrics import Answers

Progress = Callable[[int, int | None], None]
STATE: Final = "training.state"
PLATEAU: Final = (0.8, 4)  # factor and patience, as in MedMKG's code
LEAST: Final = 1e-6  # rate on a plateau
BLOCK: Final = 128  # questions at a time, where nothing is learnt


@dataclass(frozen=True)
class Trained:
    """What came out of a training: `history` has, by epoch, the losses, and the validation's loss and accuracy."""

    epochs: int
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


@torch.inference_mode()
def probabilities(model: Method, examples: Examples) -> NDArray[np.float64]:
    """Of yes, for each question, (n,)."""
    model.eval()
    logits = []
    for start in range(0, len(examples), BLOCK):
        rows = range(start, min(start + BLOCK, len(examples)))
        logits.append(model(examples.batch(rows).to(next(model.parameters()).device)).float().cpu())
    found: NDArray[np.float64] = torch.cat(logits).sigmoid().double().numpy()
    return found


def answers(model: Method, examples: Examples) -> Answers:
    """The model's answers."""
    return Answers.of(examples.yes.bool().numpy(), probabilities(model, examples))


def train(
    model: Method,
    given: Examples,
    valid: Examples,
    settings: Tuning,
    folder: Path,
    seed: int,
    progress: Progress = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train until the validation's figure has not been better for `patience` epochs, and go back to the best epoch.

    `folder` keeps where the training is, by the minute.
    """
    device = next(model.parameters()).device
    steps = math.ceil(len(given) / settings.batch)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    state = TrainingState(folder / STATE, {"model": model, "optimizer": optimizer}, steps, settings.epochs, told=told)
    state.resume()
    with checkpoints() as when:
        while len(state.history) < settings.epochs and not _is_over(state.history, settings):
            epoch = len(state.history)
            torch.manual_seed(seed * 1_000 + epoch)  # so that an epoch is the same after a kill
            model.train()
            for rows in state.epoch(torch.split(torch.randperm(len(given)), settings.batch), when, None, progress):
                losses = model.losses(given.batch(rows.tolist()).to(device))
                for group in optimizer.param_groups:
                    group["lr"] = rate(settings, state.history, epoch * steps + state.step, steps * settings.epochs)
                optimizer.zero_grad()
                torch.autograd.backward(torch.stack(list(losses.values())).sum())
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
                optimizer.step()
                state.add(losses)
            checked = _checked(answers(model, valid))
            if _best([*state.history, checked], settings) == epoch:
                state.best = copy.deepcopy(model.state_dict())
            state.end_epoch(when, **checked)
    model.load_state_dict(state.best)
    model.eval()
    return Trained(len(state.history), _best(state.history, settings) + 1, state.history, state.seconds)


def _checked(found: Answers) -> dict[str, float]:
    said = torch.from_numpy(found.said).clamp(1e-7, 1 - 1e-7)
    loss = functional.binary_cross_entropy(said, torch.from_numpy(found.yes).double())
    return {"valid loss": float(loss), "valid accuracy": float(found.correct.mean())}


def _best(history: Sequence[Mapping[str, float]], settings: Tuning) -> int:
    """The epoch with the lowest loss, or the highest accuracy, of those the first."""
    figures = [row["valid loss"] if settings.by == "loss" else -row["valid accuracy"] for row in history]
    return figures.index(min(figures))


def _is_over(history: list[dict[str, float]], settings: Tuning) -> bool:
    return bool(history) and len(history) - 1 - _best(history, settings) >= settings.patience


def rate(settings: Tuning, history: Sequence[Mapping[str, float]], step: int, total: int) -> float:
    """The learning rate of a step. It depends on the history alone, so a training that goes on has the same."""
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / total))
    if settings.schedule == "constant":
        return settings.learning_rate
    factor, patience = PLATEAU
    best, waited, falls = math.inf, 0, 0
    for row in history:
        if row["valid loss"] < best * (1 - 1e-4):
            best, waited = row["valid loss"], 0
        else:
            waited += 1
        if waited > patience:
            falls, waited = falls + 1, 0
    return max(settings.learning_rate * factor**falls, LEAST)
