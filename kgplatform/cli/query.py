"""`kgp query`: the platform's named queries, and a user's own Cypher, read-only."""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, note, short, table
from kgplatform.errors import QueryRefused, UsageError
from kgplatform.spreadsheets import escaped
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.queries import Query
    from kgplatform.readonly import Answer

FOLDERS = (
    "explore",
    "naf",
    "predictions",
    "stats",
)  # what people may run by name; their queries that write are refused


SCREEN = 1_000  # rows of a table for people, where no --limit is given


def query(
    what: Annotated[str, typer.Argument(metavar="[NAME|CYPHER]", help="A query's name, or Cypher of your own.")] = "",
    param: Annotated[list[str] | None, typer.Option("--param", metavar="K=V", help="A parameter; repeatable.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the named queries.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the query's text and parameters, do not run it.")] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Stop after this many rows [default: all; a table on screen: 1,000]."),
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_json: Json = False,
) -> None:
    """Run a named query or your own Cypher, read-only, for at most 30 s. --json and --csv have all rows.

    `kgp query --list` shows the names; `kgp query explore/figure3` runs one with its default parameters;
    `kgp query 'MATCH (c:Concept) RETURN c.name LIMIT 5'` runs Cypher. Values of --param for Cypher are JSON
    where they parse as JSON, else text. In CSV, text that a spreadsheet would take for a formula gets a leading '.
    """
    if as_csv and as_json:
        raise UsageError("--csv and --json exclude each other", "Give one of them.")
    if list_ or not what:
        return _list(as_json)
    named = None if any(character.isspace() or character in "({" for character in what) else _named(what)
    if show:
        return _show(what if named is None else named.text, named, as_json)
    text = what if named is None else named.text
    parameters = _typed(named, param or []) if named else _guessed(param or [])
    _run(text, parameters, limit, as_csv=as_csv, as_json=as_json, own=named is None)


def _named(name: str) -> Query:
    """The query of that name, if people may run it."""
    from kgplatform import queries
    from kgplatform.readonly import check_text

    found = queries.get(name)
    if name.split("/")[0] not in FOLDERS:
        raise QueryRefused(f"{name} is part of the platform's own work", "`kgp query --list` shows what can be run.")
    check_text(found.text)
    return found


def _list(as_json: bool) -> None:
    rows = [
        {
            "name": found.name,
            "answers": found.doc.splitlines()[0],
            "parameters": ", ".join(
                p.name if p.required else f"{p.name}={json.dumps(p.default, ensure_ascii=False)}"
                for p in found.parameters.values()
            ),
        }
        for found in _readable()
    ]
    if as_json:
        return emit_json(rows)
    print_lines(f"{row['name']:32} {row['answers']}" for row in rows)
    note("\n`kgp query NAME --show` prints a query with its parameters.")


def _readable() -> Iterator[Query]:
    from kgplatform import queries

    for folder in FOLDERS:
        for name in queries.names(folder):
            try:
                yield _named(name)
            except QueryRefused:  # naf/ also holds the queries that write the scores
                continue


def _show(text: str, named: Query | None, as_json: bool) -> None:
    if not as_json:
        return print_lines([text])
    emit_json({"name": named.name if named else None, "doc": named.doc if named else "", "text": text})


def _typed(named: Query, given: list[str]) -> dict[str, Any]:
    """The values for a named query, by its declared types."""
    values = dict(_pairs(given))
    for name in values.keys() & named.parameters.keys():
        values[name] = named.parameters[name].parse(values[name])
    return named.bind(values)


def _guessed(given: list[str]) -> dict[str, Any]:
    """The values for a user's own Cypher: JSON where it parses, else the text itself."""

    def value(text: str) -> Any:
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    return {name: value(text) for name, text in _pairs(given)}


def _pairs(given: list[str]) -> Iterator[tuple[str, Any]]:
    for pair in given:
        name, equals, text = pair.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"--param {name[:40]}: a parameter is written NAME=VALUE", "Example: --param limit=10")
        yield name, text


