"""The documentation says all that there is, and nothing that is not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import kgplatform
from kgplatform import queries
from tests import ROOT
from tests.scripts import docs_module

ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
PAGES = [ROOT / name for name in ROOT_PAGES] + sorted(ROOT.glob("docs/**/*.md"))
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
RECORDS = sorted(ROOT.glob("docs/decisions/[0-9]*.md"))
RECORD_HEADINGS = ["Question", "What was tried", "Decision", "Consequences"]
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NAMED = re.compile(r"\b(?:explore|naf|stats)/[a-z0-9_]+\b(?!\.)")
LOADED = re.compile(
    r"<(?:script|img|iframe)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*\brel=\"?stylesheet[^>]*https?://"
)
NAMED_FILE = re.compile(
    r"`((?:benchmarks|cypher|docs|kgplatform|loaders|models|tests)/[\w./-]+\.(?:cypher|json|md|py|tsv|yaml))`"
)
DOTTED = re.compile(r"(?<![\w./-])((?:kgplatform|kgp_models|kgp_loaders)(?:\.[A-Za-z_]\w*)+)")
TYPED = re.compile(r"(?:^|`)(?:    )?(?:\$ )?kgp ((?:[a-z][a-z-]*)(?: [a-z]+)?)", re.MULTILINE)

# In pieces, so that this file does not hold what it looks for.
HOSTS = [
    "pypi" + ".org",
    "python" + "hosted.org",
    "registry.npm" + "js.org",
    "repo1" + ".maven.org",
    "repo.mav" + "en.apache.org",
    "maven" + ".org/maven2",
    "static.crates" + ".io",
    "index.crates" + ".io",
    "deb.debian" + ".org",
    "security.debian" + ".org",
]
MACHINE = ["/ro" + "ot/", "/tmp/bash" + "_jobs", "/tmp" + "/w/", "/wo" + "rk/", "/ho" + "me/(?!kgp\\b)", "/Us" + "ers/"]
FOLDERS = ["bash" + "_jobs"]


@cache
def _cli_commands() -> dict[str, Any]:
    """What a user types -> the command."""
    return {command_path: command for command_path, command, _ in docs_module("make_cli").commands()}


@cache
def tracked() -> dict[str, str]:
    """The text of every tracked file that is text."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode:
        pytest.skip("not a git checkout")
    texts_by_name = {}
    for file_name in filter(None, listing.stdout.decode().split("\0")):
        file_path = ROOT / file_name
        if file_path.is_file():
            file_bytes = file_path.read_bytes()
            if b"\0" not in file_bytes:
                texts_by_name[file_name] = file_bytes.decode("utf-8")
    return texts_by_name


def test_the_walk_finds_the_commands() -> None:
    assert {
        "kgp",
        "kgp db",
        "kgp db start",
        "kgp ingest medmkg",
        "kgp naf score",
        "kgp query",
    } <= _cli_commands().keys()


@pytest.mark.parametrize("path", _cli_commands())
def test_every_command_and_option_has_help(path: str) -> None:
    command = _cli_commands()[path]
    assert (command.help or "").strip(), f"{path} has no help"
    for parameter in command.params:
        option_names = " / ".join(parameter.opts)
        assert (parameter.help or "").strip(), f"{path} {option_names} has no help"


