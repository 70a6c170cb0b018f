"""Which statement a person means: one of the platform's queries by its name, or Cypher of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import QueryRefused
from kgplatform.queries import Query
from kgplatform.readonly import check_text

FOLDERS: Final = ("explore", "naf", "predictions", "stats")
"""What people may run by name; their queries that write are refused."""


def is_name(statement: str) -> bool:
    """Whether a statement is a name: it has no white space and no bracket."""
    return not any(character.isspace() or character in "({" for character in statement)


def named_query(name: str) -> Query:
    """The query of that name, if people may run it. Raises `NotFoundError`, with suggestions, and `QueryRefused`."""
    query = queries.get(name)
    if name.split("/")[0] not in FOLDERS:
        raise QueryRefused(f"{name} is part of the platform's own work", "`kgp query --list` shows what can be run.")
    check_text(query.text)
    return query


def named_queries() -> Iterator[Query]:
    """All queries that people may run by name."""
    for folder in FOLDERS:
        for name in queries.names(folder):
            try:
                yield named_query(name)
            except QueryRefused:  # naf/ also holds the queries that write the scores
                continue


def statement_of(name_or_cypher: str, parameters: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The text of a statement, and its parameters with the defaults of a named query filled in.

    Raises as `named_query` does, and `UsageError` for a parameter that a named query does not have.
    """
    if not is_name(name_or_cypher):
        return name_or_cypher, parameters
    query = named_query(name_or_cypher)
    return query.text, query.bind(dict(parameters))
