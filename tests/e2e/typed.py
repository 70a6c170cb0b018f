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


def page_commands(page: str) -> Iterator[Command]:
    """The commands of a page, in order."""
    for block in _BLOCK.finditer(page):
        first_line = page.count("\n", 0, block.start(1)) + 1
        block_lines = block[1].splitlines()
        start_indices = [line_index for line_index, line in enumerate(block_lines) if line.startswith("$ ")]
        assert start_indices[:1] == [0], f"line {first_line}: a block begins with a command"
        for start_index, stop_index in zip(start_indices, [*start_indices[1:], len(block_lines)], strict=True):
            command_end = start_index + 1
            while block_lines[command_end - 1].endswith("\\"):
                command_end += 1
            command_text = "\n".join(block_lines[start_index:command_end]).removeprefix("$ ")
            yield Command(first_line + start_index, command_text, tuple(block_lines[command_end:stop_index]))


def matches(expected: Sequence[str], output: str) -> bool:
    """Whether a command printed those lines. Spaces at the end of a line do not count."""
    pattern = ""
    for text_line in expected:
        if text_line.strip() == ANY:
            pattern += r"(?:.*\n)*"
        else:
            pattern += ".*".join(re.escape(literal) for literal in text_line.rstrip().split(ANY)) + "\n"
    output_lines = [text_line.rstrip() for text_line in output.splitlines()]
    return re.fullmatch(pattern, "".join(f"{text_line}\n" for text_line in output_lines)) is not None


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
        full_output = ""
        try:
            for output_line in process.stdout:
                text_before, end_marker, status = output_line.partition(_END)
                full_output += text_before
                if end_marker:
                    return int(status), full_output
        finally:
            timer.cancel()
        raise AssertionError(f"no answer after {seconds:.0f} s, or the shell ended: {text}\n{full_output}")

    def close(self) -> None:
        """End the shell."""
        self._process.kill()
        self._process.communicate()
