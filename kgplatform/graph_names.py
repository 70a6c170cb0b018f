"""Names in the graph that are close to one that is not in it, for the hint of an error; see `kgplatform.suggest`.

The candidates come from indexes, a bounded number of them, so that a large graph answers as quickly as a small one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from kgplatform import queries
from kgplatform.queries import Query
from kgplatform.suggest import did_you_mean, nearest, question

SHOWN: Final = 3
_WORD: Final = re.compile(r"\w+")
_KIND: Final = re.compile(r"\s*\([^()]*\)$")  # "(disorder)", as SNOMED CT's names end
_LONGEST: Final = 200  # characters of a name that are compared
_START: Final = 4  # characters of an id that are taken to be right, at most


class Reader(Protocol):
    """A graph, or a transaction in it."""

    def stream(self, query: Query, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The records of a reading query."""
        ...


def concept_hint(reader: Reader, name: str) -> str:
    """The concepts with names close to this one, with their CUIs; empty where none is."""
    words = " ".join(f"{word.lower()}~" for word in _WORD.findall(name[:_LONGEST]))
    if not words:
        return ""
    rows = list(reader.stream(queries.get("suggest/concepts"), words=words))
    whole = {_KIND.sub("", row["name"]): row for row in reversed(rows)}
    close = [whole[found] for found in nearest(name, whole, SHOWN)]
    close = close or [row for row in rows if _has_all_words(row["name"], name)][:SHOWN]
    return question([f"{row['name']} ({row['cui']})" for row in close])


def _has_all_words(name: str, typed: str) -> bool:
    """Whether each word typed is close to one of the name's: ``pnumothorax`` to ``tension pneumothorax``."""
    words = _WORD.findall(name)
    return all(nearest(word, words, 1) for word in _WORD.findall(typed))


def key_hint(reader: Reader, key: str, otherwise: str = "") -> str:
    """The ids of images and CUIs of concepts close to this one; `otherwise` follows."""
    typed = key.strip().upper()
    starts = dict.fromkeys([typed[:_START], f"I{typed[: _START - 1]}", f"C{typed[: _START - 1]}", typed[:2]])
    found: dict[str, None] = {}
    for start in starts:
        if start:
            found |= dict.fromkeys(row["key"] for row in reader.stream(queries.get("suggest/keys"), start=start))
    return did_you_mean(typed, found, otherwise)


def relation_hint(reader: Reader, relation: str, otherwise: str = "") -> str:
    """The relations with names close to this one; `otherwise` follows."""
    return did_you_mean(relation, _column(reader, "relations", "relation"), otherwise)


def run_hint(reader: Reader, run: str, otherwise: str = "") -> str:
    """The runs with ids close to this one; `otherwise` follows."""
    return did_you_mean(run, _column(reader, "runs", "run"), otherwise)


def _column(reader: Reader, name: str, column: str) -> Iterable[str]:
    return [row[column] for row in reader.stream(queries.get(f"suggest/{name}"))]
