"""A password, right or wrong, is in nothing that a command prints, writes or stores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgplatform import readonly
from kgplatform.connect import open_graph
from kgplatform.errors import LoginFailed
from kgplatform.graph import Graph
from kgplatform.server import connection
from kgplatform.settings import Settings
from tests.conftest import Kgp

pytestmark = pytest.mark.server

CANARY = "zebrafinch77"
COMMANDS = [
    ["stats"],
    ["query", "RETURN 1", "--json"],
    ["ingest", "triples", "drugs.csv"],
    ["runs", "list"],
    ["doctor"],
]


def log_in(settings: Settings) -> Iterator[str]:
    """Log in with the right password, until the server no longer refuses it after wrong ones; the refusals' texts."""
    for _ in range(20):
        try:
            open_graph(settings).close()
            return
        except LoginFailed as error:
            yield str(error)
            time.sleep(0.5)
    raise AssertionError("the server refuses the right password")


def test_a_wrong_password_and_that_of_a_proxy_are_not_printed(kgp: Kgp, settings: Settings, tmp_path: Path) -> None:
    server_uri, username, _ = connection(settings)
    (tmp_path / "drugs.csv").write_text("head,relation,tail\naspirin,TREATS,pain\n")
    proxy_url = f"http://user:{CANARY}@127.0.0.1:1"
    environment = {
        "NEO4J_URI": server_uri,
        "NEO4J_USERNAME": username,
        "NEO4J_PASSWORD": CANARY,
        "HTTPS_PROXY": proxy_url,
        "ALL_PROXY": proxy_url,
    }
    try:
        for command in COMMANDS[:3]:
            completed = kgp(*command, env=environment, cwd=tmp_path)
            assert completed.code == 1
            assert "refuses the login" in completed.out + completed.err
            assert CANARY not in completed.out + completed.err
        assert [entry.name for entry in tmp_path.iterdir()] == ["drugs.csv"]
    finally:
        refusals = list(log_in(settings))
    assert refusals, "the server does not refuse logins for a while"
    assert all("after several wrong passwords" in refusal for refusal in refusals)


def test_the_password_is_in_no_output_file_or_node(graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path) -> None:
    server_uri, username, password = connection(settings)
    (tmp_path / "drugs.csv").write_text("head,relation,tail\naspirin,TREATS,pain\n")
    environment = {"NEO4J_URI": server_uri, "NEO4J_USERNAME": username, "NEO4J_PASSWORD": password}
    for command in [*COMMANDS, ["export", "csv", "--out", "export"], ["browser-setup"]]:
        completed = kgp(*command, env=environment, cwd=tmp_path)
        assert password not in completed.out + completed.err
    for written_path in tmp_path.rglob("*"):
        assert written_path.is_dir() or password.encode() not in written_path.read_bytes()
    with readonly.open_query(graph, "MATCH (n) RETURN properties(n) AS values") as answer:
        node_properties = list(answer.rows)
    assert "drugs.csv" in str(node_properties)
    assert password not in str(node_properties)
