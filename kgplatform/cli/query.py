"""`kgp query`: the platform's named queries, and a user's own Cypher, read-only."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table, note, short
from kgplatform.errors import UsageError
from kgplatform.spreadsheets import escaped
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.queries import Query
    from kgplatform.readonly import QueryAnswer

SCREEN = 1_000  # rows of a table for people, where no --limit is given


def query(
    statement: Annotated[
        str | None, typer.Argument(metavar="[NAME|CYPHER]", help="A query's name, or your own Cypher statement.")
    ] = None,
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
    if list_ or statement is None:
        return _list(as_json)
    if not statement.strip():
        raise UsageError("the statement is empty", "`kgp query --list` shows the named queries.")
    from kgplatform import named_queries

    query_by_name = named_queries.named_query(statement) if named_queries.is_name(statement) else None
    if show:
        return _show(statement if query_by_name is None else query_by_name.text, query_by_name, as_json)
    query_text = statement if query_by_name is None else query_by_name.text
    parameters = _typed(query_by_name, param or []) if query_by_name else _guessed(param or [])
    for unused_name in [name for name in parameters if not re.search(rf"\$`?{name}\b", query_text)]:
        note(f"note: the statement has no ${unused_name}")
    _run(query_text, parameters, limit, as_csv=as_csv, as_json=as_json, named=query_by_name, typed=param or [])


def _list(as_json: bool) -> None:
    from kgplatform.named_queries import named_queries

    query_rows = [
        {
            "name": named_query.name,
            "answers": named_query.doc.splitlines()[0],
            "parameters": ", ".join(
                parameter.name
                if parameter.required
                else f"{parameter.name}={json.dumps(parameter.default, ensure_ascii=False)}"
                for parameter in named_query.parameters.values()
            ),
        }
        for named_query in named_queries()
    ]
    if as_json:
        return emit_json(query_rows)
    print_lines(f"{query_row['name']:32} {query_row['answers']}" for query_row in query_rows)
    note("\n`kgp query NAME --show` prints a query with its parameters.")


def _show(query_text: str, named_query: Query | None, as_json: bool) -> None:
    if not as_json:
        return print_lines([query_text])
    emit_json(
        {
            "name": named_query.name if named_query else None,
            "doc": named_query.doc if named_query else "",
            "text": query_text,
        }
    )


def _typed(named_query: Query, parameter_texts: list[str]) -> dict[str, Any]:
    """The values for a named query, by its declared types."""
    values = dict(_pairs(parameter_texts))
    for parameter_name in values.keys() & named_query.parameters.keys():
        values[parameter_name] = named_query.parameters[parameter_name].parse(values[parameter_name])
    return named_query.bind(values)


def _guessed(parameter_texts: list[str]) -> dict[str, Any]:
    """The values for a user's own Cypher: JSON where it parses, else the text itself."""

    def value(value_text: str) -> Any:
        try:
            return json.loads(value_text)
        except json.JSONDecodeError:
            return value_text

    return {parameter_name: value(value_text) for parameter_name, value_text in _pairs(parameter_texts)}


def _pairs(parameter_texts: list[str]) -> Iterator[tuple[str, Any]]:
    stated_names = set[str]()
    for assignment in parameter_texts:
        parameter_name, equals, value_text = assignment.partition("=")
        if not equals or not parameter_name.isidentifier():
            raise UsageError(
                f"--param {parameter_name[:40]}: a parameter is written NAME=VALUE", "Example: --param limit=10"
            )
        if parameter_name in stated_names:
            raise UsageError(f"--param {parameter_name} is given twice", "Give it once.")
        stated_names.add(parameter_name)
        yield parameter_name, value_text


