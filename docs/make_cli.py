"""Writes ``docs/cli.md`` and ``docs/query-reference.md`` from the live command line and the query files.

`make docs` runs it; tests/unit/project/test_docs.py fails when a page is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import typer

from kgplatform import queries
from kgplatform.cli.commands import app
from kgplatform.queries import Query

DOCS: Final = Path(__file__).parent
WIDTH: Final = 110  # characters of a help text, whatever the terminal

_COMMANDS: Final = """\
# The command line

<!-- Written by docs/make_cli.py (`make docs`): changes made here are lost. -->

Every command takes `--help`. Results go to stdout, progress and errors to stderr. With `--json`, stdout holds one JSON
document and nothing else: the result, or `{"error": {"kind", "message", "hint"}}`. Exit codes: 0 done, 1 failed,
2 wrong usage, 130 interrupted: after Ctrl-C, SIGTERM or the end of the terminal one
line states what is kept and which command goes on.

| Variable | Meaning |
|---|---|
| `KGP_HOME` | where the platform keeps everything on disk (default: the user's data directory) |
| `KGP_DATA_DIR` | folder of data sets (`medmkg/` …); no default |
| `NEO4J_URI` | use this server instead of the local one; then `NEO4J_PASSWORD` is required |
| `NEO4J_USERNAME` | with `NEO4J_URI`: the user (default `neo4j`) |
| `NEO4J_DATABASE` | with `NEO4J_URI`: the database (default: the user's home database) |
"""

_QUERIES: Final = """\
# Query reference

<!-- Written by docs/make_cli.py (`make docs`): changes made here are lost. -->

The queries of `cypher/explore/`. Run one with `kgp query NAME`, give parameters with `--param NAME=VALUE` (lists as
JSON), print its text with `kgp query NAME --show`. A parameter without a default must be given. See
[Queries](queries.md).
"""


def commands(command: Any = None, parent: typer.Context | None = None) -> Iterator[tuple[str, Any, typer.Context]]:
    """Each group and command as (what a user types, the command, its context), groups before their commands."""
    command = command or typer.main.get_command(app)
    context = typer.Context(command, info_name=command.name, parent=parent, terminal_width=WIDTH)
    yield context.command_path, command, context
    for name in sorted(getattr(command, "commands", {})):
        yield from commands(command.commands[name], context)


def cli_page() -> str:
    """``docs/cli.md``: every command's help text."""
    sections = []
    for path, command, context in commands():
        level = min(len(path.split()) + 1, 3)
        lines = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        sections.append(f"{'#' * level} `{path}`\n\n```text\n{lines.strip()}\n```\n")
    return "\n".join([_COMMANDS, *sections])


def query_page() -> str:
    """``docs/query-reference.md``: every query of ``cypher/explore/``, its documentation and parameters."""
    return "\n".join([_QUERIES, *(_query(queries.get(name)) for name in queries.query_names("explore"))])


def _query(query: Query) -> str:
    # A doc comment is plain text: in backticks, nothing in it is taken for markup.
    lines = [f"## `{query.name}`", "", "```text", query.doc, "```", ""]
    if query.parameters:
        lines += ["| Parameter | Type | Default | Meaning |", "|---|---|---|---|"]
    for parameter in query.parameters.values():
        default = "required" if parameter.required else f"`{json.dumps(parameter.default, ensure_ascii=False)}`"
        cells = (f"`{parameter.name}`", parameter.type, default, parameter.doc)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join([*lines, ""] if query.parameters else lines)


PAGES: Final = {DOCS / "cli.md": cli_page, DOCS / "query-reference.md": query_page}


def main() -> None:
    """Write both pages."""
    for path, page in PAGES.items():
        path.write_text(page(), encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
