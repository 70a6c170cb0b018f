"""Every `kgp` command that a message, a hint, a help text or a page names is one that exists, with its options."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from kgplatform.cli.commands import app
from tests import ROOT

SOURCES = [*ROOT.glob("kgplatform/**/*.py"), *ROOT.glob("loaders/**/*.py"), *ROOT.glob("models/**/*.py")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
UNKNOWN = "\0"  # stands for the part of a text that only a run fills in
QUOTED = re.compile(r"`(kgp(?:\s[^`]*)?)`")
PLAIN = re.compile(r"(?<![\w`./-])(kgp(?: [a-z][\w-]*)+(?: --[a-z-]+)*)")
WORD = re.compile(r"[a-z][a-z0-9-]*")
NO_COMMANDS = {  # names of random seeds, and a sentence
    "kgp phantom patients", "kgp phantom study", "kgp phantom report", "kgp phantom remedies",
    "kgp reports", "kgp buckets", "kgp generator", "kgp does not manage",
}  # fmt: skip


def _source_texts(path: Path) -> Iterator[str]:
    """The texts of a source file, those with fields in one piece."""
    piece_ids: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            piece_ids |= {id(piece) for piece in node.values}
            yield "".join(str(piece.value) if isinstance(piece, ast.Constant) else UNKNOWN for piece in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in piece_ids:
            yield node.value


def documented_commands(path: Path) -> Iterator[str]:
    """The commands in a page: in backticks, and lines of code that begin with kgp."""
    page_text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    yield from QUOTED.findall(re.sub(r"```.*?```", "", page_text, flags=re.DOTALL))
    yield from (
        page_line.strip().removeprefix("$ ")
        for page_line in page_text.splitlines()
        if re.match(r"\s*(\$ )?kgp ", page_line)
    )


@cache
def _root_command() -> Any:
    """`kgp` itself."""
    return typer.main.get_command(app)


def _command_problem(text: str) -> str | None:
    """What the command line lacks; None where it is one."""
    text = re.split(r"[|;#]| && | > ", text)[0].replace("…", UNKNOWN)
    try:
        arguments = shlex.split(text)
    except ValueError:
        arguments = text.split()
    command = _root_command()
    remaining = arguments[1:]
    while remaining and hasattr(command, "commands"):
        if not WORD.fullmatch(remaining[0]):
            break
        if remaining[0] not in command.commands:
            return f"{command.name} has no command {remaining[0]}"
        command, remaining = command.commands[remaining[0]], remaining[1:]
    valid_options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for argument in remaining:
        option = argument.partition("=")[0].rstrip(".,:)")
        if option.startswith("--") and UNKNOWN not in option and option not in {*valid_options, "--help", "--"}:
            return f"{command.name} has no option {option}"
    return None


@pytest.mark.parametrize("text", ["kgp ontology load", "kgp ingest medmkgg", "kgp stats --polt x"])
def test_what_does_not_exist_is_seen(text: str) -> None:
    assert _command_problem(text) is not None


@pytest.mark.parametrize(
    "text",
    ["kgp", "kgp ingest", "kgp stats --plot a.png", "kgp runs undo \0", 'kgp ask a.png "is --it?"', "kgp --help"],
)
def test_what_exists_is_let_through(text: str) -> None:
    assert _command_problem(text) is None


def test_messages_name_commands_that_exist() -> None:
    mistakes = []
    command_count = 0
    for source_path in SOURCES:
        for source_text in _source_texts(source_path):
            for quoted_command in (*QUOTED.findall(source_text), *PLAIN.findall(QUOTED.sub("", source_text))):
                command_count += 1
                if quoted_command not in NO_COMMANDS and (reason := _command_problem(" ".join(quoted_command.split()))):
                    mistakes.append(f"{source_path.relative_to(ROOT)}: {' '.join(quoted_command.split())}: {reason}")
    assert command_count > 100
    assert mistakes == []


def test_pages_name_commands_that_exist() -> None:
    mistakes = [
        f"{page_path.relative_to(ROOT)}: {quoted_command}: {reason}"
        for page_path in PAGES
        for quoted_command in documented_commands(page_path)
        if (reason := _command_problem(" ".join(quoted_command.split())))
    ]
    assert mistakes == []