def _run(
    query_text: str,
    parameters: Mapping[str, Any],
    limit: int | None,
    *,
    as_csv: bool,
    as_json: bool,
    named: Query | None,
    typed: list[str],
) -> None:
    from kgplatform.connect import open_graph
    from kgplatform.named_queries import check_keys
    from kgplatform.readonly import open_query
    from kgplatform.unknown_names import remarks

    if limit is None and not (as_csv or as_json):
        limit = SCREEN
    with open_graph() as graph, ExitStack() as stack:
        if named is not None:
            check_keys(graph, named, {name: parameters[name] for name, _ in _pairs(typed)})
        answer = stack.enter_context(open_query(graph, query_text, parameters, limit=limit))
        if named is None:
            for remark in remarks(answer.notices, graph):
                note(remark)
        if as_csv:
            _write_csv(answer)
        elif as_json:
            _write_json(answer)
        else:
            table_rows = [
                {column_name: short(_display_value(value)) for column_name, value in answer_row.items()}
                for answer_row in answer
            ]
            print_lines([format_table(table_rows)] if table_rows else [])
            note(counted(len(table_rows), "rows"))
        if answer.cut:
            limit_note = "--limit gives more, --json and --csv without --limit give all"
            note(f"cut after {counted(limit or 0, 'rows')}; {limit_note}")


def _write_json(answer_rows: Any) -> None:
    """The rows as one list, a row on a line, each written as it comes. The list stays open where an error ends them."""
    separator = "[\n  "
    try:
        for answer_row in answer_rows:
            sys.stdout.write(separator + json.dumps(_finite(answer_row), ensure_ascii=False, default=str))
            separator = ",\n  "
    except BaseException:
        if separator != "[\n  ":
            sys.stdout.write("\n")
            note("the answer on stdout is not complete")
        raise
    sys.stdout.write("[]\n" if separator == "[\n  " else "\n]\n")


def _write_csv(answer: QueryAnswer) -> None:
    """The columns' names, then the rows as they come; nothing where an error comes before the first one."""
    writer = csv.DictWriter(sys.stdout, list(answer.columns), lineterminator="\n")
    header = dict(zip(answer.columns, map(escaped, answer.columns), strict=True))
    header_written = False
    for answer_row in answer:
        if not header_written:
            writer.writerow(header)
        header_written = True
        writer.writerow({column_name: _csv_cell(value) for column_name, value in answer_row.items()})
    if not header_written and answer.columns:
        writer.writerow(header)


def _csv_cell(value: Any) -> Any:
    """Maps and lists as JSON; a text that a spreadsheet would run as a formula is escaped."""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list) else escaped(value)


def _finite(value: Any) -> Any:
    """`value` without the NaN and infinities that JSON does not have: they become text. Lists and maps are changed in
    place, as a copy of a large one would double the memory.
    """
    if isinstance(value, list):
        for item_index, item in enumerate(value):
            value[item_index] = _finite(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            value[key] = _finite(item)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _display_value(value: Any) -> Any:
    """A value for a table: nodes as ``(:Image I5)``, relationships as ``[:isa]``, paths as a chain of them."""
    if isinstance(value, list):
        return "[" + ", ".join(str(_display_value(element)) for element in value) + "]"
    if not isinstance(value, dict):
        return value
    if value.keys() == {"nodes", "relationships"}:
        return _format_path(value["nodes"], value["relationships"])
    if value.keys() == {"id", "labels", "properties"}:
        return _format_node(value)
    if value.keys() == {"id", "type", "start", "end", "properties"}:
        return f"[:{value['type']}]"
    return value


def _format_node(node: Mapping[str, Any]) -> str:
    from kgplatform.schema import NODE_TYPES

    label = next((label for label in node["labels"] if label in NODE_TYPES), None) or ":".join(node["labels"])
    key_property = NODE_TYPES[label].key if label in NODE_TYPES else "id"
    properties = node["properties"]
    node_values = [
        properties[property_name]
        for property_name in (key_property, "name", "text")
        if properties.get(property_name) is not None
    ]
    return f"({' '.join([f':{label}' if label else '', *map(str, node_values)]).strip()})"


def _format_path(nodes: list[dict[str, Any]], relationships: list[dict[str, Any]]) -> str:
    path_text = _format_node(nodes[0])
    for previous_node, relationship, next_node in zip(nodes, relationships, nodes[1:], strict=False):
        is_forward = relationship["start"] == previous_node["id"]
        arrow = f"-[:{relationship['type']}]->" if is_forward else f"<-[:{relationship['type']}]-"
        path_text += arrow + _format_node(next_node)
    return path_text


def print_lines(lines: Any) -> None:
    """Lines on stdout."""
    for line in lines:
        echo(line)
