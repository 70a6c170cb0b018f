"""Reads the commands and outputs that a page of the documentation prints, and types them into a shell.

A page prints them in blocks of ```` ```console ````: a line that begins with ``$ `` is a command, which goes on where
it ends with a backslash; the lines up to the next command are what it prints. In an output, ``…`` stands for what may
differ: alone on a line for any lines, within a line for any characters. Where a command has no output in the page,
any output will do. Standard output and standard error come in one, as on a terminal.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ANY: Final = "…"
_BLOCK: Final = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_END: Final = "\x1eexit status "


@dataclass(frozen=True)
class Command:
    """A command of a page, the number of its line there, and the lines that it prints."""

    line: int
    text: str
    output: tuple[str, ...]


def commands(page: str) -> Iterator[Command]:
    """The commands of a page, in order."""
    for block in _BLOCK.finditer(page):
        first = page.count("\n", 0, block.start(1)) + 1
        lines = block[1].splitlines()
        starts = [number for number, line in enumerate(lines) if line.startswith("$ ")]
        assert starts[:1] == [0], f"line {first}: a block begins with a command"
        for start, stop in zip(starts, [*starts[1:], len(lines)], strict=True):
            end = start + 1
            while lines[end - 1].endswith("\\"):
                end += 1
            text = "\n".join(lines[start:end]).removeprefix("$ ")
            yield Command(first + start, text, tuple(lines[end:stop]))


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether a command printed those lines. Spaces at the end of a line do not count."""
    pattern = ""
    for line in expected:
        if line.strip() == ANY:
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(part) for part in line.rstrip().split(ANY)) + "\n"
    lines = [line.rstrip() for line in output.splitlines()]
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in lines)) is not None


class Shell:
    """One bash for all commands, so that what a command sets holds for the next."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, text: str, seconds: float) -> tuple[int, str]:
        """Run a command; returns its exit status and what it printed. Fails after so many seconds."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"eval {shlex.quote(text)} </dev/null\nprintf '{_END}%d\\n' $?\n")
        process.stdin.flush()
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        printed = ""
        try:
            for line in process.stdout:
                before, ended, status = line.partition(_END)
                printed += before
                if ended:
                    return int(status), printed
        finally:
            timer.cancel()
        raise AssertionError(f"no answer after {seconds:.0f} s, or the shell ended: {text}\n{printed}")

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.communicate()
