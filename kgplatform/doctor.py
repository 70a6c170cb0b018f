"""What may prevent using the platform, and how to mend each."""

from __future__ import annotations

import importlib.metadata
import ipaddress
import platform
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import psutil

from kgplatform import queries
from kgplatform.connect import open_graph
from kgplatform.errors import ConnectionFailed, DatabaseError, KgpError, LoginFailed
from kgplatform.graph import Graph
from kgplatform.server import config, jars, java, state, status
from kgplatform.settings import Settings

OLDEST_SERVER = (5, 26)
GIB = 1024**3
_SCHEMA_STATEMENT = re.compile(r"CREATE\s+(CONSTRAINT|FULLTEXT\s+INDEX)\s+(\w+)", re.IGNORECASE)
_READ_SETTINGS = ("dbms.security.auth_enabled", "dbms.security.allow_csv_import_from_file_urls")
_BLOCKLIST = "internal.dbms.cypher_ip_blocklist"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at: what it is, how it is, and how to mend it."""

    name: str
    level: Level
    what: str
    mend: str = ""


def examine(settings: Settings) -> list[Diagnosis]:
    """All findings, the machine's first and then the server's. Never raises for what it finds."""
    return [*_machine(settings), *_server(settings)]


def expected_schema(kind: str) -> set[str]:
    """Names that ``cypher/schema/`` creates; `kind` is ``CONSTRAINT`` or ``FULLTEXT INDEX``."""
    query_texts = (queries.get(query_name).text for query_name in queries.query_names("schema"))
    return {
        match[2]
        for query_text in query_texts
        for match in _SCHEMA_STATEMENT.finditer(query_text)
        if match[1].upper() == kind
    }


def is_loopback(uri: str) -> bool:
    """Whether the address stays on this machine."""
    host_name = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(host_name).is_loopback
    except ValueError:
        return host_name == "localhost"


def _machine(settings: Settings) -> Iterator[Diagnosis]:
    yield _python()
    for package in ("kgplatform", "neo4j"):
        yield _package(package)
    if settings.uri is None:
        yield _checked("java", lambda: f"Java {java.find_java().version} at {java.find_java().path}")
        yield _jars(settings)
        yield _password_file(state.password_file(settings.server_home))
    yield _memory(starts_server=settings.uri is None and not status(settings).running)
    yield _disk(settings.home)


def _python() -> Diagnosis:
    is_supported = sys.version_info >= (3, 11)
    return Diagnosis(
        "python",
        Level.OK if is_supported else Level.FAIL,
        platform.python_version(),
        "" if is_supported else "Use 3.11 or newer.",
    )


def _package(package_name: str) -> Diagnosis:
    try:
        return Diagnosis(package_name, Level.OK, importlib.metadata.version(package_name))
    except importlib.metadata.PackageNotFoundError:
        return Diagnosis(
            package_name,
            Level.WARN,
            "used without being installed",
            "In the folder of the code: `make quickstart` or `pip install -e .`",
        )


def _checked(finding_name: str, describe: Callable[[], str]) -> Diagnosis:
    try:
        return Diagnosis(finding_name, Level.OK, describe())
    except KgpError as error:
        return Diagnosis(finding_name, Level.FAIL, error.message, error.hint)


def _jars(settings: Settings) -> Diagnosis:
    if not jars.neo4j_folder(settings).is_dir():
        return Diagnosis("jars", Level.OK, f"Neo4j {jars.VERSION} is not fetched yet; `kgp db start` does that")
    return _checked(
        "jars", lambda: f"{len(jars.check_jars(settings))} jars of Neo4j {jars.VERSION} have their pinned sha256"
    )


def _password_file(password_path: Path) -> Diagnosis:
    if not password_path.exists():
        return Diagnosis("password file", Level.OK, "none yet; `kgp db start` creates one")
    permissions = [stat.S_IMODE(guarded_path.stat().st_mode) for guarded_path in (password_path, password_path.parent)]
    if sys.platform != "win32" and any(permission & 0o077 for permission in permissions):
        remedy = f"chmod 700 {password_path.parent} && chmod 600 {password_path}"
        return Diagnosis("password file", Level.FAIL, f"others may read {password_path}", remedy)
    return Diagnosis("password file", Level.OK, f"only you may read {password_path}")


def _memory(*, starts_server: bool) -> Diagnosis:
    server_memory = config.memory()
    needed_bytes = (server_memory.heap + server_memory.page_cache) * config.MIB if starts_server else GIB
    free_bytes = psutil.virtual_memory().available
    description = f"{free_bytes / GIB:.1f} GB free" + (
        f"; the local server takes up to {needed_bytes / GIB:.1f} GB" * starts_server
    )
    level = Level.OK if free_bytes >= needed_bytes else Level.WARN
    return Diagnosis(
        "memory", level, description, "" if level is Level.OK else "Close other programs before a large load."
    )


def _disk(home: Path) -> Diagnosis:
    existing_folder = next(ancestor for ancestor in (home, *home.parents) if ancestor.exists())
    free_gib = shutil.disk_usage(existing_folder).free / GIB
    level = Level.OK if free_gib >= 5 else Level.WARN if free_gib >= 1 else Level.FAIL
    remedy = "" if level is Level.OK else "Free some space, or set KGP_HOME to another disk."
    return Diagnosis("disk", level, f"{free_gib:.1f} GB free for {home}", remedy)


def _server(settings: Settings) -> Iterator[Diagnosis]:
    uri = settings.uri or status(settings).uri
    if settings.uri is not None:
        yield _transport(uri)
    try:
        graph = open_graph(settings)
    except KgpError as error:
        yield Diagnosis("connection", Level.FAIL, error.message, error.hint)
        return
    with graph:
        yield Diagnosis("connection", Level.OK, f"logged in at {uri}")
        yield _default_password(uri)
        for check in (_version, _schema, lambda graph: _security(graph, settings)):
            try:
                yield check(graph)
            except DatabaseError as error:
                yield Diagnosis(
                    "server",
                    Level.WARN,
                    error.message,
                    error.hint or "This user may not see it; ask the server's administrator.",
                )


def _transport(uri: str) -> Diagnosis:
    is_encrypted = urlsplit(uri).scheme in ("bolt+s", "neo4j+s", "bolt+ssc", "neo4j+ssc")
    if is_encrypted or is_loopback(uri):
        return Diagnosis("transport", Level.OK, "encrypted" if is_encrypted else "loopback")
    problem = f"{uri} is another machine and the connection is not encrypted: password and reports are not protected"
    return Diagnosis("transport", Level.FAIL, problem, "Use neo4j+s:// or bolt+s://, or an SSH tunnel to loopback.")


def _default_password(uri: str) -> Diagnosis:
    refused_finding = Diagnosis("default password", Level.OK, "neo4j/neo4j is refused")
    try:
        with Graph(uri, "neo4j", "neo4j") as graph:
            graph.verify()
    except LoginFailed:
        return refused_finding
    except ConnectionFailed as error:
        return Diagnosis("default password", Level.WARN, f"could not be checked: {error.message}")
    except DatabaseError as error:  # logged in, but the password must be changed first; or too many attempts
        if error.code.endswith("AuthenticationRateLimit"):
            return refused_finding
    remedy = "Set a password: ALTER CURRENT USER SET PASSWORD in Neo4j Browser, and keep authentication on."
    return Diagnosis("default password", Level.FAIL, "neo4j/neo4j is accepted", remedy)


def _version(graph: Graph) -> Diagnosis:
    version_record = graph.read(queries.get("doctor/version"))[0]
    version_numbers = tuple(int(number_text) for number_text in re.findall(r"\d+", version_record["version"])[:2])
    description = f"Neo4j {version_record['version']} {version_record['edition']}"
    if version_numbers < OLDEST_SERVER:
        return Diagnosis("server version", Level.FAIL, description, "The platform needs 5.26 or newer.")
    return Diagnosis("server version", Level.OK, description)


def _schema(graph: Graph) -> Diagnosis:
    constraints = {schema_row["name"] for schema_row in graph.read(queries.get("doctor/constraints"))}
    indexes = {
        schema_row["name"]
        for schema_row in graph.read(queries.get("doctor/fulltext"))
        if schema_row["state"] == "ONLINE"
    }
    expected_names, existing_names = (
        expected_schema("CONSTRAINT") | expected_schema("FULLTEXT INDEX"),
        constraints | indexes,
    )
    missing_names = sorted(expected_names - existing_names)
    if missing_names == sorted(expected_names):
        return Diagnosis("constraints", Level.WARN, "none yet", "The first `kgp ingest` creates them.")
    if missing_names:
        return Diagnosis(
            "constraints", Level.FAIL, f"missing: {', '.join(missing_names)}", "Any `kgp ingest` creates them again."
        )
    return Diagnosis("constraints", Level.OK, f"all {len(expected_names)} are there")


def _security(graph: Graph, settings: Settings) -> Diagnosis:
    setting_rows = graph.read(queries.get("doctor/settings"), names=list(_READ_SETTINGS))
    setting_values = {setting_row["name"]: str(setting_row["value"]) for setting_row in setting_rows}
    wrong_settings = [
        f"{setting_name}={config.SECURITY[setting_name]}"
        for setting_name in _READ_SETTINGS
        if setting_values.get(setting_name) != config.SECURITY[setting_name]
    ]
    if settings.uri is None:
        if wrong_settings:
            return Diagnosis(
                "security",
                Level.FAIL,
                f"not in force: {', '.join(wrong_settings)}",
                "`kgp db stop`, then `kgp db start`.",
            )
        return Diagnosis("security", Level.OK, "queries cannot read files or reach addresses")
    if wrong_settings:
        remedy = f"Set {', '.join([*wrong_settings, _BLOCKLIST])}=0.0.0.0/0,::/0 in its neo4j.conf."
        return Diagnosis("security", Level.WARN, "any query can make this server read its files", remedy)
    remedy = f"Make sure that its neo4j.conf has {_BLOCKLIST}=0.0.0.0/0,::/0."
    return Diagnosis(
        "security",
        Level.WARN,
        "queries cannot read files; the server does not show whether they can reach addresses",
        remedy,
    )
