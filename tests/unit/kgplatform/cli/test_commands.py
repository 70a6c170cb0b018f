"""The command line as scripts and careless users meet it: quick help, one line or one JSON document, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kgplatform import __version__
from kgplatform.cli import main
from tests.conftest import CommandResult

HEAVY = (
    "kgplatform.yaml_settings",  # for pydantic, of which typer imports a part itself
    "matplotlib",
    "neo4j",
    "numpy",
    "pandas",
    "psutil",
    "py2neo",
    "pyarrow",
    "torch",
)
MAIN = "from kgplatform.cli import main; main()"
HEADER = "Head,Relation,Tail,Head_Name,Tail_Name\n"
FILES = {
    "empty.csv": b"",
    "blank.csv": b"\n\n",
    "binary.csv": bytes(range(256)) * 40,
    "zipped.csv": b"PK\x03\x04" + b"\0" * 60,
    "other.csv": b"name,age\nAda,36\n",
    "bare.csv": HEADER.encode(),
    "bad.csv": f"{HEADER}I1,POSITIVE,nonsense,a,b\n".encode(),
    "half.parquet": b"PAR1" + b"\0" * 20,
}
Kgp = Callable[..., CommandResult]


@pytest.fixture
def kgp_in_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kgp:
    """`kgp` in this process, with an empty home and no server. What it does not catch fails the test."""
    monkeypatch.setenv("KGP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("KGP_DATA_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    for file_name, file_content in FILES.items():
        (tmp_path / file_name).write_bytes(file_content)
    (tmp_path / "folder").mkdir()

    def run(*arguments: str) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["kgp", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main()
        output, error_output = capsys.readouterr()
        return CommandResult(int(exit_info.value.code or 0), output, error_output)

    return run


def run_in_subprocess(code: str, *arguments: str, home: Path) -> CommandResult:
    environment = {**os.environ, "KGP_HOME": str(home)}
    command = [sys.executable, "-c", code, *arguments]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return CommandResult(completed.returncode, completed.stdout, completed.stderr)


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    program = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('heavy:', *sorted(set({HEAVY!r}) & set(sys.modules))))\n"
        f"{MAIN}"
    )
    for arguments in (
        ["--help"],
        ["ingest", "medmkg", "--help"],
        ["construct", "compare", "--help"],
        ["query", "--help"],
    ):
        outcome = run_in_subprocess(program, *arguments, home=tmp_path)
        assert outcome.code == 0
        assert "Usage: " in outcome.out
        assert outcome.out.splitlines()[-1].split() == ["heavy:"]


def test_version(kgp_in_process: Kgp) -> None:
    outcome = kgp_in_process("--version")
    assert (outcome.code, outcome.out) == (0, f"kgp {__version__}\n")


WRONG_USAGE = [
    ["frobnicate"],
    ["naf", "frobnicate"],
    ["naf", "explain"],
    ["ingest", "triples"],
    ["runs", "undo"],
    ["stats", "--nosuch"],
    ["stats", "--top", "many"],
    ["naf", "score", "--top", "-1"],
    ["naf", "filter", "--method", "guess"],
    ["ingest", "medmkg", "folder", "--on-error", "shrug"],
    ["ingest", "triples", "other.csv", "--column", "head"],
    ["ingest", "triples", "other.csv", "--column", "hat=name"],
    ["ingest", "triples", "bare.csv", "--type", "gene"],
    ["query", "explore/conflicts", "--param", "limit"],
    ["query", "explore/conflicts", "--param", "limit=many"],
    ["query", "explore/conflicts", "--param", "nosuch=1"],
    ["query", "explore/conflicts", "--limit", "0"],
    ["phantom", "build", "made", "--images", "0"],
    ["db", "import", "frobnicate", "folder"],
]


@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_command_usage_exits_2_with_a_line_and_a_hint(kgp_in_process: Kgp, arguments: list[str]) -> None:
    outcome = kgp_in_process(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    first_line, *hint_lines = outcome.err.splitlines()
    assert first_line.startswith("error: ")
    assert len(hint_lines) <= 1
    assert all(hint_line.startswith("  ") for hint_line in hint_lines)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", WRONG_USAGE, ids=" ".join)
def test_wrong_usage_is_one_json_document_under_json(kgp_in_process: Kgp, arguments: list[str]) -> None:
    outcome = kgp_in_process(*arguments, "--json")
    assert (outcome.code, outcome.err) == (2, "")
    assert outcome.json.keys() == {"error"}
    assert outcome.json["error"].keys() == {"kind", "message", "hint"}
    assert outcome.json["error"]["kind"] == "usage"


FAILING = {
    "connection": [
        ["stats"],
        ["naf", "score"],
        ["naf", "explain", "I1"],
        ["naf", "filter"],
        ["query", "explore/conflicts"],
        ["query", "MATCH (n) RETURN n"],
        ["runs", "list"],
        ["runs", "show", "x"],
        ["runs", "undo", "x"],
        ["ingest", "medmkg", "bare.csv"],
    ],
    "input": [
        ["ingest", "medmkg", "missing"],
        ["ingest", "medmkg", "folder"],
        ["ingest", "medmkg", "bare.csv", "--mapping", "missing.csv"],
        ["ingest", "triples", "missing.csv"],
        ["ingest", "triples", "folder"],
        ["ingest", "triples", "empty.csv"],
        ["ingest", "triples", "blank.csv"],
        ["ingest", "triples", "binary.csv"],
        ["ingest", "triples", "zipped.csv"],
        ["ingest", "triples", "other.csv"],
        ["ingest", "triples", "half.parquet"],
    ],
    "not-found": [["query", "explore/nosuch"], ["query", "RETURN"], ["query", "../../etc/passwd"]],
    "refused": [["query", "naf/score"], ["query", "ingest/merge_edges"]],
    "server": [["db", "password"]],
}


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(error_kind, command_line) for error_kind, command_lines in FAILING.items() for command_line in command_lines],
    ids=lambda parameter: " ".join(parameter),
)
def test_a_failure_is_a_line_with_a_hint_and_exit_code_1(kgp_in_process: Kgp, kind: str, arguments: list[str]) -> None:
    outcome = kgp_in_process(*arguments)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: ")
    assert len(outcome.err.splitlines()) <= 2
    if arguments == ["db", "password"]:  # prints one thing only, so it has no --json
        return
    under_json = kgp_in_process(*arguments, "--json")
    assert (under_json.code, under_json.err) == (1, "")
    assert under_json.json["error"]["kind"] == kind
    assert under_json.json["error"]["message"] in outcome.err


@pytest.mark.parametrize("name", ["empty.csv", "blank.csv", "binary.csv", "zipped.csv", "other.csv", "bad.csv"])
@pytest.mark.parametrize("source", ["medmkg", "triples"])
def test_a_file_that_is_no_use_ends_without_a_traceback(kgp_in_process: Kgp, source: str, name: str) -> None:
    outcome = kgp_in_process("ingest", source, name)
    assert outcome.code == 1
    assert outcome.err.startswith("error: ")


def test_a_foreign_server_without_a_password_is_a_settings_error(
    kgp_in_process: Kgp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    outcome = kgp_in_process("stats", "--json")
    assert (outcome.code, outcome.json["error"]["kind"]) == (1, "settings")


@pytest.mark.slow
def test_a_foreign_server_that_is_not_there_is_a_connection_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    monkeypatch.setenv("NEO4J_PASSWORD", "canary-secret")
    outcome = run_in_subprocess(MAIN, "stats", home=tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.startswith("error: no Neo4j answers at bolt://127.0.0.1:1")
    assert len(outcome.err.splitlines()) == 2
    assert "canary-secret" not in outcome.err


@pytest.mark.slow
def test_the_local_server_is_left_alone_when_another_is_named(
    kgp_in_process: Kgp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEO4J_URI", "bolt://127.0.0.1:1")
    monkeypatch.setenv("NEO4J_PASSWORD", "canary-secret")
    for command in ("start", "stop", "reset", "browser", "password"):
        outcome = kgp_in_process("db", command)
        assert (outcome.code, outcome.out) == (1, "")
        assert "NEO4J_URI" in outcome.err


@pytest.mark.slow
def test_what_needs_no_server_works_without_one(kgp_in_process: Kgp) -> None:
    assert kgp_in_process("db", "stop").code == 0
    assert kgp_in_process("db", "status").code == 1
    assert kgp_in_process("db", "status", "--json").json["running"] is False
    assert {"name", "answers", "parameters"} == kgp_in_process("query", "--list", "--json").json[0].keys()
    assert "MATCH" in kgp_in_process("query", "explore/figure3", "--show").out
    built_phantom = kgp_in_process("phantom", "build", "made", "--images", "20", "--json").json
    assert built_phantom["images"] == 20
    assert kgp_in_process("browser-setup", "--out", "setup", "--json").json.keys() == {"favourites", "style"}


def test_asking_does_not_make_a_home(kgp_in_process: Kgp, tmp_path: Path) -> None:
    for arguments in (["db", "status"], ["db", "stop"], ["stats"], ["runs", "list"]):
        kgp_in_process(*arguments)
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAIN, "query", "--list"]
    environment = {**os.environ, "KGP_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert "Traceback" not in process.stderr.read()


@pytest.mark.slow
def test_a_failure_in_a_process_of_its_own(tmp_path: Path) -> None:
    outcome = run_in_subprocess(MAIN, "stats", "--json", home=tmp_path)
    assert outcome.code == 1
    assert json.loads(outcome.out)["error"]["kind"] == "connection"
    assert outcome.err == ""


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["export", "pykeeen", "--out", "x"], "Did you mean pykeen?"),
        (["export", "pykeen", "--stance", "postive", "--out", "x"], "Did you mean positive?"),
        (["search", "--concept", "x", "--stance", "negativ"], "Did you mean negative?"),
        (["split", "inductiv", "x", "--out", "y"], "Did you mean inductive?"),
    ],
)
def test_a_choice_that_is_nearly_right_is_suggested(
    arguments: list[str], suggested: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["kgp", *arguments])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 2
    error_output = capsys.readouterr().err
    assert suggested in error_output
    assert "Value error" not in error_output
