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
    home = settings.server_home
    with state.exclusive(home):
        if state.load(home).process(home) is not None:
            raise ServerError("the local Neo4j is running", "Stop it with `kgp db stop` first.")
        return run(settings, *arguments, flags=flags)


def run(settings: Settings, *arguments: str, flags: tuple[str, ...] = ()) -> str:
    """`admin` for those who hold the lock. The arguments go by a private file: a password may be among them."""
    home = settings.server_home
    state.write_private(home / "conf" / "neo4j.conf", config.render(state.load(home).ports, config.memory()))
    call = home / "run" / "admin.args"
    state.write_private(call, java.options(jars.class_path(settings), flags) + java.argument_file([MAIN, *arguments]))
    folders = {"NEO4J_HOME": str(home), "NEO4J_CONF": str(home / "conf")}
    try:
        done = subprocess.run(
            [java.find().path, f"@{call}"],
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            umask=0o077,
            env={**java.environment(), **folders},
        )
    finally:
        call.unlink()
    if done.returncode:
        what = " ".join(arguments[:2])
        raise ServerError(f"neo4j-admin {what} failed: {first_useful(done.stderr + done.stdout)}")
    return done.stdout + done.stderr


def first_useful(output: str) -> str:
    """The line that says what went wrong: neither a warning of Java's nor a stack frame."""
    lines = [line.strip() for line in output.splitlines()]
    useful = [line for line in lines if line and not line.startswith(("WARNING", "at ", "Selecting JVM", "Run with "))]
    return useful[0] if useful else "it gave no reason"
