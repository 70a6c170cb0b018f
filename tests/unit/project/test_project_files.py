"""The files that hosts and tools read: citation, security policy, issue forms, hooks, public CI."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import kgplatform
from tests import ROOT

FORMS = sorted(ROOT.glob(".github/ISSUE_TEMPLATE/*.yml"))
BIN = ".venv/bin"


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target_match = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert target_match is not None, f"the Makefile has no {target}"
    return [line.strip().replace("$(BIN)", BIN) for line in target_match[1].splitlines()]


def test_the_citation_names_this_version_and_licence() -> None:
    citation = read("CITATION.cff")
    assert citation.keys() >= {"cff-version", "message", "title", "authors"}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert str(citation["version"]) == project["version"] == kgplatform.__version__
    assert citation["license"] == project["license"]


def test_the_security_policy_points_to_the_page_on_security() -> None:
    policy = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "](docs/security.md)" in policy and (ROOT / "docs" / "security.md").is_file()
    assert "privately" in policy and "@" not in policy


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.stem)
def test_an_issue_form_has_a_name_a_description_and_labelled_fields(form: Path) -> None:
    document = yaml.safe_load(form.read_text(encoding="utf-8"))
    assert document["name"] and document["description"]
    fields = [field for field in document["body"] if field["type"] != "markdown"]
    assert fields and all(field["attributes"]["label"] for field in fields)
    field_ids = [field["id"] for field in fields]
    assert len(field_ids) == len(set(field_ids))


def test_there_are_forms_for_bugs_and_features() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature"]


def test_the_hooks_run_what_make_lint_runs() -> None:
    [repository] = read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"  # no hook is fetched
    assert [hook["entry"] for hook in repository["hooks"]] == recipe("lint")
    assert all(hook["language"] == "system" and not hook["pass_filenames"] for hook in repository["hooks"])


def test_public_ci_runs_lint_fast_tests_and_docs_from_the_oldest_python_on() -> None:
    [job] = read(".github/workflows/ci.yml")["jobs"].values()
    versions = job["strategy"]["matrix"]["python"]
    assert versions == ["3.11", "3.12", "3.13", "3.14"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == f">={versions[0]}"
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands == ["make lint", "make test-fast", "make docs"]
    assert all(recipe(command.removeprefix("make ")) for command in commands)
