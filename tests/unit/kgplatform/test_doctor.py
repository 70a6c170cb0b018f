"""`kgp doctor` without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgplatform import doctor
from kgplatform.doctor import Level
from kgplatform.errors import DatabaseError, LoginFailed
from kgplatform.graph import Graph
from kgplatform.queries import Query
from kgplatform.server import jars, state
from kgplatform.settings import Settings


class Answering:
    """A graph that answers each named query with given rows."""

    def __init__(self, **rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def read(self, query: Query, **parameters: Any) -> list[dict[str, Any]]:
        query.bind(parameters)
        return self.rows[query.name.removeprefix("doctor/")]


LOCAL = Settings(home=Path("/nowhere"))
FOREIGN = Settings(home=Path("/nowhere"), uri="bolt://127.0.0.1:7687", password="x")
SAFE = [
    {"name": "dbms.security.auth_enabled", "value": "true"},
    {"name": "dbms.security.allow_csv_import_from_file_urls", "value": "false"},
]


def test_the_expected_names_come_from_the_schema_files() -> None:
    assert doctor.expected_schema("CONSTRAINT") >= {"image_id", "concept_cui", "entity_id", "thing_id", "run_id"}
    assert doctor.expected_schema("FULLTEXT INDEX") == {"concept_names"}


@pytest.mark.parametrize(
    ("version", "level"),
    [("5.26.30", Level.OK), ("2026.08.1", Level.OK), ("5.25.1", Level.FAIL), ("4.4.0", Level.FAIL)],
)
def test_servers_older_than_5_26_fail(version: str, level: Level) -> None:
    graph: Any = Answering(version=[{"version": version, "edition": "community"}])
    assert doctor._version(graph).level is level


def test_constraints_are_compared_with_the_schema_files() -> None:
    constraint_names = sorted(doctor.expected_schema("CONSTRAINT"))
    index_rows = [{"name": "concept_names", "state": "ONLINE"}]
    complete_graph: Any = Answering(
        constraints=[{"name": constraint_name} for constraint_name in constraint_names], fulltext=index_rows
    )
    assert doctor._schema(complete_graph).level is Level.OK
    partial_graph: Any = Answering(
        constraints=[{"name": constraint_name} for constraint_name in constraint_names[1:]], fulltext=index_rows
    )
    finding = doctor._schema(partial_graph)
    assert (finding.level, finding.what) == (Level.FAIL, f"missing: {constraint_names[0]}")
    empty_graph: Any = Answering(constraints=[], fulltext=[])
    assert doctor._schema(empty_graph).level is Level.WARN


def test_open_security_settings_fail_on_our_server_and_warn_on_a_foreign_one() -> None:
    unsafe_graph: Any = Answering(settings=[SAFE[0], {**SAFE[1], "value": "true"}])
    safe_graph: Any = Answering(settings=SAFE)
    assert doctor._security(safe_graph, LOCAL).level is Level.OK
    assert doctor._security(unsafe_graph, LOCAL).level is Level.FAIL
    finding = doctor._security(unsafe_graph, FOREIGN)
    assert finding.level is Level.WARN
    assert "allow_csv_import_from_file_urls=false" in finding.mend
    assert "cypher_ip_blocklist" in doctor._security(safe_graph, FOREIGN).mend


@pytest.mark.parametrize(
    ("uri", "level"),
    [
        ("bolt://127.0.0.1:7687", Level.OK),
        ("bolt://localhost", Level.OK),
        ("bolt://[::1]:7687", Level.OK),
        ("neo4j+s://x.databases.example", Level.OK),
        ("bolt://10.0.0.7:7687", Level.FAIL),
        ("neo4j://graph.example", Level.FAIL),
        ("bolt://localhost.example", Level.FAIL),
        ("bolt://127.0.0.1.example", Level.FAIL),
    ],
)
def test_an_open_connection_to_another_machine_fails(uri: str, level: Level) -> None:
    assert doctor._transport(uri).level is level


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (None, Level.FAIL),
        (LoginFailed("refused"), Level.OK),
        (DatabaseError("change it", code="Neo.ClientError.Security.CredentialsExpired"), Level.FAIL),
        (DatabaseError("wait", code="Neo.ClientError.Security.AuthenticationRateLimit"), Level.OK),
    ],
)
def test_the_default_password_fails_where_it_is_accepted(
    error: DatabaseError | None, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    def verify(self: Graph) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(Graph, "verify", verify)
    assert doctor._default_password("bolt://127.0.0.1:1").level is level


def test_a_readable_password_file_fails(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    password_path = state.password_file(settings.server_home)
    assert doctor._password_file(password_path).level is Level.OK
    state.make_folders(settings.server_home)
    state.make_password(settings.server_home)
    assert doctor._password_file(password_path).level is Level.OK
    password_path.chmod(0o644)
    finding = doctor._password_file(password_path)
    assert finding.level is Level.FAIL
    assert "chmod 600" in finding.mend


def test_a_wrong_jar_is_found(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert doctor._jars(settings).level is Level.OK
    jars.neo4j_folder(settings).mkdir(parents=True)
    (jars.neo4j_folder(settings) / jars.read_pins()[0].name).write_text("evil")
    finding = doctor._jars(settings)
    assert finding.level is Level.FAIL
    assert jars.read_pins()[0].name in finding.what


def test_without_a_server_everything_else_is_still_looked_at(tmp_path: Path) -> None:
    findings = {finding.name: finding for finding in doctor.examine(Settings(home=tmp_path))}
    assert findings["connection"].level is Level.FAIL
    assert "kgp db start" in findings["connection"].mend
    assert findings.keys() >= {"python", "neo4j", "java", "jars", "password file", "memory", "disk"}
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"
