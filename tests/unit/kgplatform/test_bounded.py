"""Answers of a language model's endpoint that have no end, or are far larger than they look, against a real server."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest

from kgplatform.construct.language_model.client import Client, Unanswered
from kgplatform.construct.language_model.settings import LLMSettings

pytest.importorskip("openai")

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
PIECE = b"10000\r\n" + b" " * 65_536 + b"\r\n"


def read_request(connection: socket.socket) -> None:
    """Read a request to its end: a connection that is closed with bytes unread is reset, and the answer lost."""
    with connection.makefile("rb") as request_stream:
        body_length = 0
        while (header_line := request_stream.readline()) not in (b"\r\n", b""):
            if header_line.lower().startswith(b"content-length:"):
                body_length = int(header_line.split(b":")[1])
        request_stream.read(body_length)


@contextmanager
def sending(pieces: Iterable[bytes]) -> Iterator[str]:
    """A server that sends these bytes to whoever asks, and then hangs up; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection, suppress(OSError):
                        read_request(connection)
                        for piece in pieces:
                            connection.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        server.shutdown(socket.SHUT_RDWR)


def _client_problem(url: str, timeout: float = 5.0) -> str:
    model_client = Client(LLMSettings("tiny", url, retries=0, timeout=timeout), {})
    try:
        with pytest.raises(Unanswered) as unanswered:
            model_client.ask([{"role": "user", "content": "?"}])
        return unanswered.value.why
    finally:
        model_client.close()


def with_body(body: bytes, *headers: bytes) -> list[bytes]:
    header_lines = b"".join(header + b"\r\n" for header in (*headers, b"Content-Length: %d" % len(body)))
    return [OK + header_lines + b"\r\n" + body]


@pytest.mark.parametrize("encoding", [b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip"])
def test_a_compressed_answer_is_not_unpacked(encoding: bytes) -> None:
    compressed_body = gzip.compress(b" " * 1_000_000)
    with sending(with_body(compressed_body, b"Content-Encoding: " + encoding)) as server_url:
        assert _client_problem(server_url) == "the answer is compressed, which was not asked for"


def test_an_answer_that_announces_too_much_is_not_read() -> None:
    with sending([OK + b"Content-Length: 99999999999\r\n\r\n"]) as server_url:
        assert _client_problem(server_url) == "the answer is too long"


def test_an_answer_without_end_is_left() -> None:
    chunks = [OK + b"Transfer-Encoding: chunked\r\n\r\n", *[PIECE] * 200]
    with sending(chunks) as server_url:
        assert _client_problem(server_url) == "the answer is too long"


@pytest.mark.parametrize(
    ("at_once", "drop"),
    [
        (OK + b"Content-Length: 1000\r\n\r\n", b" "),
        (OK + b"X-Slow: ", b"x"),
        (b"HTTP/1.1 ", b"2"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    ],
    ids=["body", "headers", "status", "answers before the answer"],
)
def test_an_answer_that_comes_a_byte_at_a_time_is_left_after_the_timeout(at_once: bytes, drop: bytes) -> None:
    def drip() -> Iterator[bytes]:
        yield at_once
        for _ in range(50):
            time.sleep(0.1)
            yield drop

    start_time = time.monotonic()
    with sending(drip()) as server_url:
        assert _client_problem(server_url, timeout=0.3) == "no answer in time"
    assert time.monotonic() - start_time < 2


def test_closing_does_not_wait_for_an_answer() -> None:
    request_arrived = threading.Event()

    def hang() -> Iterator[bytes]:
        request_arrived.set()
        time.sleep(2)
        yield b""

    with sending(hang()) as server_url:
        model_client = Client(LLMSettings("tiny", server_url, retries=0, timeout=60), {})
        with ThreadPoolExecutor(1) as executor:
            answer = executor.submit(model_client.ask, [{"role": "user", "content": "?"}])
            assert request_arrived.wait(5)
            start_time = time.monotonic()
            model_client.close()
            assert time.monotonic() - start_time < 1
            assert answer.exception() is not None


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"choices": ' * 100_000, json.dumps({"choices": 10**400}).encode()])
def test_json_of_no_sensible_form_is_one_failed_answer(body: bytes) -> None:
    with sending(with_body(body)) as server_url:
        assert _client_problem(server_url) == "the answer does not follow the API"
