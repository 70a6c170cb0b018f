"""How long work takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def measure_seconds(work: Callable[[], Any]) -> float:
    """The seconds that `work` takes, by the clock on the wall."""
    start_time = time.perf_counter()
    work()
    return time.perf_counter() - start_time
