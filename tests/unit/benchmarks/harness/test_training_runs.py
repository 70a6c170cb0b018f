"""Runs of a benchmark next to each other: nothing is left running when the benchmark is asked to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests import ROOT

SCRIPT = """
import os, sys, time
from pathlib import Path
from benchmarks.harness import record
from benchmarks.harness.training_runs import in_lanes

def work(folder):
    Path(folder, str(os.getpid())).touch()
    time.sleep(600)

if __name__ == "__main__":
    sys.exit(record.exit_code(lambda: list(in_lanes(2, work, [(sys.argv[1],)] * 4))))
"""


LOGGING = """
import logging, sys
from benchmarks.harness import record
from benchmarks.harness.training_runs import in_lanes

def work(number):
    logging.getLogger("kgp_models.anything").info(f"lane {number}")

def all_lanes():
    logging.getLogger("kgp_models.anything").info("first")
    list(in_lanes(2, work, [(number,) for number in range(2)]))

if __name__ == "__main__":
    sys.exit(record.exit_code(all_lanes))
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    """Whether it comes about in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def script_environment() -> dict[str, str]:
    search_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": search_path}


def test_what_a_lane_logs_is_a_line_on_stderr(tmp_path: Path) -> None:
    script_path = tmp_path / "script.py"
    script_path.write_text(LOGGING)
    completed = subprocess.run(
        [sys.executable, script_path], env=script_environment(), capture_output=True, text=True, check=True
    )
    assert completed.stderr.splitlines()[0] == "first"
    assert sorted(completed.stderr.splitlines()[1:]) == ["lane 0", "lane 1"]


def test_a_benchmark_that_is_terminated_ends_its_lanes(tmp_path: Path) -> None:
    script_path, pid_folder = tmp_path / "script.py", tmp_path / "pids"
    script_path.write_text(SCRIPT)
    pid_folder.mkdir()
    with subprocess.Popen(
        [sys.executable, script_path, pid_folder], env=script_environment(), stderr=subprocess.PIPE, text=True
    ) as benchmark_run:
        assert until(lambda: len(list(pid_folder.iterdir())) == 2)
        lane_pids = [int(pid_path.name) for pid_path in pid_folder.iterdir()]
        benchmark_run.send_signal(signal.SIGTERM)
        _, error_output = benchmark_run.communicate(timeout=60)
    assert benchmark_run.returncode == 130
    assert "interrupted; the same command goes on" in error_output
    assert until(lambda: not any(alive(lane_pid) for lane_pid in lane_pids), 20)
