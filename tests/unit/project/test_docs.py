"""The documentation says all that there is, and nothing that is not."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from kgplatform import queries
from tests import ROOT
from tests.scripts import docs_module

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(ROOT.glob("docs/**/*.md"))
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
NAMED = re.compile(r"\b(?:explore|naf|stats)/[a-z0-9_]+\b(?!\.)")
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
