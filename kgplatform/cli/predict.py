"""`kgp predict`: what a trained model expects to be true, printed or written into the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table, progress
from kgplatform.wording import counted

app = typer.Typer(no_args_is_help=True, help="Predict links with a trained model.")


@app.callback()
def predict() -> None:
    """Predict links with a trained model."""


@app.command("links")
def predict_links_command(
    model: Annotated[Path, typer.Option(help="The folder of a trained model (`kgp train links`) or a pool.")],
    relation: Annotated[str, typer.Option(help="The relation to predict, such as POSITIVE or finding_site_of.")],
    top: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many predictions.")] = 20,
    head: Annotated[str | None, typer.Option(metavar="ID", help="Only for this head (an image's id or a CUI).")] = None,
    tail: Annotated[str | None, typer.Option(metavar="ID", help="Only for this tail.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write them into the graph as PREDICTED edges.")] = False,
    as_json: Json = False,
) -> None:
    """Print the likeliest links that the graph does not have; with --write, put them into it as predictions.

    Predictions are never counted as facts, and `kgp runs undo` removes them.
    """
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    with needed():
        from kgp_models.library.links import predict_links
    with open_graph().patient() as graph:
        predicted = predict_links(model, graph, relation, top, head=head, tail=tail, write=write, progress=progress)
    report = predicted.report
    written_count = report.rows.written if report else 0
    if as_json:
        run_id = report.run if report else None
        emit_json({"relation": relation, "predictions": predicted.rows(), "run": run_id, "written": written_count})
        return
    echo(format_table(predicted.rows()))
    if report:
        summary_text = f"{counted(written_count, 'predicted edges')} written, run {report.run}"
        echo(f"\n{summary_text}; `kgp runs undo {report.run}` removes them.")
        echo("Neo4j Browser draws them: `kgp query explore/predicted_links` prints the same.")
