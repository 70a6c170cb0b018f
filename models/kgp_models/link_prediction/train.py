"""Trains a link-prediction model: a plain loop, stopped by the filtered validation rank, that can be interrupted."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.link_prediction import checkpoint, zoo
from kgp_models.link_prediction.evaluate import Known, evaluate
from kgp_models.link_prediction.objectives import Objective, objective
from kgp_models.link_prediction.scoring import Factored, Scorer
from kgp_models.link_prediction.settings import TrainingSettings
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, KgpError
from kgplatform.extras import missing
from kgplatform.interrupt import Checkpoints, Stopped, checkpoints
from kgplatform.progress import Progress, no_progress

logger = logging.getLogger(__name__)
_OPTIMIZERS: Final[Mapping[str, Callable[..., torch.optim.Optimizer]]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "adagrad": torch.optim.Adagrad,
}


@dataclass(frozen=True)
class LinkTrainingResult:
    """A trained model, and how its training went: `history` has epoch, loss and validation MRR of each check."""

    model: zoo.Model
    scorer: Scorer
    epochs: int
    best_epoch: int
    best_mrr: float
    seconds: float
    history: list[dict[str, float]]


def train_link_model(
    settings: TrainingSettings,
    split: Split,
    *,
    seed: int = 42,
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    tensorboard: Path | None = None,
    progress: Progress = no_progress,
) -> LinkTrainingResult:
    """Train a model on the split's training part.

    With `folder`, the training goes on from what an interrupted one left there (from where, is logged), and ends as
    if it had not been interrupted; at the end the checkpoint is there. If this very training was finished there,
    nothing is done again.
    Raises `InputError` when `folder` holds another training, and `KgpError` when the model diverges.
    """
    training = _Training(settings, split, seed, folder, device)
    if (training.done or training.losses) and not training.over:
        logger.info(
            f"the training goes on at step {len(training.losses) + 1:,} "
            f"of epoch {training.done + 1:,} of {settings.epochs:,}"
        )
    writer = _tensorboard(tensorboard)
    with checkpoints() as checkpoint_clock:
        while not training.over:
            epoch_loss = training.epoch(checkpoint_clock)
            progress(training.done, settings.epochs, loss=epoch_loss)
            if training.done % settings.check_every == 0 or training.done == settings.epochs:
                validation_mrr = training.check(epoch_loss)
                if writer is not None:
                    writer.add_scalar("loss", epoch_loss, training.done)
                    writer.add_scalar("validation MRR", validation_mrr, training.done)
                training.save(checkpoint_clock)
    if writer is not None:
        writer.close()
    return training.finish()


class _Training:
    """One training under way."""

    def __init__(
        self, settings: TrainingSettings, split: Split, seed: int, folder: Path | None, device: torch.device | str
    ) -> None:
        triples = split.triples
        self.settings, self.split, self.seed, self.folder, self.device = settings, split, seed, folder, device
        self.model, self.scorer = zoo.build_link_model(settings, triples.num_entities, triples.num_relations, seed)
        self.model.to(device)
        self.optimizer = optimizer(settings, self.model)
        graph_sizes = triples.num_entities, triples.num_relations
        self.objective = objective(settings, split.train, *graph_sizes, device)
        self.true_triples = Known(triples.ids, *graph_sizes)
        self.best = checkpoint.copy_weights(self.model)
        self.done, self.best_epoch, self.best_mrr, self.seconds = 0, 0, -1.0, 0.0
        self.history: list[dict[str, float]] = []
        self.losses: list[Tensor] = []  # of the epoch's batches
        self.random = torch.get_rng_state()  # as the epoch began
        self._resumed: Tensor | None = None  # random numbers of a training that goes on within an epoch
        self._started = time.perf_counter()
        if folder is not None and checkpoint.has_progress(folder):
            self._resume(folder)
        elif folder is not None and checkpoint.exists(folder):
            self._take(folder)

    @property
    def over(self) -> bool:
        """Whether the last epoch is done, or patience is at its end."""
        waited_checks = (self.done - self.best_epoch) // self.settings.check_every
        return self.done >= self.settings.epochs or waited_checks >= self.settings.patience

    def epoch(self, when: Checkpoints) -> float:
        """One pass over the training triples in random order; returns the mean loss of the batches.

        Raises `Stopped` after a batch where the training is to stop.
        """
        self.model.train()
        for batch in self._batches():
            self.losses.append(optimizer_step(self.model, self.scorer, self.optimizer, self.objective, batch))
            if when.due():
                self.save(when)
        self.done += 1
        mean_loss = float(torch.stack(self.losses).mean())
        self.losses = []
        if not math.isfinite(mean_loss):
            raise KgpError(f"the loss is not finite after epoch {self.done}", "Lower the learning rate.")
        return mean_loss

    def check(self, loss: float) -> float:
        """Rank the validation triples, and keep the weights if they are the best so far."""
        self.model.eval()
        tasks = self.settings.corrupt  # what it is trained for
        evaluation = evaluate(self.scorer, self.split.valid, self.true_triples, tasks=tasks, device=self.device)
        validation_mrr = float(np.mean([metrics.mrr for metrics in evaluation.metrics().values()]))
        self.history.append({"epoch": self.done, "loss": loss, "mrr": validation_mrr})
        if validation_mrr > self.best_mrr:
            self.best_epoch, self.best_mrr = self.done, validation_mrr
            self.best = checkpoint.copy_weights(self.model)
        return validation_mrr

    def save(self, when: Checkpoints) -> None:
        """Save how far the training is. Raises `Stopped` where it is to stop."""
        if self.folder is not None:
            about = {**self._about(), "losses": [float(batch_loss) for batch_loss in self.losses]}
            checkpoint.save_progress(self.folder, self.model, self.best, self.optimizer, about, self.random)
            when.saved()
        if when.stopping:
            if self.folder is None:
                raise KeyboardInterrupt
            step_text = (
                f"{len(self.losses):,} steps of epoch {self.done + 1:,}" if self.losses else f"epoch {self.done:,}"
            )
            raise Stopped(f"stopped after {step_text} of {self.settings.epochs:,}, saved in {self.folder}")

    def _batches(self) -> Iterator[Any]:
        """The batches of the epoch that are still to do."""
        if self._resumed is None:
            self.random = torch.get_rng_state()
        else:
            torch.set_rng_state(self.random)
        batches = iter(self.objective.batches())
        for _ in self.losses:
            next(batches)
        if self._resumed is not None:
            torch.set_rng_state(self._resumed)
            self._resumed = None
        return batches

    def finish(self) -> LinkTrainingResult:
        """Put the best weights back, and write the checkpoint."""
        self.model.load_state_dict(self.best)
        self.model.eval()
        if self.folder is not None:
            checkpoint.save_link_checkpoint(self.folder, self.settings, self.model, self.split.triples, self._about())
            checkpoint.clear_progress(self.folder)
        seconds = self._about()["seconds"]
        return LinkTrainingResult(
            self.model, self.scorer, self.done, self.best_epoch, self.best_mrr, seconds, self.history
        )  # fmt: skip

    def _about(self) -> dict[str, Any]:
        return {
            "settings": self.settings.as_dict(),
            "graph": self.split.triples.sha256,
            "split": {"kind": self.split.kind, "seed": self.split.seed, "sha256": self.split.sha256},
            "seed": self.seed,
            "epochs": self.done,
            "best_epoch": self.best_epoch,
            "best_mrr": self.best_mrr,
            "seconds": self.seconds + time.perf_counter() - self._started,
            "history": self.history,
        }

    def _resume(self, folder: Path) -> None:
        self.best, about, epoch_random = checkpoint.load_progress(folder, self.model, self.optimizer)
        self._go_on_from(about, folder)
        self.losses = [torch.tensor(batch_loss, device=self.device) for batch_loss in about.get("losses", [])]
        if self.losses:
            self.random, self._resumed = epoch_random, torch.get_rng_state()

    def _take(self, folder: Path) -> None:
        finished = checkpoint.load_link_checkpoint(folder)
        self._go_on_from(finished.about, folder)
        self.best = checkpoint.copy_weights(finished.model)

    def _go_on_from(self, about: Mapping[str, Any], folder: Path) -> None:
        own_record = self._about()
        for field_name in ("settings", "graph", "split", "seed"):
            if about.get(field_name) != _as_json(own_record[field_name]):
                message = f"holds a training with another {field_name.rstrip('s')}"
                raise InputError(message, "Give another folder, or delete it.", path=folder)
        self.done, self.best_epoch = about["epochs"], about["best_epoch"]
        self.best_mrr, self.seconds, self.history = about["best_mrr"], about["seconds"], about["history"]


def optimizer_step(
    model: zoo.Model, scorer: Factored, optimizer: torch.optim.Optimizer, objective: Objective, batch: Any
) -> Tensor:
    """One optimizer step on a batch of the objective; returns the batch's loss."""
    optimizer.zero_grad(set_to_none=True)
    batch_loss = objective.loss(scorer, batch)
    penalty: Tensor = model.collect_regularization_term()  # type: ignore[no-untyped-call]
    torch.autograd.backward(batch_loss + penalty)
    optimizer.step()
    model.post_parameter_update()
    return batch_loss.detach()


def optimizer(settings: TrainingSettings, model: zoo.Model) -> torch.optim.Optimizer:
    """The optimizer that the settings ask for."""
    optimizer_class = _OPTIMIZERS[settings.optimizer]
    # one kernel for all parameters
    return optimizer_class(
        model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )


def _as_json(document: Any) -> Any:
    import json

    return json.loads(json.dumps(document))


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing("tensorboard", "ml") from None
    return SummaryWriter(str(folder))
