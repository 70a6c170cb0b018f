"""Work in a thread while the caller goes on: the next item is prepared, or the last one is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Self, TypeVar

T = TypeVar("T")


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, the next one made while the last one is used."""
    with ThreadPoolExecutor(1) as executor:
        next_future = executor.submit(next, items, None)
        while (item := next_future.result()) is not None:
            next_future = executor.submit(next, items, None)
            yield item


class BackgroundWorker(Generic[T]):
    """Does one thing at a time while its caller goes on; `waited` is the time that the caller had to wait for it.

    An error shows where the next thing is taken, or at the end; what was taken is finished even where something else
    goes wrong.
    """

    def __init__(self, does: Callable[[T], object]) -> None:
        self._does = does
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[object] | None = None
        self.waited = 0.0

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Finish; an error that has come up already stays, with a note of this one."""
        try:
            self._wait()
        except Exception as own:
            if error is None:
                raise
            error.add_note(f"and in the background: {own}")
        finally:
            self._thread.shutdown()

    def take(self, item: T) -> None:
        """Begin with that, when what was taken before is done."""
        self._wait()
        self._under_way = self._thread.submit(self._does, item)

    def _wait(self) -> None:
        if self._under_way is not None:
            start_time = time.monotonic()
            error = self._under_way.exception()  # interrupted here, it is still under way
            self._under_way = None
            self.waited += time.monotonic() - start_time
            if error is not None:
                raise error
