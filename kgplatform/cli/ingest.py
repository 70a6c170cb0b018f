"""`kgp ingest`: load a source into the graph."""

import typer

app = typer.Typer(no_args_is_help=True, help="Load a source into the graph.")


@app.command()
def medmkg() -> None:
    """X"""


@app.command()
def triples() -> None:
    """X"""
