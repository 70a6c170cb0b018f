"""The command line: one module a command, each thin: parse, call one function, print.

Exit codes: 0 done, 1 failed, 2 wrong usage. Heavy imports happen inside the commands, so that `kgp --help` is quick.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from kgplatform import __version__
from kgplatform.cli import (
    assess,
    audit,
    browser_setup,
    construct,
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
from kgplatform.cli.output import fail
from kgplatform.errors import KgpError, UsageError
from kgplatform.files import final_name
from kgplatform.suggest import did_you_mean

_CHOICE = re.compile(r"'(?P<value>[^']*)' is not one of (?P<choices>'.*)")
_QUOTED = re.compile(r"'([^']*)'")

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
app.add_typer(construct.app, name="construct")
app.add_typer(phantom.app, name="phantom")
app.command("stats")(stats.stats)
app.command("query")(query.query)
app.command("export")(export.export)
app.command("split")(split.split)
app.command("pairs")(pairs.pairs)
app.command("generate")(generate.generate)
app.command("embed")(embed.embed)
app.command("search")(search.search)
app.add_typer(train.app, name="train")
app.add_typer(predict.app, name="predict")
app.add_typer(assess.app, name="assess")
app.add_typer(vqa.app, name="vqa")
app.command("ask")(vqa.ask)
app.command("audit")(audit.audit)
app.command("doctor")(doctor.doctor)
app.command("browser-setup")(browser_setup.browser_setup)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kgp {__version__}")
        raise typer.Exit


@app.callback()
def kgp(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Load, score, question and export a knowledge graph of chest radiographs."""


def main() -> None:
    """Run `kgp`; every deliberate error ends as one clear line, or as a JSON document under ``--json``."""
    try:
        code = _run("--json" in sys.argv)
    except BrokenPipeError:  # `kgp … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _usage(message: str, hint: str) -> UsageError:
    """Typer's message as ours: the value nearly right is named where a choice was wrong."""
    message = message.replace("Value error, ", "")
    choice = _CHOICE.search(message)
    if choice is None:
        return UsageError(message, hint)
    return UsageError(message, did_you_mean(choice["value"], _QUOTED.findall(choice["choices"]), hint))


def _run(as_json: bool) -> int:
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except KgpError as error:
        code = fail(error, as_json)
    except TyperException as error:
        context = getattr(error, "ctx", None)
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(error.format_message() + "\n")
            return UsageError.exit_code
        hint = f"See `{context.command_path} --help`." if context else ""
        code = fail(_usage(error.format_message(), hint), as_json)
    except BrokenPipeError:
        raise
    except OSError as error:  # a folder that is not there, a full disk
        what = f"{final_name(Path(error.filename))}: {error.strerror}" if error.filename else str(error)
        code = fail(KgpError(what, "Check the path, its permissions and the space on the disk."), as_json)
    except (typer.Abort, KeyboardInterrupt):
        sys.stderr.write("interrupted; the same command goes on from here\n")
        code = 1
    return code if isinstance(code, int) else 0
