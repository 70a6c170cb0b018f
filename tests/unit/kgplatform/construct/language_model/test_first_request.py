"""The first request to a language model ends a run that can have no answer: at once, and in one line."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("openai")

from kgplatform.construct.annotate import annotate
from kgplatform.construct.language_model.client import MAX_REFUSALS, Client, Refused, Unanswered
from kgplatform.construct.language_model.refusal import endpoint_reason
from kgplatform.construct.language_model.settings import LLMSettings
from kgplatform.construct.stance import rules
from tests.fake_model import FakeModelReply, positive, serving
from tests.unit.kgplatform.construct.language_model.language_model_judges import CANARY, TAGGER, a_report, judging

MESSAGES = [{"role": "system", "content": "task"}, {"role": "user", "content": f"effusion {CANARY} 50414267"}]


def closed_port() -> int:
    with socket.socket() as free_socket:
        free_socket.bind(("127.0.0.1", 0))
        port: int = free_socket.getsockname()[1]
    return port


def refusal(url: str) -> Refused:
    """Why a client with the usual five retries gives up; it must do so at once."""
    start_time = time.monotonic()
    with closing(Client(LLMSettings("tiny", url))) as client, pytest.raises(Refused) as raised:
        client.ask(MESSAGES)
    assert time.monotonic() - start_time < 5
    assert "\n" not in raised.value.message
    return raised.value


@contextmanager
def answering_nonsense() -> Iterator[int]:
    """A port where something listens that does not speak HTTP."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(0.3)
                with suppress(TimeoutError):  # all of the request: closing with a part unread resets the connection
                    while connection.recv(100_000):
                        pass
                connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(5)


def test_an_address_at_which_nothing_listens() -> None:
    port = closed_port()
    assert refusal(f"http://127.0.0.1:{port}/v1").message == (
        f"there is no language model at 127.0.0.1:{port}: connection refused"
    )


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert "no-such-host.invalid: unknown host" in refusal("http://no-such-host.invalid/v1").message


def test_a_port_where_something_else_listens() -> None:
    with answering_nonsense() as port:
        assert "it does not speak HTTP" in refusal(f"http://127.0.0.1:{port}/v1").message
    with answering_nonsense() as port:
        assert "it does not speak HTTPS" in refusal(f"https://127.0.0.1:{port}/v1").message


@contextmanager
def answering_once() -> Iterator[str]:
    """The URL of an endpoint that goes away after its first answer."""
    body = b'{"choices": [{"message": {"role": "assistant", "content": "an answer"}}]}'
    fields = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close"]

    def answer() -> None:
        connection, _ = server.accept()
        server.close()
        with connection:
            connection.recv(100_000)
            connection.sendall("\r\n".join([*fields, "", ""]).encode() + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        thread.join(5)


def test_a_connection_that_fails_later_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def no_wait(*args: object, **options: object) -> float:
        waits.append(args)
        return 0.001

    monkeypatch.setattr("openai.AsyncOpenAI._calculate_retry_timeout", no_wait)
    with answering_once() as url, closing(Client(LLMSettings("tiny", url, retries=3))) as client:
        assert client.ask(MESSAGES).text == "an answer"
        with pytest.raises(Unanswered, match="no connection"):
            client.ask(MESSAGES)
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("status", "document", "message"),
    [
        (400, {"error": {"message": "Unsupported value: 'temperature' must be 1."}}, "temperature"),
        (400, {"object": "error", "message": "max_tokens must be at least 1", "code": 400}, "max_tokens"),
        (401, {"error": {"message": "Incorrect API key provided"}}, "refuses the key (HTTP 401: Incorrect API key"),
        (403, {"error": "forbidden"}, "refuses the key (HTTP 403: forbidden)"),
        (404, {"error": {"message": 'model "tiny" not found, try pulling it first'}}, 'model "tiny" not found'),
        (405, {"detail": "Method Not Allowed"}, "no such model or address (HTTP 405: Method Not Allowed)"),
        (422, {"detail": [{"loc": ["body"], "msg": "Extra inputs are not permitted"}]}, "Extra inputs"),
        (402, {"error": {"message": "no balance"}}, "asks for payment (HTTP 402: no balance)"),
        (404, "<html><h1>nginx</h1></html>", "(HTTP 404)"),
    ],
)
def test_a_refusal_that_all_reports_would_meet_ends_the_run_with_the_servers_reason(
    tmp_path: Path, status: int, document: object, message: str
) -> None:
    body = document.encode() if isinstance(document, str) else json.dumps(document).encode()
    with serving(lambda messages, before: FakeModelReply(status=status, body=body)) as server:
        with judging(server, tmp_path) as judge, pytest.raises(Refused) as raised:
            for number in range(5):
                annotate(a_report(number=number), TAGGER, judge)
        assert message in raised.value.message
        assert len(server.requests) == (MAX_REFUSALS if status in (400, 422) else 1)


def test_a_request_that_is_too_long_says_nothing_of_the_others(tmp_path: Path) -> None:
    def answer(messages: list[dict[str, str]], before: int) -> FakeModelReply:
        body = b'{"error": {"message": "The maximum context length is 4096 tokens.", "code": 400}}'
        return positive(messages, before) if before else FakeModelReply(status=400, body=body)

    with serving(answer) as server, judging(server, tmp_path) as judge:
        assert annotate(a_report(), TAGGER, judge).judge == rules().name
        assert annotate(a_report(number=2), TAGGER, judge).judge == judge.name


def test_a_bad_request_after_an_answer_costs_its_report_alone() -> None:
    def answer(messages: list[dict[str, str]], before: int) -> FakeModelReply:
        return FakeModelReply(status=400) if before else FakeModelReply("an answer")

    with serving(answer) as server, closing(Client(LLMSettings("tiny", server.url, retries=0))) as client:
        client.ask(MESSAGES)
        with pytest.raises(Unanswered, match="HTTP 400"):
            client.ask(MESSAGES)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"message": f"cannot read: {CANARY}", "code": "bad_input"}, "bad_input"),
        ({"message": f"cannot read: {CANARY.upper()}"}, ""),
        ({"message": "the study 50414267 is not allowed"}, ""),
        ({"message": "unexpected\x00mark"}, ""),
        ("service is down", "service is down"),
        ({"error": {"error": {"error": {"message": "deep"}}}}, ""),
        (None, ""),
        ("x" * 5_000, "x" * 200 + " …"),
    ],
)
def test_a_servers_reason_has_no_word_or_number_of_the_report(body: object, reason: str) -> None:
    assert endpoint_reason(body, MESSAGES) == reason
