"""Where a training is, in a file, so that what was killed goes on."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
from torch import Tensor

from kgp_models.training.model_files import require_uncompressed
from kgplatform.errors import InputError
from kgplatform.files import MAX_SETTINGS, atomic_file, read_json
from kgplatform.interrupt import Checkpoints, Stopped

logger = logging.getLogger(__name__)
Batch = TypeVar("Batch")

OF: Final = "training.json"


def claim(folder: Path, about: Mapping[str, Any]) -> None:
    """Say that the training in a folder is of these settings and data, so that no other one goes on from it.

    Raises `InputError` where the folder has a training of others.
    """
    settings_hash = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
    claim_path = folder / OF
    try:
        previous_hash = read_json(claim_path, MAX_SETTINGS)["sha256"] if claim_path.exists() else None
    except (InputError, TypeError, KeyError):
        previous_hash = ""
    if previous_hash not in (None, settings_hash):
        hint = "Give another folder, or delete this one to begin anew."
        raise InputError("an unfinished training of other settings or data is here", hint, path=folder)
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_file(claim_path) as partial_path:
        partial_path.write_text(json.dumps({"sha256": settings_hash}) + "\n", encoding="utf-8")


class TrainingState:
    """Where a training is: its parts (models, optimizers, schedules), its history and its random numbers, in a file
    that is whole or not there. A training that goes on from it ends as if it had not been stopped.

    `steps` are in an epoch, of which there are `epochs`. `of` names data that must be the same when it goes on.
    """

    def __init__(
        self,
        path: Path,
        parts: Mapping[str, Any],
        steps: int,
        epochs: int,
        of: str = "",
    ) -> None:
        self.path = path
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self.best: dict[str, Tensor] = {}  # weights of the best epoch
        self.step = 0  # done in the epoch
        self._sums: dict[str, float] = {}  # of the epoch's losses
        self._parts, self._steps, self._epochs, self._of = parts, steps, epochs, of
        self._random: dict[str, Any] = {}  # as they were when the file was written
        self._seconds, self._began = 0.0, time.monotonic()
        self._resumed = False

    @property
    def seconds(self) -> float:
        """How long the training took, all sessions together."""
        return self._seconds + time.monotonic() - self._began

    def resume(self) -> None:
        """Take all from the file, where there is one.

        Raises `InputError` where it is damaged, its parts are not these, or its data were others.
        """
        if not self.path.exists():
            return
        try:
            saved_state = torch.load(require_uncompressed(self.path), weights_only=True)
            data_name = saved_state["of"]
            for part_name, state_part in self._parts.items() if data_name == self._of else ():
                state_part.load_state_dict(saved_state[part_name])
            self.history, self.best, self.step = (
                list(saved_state["history"]),
                dict(saved_state["best"]),
                int(saved_state["step"]),
            )
            self._sums, self._seconds, self._random = (
                dict(saved_state["sums"]),
                float(saved_state["seconds"]),
                saved_state["random"],
            )
            _restore(self._random)
            self._resumed = True
        except Exception:  # noqa: BLE001  no file or no zip, whatever pickle and a part of another shape raise
            hint = "Delete this file; the training then begins anew."
            raise InputError(
                "the state of the training is damaged, or of another version", hint, path=self.path
            ) from None
        if data_name != self._of:
            hint = "Bring back what is missing; or delete this file, and the training begins anew."
            raise InputError("other images can be read than when this training began", hint, path=self.path)

    def epoch(
        self,
        batches: Iterable[Batch],
        when: Checkpoints,
        rng: torch.Generator | None = None,
        progress: Callable[[int, int | None], None] = lambda done_count, total_count: None,
    ) -> Iterator[Batch]:
        """The batches of the epoch that are still to do; `rng` are its own random numbers. After each, the state is
        written where that is due.

        Raises `Stopped` after a batch where the training is to stop.
        """
        if self._resumed:
            self._resumed = False
            logger.info(f"{self.path.parent.name} goes on at step {self._done + 1:,} of {self._steps * self._epochs:,}")
        batch_iterator = iter(batches)
        for _ in range(self.step):
            next(batch_iterator)
        if self.step:
            _restore(self._random, rng)
        for batch in batch_iterator:
            yield batch
            self.step += 1
            progress(self._done, self._steps * self._epochs)
            if when.due():
                self._keep(when, rng)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Count the losses of a batch."""
        for loss_name, loss in losses.items():
            self._sums[loss_name] = self._sums.get(loss_name, 0.0) + float(loss.detach())

    def end_epoch(self, when: Checkpoints, **figures: float) -> None:
        """Note the epoch's mean losses and its figures, and write the state. Raises `Stopped` as `epoch` does."""
        mean_losses = {loss_name: loss_sum / self.step for loss_name, loss_sum in self._sums.items()}
        self.history.append({**mean_losses, **figures})
        self.step, self._sums = 0, {}
        when.due()
        self._keep(when, None)

    @property
    def _done(self) -> int:
        return len(self.history) * self._steps + self.step

    def _keep(self, checkpoint_clock: Checkpoints, rng: torch.Generator | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        saved_state = {
            "of": self._of,
            "history": self.history,
            "best": self.best,
            "step": self.step,
            "sums": self._sums,
            "seconds": self.seconds,
            "random": _random(rng),
        }
        saved_parts = {part_name: state_part.state_dict() for part_name, state_part in self._parts.items()}
        with atomic_file(self.path) as partial_path:
            torch.save({**saved_state, **saved_parts}, partial_path)
        checkpoint_clock.saved()
        if checkpoint_clock.stopping:
            raise Stopped(f"stopped after step {self._done:,} of {self._steps * self._epochs:,}, saved in {self.path}")


def _random(rng: torch.Generator | None) -> dict[str, Any]:
    """All random numbers that a training draws, at present."""
    random_state: dict[str, Any] = {"cpu": torch.get_rng_state(), "own": None if rng is None else rng.get_state()}
    if torch.cuda.is_available():
        random_state["cuda"] = torch.cuda.get_rng_state_all()
    return random_state


def _restore(random_state: Mapping[str, Any], rng: torch.Generator | None = None) -> None:
    torch.set_rng_state(random_state["cpu"])
    if rng is not None and random_state["own"] is not None:
        rng.set_state(random_state["own"])
    if "cuda" in random_state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(random_state["cuda"])
