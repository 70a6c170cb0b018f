"""`kgp predict`: what a trained model expects to be true, printed or written into the graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import AnyModality, Json, echo, emit_json, format_table, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgp_models.library.images import PredictedImages

app = typer.Typer(no_args_is_help=True, help="Predict links, and what radiographs show, with a trained model.")


@app.callback()
def predict() -> None:
    """Predict links, and what radiographs show, with a trained model."""


@app.command("image")
def predict_image_command(
    images: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A radiograph, a folder of them, or a data set.")],
    model: Annotated[Path, typer.Option(help="The folder of an image encoder (`kgp train images`).")],
    top: Annotated[int, typer.Option(min=1, max=1_000, help="How many concepts of an image.")] = 10,
    least: Annotated[float, typer.Option(min=0.0, max=1.0, help="The lowest probability.")] = 0.1,
    by_study: Annotated[
        bool, typer.Option("--by-study", help="Combine the images of a study: what the data set states, else a folder.")
    ] = False,
    write: Annotated[bool, typer.Option("--write", help="Write them into the graph as PREDICTED edges.")] = False,
    any_modality: AnyModality = False,
    as_json: Json = False,
) -> None:
    """Print which concepts radiographs show that the graph has never seen, with stance and probability.

    The encoder and the graph predict together: images of the graph that are similar count (embed them once with
    `kgp embed --model images:FOLDER`), and so do relations of concepts. With --write the predictions are put into the
    graph; they are never counted as facts, and `kgp runs undo` removes them.
    """
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph

    with needed("retrieval"):
        from kgp_models.library.images import predict_images
    options: dict[str, Any] = {"top": top, "least": least, "by_study": by_study, "write": write}
    with open_graph().patient() as graph:
        predicted = predict_images(model, graph, images, **options, any_modality=any_modality, progress=progress)
    if as_json:
        emit_json(predicted.as_dict())
    else:
        _print_images(predicted)
    if all(image.problem is not None for image in predicted.images):
        raise typer.Exit(1)


def _print_images(predicted: PredictedImages) -> None:
    for warning in predicted.warnings:
        echo(f"warning: {warning}")
    for note_text in predicted.notes:
        echo(f"note: {note_text}")
    for reject in predicted.rejects:
        echo(f"left out: {reject.path}: {reject.reason}")
    for image in predicted.images:
        unlike = " (unlike all training images)" if image.is_unlike else ""
        echo(f"\n{image.image.path or image.image.id}{unlike}")
        if image.problem is not None:
            echo(f"  {image.problem}")
            continue
        rows = [
            {
                "probability": f"{link.probability:.2f}",
                "stance": link.link.stance,
                "concept": link.link.name,
                "cui": link.link.cui,
                "by": link.by,
            }
            for link in image.links
        ]
        echo(format_table(rows) or "  no concept is that likely: lower --least")
    if predicted.runs:
        undo = "; ".join(f"`kgp runs undo {run}`" for run in reversed(predicted.runs))
        echo(f"\n{counted(predicted.written, 'predicted edges')} written; {undo} removes them.")


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
