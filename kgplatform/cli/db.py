"""`kgp db`: the local Neo4j."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform.cli.output import Json, confirm, echo, emit_json, note, progress
from kgplatform.errors import SettingsError
from kgplatform.settings import Settings

if TYPE_CHECKING:
    from kgplatform.server import Server

app = typer.Typer(no_args_is_help=True, help="Start, stop and manage the local Neo4j.")


@app.command("start")
def start_command(as_json: Json = False) -> None:
    """Start the local Neo4j (the first time it fetches 155 MB). It goes on after the terminal is closed."""
    from kgplatform import server

    _show(server.start(_local_settings()), as_json)


@app.command("stop")
def stop_command(as_json: Json = False) -> None:
    """Stop the local Neo4j; the graph stays on disk."""
    from kgplatform import server

    stopped_server = server.stop(_local_settings())
    if as_json or stopped_server.pid:
        _show(stopped_server, as_json)
    else:
        echo("Neo4j is stopped")


@app.command("status")
def status_command(as_json: Json = False) -> None:
    """Show whether the server runs and where; the exit code is 0 when it does and 1 when it does not."""
    from kgplatform import server

    settings = Settings.from_env()
    if settings.uri is None:
        server_state = server.status(settings)
        _show(server_state, as_json)
        is_running = server_state.running
    else:
        is_running = _foreign_status(settings, as_json)
    if not is_running:
        raise typer.Exit(1)


@app.command()
def browser(as_json: Json = False) -> None:
    """Print the link to Neo4j Browser and how to log in."""
    from kgplatform import server

    server_state = server.status(_local_settings())
    if as_json:
        emit_json(
            {
                "browser": server_state.browser,
                "uri": server_state.uri,
                "user": server_state.user,
                "running": server_state.running,
            }
        )
        return
    echo(server_state.browser)
    echo(f"  connect to {server_state.uri}, user {server_state.user}; `kgp db password` prints the password")
    if not server_state.running:
        note("It is not running yet: `kgp db start`.")


@app.command("password")
def password_command() -> None:
    """Print the password of the local Neo4j, and nothing else."""
    from kgplatform import server

    echo(server.password(_local_settings()))


@app.command("reset")
def reset_command(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Stop the local Neo4j and delete its graph, logs and password; the fetched jars stay."""
    from kgplatform import server

    settings = _local_settings()
    if not yes:
        confirm(f"Delete the graph in {settings.server_home}?")
    server.reset(settings)
    if as_json:
        emit_json({"reset": True, "home": str(settings.server_home)})
    else:
        echo(f"deleted the graph in {settings.server_home}")


@app.command("import")
def import_(
    kind: Annotated[str, typer.Argument(help="The loader: medmkg, triples, or one that another package registers.")],
    path: Annotated[Path, typer.Argument(help="Its folder or file, in the form that `kgp ingest` takes.")],
    as_json: Json = False,
) -> None:
    """Load a source into the empty local graph by neo4j-admin, read it back and compare: for very large first loads."""
    from kgplatform.bulk import bulk_import
    from kgplatform.cli.ingest import open_source, report_load

    report = bulk_import(_local_settings(), open_source(kind, path), progress=progress(f"rows of {kind}"))
    report_load(report, as_json)


def _local_settings() -> Settings:
    """The settings, unless they name a server that is not ours to start or stop."""
    settings = Settings.from_env()
    if settings.uri is not None:
        raise SettingsError(
            f"NEO4J_URI is set, so the server at {settings.uri} is used, which kgp does not manage",
            "Unset NEO4J_URI to use the local server.",
        )
    return settings


def _show(server: Server, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "uri": server.uri,
                "browser": server.browser,
                "user": server.user,
                "home": str(server.home),
                "running": server.running,
                "pid": server.pid,
            }
        )
    elif server.running:
        echo(f"Neo4j is running at {server.uri} (user {server.user}; `kgp db password` prints the password)")
        echo(f"Neo4j Browser: {server.browser}")
    else:
        echo("Neo4j is starting or does not answer" if server.pid else "Neo4j is not running")


def _foreign_status(settings: Settings, as_json: bool) -> bool:
    """Whether the server of NEO4J_URI answers and accepts the login."""
    from kgplatform.connect import open_graph
    from kgplatform.errors import DatabaseError

    problem = ""
    try:
        open_graph(settings).close()
    except DatabaseError as error:
        problem = error.message
    if as_json:
        server_document = {"uri": settings.uri, "browser": None, "user": settings.username, "home": None}
        emit_json({**server_document, "running": not problem, "pid": None})
    else:
        echo(problem or f"Neo4j is running at {settings.uri} (user {settings.username}, from NEO4J_URI)")
    return not problem
