"""What all trainings return, and how they report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

AnyPath: TypeAlias = str | Path
Figures: TypeAlias = Mapping[str, Mapping[str, float]]  # by what is measured (a task, a direction, a method), by metric

SEED: Final = 42


@dataclass(frozen=True)
class TrainedModel:
    """A trained model: its folder, its name in the settings, the epochs that its (last) training took, and its figures
    of the test part; `details` are further tables, by name.
    """

    folder: Path
    name: str
    epochs: int
    test: Figures
    details: Mapping[str, Any] = field(default_factory=dict)
