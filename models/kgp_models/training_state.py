"""Where a training is, in a file, so that what was killed goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class TrainingState:
    """The states of a training's parts (models, optimizers, schedules), in a file that is whole or not there."""

    def __init__(self, path: Path, parts: dict[str, Any]) -> None:
        self.path = path
        self._parts = parts
        self.best: dict[str, Tensor] = {}

    def resume(self) -> tuple[list[dict[str, float]], float]:
        """The history and seconds of a training that was stopped; its parts are as they were then."""
        if not self.path.is_file():
            return [], 0.0
        state = torch.load(self.path, weights_only=True)
        for name, part in self._parts.items():
            part.load_state_dict(state[name])
        self.best = state["best"]
        return list(state["history"]), float(state["seconds"])

    def keep(self, history: list[dict[str, float]], seconds: float, best: dict[str, Tensor]) -> None:
        """Write where the training is."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        staged = self.path.with_suffix(".part")
        parts = {name: part.state_dict() for name, part in self._parts.items()}
        torch.save({"history": history, "seconds": seconds, "best": best, **parts}, staged)
        staged.replace(self.path)
