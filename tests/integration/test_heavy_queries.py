"""Heavy statements end in time and memory of this side, regardless of what the server does, and the server answers
afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from kgplatform import readonly, server
from kgplatform.bounded import RECORD_BYTES, Bounds
from kgplatform.connect import open_graph
from kgplatform.errors import DatabaseError
from kgplatform.graph import Graph
from kgplatform.readonly import open_query
from kgplatform.settings import Settings

pytestmark = pytest.mark.server

NESTED = (  # no single range is long, but an expression that the server does not look up from goes through 10^13
    "WITH range(1, 100000) AS r RETURN reduce(a=0, i IN r | a + reduce(b=0, j IN r | b + reduce(c=0, k IN r | c+1)))"
)
HEAVY: dict[str, tuple[str, dict[str, object]]] = {
    "reduce over a long range": ("RETURN reduce(x=0, i IN range(1,30000000000) | x+i)", {}),
    "the same by a parameter": ("RETURN reduce(x=0, i IN range(1,$n) | x+i)", {"n": 30_000_000_000}),
    "the same by a computed bound": (
        "WITH size(split('a,b,c', ',')) AS k RETURN reduce(x=0, i IN range(1, k^21) | x+i)",
        {},
    ),
    "reduce in reduce": (NESTED, {}),
    "doubling in reduce": ("RETURN reduce(s='ab', i IN range(1,29) | s+s)", {}),
    "doubling of a list": ("RETURN size(reduce(s=[1], i IN range(1,40) | s + [x IN s | x]))", {}),
    "doubling by WITH": ("WITH 'abcd' AS s " + "WITH s+'' AS t, s WITH t+s AS s " * 32 + "RETURN s", {}),
    "squaring by replace": (
        "WITH 'aaaa' AS s " + "WITH s AS t, s WITH replace(t, 'a', s) AS s " * 5 + "RETURN size(s)",
        {},
    ),
    "quadratic concatenation": ("RETURN size(reduce(s='', i IN range(1,1000000) | s + 'abcdefghij'))", {}),
    "a long list": ("RETURN range(1,50000000)", {}),
    "a long list by a parameter": ("WITH $n AS n RETURN range(1, n)", {"n": 50_000_000}),
    "collect of rows": ("UNWIND range(1,50000000) AS x RETURN collect(x)", {}),
    "rows of rows": ("UNWIND range(1,1000000) AS a UNWIND range(1,1000000) AS b RETURN max(a*b)", {}),
    "a sort of many rows": ("UNWIND range(1,100000000) AS x RETURN x ORDER BY x % 7919 DESC, x LIMIT 10000000", {}),
    "distinct of many rows": ("UNWIND range(1,1000000000) AS x WITH DISTINCT x RETURN count(x)", {}),
    "a list in lists": ("RETURN [a IN range(1,1000) | [b IN range(1,1000) | [c IN range(1,90) | {}]]]", {}),
    "a regular expression": ("RETURN reduce(s='', i IN range(1,60) | s + 'a') =~ '(a+)+b'", {}),
    "the same by a parameter of parts": (
        "RETURN reduce(s='', i IN range(1,60) | s + 'a') =~ ('(a' + $p + ')+b')",
        {"p": "+"},
    ),
    "split of a long text": (
        "WITH reduce(s='', i IN range(1,100000) | s + 'a,') AS s RETURN [x IN range(1,1000) | split(s, ',')]",
        {},
    ),
    "many large rows": ("UNWIND range(1,1000000) AS x RETURN [i IN range(1,100000) | x+i] AS row", {}),
}

# As a client of its own, so that its peak memory is its own: prints the error's kind, the seconds and the peak in MB.
CLIENT = """
import json, re, sys, time
from pathlib import Path
from kgplatform.errors import KgpError
from kgplatform.connect import open_graph
from kgplatform.graph import Graph
from kgplatform.readonly import open_query
from kgplatform.settings import Settings
text, parameters, seconds = json.load(sys.stdin)
with open_graph(Settings.from_env()) as graph:
    started, error, message = time.monotonic(), "", ""
    try:
        with open_query(graph, text, parameters, seconds=seconds) as answer:
            for _ in answer:
                pass
    except KgpError as stopped:
        error, message = type(stopped).__name__, f"{stopped.message} {stopped.hint}"
    took = time.monotonic() - started
