"""`kgp embed` and `kgp search` without a server: wrong usage is reported before anything is opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kgplatform.errors import UsageError
from kgplatform.search.names import find_concept
from tests.conftest import CommandResult

pytestmark = pytest.mark.slow

MAIN = "from kgplatform.cli import main; main()"
WRONG_USAGE = [
    ["embed", "--only", "reports"],
    ["embed", "--batch", "0"],
    ["embed", "--batch", "many"],
    ["embed", "extra"],
    ["search"],
    ["search", "  ", "--without", "C0032227"],
    ["search", "--concept", "C0032227", "--by", "images"],
    ["search", "effusion", "--stance", "negative"],
    ["search", "effusion", "--stance", "maybe", "--concept", "C0032227"],
    ["search", "effusion", "--by", "reports"],
    ["search", "effusion", "--top", "0"],
    ["search", "effusion", "--contact-sheet", "x.png"],
]


def _kgp_process(home: Path, *arguments: str) -> CommandResult:
    environment = {**os.environ, "KGP_HOME": str(home)}
    completed = subprocess.run(
        [sys.executable, "-c", MAIN, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return CommandResult(completed.returncode, completed.stdout, completed.stderr)


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_embed_or_search_usage_exits_2_with_a_line_and_a_hint(tmp_path: Path, arguments: list[str]) -> None:
    outcome = _kgp_process(tmp_path, *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.splitlines()) <= 2


@pytest.mark.parametrize("arguments", [["embed"], ["search", "effusion"], ["search", "--concept", "x"]])
def test_without_a_server_it_is_one_json_document(tmp_path: Path, arguments: list[str]) -> None:
    outcome = _kgp_process(tmp_path, *arguments, "--json")
    assert (outcome.code, outcome.err) == (1, "")
    assert json.loads(outcome.out)["error"]["kind"] == "connection"
    assert not (tmp_path / "neo4j").exists()


def test_what_is_too_long_for_a_name_is_refused_before_the_graph_is_asked() -> None:
    with pytest.raises(UsageError, match="1,000 characters"):
        find_concept(None, "pneumothorax " * 1000)  # type: ignore[arg-type]
