"""The per-report stages in one process, in several, or on Ray Data; the result is the same, in the same order."""

from __future__ import annotations

import gc
import logging
import pickle
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, TypeAlias

from kgplatform.batches import Reject
from kgplatform.construct.annotate import Annotation, Conflicts, annotate
from kgplatform.construct.judgement import Judge
from kgplatform.construct.report import Report
from kgplatform.construct.tagger import Tagger
from kgplatform.extras import missing
from kgplatform.interrupt import end_with_parent, ending_workers, shielded

Row: TypeAlias = Report | Reject
Done: TypeAlias = Annotation | Reject

CHUNK: Final = 200  # reports that a process takes at a time
AHEAD: Final = 4  # chunks a process, or reports a thread, that are read before their turn: memory stays flat


@dataclass(frozen=True, slots=True)
class Stages:
    """Stage I and II with the settings that they need; it can be sent to another process."""

    tagger: Tagger  # for the chest
    judge: Judge
    conflicts: Conflicts = Conflicts.keep
    other_tagger: Tagger | None = None  # for studies of other regions; None for the same one

    def __call__(self, row: Row) -> Done:
        """The annotation of a report; a rejected row stays one."""
        if isinstance(row, Reject):
            return row
        return annotate(row, self.tagger_for(row), self.judge, self.conflicts)

    def tagger_for(self, report: Report) -> Tagger:
        """The tagger for the region that the report is about: in a CT of the head, a "mass" is none of the lung."""
        return self.tagger if self.other_tagger is None or report.exam.assumed().is_chest else self.other_tagger


def annotated(rows: Iterable[Row], stages: Stages, workers: int = 1, *, ray: bool = False) -> Iterator[Done]:
    """The annotations of the reports, in their order.

    `workers` is how many processes do it; on `ray`, how many actors. Raises `SettingsError` where Ray is not installed.
    """
    if stages.judge.concurrency > 1:  # it waits for others: processes would not help
        return _by_threads(rows, stages)
    if ray:
        return _by_ray(rows, stages, workers)
    if workers > 1:
        return _by_processes(rows, stages, workers)
    return _here(rows, stages)


def _here(source_rows: Iterable[Row], stages: Stages) -> Iterator[Done]:
    with lexicons_not_searched():
        yield from map(stages, source_rows)


@contextmanager
def lexicons_not_searched() -> Iterator[None]:
    """Spare the garbage collector the hundred thousands of objects of a lexicon, which it would look through again and
    again: that takes a quarter of the time.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _by_threads(source_rows: Iterable[Row], stages: Stages) -> Iterator[Done]:
    thread_count = stages.judge.concurrency
    with ThreadPoolExecutor(thread_count) as thread_pool:
        pending_futures: deque[Future[Done]] = deque()
        try:
            for source_row in source_rows:
                pending_futures.append(thread_pool.submit(stages, source_row))
                if len(pending_futures) >= thread_count * AHEAD:
                    yield pending_futures.popleft().result()
            while pending_futures:
                yield pending_futures.popleft().result()
        finally:
            for future in pending_futures:
                future.cancel()


def _chunks(source_rows: Iterable[Row]) -> Iterator[list[Row]]:
    row_iterator = iter(source_rows)
    while chunk := list(islice(row_iterator, CHUNK)):
        yield chunk


_stages: Stages | None = None  # of this process, where it is one of several


def _begin(pickled_stages: bytes) -> None:
    global _stages
    end_with_parent()
    _stages = pickle.loads(pickled_stages)  # noqa: S301  made by the process that began this one
    gc.freeze()


def _work(source_rows: Sequence[Row]) -> list[Done]:
    assert _stages is not None  # noqa: S101  set as the process begins
    return [_stages(source_row) for source_row in source_rows]


def _by_processes(source_rows: Iterable[Row], stages: Stages, worker_count: int) -> Iterator[Done]:
    # Spawned, as a fork of a process with threads (the driver's) can hang; pickled once, not once a process.
    pickled_stages = pickle.dumps(stages)
    with (
        ProcessPoolExecutor(worker_count, get_context("spawn"), _begin, (pickled_stages,)) as process_pool,
        ending_workers(),
    ):
        pending_futures: deque[Future[list[Done]]] = deque()
        try:
            for chunk in _chunks(source_rows):
                with shielded():
                    pending_futures.append(process_pool.submit(_work, chunk))
                if len(pending_futures) >= worker_count * AHEAD:
                    yield from pending_futures.popleft().result()
            while pending_futures:
                yield from pending_futures.popleft().result()
        finally:
            for future in pending_futures:
                future.cancel()


class _Actor:
    """A Ray actor: annotates the pickled reports of each of its rows."""

    def __init__(self, stages: Any) -> None:
        import ray

        self._stages: Stages = ray.get(stages)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        source_rows = pickle.loads(row["rows"])  # noqa: S301  our own
        return {"done": pickle.dumps([self._stages(row) for row in source_rows])}


def _by_ray(source_rows: Iterable[Row], stages: Stages, worker_count: int) -> Iterator[Done]:
    ray = started_ray()
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    pickled_chunks = [{"rows": pickle.dumps(chunk)} for chunk in _chunks(source_rows)]
    if not pickled_chunks:
        return
    actor_pool = ray.data.ActorPoolStrategy(size=worker_count)
    annotated_chunks = ray.data.from_items(pickled_chunks).map(
        _Actor, fn_constructor_args=(ray.put(stages),), compute=actor_pool
    )
    chunk_rows = iter(annotated_chunks.iter_rows())
    while True:
        with redirect_stdout(sys.stderr):  # where Ray prints that it restarts a worker, which is not a result
            chunk_row = next(chunk_rows, None)
        if chunk_row is None:
            return
        yield from pickle.loads(chunk_row["done"])  # noqa: S301  made by our own actors


def started_ray() -> Any:
    """Ray with its Data part, started and quiet. Raises `SettingsError` where it is not installed."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise missing("Ray", "ray") from None
    if not ray.is_initialized():
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it writes many messages to stderr
        ray.init(log_to_driver=False, include_dashboard=False, configure_logging=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