def _run(
    text: str, parameters: Mapping[str, Any], limit: int | None, *, as_csv: bool, as_json: bool, own: bool
) -> None:
    from kgplatform.graph import Graph
    from kgplatform.readonly import ask
    from kgplatform.unknown_names import remarks

    if limit is None and not (as_csv or as_json):
        limit = SCREEN
    with Graph.open() as graph, ask(graph, text, parameters, limit=limit) as answer:
        if own:
            for line in remarks(answer.notices, graph):
                note(line)
        if as_csv:
            _write_csv(answer)
        elif as_json:
            _write_json(answer)
        else:
            rows = [{key: short(shown(value)) for key, value in row.items()} for row in answer]
            print_lines([table(rows)] if rows else [])
            note(counted(len(rows), "rows"))
        if answer.cut:
            more = "--limit gives more, --json and --csv without --limit give all"
            note(f"cut after {counted(limit or 0, 'rows')}; {more}")


def _write_json(rows: Any) -> None:
    """The rows as one list, a row on a line, each written as it comes. The list stays open where an error ends them."""
    before = "[\n  "
    try:
        for row in rows:
            sys.stdout.write(before + json.dumps(_finite(row), ensure_ascii=False, default=str))
            before = ",\n  "
    except BaseException:
        if before != "[\n  ":
            sys.stdout.write("\n")
            note("the answer on stdout is not complete")
        raise
    sys.stdout.write("[]\n" if before == "[\n  " else "\n]\n")


def _write_csv(answer: Answer) -> None:
    """The columns' names, then the rows as they come; nothing where an error comes before the first one."""
    writer = csv.DictWriter(sys.stdout, list(answer.columns), lineterminator="\n")
    named = False
    for row in answer:
        if not named:
            writer.writeheader()
        named = True
        writer.writerow({key: _csv_cell(value) for key, value in row.items()})
    if not named and answer.columns:
        writer.writeheader()


def _csv_cell(value: Any) -> Any:
    """Maps and lists as JSON; a text that a spreadsheet would run as a formula is escaped."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else escaped(value)


def _finite(value: Any) -> Any:
    """`value` without the NaN and infinities that JSON does not have: they become text. Lists and maps are changed in
    place, as a copy of a large one would double the memory.
    """
    if isinstance(value, list):
        for place, item in enumerate(value):
            value[place] = _finite(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            value[key] = _finite(item)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def shown(value: Any) -> Any:
    """A value for a table: nodes as ``(:Image I5)``, relationships as ``[:isa]``, paths as a chain of them."""
    if isinstance(value, list):
        return "[" + ", ".join(str(shown(item)) for item in value) + "]"
    if not isinstance(value, dict):
        return value
    if value.keys() == {"nodes", "relationships"}:
        return _shown_path(value["nodes"], value["relationships"])
    if value.keys() == {"id", "labels", "properties"}:
        return _shown_node(value)
    if value.keys() == {"id", "type", "start", "end", "properties"}:
        return f"[:{value['type']}]"
    return value


def _shown_node(node: Mapping[str, Any]) -> str:
    from kgplatform.schema import NODE_TYPES

    label = next((label for label in node["labels"] if label in NODE_TYPES), None) or ":".join(node["labels"])
    key = NODE_TYPES[label].key if label in NODE_TYPES else "id"
    properties = node["properties"]
    known = [properties[name] for name in (key, "name", "text") if properties.get(name) is not None]
    return f"({' '.join([f':{label}' if label else '', *map(str, known)]).strip()})"


def _shown_path(nodes: list[dict[str, Any]], relationships: list[dict[str, Any]]) -> str:
    text = _shown_node(nodes[0])
    for before, relationship, after in zip(nodes, relationships, nodes[1:], strict=False):
        forward = relationship["start"] == before["id"]
        arrow = f"-[:{relationship['type']}]->" if forward else f"<-[:{relationship['type']}]-"
        text += arrow + _shown_node(after)
    return text


def print_lines(lines: Any) -> None:
    """Lines on stdout."""
    for line in lines:
        echo(line)
