"""`kgp runs`: provenance."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, confirm, echo, emit_json, fitted, format_table, note
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.runs import Preview, Undone

app = typer.Typer(no_args_is_help=True, help="Show what was loaded or generated and when, and undo it.")
RunId = Annotated[str, typer.Argument(help="The run's id, as `kgp runs list` shows it.")]

COLUMNS = ("id", "source", "status", "read", "written", "existing", "rejected", "started")
FIRST_FIELDS = ("id", "kind", "source", "status", "started", "finished", "edges", "edges_of_this_run_alone", "nodes")
INTERNAL_FIELDS = ("batch", "batch_enriched", "batch_written", "rows_done")  # where a load goes on; in --json
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


@app.command("show")
def show_run(run: RunId, as_json: Json = False) -> None:
    """Show a run's record and what it asserts in the graph now."""
    from kgplatform import runs
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        run_summary = runs.show(graph, run)
    if as_json:
        emit_json(run_summary)
        return
    echo(format_table([{"field": field_name, "value": value} for field_name, value in _fields(run_summary)]))


@app.command("undo")
def undo_run(
    run: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Remove from the graph what only this run asserts. It shows what that is and, at a terminal, asks first."""
    from kgplatform import runs
    from kgplatform.connect import open_graph

    with open_graph().patient() as graph:
        preview = runs.preview(graph, run)
        if preview.is_undone:
            note(f"{run} is already undone: there is nothing to remove")
        else:
            note(_foreseen(preview))
            if not yes and sys.stdin.isatty():
                confirm("Remove it?")
        undone = runs.undo(graph, run)
    if as_json:
        emit_json(asdict(undone))
    else:
        echo(f"{undone.run}: {_parts(undone)} removed")


def _fields(run_summary: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a reader wants to know of a run, in order; each parameter is a field of its own."""
    record = {**run_summary["run"], **run_summary}
    names = [name for name in FIRST_FIELDS if name in record]
    names += sorted(name for name in record if name not in (*FIRST_FIELDS, *INTERNAL_FIELDS, "run", "parameters"))
    for name in names:
        yield name.replace("_", " "), _readable(name, record[name])
    parameters = record.get("parameters")
    for name, value in (json.loads(parameters) if isinstance(parameters, str) else parameters or {}).items():
        yield f"parameter {name.replace('_', ' ')}", _readable(name, value)


def _readable(name: str, value: Any) -> str:
    if name in ("started", "finished"):
        return str(value or "")[:19].replace("T", " ")
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ", ".join(map(str, value))
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: ""}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _foreseen(preview: Preview) -> str:
    """What an undo would do."""
    preview_text = f"{preview.run}: {_parts(preview)} would be removed"
    if preview.kept_edges or preview.kept_nodes:
        counts = ((preview.kept_edges, "edges"), (preview.kept_nodes, "nodes"))
        retained_text = " and ".join(counted(count, element_kind) for count, element_kind in counts if count)
        preview_text += f"; {retained_text} would stay, needed or asserted by other runs"
    return preview_text


def _parts(removed: Undone) -> str:
    """What goes, in words."""
    removed_texts = []
    if removed.edges or removed.nodes or not removed.embeddings:
        removed_texts.append(f"{counted(removed.edges, 'edges')} and {counted(removed.nodes, 'nodes')}")
    if removed.embeddings:
        removed_texts.append(f"the embeddings of {counted(removed.embeddings, 'nodes')}")
    return " and ".join(removed_texts)
