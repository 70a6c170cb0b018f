"""How long operations report how much is done of how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias


class Progress(Protocol):
    """A reporter of work: called with how much is done and of how much, None where that is not known. Trainings add the
    loss at present.
    """

    def __call__(self, done: int, total: int | None, /, *, loss: float | None = None) -> None:
        """Report that so much is done."""


SubjectProgress: TypeAlias = Callable[[str], Progress]  # for a subject in the plural, such as "images"


def no_progress(done: int, total: int | None, /, *, loss: float | None = None) -> None:
    """Nothing is reported."""


def silent_progress(_: str) -> Progress:
    """No progress is reported, whatever the subject."""
    return no_progress
