"""`kgp runs`: provenance."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, fitted, note, table

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
def undo(run: RunId, as_json: Json = False) -> None:
    """Take everything out of the graph that only this run asserts."""
    from kgplatform import runs
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        undone = runs.undo(graph, run, note)
    if as_json:
        emit_json(asdict(undone))
    else:
        what = f"{undone.edges:,} edges and {undone.nodes:,} nodes"
        if undone.embeddings:
            what = f"the embeddings of {undone.embeddings:,} nodes"
        echo(f"{undone.run}: {what} taken out")
