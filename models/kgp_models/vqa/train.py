"""Training on closed questions, and answering them."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from kgp_models.training.loss_progress import LossProgress
from kgp_models.training.training_state import STATE, TrainingState
from kgp_models.vqa.base import Method
from kgp_models.vqa.inputs import QuestionExamples
from kgp_models.vqa.settings import Tuning
from kgplatform.datasets.question_metrics import Answers
from kgplatform.interrupt import checkpoints
from kgplatform.progress import Progress, no_progress

PLATEAU: Final = (0.8, 4)  # factor and patience, as in MedMKG's code
LEAST: Final = 1e-6  # rate on a plateau
BLOCK: Final = 128  # questions in a batch without training


@dataclass(frozen=True)
class VQATrainingResult:
    """The result of a training: `history` has, by epoch, the losses, and the validation's loss and accuracy."""

    epochs: int
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


@torch.inference_mode()
def probabilities(model: Method, examples: QuestionExamples) -> NDArray[np.float64]:
    """Of yes, for each question, (n,)."""
    model.eval()
    logits = []
    for block_start in range(0, len(examples), BLOCK):
        block_rows = range(block_start, min(block_start + BLOCK, len(examples)))
        logits.append(model(examples.batch(block_rows).to(next(model.parameters()).device)).float().cpu())
    answer_probabilities: NDArray[np.float64] = torch.cat(logits).sigmoid().double().numpy()
    return answer_probabilities


def answers(model: Method, examples: QuestionExamples) -> Answers:
    """The model's answers."""
    return Answers.checked(examples.yes.bool().numpy(), probabilities(model, examples))


def train_vqa_method(
    model: Method,
    train_examples: QuestionExamples,
    valid: QuestionExamples,
    settings: Tuning,
    folder: Path,
    seed: int,
    progress: Progress = no_progress,
) -> VQATrainingResult:
    """Train until the validation's figure has not been better for `patience` epochs, and go back to the best epoch.

    `folder` keeps where the training is, by the minute.
    """
    device = next(model.parameters()).device
    batches_per_epoch = math.ceil(len(train_examples) / settings.batch)
    optimizer = torch.optim.AdamW(
        model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    training_state = TrainingState(
        folder / STATE, {"model": model, "optimizer": optimizer}, batches_per_epoch, settings.epochs
    )
    step_progress = LossProgress(progress)
    training_state.resume()
    with checkpoints() as checkpoint_clock:
        while len(training_state.history) < settings.epochs and not _is_over(training_state.history, settings):
            epoch = len(training_state.history)
            torch.manual_seed(seed * 1_000 + epoch)  # so that an epoch is the same after a kill
            model.train()
            for batch_rows in training_state.epoch(
                torch.split(torch.randperm(len(train_examples)), settings.batch), checkpoint_clock, None, step_progress
            ):
                losses = model.losses(train_examples.batch(batch_rows.tolist()).to(device))
                for parameter_group in optimizer.param_groups:
                    parameter_group["lr"] = scheduled_rate(
                        settings,
                        training_state.history,
                        epoch * batches_per_epoch + training_state.step,
                        batches_per_epoch * settings.epochs,
                    )
                optimizer.zero_grad()
                torch.autograd.backward(torch.stack(list(losses.values())).sum())
                nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
                optimizer.step()
                training_state.add(losses)
                for loss in losses.values():
                    step_progress.add(loss)
            epoch_figures = _checked(answers(model, valid))
            if _best([*training_state.history, epoch_figures], settings) == epoch:
                training_state.best = copy.deepcopy(model.state_dict())
            training_state.end_epoch(checkpoint_clock, epoch_figures)
    model.load_state_dict(training_state.best)
    model.eval()
    return VQATrainingResult(
        len(training_state.history),
        _best(training_state.history, settings) + 1,
        training_state.history,
        training_state.seconds,
    )


def _checked(valid_answers: Answers) -> dict[str, float]:
    clamped = torch.from_numpy(valid_answers.probabilities).clamp(1e-7, 1 - 1e-7)
    valid_loss = functional.binary_cross_entropy(clamped, torch.from_numpy(valid_answers.yes).double())
    return {"valid loss": float(valid_loss), "valid accuracy": float(valid_answers.correct.mean())}


def _best(history: Sequence[Mapping[str, float]], settings: Tuning) -> int:
    """The epoch with the lowest loss, or the highest accuracy, of those the first."""
    figures = [
        epoch_row["valid loss"] if settings.by == "loss" else -epoch_row["valid accuracy"] for epoch_row in history
    ]
    return figures.index(min(figures))


def _is_over(history: list[dict[str, float]], settings: Tuning) -> bool:
    return bool(history) and len(history) - 1 - _best(history, settings) >= settings.patience


def scheduled_rate(settings: Tuning, history: Sequence[Mapping[str, float]], step: int, total: int) -> float:
    """The learning rate of a step. It depends on the history alone, so a training that goes on has the same."""
    if settings.schedule == "cosine":
        return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / total))
    if settings.schedule == "constant":
        return settings.learning_rate
    factor, patience = PLATEAU
    best_loss, waited_epochs, fall_count = math.inf, 0, 0
    for epoch_row in history:
        if epoch_row["valid loss"] < best_loss * (1 - 1e-4):
            best_loss, waited_epochs = epoch_row["valid loss"], 0
        else:
            waited_epochs += 1
        if waited_epochs > patience:
            fall_count, waited_epochs = fall_count + 1, 0
    return max(settings.learning_rate * factor**fall_count, LEAST)
