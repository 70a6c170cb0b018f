"""`kgp runs`: provenance."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform.cli.output import Json, confirm, echo, emit_json, fitted, note, table
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.runs import Preview, Undone

app = typer.Typer(no_args_is_help=True, help="See what was loaded or generated when, and take it back.")
RunId = Annotated[str, typer.Argument(help="The run's id, as `kgp runs list` shows it.")]

COLUMNS = ("id", "source", "status", "read", "written", "existing", "rejected", "started")
OPTIONAL = ("existing", "rejected", "started", "read")  # left out first on a narrow terminal


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List all runs, newest first."""
    from kgplatform import runs
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        found = runs.list_runs(graph)
    if as_json:
        emit_json(found)
    else:
        rows = [{**run, "started": str(run["started"] or "")[:16].replace("T", " ")} for run in found]
        echo(fitted(rows, COLUMNS, "source", OPTIONAL) or "no runs yet: nothing was loaded or generated")


@app.command()
def show(run: RunId, as_json: Json = False) -> None:
    """Show a run's record and what it asserts in the graph now."""
    from kgplatform import runs
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        found = runs.show(graph, run)
    if as_json:
        emit_json(found)
        return
    record = {**found.pop("run"), **found}
    echo(table([{"": key, "value": str(value)} for key, value in sorted(record.items())]))


@app.command()
def undo(
    run: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take everything out of the graph that only this run asserts. It says what that is and, at a terminal, asks."""
    from kgplatform import runs
    from kgplatform.graph import Graph

    with Graph.open().patient(note) as graph:
        note(_foreseen(runs.preview(graph, run)))
        if not yes and sys.stdin.isatty():
            confirm("Take it out?")
        undone = runs.undo(graph, run, note)
    if as_json:
        emit_json(asdict(undone))
    else:
        echo(f"{undone.run}: {_parts(undone)} taken out")


def _foreseen(preview: Preview) -> str:
    """What an undo would do."""
    text = f"{preview.run}: {_parts(preview)} would go"
    if preview.kept_edges or preview.kept_nodes:
        counts = ((preview.kept_edges, "edges"), (preview.kept_nodes, "nodes"))
        kept = " and ".join(counted(count, what) for count, what in counts if count)
        text += f"; {kept} would stay, which others need or assert, too"
    return text


def _parts(what: Undone) -> str:
    """What goes, in words."""
    parts = []
    if what.edges or what.nodes or not what.embeddings:
        parts.append(f"{counted(what.edges, 'edges')} and {counted(what.nodes, 'nodes')}")
    if what.embeddings:
        parts.append(f"the embeddings of {counted(what.embeddings, 'nodes')}")
    return " and ".join(parts)
