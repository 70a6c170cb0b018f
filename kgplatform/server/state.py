"""What the local server keeps on disk besides Neo4j's own folders: ports, pid, password and a lock."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from kgplatform.errors import ServerError
from kgplatform.server.config import HOST, Ports
from kgplatform.settings import Settings

USER = "neo4j"
READINGS = 40  # of a command line that is empty, a twentieth of a second apart
FOLDERS = ("data", "conf", "logs", "import", "run", "plugins")


@dataclass(frozen=True)
class Server:
    """The local server as users see it. It holds no secret."""

    uri: str
    browser: str
    user: str
    home: Path
    pid: int | None
    running: bool


def _command_line(process: psutil.Process) -> list[str]:
    """The command line of a process. Linux shows none for a moment while a program is put in place of the one that
    started it (execve closes our pipe before it sets the arguments); on a busy machine the moment is long.
    """
    for _ in range(READINGS):
        if command_line := process.cmdline():
            return command_line
        time.sleep(0.05)
    return []


@dataclass(frozen=True)
class ServerState:
    """Ports used last, and the server's process while there is one."""

    ports: Ports = field(default_factory=Ports)
    pid: int | None = None

    def process(self, home: Path) -> psutil.Process | None:
        """The running server; None when there is none, or when the pid belongs to another program by now."""
        if self.pid is None:
            return None
        try:
            process = psutil.Process(self.pid)
            is_ours = home_argument(home) in _command_line(process)
        except psutil.Error:  # gone, a zombie, or another user's
            return None
        return process if is_ours else None

    def server(self, home: Path) -> Server:
        """The state in the words of users."""
        process = self.process(home)
        return Server(
            uri=f"bolt://{HOST}:{self.ports.bolt}",
            browser=f"http://{HOST}:{self.ports.http}/browser/",
            user=USER,
            home=home,
            pid=process.pid if process else None,
            running=process is not None and self.listening(process),
        )

    def listening(self, process: psutil.Process) -> bool:
        """Whether this very process has both ports open."""
        try:
            connections = process.net_connections(kind="tcp")
        except psutil.Error:
            return False
        open_ports = {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}
        return {self.ports.bolt, self.ports.http} <= open_ports


def home_argument(home: Path) -> str:
    """The argument by which a server's process is known."""
    return f"--home-dir={home.resolve()}"


def make_folders(home: Path) -> None:
    """Neo4j's folders, for nobody else's eyes; raises `ServerError` where they cannot be made."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        for folder_name in FOLDERS:
            (home / folder_name).mkdir(exist_ok=True, mode=0o700)
    except OSError as error:
        raise ServerError(
            f"cannot keep a server in {home}: {error.strerror}", "Set KGP_HOME to another folder."
        ) from None


def load_state(home: Path) -> ServerState:
    """The state; the usual ports when nothing is remembered."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        stored_state = json.loads(_state_file(home).read_text(encoding="utf-8"))
        return ServerState(
            Ports(int(stored_state["ports"]["bolt"]), int(stored_state["ports"]["http"])), stored_state["pid"]
        )
    return ServerState()


def save_state(home: Path, state: ServerState) -> ServerState:
    """Remember `state`."""
    write_private(_state_file(home), json.dumps(asdict(state)))
    return state


def forget_process(home: Path) -> None:
    """Remember the ports only."""
    save_state(home, replace(load_state(home), pid=None))


def store_exists(settings: Settings) -> bool:
    """Whether the local server has been started, or imported into, since it was last reset."""
    return (settings.server_home / "data" / "databases").is_dir()


def password_file(home: Path) -> Path:
    """Where the password is: mode 0600 in a folder of mode 0700."""
    return home / "password"


def read_password(home: Path) -> str:
    """The password; raises `ServerError` when the file is lost, for Neo4j keeps only its hash."""
    try:
        return password_file(home).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise ServerError(
            f"the password file {password_file(home)} is missing",
            "Neo4j cannot show it again: restore the file, or delete the graph with `kgp db reset`.",
        ) from None


def make_password(home: Path) -> str:
    """A new random password, written before it is used."""
    write_private(password_file(home), secrets.token_hex(24) + "\n")
    return read_password(home)


def write_private(path: Path, text: str) -> None:
    """Write the file whole or not at all; never readable by others, not even for a moment."""
    partial_path = path.with_name(path.name + ".part")
    partial_path.unlink(missing_ok=True)
    with os.fdopen(
        os.open(partial_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as partial_file:
        partial_file.write(text)
        partial_file.flush()
        os.fsync(partial_file.fileno())
    partial_path.replace(path)


@contextlib.contextmanager
def exclusive(home: Path) -> Iterator[None]:
    """Only one process at a time starts, stops or resets the server; the others wait."""
    make_folders(home)
    with hold_lock(home / "run" / "lock"):
        yield


@contextlib.contextmanager
def hold_lock(lock: Path) -> Iterator[None]:
    """Only one process at a time holds the file's lock; the others wait."""
    with os.fdopen(os.open(lock, os.O_WRONLY | os.O_CREAT, 0o600), "w") as lock_file:
        _lock(lock_file.fileno())
        yield  # closing the file releases the lock, and so does the end of the process


def choose_ports(last: Ports) -> Ports:
    """The ports used last, so that bookmarks keep working, else the usual ones, else free ones."""
    usual_ports = Ports()
    bolt_port = _first_free(last.bolt, usual_ports.bolt)
    return Ports(bolt_port, _first_free(last.http, usual_ports.http, excluded_port=bolt_port))


def _first_free(*candidate_ports: int, excluded_port: int = 0) -> int:
    for port in candidate_ports:
        if port != excluded_port and is_free(port):
            return port
    with socket.socket() as probe_socket:
        probe_socket.bind((HOST, 0))
        return int(probe_socket.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether a server could listen there on loopback."""
    with socket.socket() as probe_socket:
        if probe_socket.connect_ex((HOST, port)) == 0:
            return False  # some systems let us bind next to a server that listens on all addresses
    with socket.socket() as probe_socket:
        if os.name == "posix":
            probe_socket.setsockopt(
                socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
            )  # a port that a dead server left in TIME_WAIT is free
        try:
            probe_socket.bind((HOST, port))
        except OSError:
            return False
    return True


def _state_file(home: Path) -> Path:
    return home / "run" / "server.json"


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        while True:
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            except OSError as error:
                if error.errno not in (errno.EACCES, errno.EDEADLOCK):
                    raise
                time.sleep(0.1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
