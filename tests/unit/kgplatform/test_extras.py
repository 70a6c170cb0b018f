"""A missing package: the hint is a command that can be typed here."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import shlex
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

from kgplatform import extras
from kgplatform.extras import import_problem, install_command, installer, missing
from tests import ROOT

EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]


def installed_from(monkeypatch: pytest.MonkeyPatch, direct_url: str | None) -> None:
    monkeypatch.setattr(extras, "distribution", lambda _: SimpleNamespace(read_text=lambda _: direct_url))


def test_the_command_names_this_interpreter_and_the_clone_that_it_was_installed_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clone = tmp_path / "a clone"
    clone.mkdir()
    installed_from(monkeypatch, json.dumps({"url": clone.as_uri(), "dir_info": {"editable": True}}))
    words = shlex.split(install_command("plot"))
    assert sys.executable in words
    assert words[-2:] == ["-e", f"{clone}[plot]"]

    installed_from(monkeypatch, json.dumps({"url": clone.as_uri(), "dir_info": {}}))
    words = shlex.split(install_command("plot"))
    assert words[-1] == f"{clone}[plot]"
    assert "-e" not in words


@pytest.mark.parametrize(
    "direct_url",
    [
        None,
        "",
        "{",
        '{"url": "file:///no/such/folder", "dir_info": {"editable": true}}',
        '{"url": "https://example.org/kgplatform.whl", "archive_info": {}}',
    ],
)
def test_without_a_clone_it_is_the_package_by_name(monkeypatch: pytest.MonkeyPatch, direct_url: str | None) -> None:
    installed_from(monkeypatch, direct_url)
    assert shlex.split(install_command("ml"))[-1] == "kgplatform[ml]"


def test_without_the_package_s_record_it_is_the_package_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_record(_: str) -> None:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(extras, "distribution", no_record)
    assert shlex.split(install_command("ml"))[-1] == "kgplatform[ml]"


@pytest.mark.parametrize(("has_pip", "command"), [(True, "-m pip install"), (False, "uv pip install --python")])
def test_the_installer_is_one_that_this_environment_has(
    monkeypatch: pytest.MonkeyPatch, has_pip: bool, command: str
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda _: object() if has_pip else None)
    assert command in installer()


def test_a_release_that_does_not_fit_is_not_called_missing() -> None:
    absent = import_problem(ModuleNotFoundError("No module named 'torch.nn'", name="torch.nn"), "ml")
    assert absent.message == "this needs torch, which is not installed"
    other = import_problem(ImportError("cannot import name 'X' from 'transformers'", name="transformers"), "ml")
    assert "not installed" not in other.message
    assert "cannot import name 'X' from 'transformers'" in other.message
    assert install_command("ml") in other.hint


def test_every_extra_that_the_code_names_exists() -> None:
    named = [
        call.args[1].value
        for folder in ("kgplatform", "loaders", "models")
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == missing.__name__
        and isinstance(call.args[1], ast.Constant)
    ]
    assert len(named) > 8
    assert set(named) <= set(EXTRAS)


def test_no_message_tells_to_install_the_package_by_name() -> None:
    """It is on no registry."""
    for folder in ("kgplatform", "loaders", "models", "docs"):
        for path in (ROOT / folder).rglob("*.*"):
            if path.suffix in (".py", ".md"):
                assert "pip install 'kgplatform" not in path.read_text(encoding="utf-8"), path
