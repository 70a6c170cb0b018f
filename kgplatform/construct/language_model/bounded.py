"""Bounds on what an endpoint may send: its bytes, their encoding, and the time until the last of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import openai

MAX_ANSWER: Final = 2 << 20  # bytes; an answer of 100,000 tokens has about 400,000


class BadAnswer(openai.OpenAIError):
    """An answer that is not read to its end; `why` is a few words of our own. The package does not ask again."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class Bounded(openai.DefaultAsyncHttpxClient):
    """A client whose answers have at most `MAX_ANSWER` bytes, are not compressed, and are whole within `seconds` of
    the request.

    httpx's own timeout is of one read: an answer that comes a byte at a time, its headers or its body, would never
    meet it. Waiting can be ended from outside only where it is asynchronous.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(event_hooks={"response": [_bound]}, **options)
        self._seconds = seconds

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The answer with its body. Raises `httpx2.ReadTimeout` where it takes too long, and `BadAnswer`."""
        try:
            async with asyncio.timeout(self._seconds):
                return await super().send(request, **options)
        except TimeoutError:
            raise httpx2.ReadTimeout("the answer takes too long") from None


async def _bound(response: httpx2.Response) -> None:
    declared_length = response.headers.get("Content-Length", "0")
    if declared_length.isdigit() and int(declared_length) > MAX_ANSWER:
        raise BadAnswer("the answer is too long")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise BadAnswer("the answer is compressed, which was not asked for")  # 1 MB may unpack to 1 GB
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Short(response.stream)


class _Short(httpx2.AsyncByteStream):
    """A stream of bytes that ends with an error where it is too long."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received_bytes = 0
        async for byte_chunk in self._stream:
            received_bytes += len(byte_chunk)
            if received_bytes > MAX_ANSWER:
                raise BadAnswer("the answer is too long")
            yield byte_chunk

    async def aclose(self) -> None:
        await self._stream.aclose()
