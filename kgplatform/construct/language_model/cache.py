"""Answers that were given, on disk: a run that was killed does not ask for them again.

A file of SQLite. It holds no text of a report: the key is a hash of all that was asked, the value the concepts and
stances of the answer and its tokens; the reply itself only where the user asked to keep replies.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path
from typing import Final, NamedTuple

from kgplatform.errors import InputError
from kgplatform.schema import CONCEPT_ID, Stance

_TABLE: Final = """
CREATE TABLE IF NOT EXISTS answers (
  key TEXT PRIMARY KEY, edges TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
  reply TEXT
) WITHOUT ROWID
"""


class ModelAnswer(NamedTuple):
    """What the model said of a report, and what that took."""

    edges: tuple[tuple[str, Stance], ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reply: str | None = None


class Cache:
    """Answers by key; threads and processes may share the file. Raises `InputError` where it is no such file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._database = sqlite3.connect(path, timeout=60, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute(_TABLE)
        except (OSError, sqlite3.Error):
            raise self._damaged() from None

    def get(self, key: str) -> ModelAnswer | None:
        """The answer of that key, if it was given."""
        select_query = "SELECT edges, prompt_tokens, completion_tokens, reply FROM answers WHERE key = ?"
        try:
            with self._lock:
                answer_row = self._database.execute(select_query, (key,)).fetchone()
            if answer_row is None:
                return None
            edges = tuple((str(cui), Stance(stance)) for cui, stance in json.loads(answer_row[0]))
        except (sqlite3.Error, ValueError, TypeError):
            raise self._damaged() from None
        if not all(CONCEPT_ID.fullmatch(cui) for cui, _ in edges):
            raise self._damaged()
        return ModelAnswer(edges, int(answer_row[1]), int(answer_row[2]), answer_row[3])

    def put(self, key: str, answer: ModelAnswer) -> None:
        """Keep an answer; it is on disk when this returns."""
        edges_json = json.dumps([[cui, stance.value] for cui, stance in answer.edges])
        answer_row = (key, edges_json, answer.prompt_tokens, answer.completion_tokens, answer.reply)
        try:
            with self._lock:
                self._database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", answer_row)
        except sqlite3.Error:
            raise self._damaged() from None

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def _damaged(self) -> InputError:
        hint = "Delete it, or set another path with llm.cache; then the model is asked again."
        return InputError("the cached answers cannot be read or written", hint, path=self._path)
