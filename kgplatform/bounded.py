"""Reads statements that are not ours within bounds that hold on this side, regardless of what the server does.

A server ends a transaction only where the running operator looks whether it should; an expression such as
``reduce(x = 0, i IN range(1, 30000000000) | x + i)`` never looks. So a timer of our own closes the connection. And a
record is counted as its bytes arrive: the driver decodes whole records, and one of 250 MB takes 2.7 GB decoded.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

import neo4j

from kgplatform import queries
from kgplatform.errors import DatabaseError

if TYPE_CHECKING:
    from kgplatform.graph import Graph

RECORD_BYTES: Final = 2 * 1024**2  # as sent; the worst of a kind (empty maps, 1 byte each) takes 72 times that decoded
GRACE: Final = 1.5  # seconds that the server has to end the transaction by its own time limit
ENDING: Final = 1.5  # seconds that a transaction may take to end after it was asked to


@dataclass
class Bounds:
    """The bounds of one statement: `seconds` in all from now on, and the bytes of a record."""

    seconds: float
    record_bytes: int = RECORD_BYTES
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    exceeded: str = ""  # what was exceeded: "time" or "size"
    _end: float = field(init=False)
    _received: int = 0
    _session: neo4j.Session | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    @property
    def left(self) -> float:
        """Seconds that are left, for the server's own limit; at least a millisecond, as 0 means none."""
        return max(self._end - time.monotonic(), 0.001)

    def next_record(self) -> None:
        """Begin to count again: what came before is with the caller."""
        self._received = 0

    def count(self, received: int) -> None:
        """Count bytes of a record. Raises OSError, which the driver takes for a lost connection."""
        self._received += received
        if self._received > self.record_bytes:
            self.exceeded = "size"
            raise OSError("the record is too large")

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Close the connection of the session of `begin` when the time is over: also while its transaction begins
        and while it is left, which wait for the server's answer.
        """
        timer = threading.Timer(self.left + GRACE, self._time_out)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def begin(self, session: neo4j.Session) -> None:
        """Let the timer close this session's connection."""
        self._session = session

    @contextmanager
    def watching(self, session: neo4j.Session) -> Iterator[None]:
        """Count what the session's connection receives, and let the timer close it. The connection then goes back to
        the driver's pool as it was: the platform's own queries have no such bounds.
        """
        socket = _Socket.install(session, self)
        try:
            yield
        except KeyboardInterrupt:
            socket.close()
            raise
        finally:
            socket.release()

    def _time_out(self) -> None:
        self.exceeded = "time"
        socket = getattr(_inbox(self._session), "_socket", None)
        if socket is not None:
            socket.close()


class _Socket:
    """The socket of a Bolt connection, which counts what is received."""

    def __init__(self, inbox: Any, bounds: Bounds) -> None:
        self._inbox = inbox
        self._socket = inbox._socket
        self._bounds = bounds
        inbox._socket = self

    @classmethod
    def install(cls, session: neo4j.Session, bounds: Bounds) -> Self:
        """Put it between the driver and the socket. Raises `DatabaseError` where the driver has no such place.

        The driver offers nothing public here; tests/integration/test_heavy_queries.py fails if a version differs.
        """
        inbox = _inbox(session)
        socket = getattr(inbox, "_socket", None)
        if inbox is None or not callable(getattr(socket, "recv_into", None)):
            hint = "Use a Bolt address, and the driver's version in constraints.txt."
            raise DatabaseError("this connection has no bound on memory", hint)
        return cls(inbox, bounds)

    def recv_into(self, buffer: memoryview, size: int) -> int:
        received: int = self._socket.recv_into(buffer, size)
        self._bounds.count(received)
        return received

    def release(self) -> None:
        """Give the driver its own socket back."""
        self._inbox._socket = self._socket

    def close(self) -> None:
        """Close the connection, also while another thread waits for it."""
        self._socket.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def _inbox(session: neo4j.Session | None) -> Any:
    """Where the session's connection reads its messages, None where it has none yet."""
    return getattr(getattr(session, "_connection", None), "inbox", None)


def end(graph: Graph, bounds: Bounds) -> bool:
    """Ask the server to end the statement's transaction; whether it did, soon enough. A server that does not answer
    did not.
    """
    ended = threading.Event()

    def ask() -> None:
        with suppress(DatabaseError):
            graph.read(queries.get("readonly/terminate"), mark=bounds.mark)
            while graph.read(queries.get("readonly/running"), mark=bounds.mark):
                time.sleep(0.1)
            ended.set()

    threading.Thread(target=ask, daemon=True).start()  # a server that hangs must not hold the user up
    return ended.wait(ENDING)
