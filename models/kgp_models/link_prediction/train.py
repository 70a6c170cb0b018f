"""Trains a link-prediction model: a plain loop, stopped by the filtered validation rank, that can be interrupted."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from kgp_models.link_prediction import checkpoint, zoo
from kgp_models.link_prediction.evaluate import TrueTriples, evaluate
from kgp_models.link_prediction.objectives import Objective, objective
from kgp_models.link_prediction.scoring import Factored, Scorer
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.training.training_state import STATE, WORK, TrainingState, claim
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, KgpError
from kgplatform.extras import missing
from kgplatform.interrupt import Checkpoints, checkpoints
from kgplatform.progress import Progress, no_progress

EARLIER_STATE: Final = "training.safetensors"  # of an unfinished training of version 0.1
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
    writer = _tensorboard(tensorboard)
    with checkpoints() as checkpoint_clock:
        while not training.over:
            epoch_loss, validation_mrr = training.epoch(checkpoint_clock)
            progress(training.done, settings.epochs, loss=epoch_loss)
            if writer is not None and validation_mrr is not None:
                writer.add_scalar("loss", epoch_loss, training.done)
                writer.add_scalar("validation MRR", validation_mrr, training.done)
    if writer is not None:
        writer.close()
    return training.finish()


class _Training:
    """One training under way. Its state is in the folder's `WORK`, so that what was killed goes on."""

    def __init__(
        self,
        settings: TrainingSettings,
        split: Split,
        seed: int,
        folder: Path | None,
        device: torch.device | str,
    ) -> None:
        triples = split.triples
        self.settings, self.split, self.seed, self.folder, self.device = settings, split, seed, folder, device
        self.model, self.scorer = zoo.build_link_model(settings, triples.num_entities, triples.num_relations, seed)
        self.model.to(device)
        self.optimizer = optimizer(settings, self.model)
        graph_sizes = triples.num_entities, triples.num_relations
        self.objective = objective(settings, split.train, *graph_sizes, device)
        self.true_triples = TrueTriples(triples.ids, *graph_sizes)
        self.finished: checkpoint.LinkCheckpoint | None = None
        self.state = TrainingState(
            None if folder is None else folder / WORK / STATE,
            {"model": self.model, "optimizer": self.optimizer},
            self.objective.steps,
            settings.epochs,
        )
        if folder is not None:
            self._open(folder)

    @property
    def done(self) -> int:
        """The epochs that are done."""
        return len(self.state.history)

    @property
    def checks(self) -> list[dict[str, float]]:
        """Epoch, loss and validation MRR of each check."""
        numbered_rows = enumerate(self.state.history, start=1)
        return [{"epoch": epoch, **history_row} for epoch, history_row in numbered_rows if "mrr" in history_row]

    @property
    def best_check(self) -> dict[str, float]:
        """The first of the checks with the highest MRR."""
        return max(self.checks, key=lambda check: check["mrr"], default={"epoch": 0, "mrr": -1.0})

    @property
    def over(self) -> bool:
        """Whether the training is finished: the last epoch is done, or patience is at its end."""
        waited_checks = (self.done - int(self.best_check["epoch"])) // self.settings.check_every
        return self.finished is not None or self.done >= self.settings.epochs or waited_checks >= self.settings.patience

    def epoch(self, when: Checkpoints) -> tuple[float, float | None]:
        """One pass over the training triples in random order; where a check is due, the validation triples are ranked,
        and the weights are stored if they are the best so far. Returns the mean loss of the batches and the MRR.

        Raises `Stopped` after a batch where the training is to stop.
        """
        self.model.train()
        for batch in self.state.epoch(self.objective.batches(), when):
            self.state.add({"loss": optimizer_step(self.model, self.scorer, self.optimizer, self.objective, batch)})
        epoch = self.done + 1
        mean_loss = self.state.mean_losses()["loss"]
        if not math.isfinite(mean_loss):
            raise KgpError(f"the loss is not finite after epoch {epoch}", "Lower the learning rate.")
        if epoch % self.settings.check_every and epoch != self.settings.epochs:
            self.state.end_epoch(when, save=False)
            return mean_loss, None
        validation_mrr = self._validation_mrr()
        if validation_mrr > self.best_check["mrr"]:
            self.state.best = checkpoint.copy_weights(self.model)
        self.state.end_epoch(when, {"mrr": validation_mrr})
        return mean_loss, validation_mrr

    def finish(self) -> LinkTrainingResult:
        """Put the best weights back, and write the checkpoint."""
        if self.finished is not None:
            return self._result(self.finished.about)
        if self.state.best:
            self.model.load_state_dict(self.state.best)
        self.model.eval()
        about = self._about()
        if self.folder is not None:
            checkpoint.save_link_checkpoint(self.folder, self.settings, self.model, self.split.triples, about)
            shutil.rmtree(self.folder / WORK)
        return self._result(about)

    def _result(self, about: Mapping[str, Any]) -> LinkTrainingResult:
        figures = (about[name] for name in ("epochs", "best_epoch", "best_mrr", "seconds", "history"))
        return LinkTrainingResult(self.model, self.scorer, *figures)

    def _validation_mrr(self) -> float:
        self.model.eval()
        tasks = self.settings.corrupt  # what it is trained for
        evaluation = evaluate(self.scorer, self.split.valid, self.true_triples, tasks=tasks, device=self.device)
        return float(np.mean([metrics.mrr for metrics in evaluation.metrics().values()]))

    def _identity(self) -> dict[str, Any]:
        """What may not differ between the sessions of a training."""
        return {
            "settings": self.settings.as_dict(),
            "graph": self.split.triples.sha256,
            "split": {"kind": self.split.kind, "seed": self.split.seed, "sha256": self.split.sha256},
            "seed": self.seed,
        }

    def _about(self) -> dict[str, Any]:
        return {
            **self._identity(),
            "epochs": self.done,
            "best_epoch": self.best_check["epoch"],
            "best_mrr": self.best_check["mrr"],
            "seconds": self.state.seconds,
            "history": self.checks,
        }

    def _open(self, folder: Path) -> None:
        """Go on from what an earlier session left in the folder, or take the model that it finished."""
        earlier_state = folder / EARLIER_STATE
        if earlier_state.exists():
            hint = "Delete this file; the training then starts from the beginning."
            raise InputError("this is an unfinished training of an earlier version", hint, path=earlier_state)
        is_unfinished = (folder / WORK / STATE).exists()
        if is_unfinished or not checkpoint.FORMAT.is_in(folder):
            claim(folder / WORK, self._identity())
            self.state.resume()
            return
        finished = checkpoint.load_link_checkpoint(folder)
        for field_name, own_entry in self._identity().items():
            if finished.about.get(field_name) != json.loads(json.dumps(own_entry)):
                message = f"holds a training with another {field_name.rstrip('s')}"
                raise InputError(message, "Give another folder, or delete it.", path=folder)
        self.finished = finished
        self.model.load_state_dict(checkpoint.copy_weights(finished.model))
        self.model.eval()


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


def _tensorboard(folder: Path | None) -> Any:
    if folder is None:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing("tensorboard", "ml") from None
    return SummaryWriter(str(folder))
