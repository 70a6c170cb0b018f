"""How long operations report: lines for a log, and how much of how much is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Log: TypeAlias = Callable[[str], None]
Progress: TypeAlias = Callable[[int, "int | None"], None]  # done, of how many; None where that is not known
ProgressOf: TypeAlias = Callable[[str], Progress]  # for a subject in the plural, such as "images"


def silent_progress(_: str) -> Progress:
    """No progress is reported."""
    return lambda done, total: None
