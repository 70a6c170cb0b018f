"""Names in the graph that are close to one that is not in it, for the hint of an error; see `kgplatform.suggest`.

The candidates come from indexes, a bounded number of them, so that a large graph answers as quickly as a small one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from kgplatform import queries
from kgplatform.queries import Query
from kgplatform.schema import CONCEPT_ID
from kgplatform.suggest import did_you_mean, nearest, suggestion_text

MAX_SUGGESTIONS: Final = 3
_WORD: Final = re.compile(r"\w+")
_KIND: Final = re.compile(r"\s*\([^()]*\)$")  # "(disorder)", as SNOMED CT's names end
_MAX_NAME_LENGTH: Final = 200  # characters of a name that are compared
_START: Final = 4  # characters of an id that are taken to be right, at most


class Reader(Protocol):
    """A graph, or a transaction in it."""

    def stream(self, query: Query, **parameters: Any) -> Iterator[dict[str, Any]]:
        """The records of a reading query."""
        ...


def concept_hint(reader: Reader, name: str) -> str:
    """The concepts with names close to this one, with their CUIs; empty where none is."""
    fuzzy_words = " ".join(f"{typed_word.lower()}~" for typed_word in _WORD.findall(name[:_MAX_NAME_LENGTH]))
    if not fuzzy_words:
        return ""
    concept_rows = list(reader.stream(queries.get("suggest/concepts"), words=fuzzy_words))
    rows_by_name = {_KIND.sub("", concept_row["name"]): concept_row for concept_row in reversed(concept_rows)}
    close_rows = [rows_by_name[close_name] for close_name in nearest(name, rows_by_name, MAX_SUGGESTIONS)]
    close_rows = (
        close_rows
        or [concept_row for concept_row in concept_rows if _has_all_words(concept_row["name"], name)][:MAX_SUGGESTIONS]
    )
    return suggestion_text([f"{concept_row['name']} ({concept_row['cui']})" for concept_row in close_rows])


def _has_all_words(name: str, typed_name: str) -> bool:
    """Whether each word typed is close to one of the name's: ``pnumothorax`` to ``tension pneumothorax``."""
    name_words = _WORD.findall(name)
    return all(nearest(typed_word, name_words, 1) for typed_word in _WORD.findall(typed_name))


def image_hint(reader: Reader, key: str, otherwise: str = "") -> str:
    """What to say where no image has that id: that it is a concept's, or which ids are close; `otherwise` follows."""
    if CONCEPT_ID.fullmatch(key.strip().upper()):
        return " ".join([f"{key.strip().upper()} is of the form of a concept's CUI.", otherwise]).strip()
    return key_hint(reader, key, otherwise)


def key_hint(reader: Reader, key: str, otherwise: str = "") -> str:
    """The ids of images and CUIs of concepts close to this one; `otherwise` follows."""
    typed_key = key.strip().upper()
    key_starts = dict.fromkeys(
        [typed_key[:_START], f"I{typed_key[: _START - 1]}", f"C{typed_key[: _START - 1]}", typed_key[:2]]
    )
    close_keys: dict[str, None] = {}
    for key_start in key_starts:
        if key_start:
            close_keys |= dict.fromkeys(
                key_row["key"] for key_row in reader.stream(queries.get("suggest/keys"), start=key_start)
            )
    return did_you_mean(typed_key, close_keys, otherwise)


def relation_hint(reader: Reader, relation: str, otherwise: str = "") -> str:
    """The relations with names close to this one; `otherwise` follows."""
    return did_you_mean(relation, _column(reader, "relations", "relation"), otherwise)


def run_hint(reader: Reader, run: str, otherwise: str = "") -> str:
    """The runs with ids close to this one; `otherwise` follows."""
    return did_you_mean(run, _column(reader, "runs", "run"), otherwise)


def _column(reader: Reader, query_name: str, column_name: str) -> Iterable[str]:
    return [name_row[column_name] for name_row in reader.stream(queries.get(f"suggest/{query_name}"))]
