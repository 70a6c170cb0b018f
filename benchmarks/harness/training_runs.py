"""The runs of a benchmark that trains: kept in a file that is whole after each, and run in lanes next to each other."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from benchmarks.harness import record
from kgp_models.towers.spec import TowerSpec
from kgplatform.cli.output import log_lines, note

CellGraph = Literal["full", "empty", "shuffled", "no-stance"]  # how the graph is changed
_KEYS = ("cell", "seed", "fold", "settings_sha256", "context")


@dataclass(frozen=True)
class Cell:
    """A row of a table: a method and what becomes of the graph."""

    method: str
    graph: CellGraph = "full"

    @property
    def name(self) -> str:
        """As results and folders name it."""
        return self.method if self.graph == "full" else f"{self.method}-{self.graph}"


class Results:
    """The runs, in one JSON file. A run is identified by its cell, seed and fold; the hash says of what settings and
    data.
    """

    def __init__(self, path: Path, about: dict[str, Any], subject: str) -> None:
        """`about[subject]["sha256"]` is the hash of the data, `about["graph"]["sha256"]` that of the graph, where there
        is one: results of others are begun again.
        """
        self.path = path
        self.document: dict[str, Any] = {"about": about, "runs": []}
        if path.exists():
            stored_document = json.loads(path.read_text(encoding="utf-8"))
            changed_parts = [
                part_name
                for part_name in (subject, "graph")
                if _sha256(stored_document["about"], part_name) != _sha256(about, part_name)
            ]
            if changed_parts:
                note(f"{path.name} is from other {' and another '.join(changed_parts)}, and is started again")
            else:
                self.document = {**stored_document, "about": about}

    def has(self, cell: str, seed: int, sha256: str, fold: int = 0) -> bool:
        """Whether this very run is there."""
        expected_key = (cell, seed, fold, sha256)
        return any((*_key(run_row), run_row["settings_sha256"]) == expected_key for run_row in self.document["runs"])

    def leave_out(self, cell: str, seed: int, fold: int = 0) -> None:
        """Leave out a run that is to be done again: it is of other settings, or of another form of its method."""
        self.document["runs"] = [run_row for run_row in self.document["runs"] if _key(run_row) != (cell, seed, fold)]

    def outcome(self, seed: int, sha256: str, fold: int = 0) -> dict[str, Any] | None:
        """The result of a run with this seed, fold and hash, regardless of its cell."""
        for run_row in self.document["runs"]:
            if (*_key(run_row)[1:], run_row["settings_sha256"]) == (seed, fold, sha256):
                return {field_name: value for field_name, value in run_row.items() if field_name not in _KEYS}
        return None

    def add(self, cell: str, seed: int, sha256: str, outcome: dict[str, Any], fold: int = 0) -> None:
        """Add a run, in place of one of the same cell, seed and fold."""
        retained_runs = [run_row for run_row in self.document["runs"] if _key(run_row) != (cell, seed, fold)]
        context = record.context(seed, training_device())
        run_row = {"cell": cell, "seed": seed, "fold": fold, "settings_sha256": sha256, "context": context, **outcome}
        self.document["runs"] = sorted([*retained_runs, run_row], key=_key)
        record.store(self.path, self.document, indent=1)


def _sha256(about: dict[str, Any], part_name: str) -> str:
    digest: str = about.get(part_name, {}).get("sha256", "")
    return digest


def _key(run_row: dict[str, Any]) -> tuple[str, int, int]:
    return run_row["cell"], run_row["seed"], run_row.get("fold", 0)


def in_lanes(jobs: int, work: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
    """Call `work` with each of the arguments, `jobs` at a time in processes of their own; gives a call's place and what
    came out, as each is done. What fails is reported now, not when the others have ended: they go on another time.
    """
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        index_by_future = {
            pool.submit(_in_lane, work, *arguments): call_index for call_index, arguments in enumerate(calls)
        }
        try:
            for future in as_completed(index_by_future):
                yield index_by_future[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _in_lane(work: Callable[..., Any], *arguments: Any) -> Any:
    """Do the work of a call in its process, which writes what is logged as the benchmark's own process does."""
    with log_lines():
        return work(*arguments)


def backbone_name(spec: str) -> str:
    """A backbone as results name it: its kind, and its folder's name."""
    kind, folder = TowerSpec.parse(spec)
    return f"{kind}-{Path(folder).name}" if folder else kind


@cache
def backbone_identity(spec: str) -> str:
    """What distinguishes backbones, in any folder: the kind, and of a folder a hash of its files."""
    kind, folder = TowerSpec.parse(spec)
    if not folder:
        return kind
    digest = hashlib.sha256()
    for file_path in sorted(file_path for file_path in Path(folder).rglob("*") if file_path.is_file()):
        with file_path.open("rb") as backbone_file:
            content_sha256 = hashlib.file_digest(backbone_file, "sha256").hexdigest()
        digest.update(f"{file_path.relative_to(folder).as_posix()} {content_sha256}\n".encode())
    return f"{kind} {digest.hexdigest()}"


def training_device() -> str:
    """The device that models are trained on."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
