"""Names from data on a terminal: no control character, escape sequence or change of direction comes through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kgplatform.cli import output
from kgplatform.errors import InputError

NAMES = [
    "\x1b[2Jcleared",
    "\x1b]0;title\x07",
    "a\rb",
    "\x9b31m",
    "right\u202eleft",
    "\u2066x",
    "a\0b",
    "\ud800",
    "a\x08b",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_way_to_print_cleans_names(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    output.echo(f"found {name}")
    output.echo(output.format_table([{"name": name}]))
    output.note(name)
    output.fail(InputError(f"bad {name}", name, path=Path(name.replace("\0", ""))), as_json=False)
    stdout, stderr = capsys.readouterr()
    assert all(line.isprintable() for line in (stdout + stderr).split("\n"))


def test_letters_of_any_language_stay(capsys: pytest.CaptureFixture[str]) -> None:
    output.echo("Röntgen 肺 صدر\nsecond line")
    assert capsys.readouterr().out == "Röntgen 肺 صدر\nsecond line\n"


def test_commands_print_by_echo_alone() -> None:
    """So that no name is printed as it came; `kgp --version` has none."""
    command_folder = Path(output.__file__).parent
    printing_modules = [
        module_path.name
        for module_path in command_folder.glob("*.py")
        if re.search(r"\btyper\.echo\(|(?<!\.)\bprint\(", module_path.read_text())
    ]
    assert printing_modules == ["commands.py"]
