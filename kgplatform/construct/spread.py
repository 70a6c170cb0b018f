"""The per-report stages in one process, in several, or on Ray Data; the result is the same, in the same order."""

from __future__ import annotations

import logging
import pickle
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, TypeAlias

from kgplatform.batches import Reject
from kgplatform.construct.annotate import Annotation, Conflicts, Judge, annotate
from kgplatform.construct.report import Report
from kgplatform.construct.tagger import Tagger
from kgplatform.errors import UsageError
from kgplatform.interrupt import end_with_parent, ending_workers, shielded

Row: TypeAlias = Report | Reject
Done: TypeAlias = Annotation | Reject

CHUNK: Final = 200  # reports that a process takes at a time
AHEAD: Final = 4  # chunks a process, or reports a thread, that are read before their turn: memory stays flat


@dataclass(frozen=True, slots=True)
class Stages:
    """Stage I and II with the settings that they need; it can be sent to another process."""

    tagger: Tagger
    judge: Judge
    conflicts: Conflicts = Conflicts.keep

    def __call__(self, row: Row) -> Done:
        """The annotation of a report; a rejected row stays one."""
        if isinstance(row, Reject):
            return row
        return annotate(row, self.tagger, self.judge, self.conflicts)


def annotated(rows: Iterable[Row], stages: Stages, workers: int = 1, *, ray: bool = False) -> Iterator[Done]:
    """The annotations of the reports, in their order.

    `workers` is how many processes do it; on `ray`, how many actors. Raises `UsageError` where Ray is not installed.
    """
    if stages.judge.concurrency > 1:  # it waits for others: processes would not help
        return _by_threads(rows, stages)
    if ray:
        return _by_ray(rows, stages, workers)
    if workers > 1:
        return _by_processes(rows, stages, workers)
    return map(stages, rows)


def _by_threads(rows: Iterable[Row], stages: Stages) -> Iterator[Done]:
    threads = stages.judge.concurrency
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Done]] = deque()
        try:
            for row in rows:
                waiting.append(pool.submit(stages, row))
                if len(waiting) >= threads * AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


_stages: Stages | None = None  # of this process, where it is one of several


def _begin(stages: bytes) -> None:
    global _stages
    end_with_parent()
    _stages = pickle.loads(stages)  # noqa: S301  made by the process that began this one


def _work(rows: Sequence[Row]) -> list[Done]:
    assert _stages is not None  # noqa: S101  set as the process begins
    return [_stages(row) for row in rows]


def _by_processes(rows: Iterable[Row], stages: Stages, workers: int) -> Iterator[Done]:
    # Spawned, as a fork of a process with threads (the driver's) can hang; pickled once, not once a process.
    begin = pickle.dumps(stages)
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (begin,)) as pool, ending_workers():
        waiting: deque[Future[list[Done]]] = deque()
        try:
            for chunk in _chunks(rows):
                with shielded():
                    waiting.append(pool.submit(_work, chunk))
                if len(waiting) >= workers * AHEAD:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class _Actor:
    """A Ray actor: annotates the pickled reports of each of its rows."""

    def __init__(self, stages: Any) -> None:
        import ray

        self._stages: Stages = ray.get(stages)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        rows = pickle.loads(row["rows"])  # noqa: S301  our own
        return {"done": pickle.dumps([self._stages(row) for row in rows])}


def _by_ray(rows: Iterable[Row], stages: Stages, workers: int) -> Iterator[Done]:
    ray = started_ray()
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    pickled = [{"rows": pickle.dumps(chunk)} for chunk in _chunks(rows)]
    if not pickled:
        return
    actors = ray.data.ActorPoolStrategy(size=workers)
    found = ray.data.from_items(pickled).map(_Actor, fn_constructor_args=(ray.put(stages),), compute=actors)
    for row in found.iter_rows():
        yield from pickle.loads(row["done"])  # noqa: S301  made by our own actors


def started_ray() -> Any:
    """Ray with its Data part, started and quiet. Raises `UsageError` where it is not installed."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UsageError("Ray is not installed", "Install it: pip install 'kgplatform[ray]'.") from None
    if not ray.is_initialized():
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of itself on stderr, at length
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
