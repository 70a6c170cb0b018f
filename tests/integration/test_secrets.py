"""A password, right or wrong, is in nothing that a command prints, writes or stores."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kgplatform import readonly
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
            Graph.open(settings).close()
            return
        except LoginFailed as error:
            yield str(error)
            time.sleep(0.5)
    raise AssertionError("the server refuses the right password")


def test_a_wrong_password_and_that_of_a_proxy_are_not_printed(kgp: Kgp, settings: Settings, tmp_path: Path) -> None:
    uri, user, _ = connection(settings)
    (tmp_path / "drugs.csv").write_text("head,relation,tail\naspirin,TREATS,pain\n")
    proxy = f"http://user:{CANARY}@127.0.0.1:1"
    env = {"NEO4J_URI": uri, "NEO4J_USERNAME": user, "NEO4J_PASSWORD": CANARY, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy}
    try:
        for command in COMMANDS[:3]:
            ran = kgp(*command, env=env, cwd=tmp_path)
            assert ran.code == 1
            assert "refuses the login" in ran.out + ran.err
            assert CANARY not in ran.out + ran.err
        assert [path.name for path in tmp_path.iterdir()] == ["drugs.csv"]
    finally:
        refusals = list(log_in(settings))
    assert refusals, "the server does not refuse logins for a while"
    assert all("after several wrong passwords" in refusal for refusal in refusals)


def test_the_password_is_in_no_output_file_or_node(graph: Graph, kgp: Kgp, settings: Settings, tmp_path: Path) -> None:
    uri, user, password = connection(settings)
    (tmp_path / "drugs.csv").write_text("head,relation,tail\naspirin,TREATS,pain\n")
    env = {"NEO4J_URI": uri, "NEO4J_USERNAME": user, "NEO4J_PASSWORD": password}
    for command in [*COMMANDS, ["export", "csv", "--out", "export"], ["browser-setup"]]:
        ran = kgp(*command, env=env, cwd=tmp_path)
        assert password not in ran.out + ran.err
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or password.encode() not in path.read_bytes()
    with readonly.ask(graph, "MATCH (n) RETURN properties(n) AS values") as answer:
        values = list(answer.rows)
    assert "drugs.csv" in str(values)
    assert password not in str(values)
