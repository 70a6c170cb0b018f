"""Memory between the steps of a training.

A step on a CPU allocates and frees the same large tensors each time. The C library of Linux (glibc) returns them to the
system and asks for them again, and each page is then zeroed anew: 10 to 40 % of a step. `keep_freed_memory` has the
process keep them. The peak is the same: what is freed is used by the next step.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Final

# mallopt(3): parameters of glibc's allocator.
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_MAX: Final = -4
_NEVER: Final = 2**31 - 1  # bytes that are free at the top of the heap before it is made smaller
_GROWTH: Final = 64 * 2**20  # bytes by which the heap grows at least


@cache
def keep_freed_memory() -> bool:
    """Keep what is freed, until the process ends; returns whether the C library can do so."""
    if not sys.platform.startswith("linux"):
        return False
    set_parameter = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_parameter is None:
        return False
    parameters = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, _GROWTH))
    return all(set_parameter(parameter, limit) == 1 for parameter, limit in parameters)
