"""Where a training is, in a file, so that what was killed goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kgplatform.errors import InputError

OF: Final = "training.json"


def claim(folder: Path, about: Mapping[str, Any]) -> None:
    """Say that the training in a folder is of these settings and data, so that no other one goes on from it.

    Raises `InputError` where the folder has a training of others.
    """
    said = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()
    place = folder / OF
    try:
        known = json.loads(place.read_text(encoding="utf-8"))["sha256"]
    except FileNotFoundError:
        known = None
    except (OSError, ValueError, TypeError, KeyError):
        known = ""
    if known not in (None, said):
        hint = "Give another folder, or delete this one to begin anew."
        raise InputError("an unfinished training of other settings or data is here", hint, path=folder)
    folder.mkdir(parents=True, exist_ok=True)
    staged = place.with_suffix(".part")
    staged.write_text(json.dumps({"sha256": said}) + "\n", encoding="utf-8")
    staged.replace(place)


class TrainingState:
    """The states of a training's parts (models, optimizers, schedules), in a file that is whole or not there."""

    def __init__(self, path: Path, parts: dict[str, Any]) -> None:
        self.path = path
        self._parts = parts
        self.best: dict[str, Tensor] = {}

    def resume(self) -> tuple[list[dict[str, float]], float]:
        """The history and seconds of a training that was stopped; its parts are as they were then.

        Raises `InputError` where the file is damaged, or its parts are not these.
        """
        if not self.path.is_file():
            return [], 0.0
        try:
            state = torch.load(self.path, weights_only=True)
            for name, part in self._parts.items():
                part.load_state_dict(state[name])
            self.best = state["best"]
            return list(state["history"]), float(state["seconds"])
        except Exception:  # noqa: BLE001  whatever pickle, zip and a part of another shape raise
            hint = "Delete this file; the training then begins anew."
            raise InputError(
                "the state of the training is damaged, or of another version", hint, path=self.path
            ) from None

    def keep(self, history: list[dict[str, float]], seconds: float, best: dict[str, Tensor]) -> None:
        """Write where the training is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        staged = self.path.with_suffix(".part")
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        torch.save({"history": history, "seconds": seconds, "best": best, **parts}, staged)
        staged.replace(self.path)
