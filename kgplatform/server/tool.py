"""``neo4j-admin`` from the same jars: bulk import, the first password, store information."""

from __future__ import annotations

import subprocess

from kgplatform.errors import ServerError
from kgplatform.server import config, jars, java, state
from kgplatform.settings import Settings

MAIN = "org.neo4j.cli.AdminTool"


def admin(settings: Settings, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    """Run ``neo4j-admin ARGUMENTS…`` on the stopped local server; returns what it printed.

    `flags` are for Java, for example ``-Xmx4g``. Raises `ServerError` when the server runs, or with the tool's first
    useful line when it fails.
    """
    home_folder = settings.server_home
    with state.exclusive(home_folder):
        if state.load_state(home_folder).process(home_folder) is not None:
            raise ServerError("the local Neo4j is running", "Stop it with `kgp db stop` first.")
        return run_locked_admin(settings, *arguments, flags=flags)


def run_locked_admin(settings: Settings, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    """`admin` for those who hold the lock. The arguments go by a private file: a password may be among them."""
    home_folder = settings.server_home
    state.write_private(
        home_folder / "conf" / "neo4j.conf", config.render(state.load_state(home_folder).ports, config.memory())
    )
    arguments_path = home_folder / "run" / "admin.args"
    state.write_private(
        arguments_path, java.options(jars.class_path(settings), flags) + java.argument_file([MAIN, *arguments])
    )
    folder_variables = {"NEO4J_HOME": str(home_folder), "NEO4J_CONF": str(home_folder / "conf")}
    try:
        process = subprocess.run(
            [java.find_java().path, f"@{arguments_path}"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            umask=0o077,
            env={**java.environment(), **folder_variables},
        )
    finally:
        arguments_path.unlink()
    if process.returncode:
        subcommand = " ".join(arguments[:2])
        raise ServerError(f"neo4j-admin {subcommand} failed: {first_useful(process.stderr + process.stdout)}")
    return process.stdout + process.stderr


def first_useful(output: str) -> str:
    """The line that says what went wrong: neither a warning of Java's nor a stack frame."""
    output_lines = [output_line.strip() for output_line in output.splitlines()]
    useful_lines = [
        output_line
        for output_line in output_lines
        if output_line and not output_line.startswith(("WARNING", "at ", "Selecting JVM", "Run with "))
    ]
    return useful_lines[0] if useful_lines else "it gave no reason"
