"""A process that trains keeps the memory that its steps free."""

from __future__ import annotations

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import numpy as np
from kgp_models.training.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.ones(64 * 2**20, dtype=np.uint8)  # above the largest threshold that glibc sets itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
step()
print(step())
"""


def page_faults(mode: str) -> int:
    return int(subprocess.run([sys.executable, "-c", STEPS, mode], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other allocators")
def test_a_second_step_asks_the_system_for_no_memory() -> None:
    assert page_faults("keep") < page_faults("return") / 10