@pytest.mark.parametrize("path", _cli_commands())
def test_every_command_stands_in_the_reference(path: str) -> None:
    assert f"# `{path}`\n" in (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cli.md", "query-reference.md"])
def test_generated_pages_are_what_the_product_says_now(name: str) -> None:
    page_path = ROOT / "docs" / name
    assert page_path.read_text(encoding="utf-8") == docs_module("make_cli").PAGES[page_path](), "run `make docs`"


@pytest.mark.parametrize("name", queries.query_names())
def test_every_query_is_documented(name: str) -> None:
    query = queries.get(name)
    assert query.doc.endswith("."), f"{name}: its first comment is one or more sentences"
    for parameter in query.parameters.values():
        assert parameter.doc.strip(), f"{name}: {parameter.name} is not described"
    if name.startswith("explore/"):
        assert f"## `{name}`\n" in (ROOT / "docs" / "query-reference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_and_images_exist(page: Path) -> None:
    page_text = CODE.sub("", page.read_text(encoding="utf-8"))
    for link_match in LINK.finditer(page_text):
        link_target = unquote(link_match["target"].split("#")[0])
        if link_target and "://" not in link_target:
            assert (page.parent / link_target).exists(), f"{page.name} links to {link_target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_queries_that_are_named_exist(page: Path) -> None:
    page_text = page.read_text(encoding="utf-8")
    for command_words in TYPED.findall(page_text):
        group_name, _, subcommand = command_words.partition(" ")
        assert f"kgp {group_name}" in _cli_commands(), f"{page.name}: there is no `kgp {group_name}`"
        if subcommand and getattr(_cli_commands()[f"kgp {group_name}"], "commands", None):
            assert f"kgp {group_name} {subcommand}" in _cli_commands(), (
                f"{page.name}: there is no `kgp {command_words}`"
            )
    for query_name in NAMED.findall(page_text):
        assert query_name in queries.query_names(), f"{page.name}: there is no query {query_name}"


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which names earlier files, too
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_files_and_python_names_that_are_named_exist(page: Path) -> None:
    page_text = page.read_text(encoding="utf-8")
    missing_files = [
        name for name in NAMED_FILE.findall(page_text) if "FOLDER" not in name and not (ROOT / name).exists()
    ]
    assert not missing_files
    missing_names = [
        name for name in DOTTED.findall(page_text) if name not in _plugin_groups() and not _has_python_name(name)
    ]
    assert not missing_names


@cache
def _plugin_groups() -> set[str]:
    return set(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"])


def _has_python_name(name: str) -> bool:
    """Whether a dotted name is a module, or a name that is defined or imported in one."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        for root_folder in (ROOT, ROOT / "loaders", ROOT / "models"):
            module_path = root_folder.joinpath(*parts[:length])
            for source_path in (module_path.with_suffix(".py"), module_path / "__init__.py"):
                if source_path.is_file():
                    source_text = source_path.read_text(encoding="utf-8")
                    return all(re.search(rf"\b{part}\b", source_text) for part in parts[length:])
    return False


def test_every_page_of_the_docs_is_in_the_menu() -> None:
    menu_text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page_path in sorted(ROOT.glob("docs/**/*.md")):
        page_name = page_path.relative_to(ROOT / "docs").as_posix()
        assert re.search(rf": {re.escape(page_name)}$", menu_text, re.MULTILINE), f"{page_name} is not in mkdocs.yml"


def test_no_file_names_a_developers_machine() -> None:
    # At the beginning of a word: inside a longer path or a URL the same letters are no machine's path.
    pattern = re.compile(rf"(?<![\w.$}}/])(?:{'|'.join(MACHINE)})|{'|'.join(FOLDERS)}")
    machine_paths = [
        f"{file_name}: {path_match[0]}"
        for file_name, file_text in tracked().items()
        for path_match in pattern.finditer(file_text)
    ]
    assert not machine_paths


def test_no_file_names_a_package_registry() -> None:
    pattern = re.compile("|".join(re.escape(host_name) for host_name in HOSTS))
    registry_names = []
    for file_name, file_text in tracked().items():
        registry_names += [f"{file_name}: {host_match[0]}" for host_match in pattern.finditer(file_text)]
    assert not registry_names


@pytest.mark.parametrize("record", [*RECORDS, ROOT / "docs/decisions/template.md"], ids=lambda record: record.stem)
def test_a_decision_record_has_the_form_of_the_template(record: Path) -> None:
    record_text = record.read_text(encoding="utf-8")
    number = str(int(record.stem.split("-")[0])) if record in RECORDS else "N"
    date = r"\d{4}-\d\d-\d\d" if record in RECORDS else "YYYY-MM-DD"
    assert re.match(rf"# {number}\. .+\n\nDate: {date}\n\n## ", record_text)
    assert re.findall(r"^## (.+)$", record_text, re.MULTILINE) == RECORD_HEADINGS


def test_the_index_of_decisions_has_every_record_with_its_date() -> None:
    index_text = (ROOT / "docs" / "decisions" / "index.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \|$", index_text, re.MULTILINE)
    expected_rows = []
    for record in RECORDS:
        title, _, date = record.read_text(encoding="utf-8").splitlines()[:3]
        record_number, record_title = title.removeprefix("# ").split(". ", 1)
        expected_rows.append((record_number, record_title, record.name, date.removeprefix("Date: ")))
    assert rows == expected_rows


@pytest.mark.slow
def test_the_site_builds_and_its_api_reference_has_every_public_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    build = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert build.returncode == 0, build.stdout + build.stderr
    reference = (tmp_path / "api.html").read_text(encoding="utf-8")
    missing_names = [name for name in kgplatform.__all__ if f'id="kgplatform.{name}"' not in reference]
    assert not missing_names, "add them to docs/api.md"
    plugin_page = (tmp_path / "api-plugins.html").read_text(encoding="utf-8")
    groups = _plugin_groups() - {"kgplatform.functions"}  # these are the public API
    missing_groups = [group for group in groups if f"<code>{group}</code>" not in plugin_page]
    assert groups and not missing_groups, "add them to docs/api-plugins.md"
    for page_path in tmp_path.rglob("*.html"):
        page_text = page_path.read_text(encoding="utf-8")
        assert not LOADED.search(page_text), f"{page_path.name} loads a file from the internet"
