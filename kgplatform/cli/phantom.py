"""`kgp phantom`: invented data for those who have none."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, emit_json

app = typer.Typer(no_args_is_help=True, help="Write an invented data set in MedMKG's form.")


@app.callback()
def phantom() -> None:
    """Write an invented data set in MedMKG's form."""


@app.command()
def build(
    directory: Annotated[Path, typer.Argument(help="Folder for the data set; made when it is not there.")],
    images: Annotated[int, typer.Option(help="Images in the graph; the released graph has 4,868.")] = 500,
    seed: Annotated[int, typer.Option(help="The same size and seed give the same files.")] = 7,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite files that are not as this command wrote them.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write MedMKG.csv and image_mapping.csv with invented images and concepts (C99...), for `kgp ingest medmkg`."""
    from kgp_loaders.phantom.graph import build

    made = build(directory, images, seed, force=force)
    if as_json:
        emit_json(asdict(made))
        return
    typer.echo(
        f"{made.directory}: {made.images:,} images and {made.concepts:,} concepts, "
        f"{made.cross_edges:,} edges between them, {made.intra_edges:,} among the concepts, "
        f"{made.mapped_images:,} mapped images; all invented"
    )
    typer.echo(f"load it: kgp ingest medmkg {made.directory}")
