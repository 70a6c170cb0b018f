"""Every error the platform raises on purpose.

The tree::

    KgpError                 base: message, hint, kind
    ├── UsageError           the command was called wrongly (exit code 2)
    ├── InputError           a source file or value is bad: names the file and the row
    ├── SettingsError        a setting is missing or contradictory
    ├── NotFoundError        an image, run or query that does not exist
    ├── ServerError          the local Neo4j cannot be started, stopped or resolved
    ├── DatabaseError        the database could not do what was asked
    │   ├── ConnectionFailed no server answers at the address
    │   └── LoginFailed      the server refuses the user name or password
    └── QueryRefused         a user's Cypher that the read-only guard does not let through

Messages never contain values from reports or secrets: they say what was wrong, where, and what to do.
"""

from __future__ import annotations

from pathlib import Path


class KgpError(Exception):
    """Base of all deliberate errors. `hint` says what to do next."""

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KgpError):
    """The command was called wrongly."""

    kind = "usage"
    exit_code = 2


class InputError(KgpError):
    """A source file is damaged or a value in it is not allowed.

    `path` and `row` (1-based line in a text file, 1-based record in a Parquet file) say where.
    """

    kind = "input"

    def __init__(self, message: str, hint: str = "", *, path: Path | None = None, row: int | None = None) -> None:
        location = "" if path is None else f"{path}: " if row is None else f"{path}, row {row}: "
        super().__init__(location + message, hint)
        self.problem = message  # without where it is
        self.path = path
        self.row = row


class SettingsError(KgpError):
    """A setting (environment variable or file) is missing or contradictory."""

    kind = "settings"


class NotFoundError(KgpError):
    """Something asked for by name does not exist."""

    kind = "not-found"


class ServerError(KgpError):
    """The local Neo4j cannot be resolved, started or stopped."""

    kind = "server"


class DatabaseError(KgpError):
    """The database could not do what was asked; `code` is Neo4j's status code."""

    kind = "database"

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class ConnectionFailed(DatabaseError):
    """No Neo4j answers at the address."""

    kind = "connection"


class LoginFailed(DatabaseError):
    """The server refuses the user name or password."""

    kind = "login"


class QueryRefused(KgpError):
    """A user's Cypher is not a plain read."""

    kind = "refused"
