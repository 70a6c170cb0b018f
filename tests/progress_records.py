"""A progress that takes down what it hears."""

from __future__ import annotations


class ProgressRecord:
    """A `kgplatform.progress.Progress`: `done` and `losses` have an entry for each report."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.total: int | None = None
        self.losses: list[float | None] = []

    def __call__(self, done: int, total: int | None, /, *, loss: float | None = None) -> None:
        self.done.append(done)
        self.total = total
        self.losses.append(loss)

    def has_losses(self) -> bool:
        """Whether each report of some had a loss, which is a plain number."""
        return bool(self.losses) and all(type(loss) is float and 0.0 < loss < 100.0 for loss in self.losses)
