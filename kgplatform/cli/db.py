"""`kgp db`."""

import typer

app = typer.Typer(no_args_is_help=True, help="TODO")


@app.command()
def todo() -> None:
    """Stand-in."""


@app.command()
def todo2() -> None:
    """Stand-in."""
