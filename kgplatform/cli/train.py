"""`kgp train`: models trained on an export of the graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, emit_json, note, progress, table

app = typer.Typer(no_args_is_help=True, help="Train models on an export of the graph.")


@app.callback()
def train() -> None:
    """Train models on an export of the graph."""


@app.command()
def links(
    settings: Annotated[
        Path, typer.Argument(metavar="SETTINGS", help="A YAML file, such as benchmarks/settings/link_prediction/….")
    ],
    export: Annotated[Path, typer.Option(help="The folder of a `kgp export`.")],
    split: Annotated[Path, typer.Option(help="A split of that export (`kgp split`).")],
    out: Annotated[
        Path,
        typer.Option(
            help="The folder for the trained model. A training there goes on; a finished one is not done again."
        ),
    ],
    seed: Annotated[int, typer.Option(min=0, help="The seed of the initial values and of the order.")] = 42,
    tensorboard: Annotated[Path | None, typer.Option(help="Also log loss and validation rank to this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Train a link-prediction model, stopped by its filtered validation rank, and rank the test part."""
    from kgplatform.cli.ml import needed
    from kgplatform.export.splits import Split
    from kgplatform.export.triples import Triples

    with needed():
        from kgp_models.link_prediction.evaluate import Known, evaluate
        from kgp_models.link_prediction.settings import TrainingSettings
        from kgp_models.link_prediction.train import train as train_links

    read = TrainingSettings.read(settings)
    parts = Split.read(split, Triples.read(export))
    trained = train_links(read, parts, seed=seed, folder=out, tensorboard=tensorboard, progress=progress("epochs"))
    note(f"{trained.epochs} epochs in {trained.seconds:.0f} s; the best was {trained.best_epoch}")
    triples = parts.triples
    known = Known(triples.ids, triples.num_entities, triples.num_relations)
    metrics = evaluate(trained.scorer, parts.test, known, progress=progress("ranked")).metrics()
    if as_json:
        test = {task: of_task.as_dict() for task, of_task in metrics.items()}
        emit_json({"model": str(out), "epochs": trained.epochs, "best_epoch": trained.best_epoch, "test": test})
        return
    typer.echo(f"{read.model} is in {out}; filtered realistic ranks of the test part:\n")
    typer.echo(table([{"task": task, **of_task.as_dict()} for task, of_task in metrics.items()]))
