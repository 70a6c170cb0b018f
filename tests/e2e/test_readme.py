"""README is typed from the first line to the last, on an empty graph and in an empty folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kgplatform import server
from tests import ROOT
from tests.conftest import own_home
from tests.e2e.typed import Shell, matches, page_commands

README = (ROOT / "README.md").read_text(encoding="utf-8")
LIMIT = 600.0  # seconds a command
# What the test types in place of a command, and why. All else is typed as it stands.
INSTEAD = {
    "make quickstart": ("make --old-file=.venv/installed quickstart", "the packages are installed already"),
    "make test": ("true", "it is what runs this test"),
}


def test_the_reader_finds_commands_and_outputs() -> None:
    page_text = "text\n```console\n$ a \\\n    b\n1\n$ c\n```\n```python\n$ d\n```\n```console\n$ e\n…\nx … z\n```\n"
    readme_commands = list(page_commands(page_text))
    assert [(command.line, command.text, command.output) for command in readme_commands] == [
        (3, "a \\\n    b", ("1",)),
        (6, "c", ()),
        (12, "e", ("…", "x … z")),
    ]
    assert matches(readme_commands[2].output, "1\n2\nx y z\n")
    assert matches(readme_commands[2].output, "x y z  \n")
    assert not matches(readme_commands[2].output, "x y z\n3\n")
    assert not matches(readme_commands[0].output, "12\n")


def test_a_shell_keeps_what_is_set_and_tells_failures(tmp_path: Path) -> None:
    shell = Shell(tmp_path, {})
    assert shell.type("export A=1; cat", 10) == (0, "")
    assert shell.type("echo $A; echo bad >&2; false", 10) == (1, "1\nbad\n")
    shell.close()


@pytest.mark.server
@pytest.mark.data
def test_readme_can_be_typed(tmp_path: Path, data_dir: Path) -> None:
    home_folder, clone_folder = tmp_path / "home", tmp_path / "clone"
    home_folder.mkdir()
    clone_folder.mkdir()
    own_settings = own_home(home_folder)
    for entry_name in ("Makefile", "benchmarks", "docs"):
        (clone_folder / entry_name).symlink_to(ROOT / entry_name)
    (clone_folder / ".venv").symlink_to(sys.prefix)
    shell = Shell(clone_folder, {"KGP_HOME": str(own_settings.home), "KGP_DATA_DIR": str(data_dir)})
    unused_replacements = dict(INSTEAD)
    try:
        for command in page_commands(README):
            command_text, _reason = unused_replacements.pop(command.text.partition("    #")[0], (command.text, ""))
            status, shell_output = shell.type(command_text, LIMIT)
            assert status == 0, f"README line {command.line}: {command.text} ended with {status}:\n{shell_output}"
            if command.output:
                expected = "\n".join(command.output)
                command_label = f"README line {command.line}: {command.text}"
                assert matches(command.output, shell_output), (
                    f"{command_label} prints\n{shell_output}\nwhere README has\n{expected}"
                )
    finally:
        shell.close()
        server.stop(own_settings)
    assert not unused_replacements, "README no longer has these commands"
