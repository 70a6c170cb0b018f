"""The loop on which threads wait for a language model: it ends with its program, and leaves nobody waiting."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress

import pytest

from kgplatform.construct.language_model.event_loop import EventLoop

pytestmark = pytest.mark.slow

NOT_CLOSED = """
import sys
from kgplatform.construct.language_model.client import Client, Refused
from kgplatform.construct.language_model.settings import LLMSettings

client = Client(LLMSettings("m", "http://127.0.0.1:9/v1", retries=0), {})
try:
    client.ask([{"role": "user", "content": "x"}])
except Refused as error:
    sys.exit(error.message)
"""


async def nothing() -> None:
    return


async def double(value: int, seconds: float = 0.0) -> int:
    await asyncio.sleep(seconds)
    return 2 * value


def test_threads_get_their_own_results() -> None:
    event_loop = EventLoop("t")
    with ThreadPoolExecutor(8) as executor:
        doubled = list(
            executor.map(lambda number: event_loop.call(lambda: double(number, 0.001 * (number % 5))), range(100))
        )
    assert doubled == [2 * number for number in range(100)]
    event_loop.close(nothing)


def test_what_is_awaited_when_it_is_closed_is_cancelled_and_nothing_is_taken_on_afterwards() -> None:
    event_loop = EventLoop("t")
    finished_counts = []
    with ThreadPoolExecutor(4) as executor:
        pending_calls = [executor.submit(event_loop.call, lambda: double(1, 600)) for _ in range(4)]
        time.sleep(0.2)

        async def last() -> None:
            finished_counts.append(sum(task.done() for task in asyncio.all_tasks()))

        event_loop.close(last)
        for future in pending_calls:
            with pytest.raises(CancelledError):
                future.result(10)
    assert finished_counts == [0]
    with pytest.raises(CancelledError):
        event_loop.call(lambda: double(1))
    event_loop.close(nothing)
    assert not any(thread.name == "t" for thread in threading.enumerate())


def test_a_call_that_meets_the_closing_is_answered_or_cancelled() -> None:
    for _ in range(50):
        event_loop = EventLoop("t")
        with ThreadPoolExecutor(3) as executor:
            pending_calls = [executor.submit(event_loop.call, lambda: double(1)) for _ in range(3)]
            event_loop.close(nothing)
            for future in pending_calls:
                with suppress(CancelledError):
                    assert future.result(10) == 2


def test_an_error_of_the_last_work_still_ends_the_thread() -> None:
    event_loop = EventLoop("t")

    async def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        event_loop.close(fails)
    assert not any(thread.name == "t" for thread in threading.enumerate())


def test_a_program_that_never_closes_its_client_ends_all_the_same() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", NOT_CLOSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    try:
        for process in processes:
            message = "there is no language model at 127.0.0.1:9: connection refused\n"
            assert process.communicate(timeout=60) == ("", message)
            assert process.returncode == 1
    finally:
        for process in processes:
            process.kill()
