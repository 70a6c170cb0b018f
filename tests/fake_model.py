"""A real local server that speaks OpenAI's chat API, and misbehaves as instructed.

Run as a script it answers `(C0000000, Positive)` for every candidate, slowly, and writes what it was asked to a file.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CUI = re.compile(r"C[0-9]{7}")


@dataclass
class FakeModelReply:
    """What the server sends: a text in the API's form, or something else."""

    text: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None  # in place of the API's form
    wait: float = 0.0
    usage: bool = True
    tokens: tuple[object, object] = (100, 10)  # as the server counts them


Answer = Callable[[list[dict[str, str]], int], FakeModelReply]  # the messages, and how many requests there were before


def block(*edges: tuple[str, str]) -> str:
    """A well-formed answer."""
    return "***start***\n" + "\n".join(f"({cui}, {relation})" for cui, relation in edges) + "\n***end***"


def candidates(messages: list[dict[str, str]]) -> list[str]:
    """The concepts that a prompt gives to choose from."""
    phrase_rows = messages[1]["content"].split("Phrases and their candidates:\n", 1)[1].splitlines()
    return [cui for phrase_row in phrase_rows for cui in json.loads(phrase_row)["candidates"]]


def prompt_report(messages: list[dict[str, str]]) -> dict[str, str]:
    """The report of a prompt."""
    report_sections: dict[str, str] = json.loads(messages[1]["content"].split("\n", 2)[1])
    return report_sections


def positive(messages: list[dict[str, str]], before: int) -> FakeModelReply:
    """Says that all is there."""
    return FakeModelReply(block(*((cui, "Positive") for cui in dict.fromkeys(candidates(messages)))))


class FakeModelServer(ThreadingHTTPServer):
    """The server; `requests` has the messages of every request, `keys` the keys that came with them."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[list[dict[str, str]]] = []
        self.keys: list[str | None] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """What a user would give as the endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeModelServer

    def do_POST(self) -> None:
        request_document: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            request_count = len(self.server.requests)
            self.server.requests.append(request_document["messages"])
            self.server.keys.append(self.headers.get("Authorization"))
        reply = self.server.answer(request_document["messages"], request_count)
        time.sleep(reply.wait)
        reply_body = reply.body if reply.body is not None else _api(request_document["model"], reply)
        try:
            self.send_response(reply.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(reply_body)), **reply.headers}
            for header_name, header_value in headers.items():
                self.send_header(header_name, header_value)
            self.end_headers()
            self.wfile.write(reply_body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked has gone

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what is asked stays out of the log."""


def _api(model_name: str, reply: FakeModelReply) -> bytes:
    document: dict[str, Any] = {
        "id": "x", "object": "chat.completion", "created": 1, "model": model_name,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply.text}}
        ],
    }  # fmt: skip
    if reply.usage:
        document["usage"] = {
            "prompt_tokens": reply.tokens[0],
            "completion_tokens": reply.tokens[1],
            "total_tokens": 110,
        }
    return json.dumps(document).encode()


@contextmanager
def serving(answer: Answer = positive) -> Iterator[FakeModelServer]:
    """A server on its own port, for as long as the context."""
    with FakeModelServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
