"""Bounds on what an endpoint may send: its bytes, their encoding, and the time until the last of them; and an end of
waiting for one that was never there.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
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


class NeverReached(BadAnswer):
    """No connection, to an endpoint that has not been reached before. The package does not ask again."""


class Bounded(openai.DefaultAsyncHttpxClient):
    """A client whose answers have at most `MAX_ANSWER` bytes, are not compressed, and are whole within `seconds` of
    the request.

    httpx's own timeout is of one read: an answer that comes a byte at a time, its headers or its body, would never
    meet it. Waiting can be ended from outside only where it is asynchronous.

    A failed connection is tried again by the package only if an earlier one was made: an endpoint that never was there
    has another address, or is not running.
    """

    def __init__(self, seconds: float, **options: Any) -> None:
        super().__init__(event_hooks={"response": [_bound]}, **options)
        self._seconds = seconds
        self._reached = False

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The answer with its body. Raises `httpx2.ReadTimeout` where it takes too long, and `BadAnswer`."""
        try:
            async with asyncio.timeout(self._seconds):
                response = await super().send(request, **options)
        except TimeoutError:
            raise httpx2.ReadTimeout("the answer takes too long") from None
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProtocolError, httpx2.ProxyError) as error:
            if self._reached:
                raise
            raise NeverReached(_connection_problem(error)) from None
        self._reached = True
        return response


def _connection_problem(error: BaseException) -> str:
    """Why there is no connection, in our words."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    for kind, problem in (
        (socket.gaierror, "unknown host"),
        (ConnectionRefusedError, "connection refused"),
        (ssl.SSLCertVerificationError, "its certificate is not trusted"),
        (ssl.SSLError, "it does not speak HTTPS"),
        (httpx2.ProxyError, "the proxy refuses"),
        (httpx2.ConnectTimeout, "no connection in time"),
        (httpx2.ProtocolError, "it does not speak HTTP"),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return problem
    return "no connection"


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
