"""The guard for a user's own Cypher, on a real server: 500 hostile statements, 500 legitimate ones, limits."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgplatform.errors import DatabaseError, KgpError, QueryRefused
from kgplatform.graph import Graph
from kgplatform.readonly import DEEPEST, MAX_QUERY_LENGTH, check_query, open_query

pytestmark = pytest.mark.server
DATA = Path(__file__).parent.parent / "data"
PARAMETERS = {"cui": "C0004144", "cuis": ["C0004144"], "set": 1, "name": "x", "rows": [{"cui": "C0000001"}], "k": "x"}


def corpus(name: str) -> list[str]:
    corpus_lines = DATA.joinpath(f"{name}_cypher.txt").read_bytes().decode().split("\n")
    return [corpus_line.replace("⏎", "\n") for corpus_line in corpus_lines if corpus_line]


def _statement_rows(graph: Graph, text: str, seconds: float = 30, limit: int = 10_000) -> list[dict[str, object]]:
    with open_query(graph, text, PARAMETERS, seconds=seconds, limit=limit) as answer:
        return list(answer)


def _graph_content(graph: Graph) -> list[object]:
    """What a hostile statement could have changed: counts, every element's content, tokens."""
    statements = (
        "MATCH (n) RETURN count(n) AS n, sum(size(keys(n))) AS k, sum(size(labels(n))) AS l",
        "MATCH ()-[r]->() RETURN count(r) AS n, sum(size(keys(r))) AS k",
        "MATCH (n) WHERE n.name IS NOT NULL RETURN sum(size(n.name)) AS s",
        "MATCH (i:Image) RETURN round(sum(i.naf), 6) AS naf",
        "CALL db.labels() YIELD label RETURN collect(label) AS labels",
        "CALL db.relationshipTypes() YIELD relationshipType AS t RETURN count(t) AS n",
        "CALL db.propertyKeys() YIELD propertyKey AS k RETURN count(k) AS n",
        "CALL db.schema.visualization() YIELD nodes UNWIND nodes AS n "
        "RETURN n.name AS label, n.indexes AS indexes, n.constraints AS constraints ORDER BY label",
    )
    query_results = [_statement_rows(graph, statement) for statement in statements]
    return [
        [{column: content for column, content in record.items() if column != "id"} for record in records]
        for records in query_results
    ]


@pytest.fixture
def loopback_requests() -> Iterator[list[str]]:
    """What a loopback HTTP server was asked for, after its port."""
    requests: list[str] = []

    class Canary(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"a,b\n")

        def log_message(self, *_: object) -> None: ...

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Canary)
    requests.append(str(http_server.server_port))
    server_thread = threading.Thread(target=http_server.serve_forever, daemon=True)
    server_thread.start()
    yield requests
    http_server.shutdown()
    http_server.server_close()


@pytest.mark.data
def test_500_hostile_statements_are_refused_and_change_nothing(medmkg_graph: Graph) -> None:
    statements = corpus("hostile")
    assert len(set(statements)) == 500
    state_before = _graph_content(medmkg_graph)
    accepted = []
    for statement in statements:
        try:
            _statement_rows(medmkg_graph, statement, seconds=5)
        except KgpError:
            continue
        accepted.append(statement)
    assert accepted == []
    assert _graph_content(medmkg_graph) == state_before


@pytest.mark.data
def test_nearly_all_are_refused_by_the_guard_and_not_left_to_the_server(medmkg_graph: Graph) -> None:
    unrefused = []
    for statement in corpus("hostile"):
        try:
            check_query(medmkg_graph, statement, PARAMETERS, seconds=5)
        except QueryRefused:
            continue
        except DatabaseError:
            unrefused.append(statement)
    assert len(unrefused) <= 10, unrefused


@pytest.mark.data
def test_500_legitimate_reads_run(medmkg_graph: Graph) -> None:
    statements = corpus("legitimate")
    assert len(set(statements)) == 500
    refused = []
    for statement in statements:
        try:
            _statement_rows(medmkg_graph, statement, limit=20)
        except KgpError as error:
            refused.append((statement, error.message))
    assert refused == []


@pytest.mark.parametrize(
    "text",
    [
        "LOAD CSV FROM 'http://127.0.0.1:{port}/' AS line RETURN line",
        "RETURN [i IN [1] | COLLECT {{ LOAD CSV FROM 'http://127.0.0.1:{port}/' AS line RETURN line }}] AS x",
        "WITH 1 AS as LOAD CSV FROM 'http://localhost:{port}/' AS line RETURN line",
    ],
)
def test_no_request_reaches_a_loopback_canary(graph: Graph, loopback_requests: list[str], text: str) -> None:
    with pytest.raises(QueryRefused):
        _statement_rows(graph, text.format(port=loopback_requests[0]))
    assert len(loopback_requests) == 1


@pytest.mark.parametrize(
    "text",
    [
        "UNWIND range(1, 100000000000) AS x RETURN sum(x)",
        "UNWIND range(1, 1000000000) AS x WITH x WHERE x < 0 RETURN x",
    ],
)
def test_a_slow_query_is_stopped_at_the_limit(graph: Graph, text: str) -> None:
    start_time = time.monotonic()
    with pytest.raises(DatabaseError, match="stopped after 1 s"):
        _statement_rows(graph, text, seconds=1)
    assert time.monotonic() - start_time < 10


def test_rows_are_cut_and_the_answer_says_so(graph: Graph) -> None:
    with open_query(graph, "UNWIND range(1, 100000000000) AS x RETURN x", limit=5) as answer:
        assert [record["x"] for record in answer] == [1, 2, 3, 4, 5]
        assert answer.cut
    with open_query(graph, "UNWIND range(1, 5) AS x RETURN x", limit=5) as answer:
        assert len(list(answer)) == 5
        assert not answer.cut


def test_nodes_relationships_and_paths_come_as_plain_maps(graph: Graph) -> None:
    record = _statement_rows(graph, "RETURN {a: [1, 2]} AS map, [1, 'b', null] AS list, date('2026-01-02') AS day")[0]
    assert record["map"] == {"a": [1, 2]}
    assert record["list"] == [1, "b", None]
    assert str(record["day"]) == "2026-01-02"


@pytest.mark.parametrize(
    "text", ["", "   ", "// nothing", "RETURN " + "(" * 1000 + "1" + ")" * 1000, "RETURN " + "NOT " * 5000]
)
def test_empty_and_overlong_statements_are_refused_before_the_server_sees_them(graph: Graph, text: str) -> None:
    with pytest.raises(QueryRefused):
        _statement_rows(graph, text)
    with pytest.raises(QueryRefused, match="characters"):
        _statement_rows(graph, "RETURN 1 // " + "x" * MAX_QUERY_LENGTH)
    assert _statement_rows(graph, "RETURN " + "(" * DEEPEST + "1" + ")" * DEEPEST + " AS x") == [{"x": 1}]


def test_a_syntax_error_is_shown_with_its_place_in_the_users_text(graph: Graph) -> None:
    with pytest.raises(DatabaseError, match=r"line 1, column 9\b"):
        _statement_rows(graph, "MATCH n RETURN n")
