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
    loop = EventLoop("t")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: loop.call(lambda: double(n, 0.001 * (n % 5))), range(100)))
    assert found == [2 * n for n in range(100)]
    loop.close(nothing)


def test_what_is_awaited_when_it_is_closed_is_cancelled_and_nothing_is_taken_on_afterwards() -> None:
    loop = EventLoop("t")
    ended = []
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(loop.call, lambda: double(1, 600)) for _ in range(4)]
        time.sleep(0.2)

        async def last() -> None:
            ended.append(sum(task.done() for task in asyncio.all_tasks()))

        loop.close(last)
        for future in waiting:
            with pytest.raises(CancelledError):
                future.result(10)
    assert ended == [0]
    with pytest.raises(CancelledError):
        loop.call(lambda: double(1))
    loop.close(nothing)
    assert not any(thread.name == "t" for thread in threading.enumerate())


def test_a_call_that_meets_the_closing_is_answered_or_cancelled() -> None:
    for _ in range(50):
        loop = EventLoop("t")
        with ThreadPoolExecutor(3) as pool:
            waiting = [pool.submit(loop.call, lambda: double(1)) for _ in range(3)]
            loop.close(nothing)
            for future in waiting:
                with suppress(CancelledError):
                    assert future.result(10) == 2


def test_an_error_of_the_last_work_still_ends_the_thread() -> None:
    loop = EventLoop("t")

    async def fails() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        loop.close(fails)
    assert not any(thread.name == "t" for thread in threading.enumerate())


def test_a_program_that_never_closes_its_client_ends_all_the_same() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", NOT_CLOSED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    try:
        for process in processes:
            assert process.communicate(timeout=60) == ("", "the language model does not answer (no connection)\n")
            assert process.returncode == 1
    finally:
        for process in processes:
            process.kill()
