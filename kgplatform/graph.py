"""The only module that talks Bolt: one `Graph` a database, named queries in, plain records out."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import neo4j
from neo4j.exceptions import (
    AuthError,
    ClientError,
    ConfigurationError,
    DriverError,
    IncompleteCommit,
    Neo4jError,
    ServiceUnavailable,
    SessionExpired,
    TransientError,
)

from kgplatform import interrupt
from kgplatform.bounded import Bounds
from kgplatform.errors import ConnectionFailed, DatabaseError, LoginFailed, SettingsError
from kgplatform.graph_records import (
    Plan,
    WriteResult,
    has_graph_types,
    plain_value,
    plan_operators,
    server_notices,
    write_result,
)
from kgplatform.queries import Query

if TYPE_CHECKING:
    import pandas as pd

    from kgplatform.settings import Settings

logger = logging.getLogger(__name__)
T = TypeVar("T")
LOST = (ServiceUnavailable, SessionExpired, IncompleteCommit)  # the server went away; it may come back
OUTAGE_SECONDS = 180.0  # how long a write waits for a server that went away (a restart took 10-42 s)
OUTAGES = 10  # how often one call is repeated: a statement that crashes the server each time is not repeated forever
UNAVAILABLE = "DatabaseUnavailable"  # the server answers while the database is still starting
SNAPSHOT_ATTEMPTS = 3
_WAITING_FOR = "waiting for {} to come back"
logging.getLogger("neo4j").addHandler(logging.NullHandler())  # else Python prints the driver's warnings on stderr


class Transaction:
    """Runs named queries inside one managed transaction."""

    def __init__(self, transaction: neo4j.ManagedTransaction) -> None:
        self._transaction = transaction

    def run(self, query: Query, *, replan: bool = False, **parameters: Any) -> WriteResult:
        """Run the query and return its records and counters; `replan` discards a plan made for an emptier graph."""
        query_text = f"CYPHER replan=force {query.text}" if replan else query.text
        return write_result(self._transaction.run(cast("Any", query_text), query.bind(parameters)))

    def stream(self, query: Query, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The records of a query that returns plain values, one at a time, with flat memory."""
        for record in self._transaction.run(cast("Any", query.text), query.bind(parameters)):
            yield dict(record)


