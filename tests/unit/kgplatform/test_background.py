"""What is done while a generator works: in order, one at a time, and no error is lost."""

from __future__ import annotations

import threading
import time

import pytest

from kgplatform.background import BackgroundWorker


def test_things_are_done_in_order_one_at_a_time_in_another_thread() -> None:
    finished_jobs: list[tuple[int, int]] = []
    running_jobs: list[int] = []

    def does(job: int) -> None:
        running_jobs.append(job)
        time.sleep(0.01)
        assert running_jobs == [job]
        running_jobs.clear()
        finished_jobs.append((job, threading.get_ident()))

    with BackgroundWorker(does) as worker:
        for job in range(4):
            worker.take(job)
    assert [job for job, _ in finished_jobs] == [0, 1, 2, 3]
    assert {thread_id for _, thread_id in finished_jobs}.isdisjoint({threading.get_ident()})
    assert worker.waited > 0.02


def test_an_error_shows_where_the_next_thing_is_taken_and_nothing_more_is_done() -> None:
    started_jobs: list[int] = []

    def does(job: int) -> None:
        started_jobs.append(job)
        if job == 1:
            raise ValueError("the graph is gone")

    with pytest.raises(ValueError, match="the graph is gone"), BackgroundWorker(does) as worker:
        for job in range(4):
            worker.take(job)
    assert started_jobs == [0, 1]


def test_the_last_ones_error_shows_at_the_end() -> None:
    def does(job: int) -> None:
        raise ValueError(f"no {job}")

    with pytest.raises(ValueError, match="no 7"), BackgroundWorker(does) as worker:
        worker.take(7)


def test_what_was_taken_is_finished_when_the_caller_fails_and_its_error_stays() -> None:
    started_jobs: list[int] = []

    def does(job: int) -> None:
        time.sleep(0.02)
        started_jobs.append(job)
        raise ValueError("a second error")

    with pytest.raises(RuntimeError, match="the generator has crashed") as raised, BackgroundWorker(does) as worker:
        worker.take(1)
        raise RuntimeError("the generator has crashed")
    assert started_jobs == [1]
    assert raised.value.__notes__ == ["and in the background: a second error"]
