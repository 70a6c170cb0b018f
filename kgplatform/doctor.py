"""What may stand in the way of using the platform, and how to mend each."""

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
from kgplatform.errors import ConnectionFailed, DatabaseError, KgpError, LoginFailed
from kgplatform.graph import Graph
from kgplatform.server import config, jars, java, state, status
from kgplatform.settings import Settings

OLDEST_SERVER = (5, 26)
GIB = 1024**3
_MADE = re.compile(r"CREATE\s+(CONSTRAINT|FULLTEXT\s+INDEX)\s+(\w+)", re.IGNORECASE)
_SETTINGS_SEEN = ("dbms.security.auth_enabled", "dbms.security.allow_csv_import_from_file_urls")
_BLOCKLIST = "internal.dbms.cypher_ip_blocklist"


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is, how it is, and how to mend it."""

    name: str
    level: Level
    what: str
    mend: str = ""


def examine(settings: Settings) -> list[Finding]:
    """All findings, the machine's first and then the server's. Never raises for what it finds."""
    return [*_machine(settings), *_server(settings)]


def expected_schema(kind: str) -> set[str]:
    """Names that ``cypher/schema/`` creates; `kind` is ``CONSTRAINT`` or ``FULLTEXT INDEX``."""
    texts = (queries.get(name).text for name in queries.names("schema"))
    return {found[2] for text in texts for found in _MADE.finditer(text) if found[1].upper() == kind}


def is_loopback(uri: str) -> bool:
    """Whether the address stays on this machine."""
    host = urlsplit(uri).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _machine(settings: Settings) -> Iterator[Finding]:
    yield _python()
    for package in ("kgplatform", "neo4j"):
        yield _package(package)
    if settings.uri is None:
        yield _checked("java", lambda: f"Java {java.find().version} at {java.find().path}")
        yield _jars(settings)
        yield _password_file(state.password_file(settings.server_home))
    yield _memory(starts_server=settings.uri is None and not status(settings).running)
    yield _disk(settings.home)


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding(
        "python", Level.OK if ok else Level.FAIL, platform.python_version(), "" if ok else "Use 3.11 or newer."
    )


def _package(name: str) -> Finding:
    try:
        return Finding(name, Level.OK, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(
            name, Level.WARN, "used without being installed", "`pip install kgplatform` (or `pip install -e .`)"
        )


def _checked(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, Level.OK, look())
    except KgpError as error:
        return Finding(name, Level.FAIL, error.message, error.hint)


def _jars(settings: Settings) -> Finding:
    if not jars.folder(settings).is_dir():
        return Finding("jars", Level.OK, f"Neo4j {jars.VERSION} is not fetched yet; `kgp db start` does that")
    return _checked(
        "jars", lambda: f"{len(jars.check(settings))} jars of Neo4j {jars.VERSION} have their pinned sha256"
    )


def _password_file(path: Path) -> Finding:
    if not path.exists():
        return Finding("password file", Level.OK, "none yet; `kgp db start` makes one")
    modes = [stat.S_IMODE(place.stat().st_mode) for place in (path, path.parent)]
    if sys.platform != "win32" and any(mode & 0o077 for mode in modes):
        mend = f"chmod 700 {path.parent} && chmod 600 {path}"
        return Finding("password file", Level.FAIL, f"others may read {path}", mend)
    return Finding("password file", Level.OK, f"only you may read {path}")


def _memory(*, starts_server: bool) -> Finding:
    wanted = config.memory()
    needed = (wanted.heap + wanted.page_cache) * config.MIB if starts_server else GIB
    free = psutil.virtual_memory().available
    what = f"{free / GIB:.1f} GB free" + (f"; the local server takes up to {needed / GIB:.1f} GB" * starts_server)
    level = Level.OK if free >= needed else Level.WARN
    return Finding("memory", level, what, "" if level is Level.OK else "Close other programs before a large load.")


def _disk(home: Path) -> Finding:
    existing = next(place for place in (home, *home.parents) if place.exists())
    free = shutil.disk_usage(existing).free / GIB
    level = Level.OK if free >= 5 else Level.WARN if free >= 1 else Level.FAIL
    mend = "" if level is Level.OK else "Free some space, or set KGP_HOME to another disk."
    return Finding("disk", level, f"{free:.1f} GB free for {home}", mend)


def _server(settings: Settings) -> Iterator[Finding]:
    uri = settings.uri or status(settings).uri
    if settings.uri is not None:
        yield _transport(uri)
    try:
        graph = Graph.open(settings)
    except KgpError as error:
        yield Finding("connection", Level.FAIL, error.message, error.hint)
        return
    with graph:
        yield Finding("connection", Level.OK, f"logged in at {uri}")
        yield _default_password(uri)
        for look in (_version, _schema, lambda graph: _security(graph, settings)):
            try:
                yield look(graph)
            except DatabaseError as error:
                yield Finding(
                    "server", Level.WARN, error.message, error.hint or "This user may not see it; ask its keeper."
                )


def _transport(uri: str) -> Finding:
    encrypted = urlsplit(uri).scheme in ("bolt+s", "neo4j+s", "bolt+ssc", "neo4j+ssc")
    if encrypted or is_loopback(uri):
        return Finding("transport", Level.OK, "encrypted" if encrypted else "loopback")
    what = f"{uri} is another machine and the connection is not encrypted: password and reports pass in the open"
    return Finding("transport", Level.FAIL, what, "Use neo4j+s:// or bolt+s://, or an SSH tunnel to loopback.")


def _default_password(uri: str) -> Finding:
    refused = Finding("default password", Level.OK, "neo4j/neo4j is refused")
    try:
        with Graph(uri, "neo4j", "neo4j") as graph:
            graph.verify()
    except LoginFailed:
        return refused
    except ConnectionFailed as error:
        return Finding("default password", Level.WARN, f"could not be tried: {error.message}")
    except DatabaseError as error:  # logged in, and told to change the password first; or too many tries
        if error.code.endswith("AuthenticationRateLimit"):
            return refused
    mend = "Set a password: ALTER CURRENT USER SET PASSWORD in Neo4j Browser, and keep authentication on."
    return Finding("default password", Level.FAIL, "neo4j/neo4j is accepted", mend)


def _version(graph: Graph) -> Finding:
    found = graph.read(queries.get("doctor/version"))[0]
    numbers = tuple(int(part) for part in re.findall(r"\d+", found["version"])[:2])
    what = f"Neo4j {found['version']} {found['edition']}"
    if numbers < OLDEST_SERVER:
        return Finding("server version", Level.FAIL, what, "The platform needs 5.26 or newer.")
    return Finding("server version", Level.OK, what)


def _schema(graph: Graph) -> Finding:
    constraints = {row["name"] for row in graph.read(queries.get("doctor/constraints"))}
    indexes = {row["name"] for row in graph.read(queries.get("doctor/fulltext")) if row["state"] == "ONLINE"}
    wanted, there = expected_schema("CONSTRAINT") | expected_schema("FULLTEXT INDEX"), constraints | indexes
    missing = sorted(wanted - there)
    if missing == sorted(wanted):
        return Finding("constraints", Level.WARN, "none yet", "The first `kgp ingest` creates them.")
    if missing:
        return Finding(
            "constraints", Level.FAIL, f"missing: {', '.join(missing)}", "Any `kgp ingest` creates them again."
        )
    return Finding("constraints", Level.OK, f"all {len(wanted)} are there")


def _security(graph: Graph, settings: Settings) -> Finding:
    found = graph.read(queries.get("doctor/settings"), names=list(_SETTINGS_SEEN))
    values = {row["name"]: str(row["value"]) for row in found}
    wrong = [f"{name}={config.SECURITY[name]}" for name in _SETTINGS_SEEN if values.get(name) != config.SECURITY[name]]
    if settings.uri is None:
        if wrong:
            return Finding(
                "security", Level.FAIL, f"not in force: {', '.join(wrong)}", "`kgp db stop`, then `kgp db start`."
            )
        return Finding("security", Level.OK, "queries can read no file and reach no address")
    if wrong:
        mend = f"Set {', '.join([*wrong, _BLOCKLIST])}=0.0.0.0/0,::/0 in its neo4j.conf."
        return Finding("security", Level.WARN, "any query can make this server read its files", mend)
    mend = f"Make sure of {_BLOCKLIST}=0.0.0.0/0,::/0 in its neo4j.conf."
    return Finding(
        "security", Level.WARN, "files are closed to queries; whether addresses are, the server does not show", mend
    )
