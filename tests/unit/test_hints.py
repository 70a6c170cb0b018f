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

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("kgplatform/**/*.py"), *ROOT.glob("loaders/**/*.py"), *ROOT.glob("models/**/*.py")]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
UNKNOWN = "\0"  # stands for the part of a text that only a run fills in
QUOTED = re.compile(r"`(kgp(?:\s[^`]*)?)`")
PLAIN = re.compile(r"(?<![\w`./-])(kgp(?: [a-z][\w-]*)+(?: --[a-z-]+)*)")
WORD = re.compile(r"[a-z][a-z0-9-]*")
NO_COMMANDS = {  # names of random seeds, and a sentence
    "kgp phantom patients", "kgp phantom study", "kgp phantom report", "kgp phantom remedies",
    "kgp reports", "kgp buckets", "kgp generator", "kgp does not look after",
}  # fmt: skip


def texts(path: Path) -> Iterator[str]:
    """The texts of a source file, those with fields in one piece."""
    parts: set[int] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            parts |= {id(value) for value in node.values}
            yield "".join(str(v.value) if isinstance(v, ast.Constant) else UNKNOWN for v in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
            yield node.value


def commands_of_page(path: Path) -> Iterator[str]:
    """The commands in a page: in backticks, and lines of code that begin with kgp."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    yield from QUOTED.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    yield from (line.strip().removeprefix("$ ") for line in text.splitlines() if re.match(r"\s*(\$ )?kgp ", line))


@cache
def root() -> Any:
    """`kgp` itself."""
    return typer.main.get_command(app)


def problem(text: str) -> str | None:
    """What the command line lacks; None where it is one."""
    text = re.split(r"[|;#]| && | > ", text)[0].replace("…", UNKNOWN)
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    command = root()
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        if not WORD.fullmatch(rest[0]):
            break
        if rest[0] not in command.commands:
            return f"{command.name} has no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        option = word.partition("=")[0].rstrip(".,:)")
        if option.startswith("--") and UNKNOWN not in option and option not in {*known, "--help", "--"}:
            return f"{command.name} has no option {option}"
    return None


@pytest.mark.parametrize("text", ["kgp ontology load", "kgp ingest medmkgg", "kgp stats --polt x"])
def test_what_does_not_exist_is_seen(text: str) -> None:
    assert problem(text) is not None


@pytest.mark.parametrize(
    "text",
    ["kgp", "kgp ingest", "kgp stats --plot a.png", "kgp runs undo \0", 'kgp ask a.png "is --it?"', "kgp --help"],
)
def test_what_exists_is_let_through(text: str) -> None:
    assert problem(text) is None


def test_messages_name_commands_that_exist() -> None:
    wrong = []
    seen = 0
    for path in SOURCES:
        for text in texts(path):
            for found in (*QUOTED.findall(text), *PLAIN.findall(QUOTED.sub("", text))):
                seen += 1
                if found not in NO_COMMANDS and (why := problem(" ".join(found.split()))):
                    wrong.append(f"{path.relative_to(ROOT)}: {' '.join(found.split())}: {why}")
    assert seen > 100
    assert wrong == []


def test_pages_name_commands_that_exist() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {found}: {why}"
        for path in PAGES
        for found in commands_of_page(path)
        if (why := problem(" ".join(found.split())))
    ]
    assert wrong == []