# not ru_maxrss, which a new process inherits from the one that started it
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(json.dumps({"error": error, "message": message, "seconds": took, "megabytes": peak}))
"""


class StallingRelay:
    """Passes on what the server sends until it is `stalled`: then a client sees a server that does not answer."""

    def __init__(self, server_port: int) -> None:
        self.stalled = False
        self._server_port = server_port
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.uri = f"bolt://127.0.0.1:{self._sockets[0].getsockname()[1]}"

    def __enter__(self) -> StallingRelay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        for open_socket in self._sockets:
            open_socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._sockets[0].accept()
                server_socket = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server_socket]
                threading.Thread(target=self._copy, args=(client, server_socket), daemon=True).start()
                threading.Thread(target=self._copy, args=(server_socket, client), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.stalled:
                    time.sleep(0.05)
                target.sendall(data)


def _run_client(settings: Settings, text: str, parameters: dict[str, object], seconds: float) -> dict[str, object]:
    completed = subprocess.run(
        [sys.executable, "-c", CLIENT],
        input=json.dumps([text, parameters, seconds]),
        env={**os.environ, "KGP_HOME": str(settings.home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    client_result: dict[str, object] = json.loads(completed.stdout)
    return client_result


def _server_answers(settings: Settings) -> bool:
    with open_graph(settings) as graph, open_query(graph, "RETURN 1 AS x", seconds=30) as answer:
        return list(answer) == [{"x": 1}]


def test_the_timer_of_this_side_ends_what_the_server_does_not(
    graph: Graph, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readonly, "check_cost", lambda tokens, parameters: None)
    statement = "RETURN reduce(x=0, i IN range(1,600000000) | x+i)"  # some seconds of a core, as they are left behind
    start_time = time.monotonic()
    with (
        pytest.raises(DatabaseError, match="stopped after 1 s") as raised,
        open_query(graph, statement, seconds=1) as answer,
    ):
        list(answer)
    assert time.monotonic() - start_time < 10
    assert "The server had not ended it" in raised.value.hint
    assert _server_answers(settings)


@pytest.mark.parametrize("slow_part", ["planned", "stopped"])
def test_a_server_that_stops_answering_is_left_in_time(settings: Settings, slow_part: str) -> None:
    uri, username, password = server.connection(settings)
    with StallingRelay(urlsplit(uri).port or 0) as relay, Graph(relay.uri, username, password) as graph:
        graph.verify()
        relay.stalled = slow_part == "planned"
        start_time = time.monotonic()
        with (
            pytest.raises(DatabaseError, match=f"{slow_part} .*after 2 s"),
            open_query(graph, "UNWIND range(1, 10000000) AS x RETURN x", seconds=2) as answer,
        ):
            for _ in answer:
                relay.stalled = True
        assert time.monotonic() - start_time < 10


@pytest.mark.parametrize("record_kind", ["list", "text", "maps"])
def test_a_record_is_bounded_as_it_arrives(
    settings: Settings, graph: Graph, monkeypatch: pytest.MonkeyPatch, record_kind: str
) -> None:
    monkeypatch.setattr(readonly, "check_cost", lambda tokens, parameters: None)
    statements = {
        "list": "RETURN range(1, 2000000) AS x",
        "text": "RETURN reduce(s='abcdefgh', i IN range(1, 19) | s + s) AS x",
        "maps": "RETURN [i IN range(1, 3000000) | {}] AS x",
    }
    with pytest.raises(DatabaseError, match="more than 2 MiB"), open_query(graph, statements[record_kind]) as answer:
        list(answer)
    assert _server_answers(settings)


def test_a_row_within_the_bound_comes_whole(graph: Graph) -> None:
    with open_query(graph, "RETURN [i IN range(1, 200000) | i] AS x") as answer:
        assert [len(record["x"]) for record in answer] == [200_000]
    assert RECORD_BYTES > 200_000 * 5


def test_all_rows_come_and_memory_stays_flat(settings: Settings) -> None:
    statement = "UNWIND range(1, 300) AS x RETURN x, [i IN range(1, 20000) | i] AS row"
    client_result = _run_client(settings, statement, {}, 60)
    assert (client_result["error"], float(str(client_result["megabytes"])) < 300) == ("", True), client_result


def test_bounds_fail_loudly_where_the_driver_differs(graph: Graph) -> None:
    class Another:
        """A session of a driver that has no such place."""

    with pytest.raises(DatabaseError, match="no bound on memory"), Bounds(1).watching(Another()):  # type: ignore[arg-type]
        pass


@pytest.mark.long
def test_20_heavy_queries_end_in_35_s_and_500_mb(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(HEAVY) == 20
    table_lines = ["| statement | ended by | s | MB |", "|---|---|---:|---:|"]
    failures = []
    for query_name, (statement, parameters) in HEAVY.items():
        measured = _run_client(settings, statement, parameters, readonly.SECONDS)
        seconds, megabytes = float(str(measured["seconds"])), float(str(measured["megabytes"]))
        table_lines.append(
            f"| {query_name} | {measured['error'] or 'done'}: {measured['message']} | {seconds:.1f} | {megabytes:.0f} |"
        )
        if seconds > 35 or megabytes > 500 or not _server_answers(settings):
            failures.append(query_name)
        if table_path := os.environ.get("KGP_HEAVY_OUT"):
            Path(table_path).write_text("\n".join(table_lines) + "\n", encoding="utf-8")
        if "had not ended it" in str(measured["message"]):  # as the message advises; else each would leave a busy core
            server.stop(settings)
            server.start(settings)
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(table_lines) + "\n")
    assert failures == []
