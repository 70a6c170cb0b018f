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
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        run_records = runs.list_runs(graph)
    if as_json:
        emit_json(run_records)
    else:
        run_rows = [
            {**run_record, "started": str(run_record["started"] or "")[:16].replace("T", " ")}
            for run_record in run_records
        ]
        echo(fitted(run_rows, COLUMNS, "source", OPTIONAL) or "no runs yet: nothing was loaded or generated")


@app.command()
def show(run: RunId, as_json: Json = False) -> None:
    """Show a run's record and what it asserts in the graph now."""
    from kgplatform import runs
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        run_summary = runs.show(graph, run)
    if as_json:
        emit_json(run_summary)
        return
    record = {**run_summary.pop("run"), **run_summary}
    echo(table([{"": field_name, "value": str(value)} for field_name, value in sorted(record.items())]))


@app.command()
def undo(
    run: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Take everything out of the graph that only this run asserts. It says what that is and, at a terminal, asks."""
    from kgplatform import runs
    from kgplatform.connect import open_graph

    with open_graph().patient(note) as graph:
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
    preview_text = f"{preview.run}: {_parts(preview)} would go"
    if preview.kept_edges or preview.kept_nodes:
        counts = ((preview.kept_edges, "edges"), (preview.kept_nodes, "nodes"))
        retained_text = " and ".join(counted(count, element_kind) for count, element_kind in counts if count)
        preview_text += f"; {retained_text} would stay, which others need or assert, too"
    return preview_text


def _parts(removed: Undone) -> str:
    """What goes, in words."""
    removed_texts = []
    if removed.edges or removed.nodes or not removed.embeddings:
        removed_texts.append(f"{counted(removed.edges, 'edges')} and {counted(removed.nodes, 'nodes')}")
    if removed.embeddings:
        removed_texts.append(f"the embeddings of {counted(removed.embeddings, 'nodes')}")
    return " and ".join(removed_texts)