class Graph:
    """A Neo4j database. Open it with `kgplatform.connect.open_graph`; use it as a context manager.

    Raises `ConnectionFailed`, `LoginFailed` or `DatabaseError`; their messages never contain parameter values,
    which may come from patients' reports.
    """

    def __init__(self, uri: str, username: str, password: str, database: str | None = None) -> None:
        self.uri = uri
        self.database = database
        self._is_patient = False
        with _translated(uri):
            self._driver = neo4j.GraphDatabase.driver(
                uri,
                auth=(username, password),
                notifications_min_severity="OFF",
                user_agent="kgplatform",
                connection_timeout=10,
                connection_acquisition_timeout=30,
                max_transaction_retry_time=60,
            )

    @classmethod
    def open(cls, settings: Settings | None = None) -> Self:
        """`kgplatform.connect.open_as` this class: for code that was written for earlier versions."""
        opened: Self = import_module("kgplatform.connect").open_as(
            cls, settings
        )  # by name: connect imports this module
        return opened

    def verify(self) -> None:
        """Raise unless the server answers and accepts the login."""
        with _translated(self.uri):
            self._driver.verify_connectivity()

    def close(self) -> None:
        """Close all connections."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def patient(self) -> Self:
        """The same graph for work that outlasts a server: when that goes away, all methods but
        `stream` wait until it is back and are done again, so each must be idempotent.
        """
        patient_graph = copy.copy(self)
        patient_graph._is_patient = True
        return patient_graph

    def read(self, query: Query, **parameters: Any) -> list[dict[str, Any]]:
        """All records of a reading query."""
        return self._lasting(lambda: list(self.stream(query, **parameters)))

    def stream(self, query: Query, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The records of a reading query, one at a time, with flat memory."""
        with _translated(self.uri), self._session(neo4j.READ_ACCESS) as session:
            for record in session.run(cast("Any", query.text), query.bind(parameters)):
                yield record.data() if has_graph_types(record) else dict(record)

    def frame(self, query: Query, **parameters: Any) -> pd.DataFrame:
        """The records of a reading query as a pandas frame."""
        import pandas as pd

        return pd.DataFrame.from_records(self.read(query, **parameters))

    def explain(self, text: str, parameters: Mapping[str, Any], bounds: Bounds) -> Plan:
        """The plan of a statement that is not ours. It is planned, not run; see `kgplatform.readonly`."""
        with self._bounded(bounds, notices="WARNING") as transaction:
            plan_result = transaction.run(cast("Any", f"EXPLAIN {text}"), dict(parameters))
            column_names = tuple(plan_result.keys())
            summary = plan_result.consume()
        return Plan(
            summary.query_type or "",
            list(plan_operators(summary.plan or {})),
            list(server_notices(summary)),
            column_names,
        )

    def read_text(
        self, text: str, parameters: Mapping[str, Any], bounds: Bounds
    ) -> Generator[dict[str, Any], None, None]:
        """The records of a statement that `kgplatform.readonly` let through, in a READ transaction that ends in time.

        Nodes, relationships and paths become maps of plain values.
        """
        with self._bounded(bounds) as transaction:
            record_iterator = iter(transaction.run(cast("Any", text), dict(parameters)))
            while True:
                bounds.next_record()
                record = next(record_iterator, None)
                if record is None:
                    return
                yield {field_name: plain_value(value) for field_name, value in dict(record).items()}

    @contextmanager
    def _bounded(self, bounds: Bounds, notices: str = "OFF") -> Iterator[neo4j.Transaction]:
        """A READ transaction within bounds of time and memory."""
        with _translated(self.uri), bounds.timed(), self._session(neo4j.READ_ACCESS, notices) as session:
            bounds.begin(session)
            with (
                session.begin_transaction(timeout=bounds.left, metadata={"kgp": bounds.mark}) as transaction,
                bounds.watching(session),
            ):
                yield transaction

    def write(self, query: Query, **parameters: Any) -> WriteResult:
        """Run one writing query in a managed transaction, retried on deadlocks and lost connections."""
        return self.transact(lambda transaction: transaction.run(query, **parameters))

    def transact(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` in one managed transaction. It may run more than once, so it must be idempotent."""

        def attempt() -> T:
            with _translated(self.uri), _retries_logged(self), self._session(neo4j.WRITE_ACCESS) as session:
                return session.execute_write(lambda transaction: work(Transaction(transaction)))

        return self._lasting(attempt)

    def snapshot(self, work: Callable[[Transaction], T]) -> T:
        """Run `work`, which only reads, in one transaction during which nobody writes, so that all it reads agrees.

        Neo4j shows a transaction what others commit meanwhile; that they did is seen from the bookmarks. Then `work`
        runs again. Raises `DatabaseError` when somebody wrote during each of three attempts.
        """

        def attempt() -> T:
            with _translated(self.uri), self._session(neo4j.READ_ACCESS) as session:
                with session.begin_transaction() as transaction:
                    transaction.commit()
                previous_bookmarks = session.last_bookmarks().raw_values
                for _ in range(SNAPSHOT_ATTEMPTS):
                    work_result = session.execute_read(lambda transaction: work(Transaction(transaction)))
                    current_bookmarks = session.last_bookmarks().raw_values
                    if current_bookmarks == previous_bookmarks:
                        return work_result
                    previous_bookmarks = current_bookmarks
            raise DatabaseError("the graph was written to while it was read", "Try again when no load is running.")

        return self._lasting(attempt)

    def run_unmanaged(self, query: Query, **parameters: Any) -> WriteResult:
        """Run a query that manages its own transactions (``IN TRANSACTIONS``, schema changes); retried by a `patient`
        graph alone, and then what it returns is of the last attempt.
        """

        def attempt() -> WriteResult:
            with _translated(self.uri), self._session(neo4j.WRITE_ACCESS) as session:
                return write_result(session.run(cast("Any", query.text), query.bind(parameters)))

        return self._lasting(attempt)

    def wait(self, seconds: float = OUTAGE_SECONDS) -> None:
        """Wait until the server answers again; raises `ConnectionFailed` after `seconds`."""
        deadline, pause_seconds = time.monotonic() + seconds, 0.5
        logger.warning(_WAITING_FOR.format(self.uri))
        while True:
            try:
                return self.verify()
            except DatabaseError as error:
                if isinstance(error, LoginFailed) or time.monotonic() > deadline or interrupt.was_interrupted():
                    raise
                time.sleep(pause_seconds)
                pause_seconds = min(pause_seconds * 2, 5.0)

    def _lasting(self, work: Callable[[], T]) -> T:
        """Do the work; of a patient graph also again, when the server went away meanwhile and came back."""
        for outage_number in range(OUTAGES + 1):
            try:
                return work()
            except ConnectionFailed:
                if not self._is_patient or outage_number == OUTAGES or interrupt.was_interrupted():
                    raise
                self.wait()
        raise AssertionError("unreachable")

    def _session(self, access_mode: str, notices: str = "OFF") -> neo4j.Session:
        min_severity = cast("Any", notices)
        return self._driver.session(
            database=self.database, default_access_mode=access_mode, notifications_min_severity=min_severity
        )


class _Retries(logging.Handler):
    """Takes the driver's own lines about retries, and says in ours, once an outage, that the server is waited for."""

    def emit(self, record: logging.LogRecord) -> None:
        """Report a retry of a graph that waits; everything else that the driver logs is dropped."""
        awaited_uris = _WAITING.get()
        if awaited_uris and "retried" in str(record.msg):
            logger.warning(_WAITING_FOR.format(awaited_uris.pop()))


_WAITING: ContextVar[list[str] | None] = ContextVar("waiting", default=None)  # the URI, until it is reported
logging.getLogger("neo4j").addHandler(_Retries(logging.WARNING))


@contextmanager
def _retries_logged(graph: Graph) -> Iterator[None]:
    """While a patient graph writes, one line when the driver tries again."""
    context_token = _WAITING.set([graph.uri] if graph._is_patient else None)
    try:
        yield
    finally:
        _WAITING.reset(context_token)


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """The driver's errors as ours. Server messages may quote property values, so only syntax errors keep theirs."""
    try:
        yield
    except AuthError as error:
        hint = "Check NEO4J_USERNAME and NEO4J_PASSWORD, or unset NEO4J_URI to use the local server."
        raise LoginFailed(f"{uri} refuses the login", hint, code=error.code or "") from None
    except LOST:
        hint = "Start it with `kgp db start`, or check NEO4J_URI. If it is running, it may be busy: try again later."
        raise ConnectionFailed(f"no Neo4j answers at {uri}", hint) from None
    except (ConfigurationError, ValueError) as error:
        raise SettingsError(f"{uri} is not a usable Neo4j address: {error}", "Check NEO4J_URI.") from None
    except TransientError as error:
        if (error.code or "").endswith(UNAVAILABLE):
            raise ConnectionFailed(f"the database at {uri} is not available", "Wait until it has started.") from None
        hint = "Try again; if memory ran out, give the server more."
        raise DatabaseError(
            f"the database gave up on the transaction: {error.code}", hint, code=error.code or ""
        ) from None
    except ClientError as error:
        error_code = error.code or ""
        if error_code.endswith("AuthenticationRateLimit"):
            hint = "Wait some seconds, and check NEO4J_USERNAME and NEO4J_PASSWORD."
            raise LoginFailed(
                f"{uri} refuses all logins after several wrong passwords", hint, code=error_code
            ) from None
        detail = (
            (error.message or "").split("\n")[0]
            if error_code.endswith(("SyntaxError", "ParameterMissing"))
            else error_code
        )
        raise DatabaseError(f"the database refused the statement: {detail}", code=error_code) from None
    except (Neo4jError, DriverError) as error:
        error_code = getattr(error, "code", None) or type(error).__name__
        raise DatabaseError(
            f"the database failed: {error_code}", "The server's log says more.", code=error_code
        ) from None
