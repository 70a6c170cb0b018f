"""How a training reports: a function (subject) whose result takes (done, total)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

ProgressOf: TypeAlias = Callable[[str], Callable[[int, "int | None"], None]]


def silent_progress(_: str) -> Callable[[int, int | None], None]:
    """No progress is reported."""
    return lambda done, total: None
