"""A training that gets Ctrl-C in the middle of its work."""

from __future__ import annotations

import signal

from kgplatform.progress import Progress


def interrupted_at(step: int) -> Progress:
    """A progress that sends SIGINT to this process at that step."""

    def progress(steps_done: int, step_total: int | None, **_: object) -> None:
        if steps_done == step:
            signal.raise_signal(signal.SIGINT)

    return progress
