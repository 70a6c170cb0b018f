"""Which statement a person means: one of the platform's queries by its name, or Cypher of their own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import NotFoundError, QueryRefused
from kgplatform.graph import Graph
from kgplatform.graph_names import concept_hint, key_hint, relation_hint
from kgplatform.queries import Query
from kgplatform.readonly import check_query_text

_KEYS: Final = frozenset({"image", "concept", "from", "to", "with", "without", "head", "tail"})  # parameters: CUIs, ids
_RELATIONS: Final = frozenset({"relation"})
FOLDERS: Final = ("explore", "naf", "predictions", "stats")
"""What people may run by name; their queries that write are refused."""


def is_name(statement: str) -> bool:
    """Whether a statement is a name: it has no white space and no bracket."""
    return not any(character.isspace() or character in "({" for character in statement)


def named_query(name: str) -> Query:
    """The query of that name, if people may run it. Raises `NotFoundError`, with suggestions, and `QueryRefused`."""
    query = queries.get(name)
    if name.split("/")[0] not in FOLDERS:
        raise QueryRefused(f"{name} is an internal query of the platform", "`kgp query --list` shows what can be run.")
    check_query_text(query.text)
    return query


def named_queries() -> Iterator[Query]:
    """All queries that people may run by name."""
    for folder in FOLDERS:
        for name in queries.query_names(folder):
            try:
                yield named_query(name)
            except QueryRefused:  # naf/ also holds the queries that write the scores
                continue


def check_keys(graph: Graph, query: Query, values: Mapping[str, Any]) -> None:
    """Raise `NotFoundError` for a value that a person gives and that the graph does not have: an image, a concept, a
    relation. A query's default may be absent: then it answers for another one, as its parameter's text says.
    """
    for name, value in values.items():
        if value == query.parameters[name].default or not isinstance(value, str):
            continue
        relations = graph.read(queries.get("suggest/relations")) if name in _RELATIONS else ()
        if relations and value not in {row["relation"] for row in relations}:
            raise NotFoundError(f"the graph has no relation {value}", relation_hint(graph, value))
        if name in _KEYS and not graph.read(queries.get("export/find_nodes"), keys=[value])[0]["ids"][0]:
            hint = key_hint(graph, value) or concept_hint(graph, value) or "`kgp query explore/find_concept` looks."
            raise NotFoundError(f"the graph has no {name if name == 'image' else 'node'} {value}", hint)


def resolve_statement(
    graph: Graph, name_or_cypher: str, parameters: Mapping[str, Any]
) -> tuple[str, Mapping[str, Any]]:
    """The text of a statement, and its parameters with the defaults of a named query filled in.

    Raises as `named_query` and `check_keys` do, and `UsageError` for a parameter that a named query does not have.
    """
    if not is_name(name_or_cypher):
        return name_or_cypher, parameters
    query = named_query(name_or_cypher)
    bound = query.bind(dict(parameters))
    check_keys(graph, query, parameters)
    return query.text, bound
