"""An event loop in a separate thread: any thread can wait for a coroutine's result.

anyio's blocking portal does the same, but must be closed. If a program ends without closing it, Python's shutdown
closes it after the loop's thread has ended, and waits for ever. This loop needs no closing.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

T = TypeVar("T")


class EventLoop:
    """A loop that runs until it is closed or the program ends."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def call(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Wait for the work's result. Raises what it raises, and `CancelledError` if the loop is closed before."""
        with self._lock:  # a coroutine that is handed to a stopped loop would never end
            if self._closed:
                raise CancelledError("the event loop is closed")
            result_future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        return result_future.result()

    def close(self, last: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Cancel all work under way, do the last work, and end the thread. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            closing_future = asyncio.run_coroutine_threadsafe(self._end(last), self._loop)
        try:
            closing_future.result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _end(self, last_work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        other_tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for other_task in other_tasks:
            other_task.cancel()
        await asyncio.gather(*other_tasks, return_exceptions=True)
        await last_work()
