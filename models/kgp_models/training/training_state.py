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

from kgp_models.training.memory import keep_freed_memory
from kgp_models.training.model_files import require_uncompressed
from kgplatform.errors import InputError
from kgplatform.files import MAX_SETTINGS, atomic_file, read_json, write_json
from kgplatform.interrupt import Checkpoints, Stopped

logger = logging.getLogger(__name__)
Batch = TypeVar("Batch")

_START_AGAIN: Final = "Give another folder, or delete this one to start from the beginning."
_NO_FIGURES: Final[Mapping[str, float]] = {}
WORK: Final = "work"  # in a model's folder: the state of its training
STATE: Final = "training.state"
CLAIM_FILE: Final = "training.json"


def claim(folder: Path, about: Mapping[str, Any], hint: str = "") -> None:
    """Note which settings and data the training in a folder has, so that no other training continues from it. Data are
    noted by their hash: a note of more than `MAX_SETTINGS` bytes could not be read again (`ValueError`).

    Raises `InputError` where the folder has a training with other entries, which it names.
    """
    note = json.dumps(about, default=str)
    if len(note) > MAX_SETTINGS // 2:  # it is written with spaces and line ends
        raise ValueError(f"a note of {len(note):,} characters")
    entries = json.loads(note)
    claim_path = folder / CLAIM_FILE
    if claim_path.exists():
        try:
            differing = _differing(read_json(claim_path, MAX_SETTINGS), entries)
        except (InputError, TypeError, AttributeError):
            raise InputError("the note on the training is damaged", hint or _START_AGAIN, path=claim_path) from None
        if differing:
            message = f"an unfinished training with other settings or data is here (other {', '.join(differing)})"
            raise InputError(message, hint or _START_AGAIN, path=folder)
    else:
        write_json(claim_path, entries)


def _differing(previous: Mapping[str, Any], entries: Mapping[str, Any]) -> list[str]:
    """The names of entries that are not the same. Version 0.1 noted a hash of all of them."""
    if set(previous) == {"sha256"}:
        digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
        return [] if previous["sha256"] == digest else ["settings or data"]
    missing = object()
    return sorted(
        name for name in previous.keys() | entries.keys() if previous.get(name, missing) != entries.get(name, missing)
    )


class TrainingState:
    """Where a training is: its parts (models, optimizers, schedules), its history and its random numbers, in a file
    that is whole or not there. A training that goes on from it ends as if it had not been stopped. Without a `path`
    nothing is saved, and a stop is a `KeyboardInterrupt`. From here on the process keeps the memory that steps free.

    `steps` are in an epoch, of which there are `epochs`. `data_name` names data that must be the same when it goes on.
    """

    def __init__(
        self,
        path: Path | None,
        parts: Mapping[str, Any],
        steps: int,
        epochs: int,
        data_name: str = "",
    ) -> None:
        keep_freed_memory()
        self.path = path
        self.history: list[dict[str, float]] = []  # an entry an epoch
        self.best: dict[str, Tensor] = {}  # weights of the best epoch
        self.step = 0  # done in the epoch
        self._sums: dict[str, float] = {}  # of the epoch's losses
        self._losses: list[Mapping[str, Tensor]] = []  # of batches, not yet in the sums: reading one waits for the GPU
        self._parts, self._steps, self._epochs, self._data_name = parts, steps, epochs, data_name
        self._random: dict[str, Any] = {}  # as they were when the file was written
        self._epoch_random: dict[str, Any] = {}  # as they were when the epoch began
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
        if self.path is None or not self.path.exists():
            return
        try:
            saved_state = torch.load(require_uncompressed(self.path), weights_only=True)
            data_name = saved_state["of"]
            for part_name, state_part in self._parts.items() if data_name == self._data_name else ():
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
            self._epoch_random = saved_state.get("epoch random", self._random)
            _restore(self._random)
            self._resumed = True
        except Exception:  # noqa: BLE001  no file or no zip, whatever pickle and a part of another shape raise
            hint = "Delete this file; the training then starts from the beginning."
            raise InputError(
                "the state of the training is damaged, or of another version", hint, path=self.path
            ) from None
        if data_name != self._data_name:
            hint = "Restore the missing images; or delete this file, and the training starts from the beginning."
            raise InputError(
                "the images that can be read are not those of the start of this training", hint, path=self.path
            )

    def epoch(
        self,
        batches: Iterable[Batch],
        when: Checkpoints,
        rng: torch.Generator | None = None,
        progress: Callable[[int, int | None], None] = lambda done_count, total_count: None,
    ) -> Iterator[Batch]:
        """The batches of the epoch that are still to do; `rng` are its own random numbers. After each, the state is
        written where that is due.

        The batches of a resumed epoch are drawn with the random numbers that it began with, so that their order is the
        same; those already done are skipped, and the random numbers at the time of the stop are put back.

        Raises `Stopped` after a batch where the training is to stop.
        """
        if self._resumed and self.path is not None:
            self._resumed = False
            subject = "the training" if self.path.parent.name == WORK else self.path.parent.name
            logger.info(f"{subject} goes on at step {self._done + 1:,} of {self._steps * self._epochs:,}")
        if self.step:
            _restore(self._epoch_random)
        else:
            self._epoch_random = _random(None)
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
        self._losses.append({loss_name: loss.detach() for loss_name, loss in losses.items()})

    def mean_losses(self) -> dict[str, float]:
        """The mean of each loss over the steps of the epoch so far."""
        for losses in self._losses:
            for loss_name, loss in losses.items():
                self._sums[loss_name] = self._sums.get(loss_name, 0.0) + float(loss)
        self._losses = []
        return {loss_name: loss_sum / self.step for loss_name, loss_sum in self._sums.items()}

    def end_epoch(self, when: Checkpoints, figures: Mapping[str, float] = _NO_FIGURES, *, save: bool = True) -> None:
        """Note the epoch's mean losses and its figures, and write the state; without `save`, only where that is due.
        Raises `Stopped` as `epoch` does.
        """
        self.history.append({**self.mean_losses(), **figures})
        self.step, self._sums = 0, {}
        if when.due() or save:
            self._keep(when, None)

    @property
    def _done(self) -> int:
        return len(self.history) * self._steps + self.step

    def _keep(self, checkpoint_clock: Checkpoints, rng: torch.Generator | None) -> None:
        if self.path is None:
            if checkpoint_clock.stopping:
                raise KeyboardInterrupt
            return
        self.mean_losses()  # so that all losses are in the sums
        saved_state = {
            "of": self._data_name,
            "history": self.history,
            "best": self.best,
            "step": self.step,
            "sums": self._sums,
            "seconds": self.seconds,
            "random": _random(rng),
            "epoch random": self._epoch_random,
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
