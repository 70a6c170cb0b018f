"""All commands of `kgp`, by name."""

from __future__ import annotations

from typing import Annotated

import typer

from kgplatform import __version__
from kgplatform.cli import (
    assess,
    audit,
    browser_setup,
    construct,
    construct_compare,
    db,
    doctor,
    embed,
    export,
    generate,
    ingest,
    naf,
    pairs,
    phantom,
    predict,
    query,
    runs,
    search,
    split,
    stats,
    train,
    vqa,
)

app = typer.Typer(
    name="kgp",
    help="A knowledge-graph platform for medical imaging on Neo4j.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(db.app, name="db")
app.add_typer(ingest.app, name="ingest")
app.add_typer(naf.app, name="naf")
app.add_typer(runs.app, name="runs")
construct.app.command("compare")(construct_compare.compare_command)
app.add_typer(construct.app, name="construct")
app.add_typer(phantom.app, name="phantom")
app.command("stats")(stats.stats)
app.command("query")(query.query)
app.command("export")(export.export)
app.command("split")(split.split_command)
app.command("pairs")(pairs.pairs)
app.command("generate")(generate.generate_command)
app.command("embed")(embed.embed_command)
app.command("search")(search.search)
app.add_typer(train.app, name="train")
app.add_typer(predict.app, name="predict")
app.add_typer(assess.app, name="assess")
app.add_typer(vqa.app, name="vqa")
app.command("ask")(vqa.ask_command)
app.command("audit")(audit.audit_command)
app.command("doctor")(doctor.doctor)
app.command("browser-setup")(browser_setup.browser_setup)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        typer.echo(f"kgp {__version__}")
        raise typer.Exit


@app.callback()
def kgp(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load, score, question and export a knowledge graph of chest radiographs."""
