"""Bounds on what an endpoint may send: its bytes, their encoding, and the time until the last of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

import httpx2
from openai import OpenAIError

MAX_ANSWER: Final = 2 << 20  # bytes; an answer of 100,000 tokens has some 400,000


class BadAnswer(OpenAIError):
    """An answer that is not read to its end; `why` is a few words of our own. The package does not ask again."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def bounded(timeout: float) -> Callable[[httpx2.Response], None]:
    """A hook that bounds every answer: `MAX_ANSWER` bytes, not compressed, whole within `timeout` seconds.

    httpx's own timeout is of one read: an answer that comes a byte at a time would never meet it.
    """

    def bound(response: httpx2.Response) -> None:
        length = response.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > MAX_ANSWER:
            raise BadAnswer("the answer is too long")
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise BadAnswer("the answer is compressed, which was not asked for")  # 1 MB may unpack to 1 GB
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Bounded(response.stream, time.monotonic() + timeout)

    return bound


class _Bounded(httpx2.SyncByteStream):
    """A stream of bytes that ends with an error where it is too long or too slow."""

    def __init__(self, stream: httpx2.SyncByteStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > MAX_ANSWER:
                raise BadAnswer("the answer is too long")
            if time.monotonic() > self._deadline:
                raise httpx2.ReadTimeout("the answer takes too long")
            yield piece

    def close(self) -> None:
        self._stream.close()
