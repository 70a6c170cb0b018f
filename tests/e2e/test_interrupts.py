"""Every command that writes, typed by a user and interrupted at random: it says so in one line, and the same command
then ends with the graph and the files of a command that was left alone.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kgplatform import interrupt, runs, server
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests import ROOT
from tests.campaigns import rounds
from tests.conftest import WIPE, own_home

pytestmark = [pytest.mark.server, pytest.mark.campaign, pytest.mark.long]

ROUNDS = rounds(2, 5)  # interrupts of each command
BENCHMARKS = ROOT / "benchmarks"
UPDATED = parse_query(
    "t/derived",
    "// What commands compute or record in the graph, beside what its digest holds.\n"
    "MATCH (n:Image|Run|ImageVector|ConceptVector) RETURN labels(n) AS labels, properties(n) AS properties",
)
# Of a session rather than of the work, or rounded below: not compared.
SESSION_PROPERTIES = {"started", "finished", "seconds", "attempts", "source", "position", "beat"}


@dataclass(frozen=True)
class InterruptCase:
    """A command to interrupt. `before` are commands that bring the graph to the state in which it is typed; `undoes` is
    the kind of run that is taken out first; `output` the file or folder it writes, `compared` the patterns of the files
    in it that must be equal.
    """

    name: str
    command: str
    before: tuple[str, ...] = ()
    undoes: str | None = None
    output: str | None = None
    compared: tuple[str, ...] = ("**/*",)
    goes_on: bool = False  # what is interrupted leaves a part of its output, from which it goes on


LINKS = f"train links {BENCHMARKS}/link_prediction/settings/paper/transe.yaml --export export --split split.parquet"
CASES = [
    InterruptCase("construct", "construct run studies", undoes="construct"),
    InterruptCase("naf score", "naf score"),
    InterruptCase("naf filter", "naf filter --export kept", output="kept"),
    InterruptCase("undo", "runs undo {construct} --yes", before=("construct run studies",)),
    InterruptCase(
        "generate", "generate --images studies --limit 12 --out replies.jsonl", undoes="generate",
        output="replies.jsonl", goes_on=True,
    ),
    InterruptCase("embed", "embed --images studies --batch 8", undoes="embed"),
    InterruptCase("export pykeen", "export pykeen --out exported", output="exported"),
    InterruptCase("export pyg", "export pyg --out exported", output="exported"),
    InterruptCase("export csv", "export csv --out exported", output="exported"),
    InterruptCase("export parquet", "export parquet --out exported", output="exported"),
    InterruptCase("split", "split leakage-free export --out parts.parquet", output="parts.parquet"),
    InterruptCase("pairs", "pairs mimic-cxr others --out paired.parquet", output="paired.parquet"),
    InterruptCase("assess", "assess sample ratings.xlsx --image-root studies", output="ratings.xlsx", compared=()),
    InterruptCase("plot", "stats --plot shares.png", output="shares.png", compared=()),
    InterruptCase("browser-setup", "browser-setup --out browser", output="browser"),
    InterruptCase("phantom build", "phantom build built --studies 60", output="built"),
    InterruptCase("phantom questions", "phantom questions others asked --count 200", output="asked"),
    InterruptCase("predict", "predict links --model transe --relation POSITIVE --write", undoes="prediction"),
    InterruptCase(
        "train links", f"{LINKS} --out trained --epochs 3",
        output="trained", compared=("*.safetensors", "*.pt"), goes_on=True,
    ),
    InterruptCase(
        "train retrieval",
        f"train retrieval --config {BENCHMARKS}/retrieval/settings/small/knowledgeclip.yaml --pairs pairs.parquet "
        "--images studies --out trained --epochs 1",
        output="trained", compared=("**/*.safetensors", "**/*.pt"), goes_on=True,
    ),
    InterruptCase(
        "train vqa",
        f"train vqa --config {BENCHMARKS}/vqa/settings/small/krisp.yaml --data phantom --folder questions "
        "--images others --graph-images studies --out trained --epochs 1",
        output="trained", compared=("**/*.safetensors", "**/*.pt"), goes_on=True,
    ),
    InterruptCase(
        "train generator",
        f"train generator --config {BENCHMARKS}/generation/settings/small.yaml --data others --out trained --epochs 1",
        output="trained", compared=("**/*.safetensors",), goes_on=True,
    ),
]  # fmt: skip


class User:
    """A user who types commands in a folder of their own."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self._environment = {**os.environ, "KGP_HOME": str(settings.home), "OMP_NUM_THREADS": "1"}

    def types(self, command: str) -> subprocess.Popen[str]:
        """Start a command."""
        arguments = [sys.executable, "-c", "from kgplatform.cli import main; main()", *command.split()]
        return subprocess.Popen(
            arguments, cwd=self.folder, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def runs(self, command: str) -> float:
        """Run a command to its end, which must be a success; returns its seconds."""
        start_time = time.monotonic()
        process = self.types(command)
        output, errors = process.communicate(timeout=800)
        assert process.returncode == 0, f"{command}\n{output}\n{errors}"
        return time.monotonic() - start_time


@pytest.fixture(scope="module")
def user(
    settings: Settings, _session_graph: tuple[Graph, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> User:
    """A user with a small graph from reports, and with what the commands read."""
    graph, state = _session_graph
    graph.run_unmanaged(WIPE)
    state["holds"] = ""
    user = User(tmp_path_factory.mktemp("user"), settings)
    for command in (
        "phantom build studies --studies 60",
        "phantom build others --studies 40 --seed 8",
        "construct run studies",
        "naf filter",
        "phantom questions others questions --count 100",
        "ingest triples questions/knowledge.csv",
        "export pykeen --out export",
        "split leakage-free export --out split.parquet",
        "pairs mimic-cxr others --out pairs.parquet",
        f"{LINKS} --out transe --epochs 1",
    ):
        user.runs(command)
    return user


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_command_that_is_interrupted_says_so_and_the_same_command_ends_as_if_it_had_not_been(
    case: InterruptCase, user: User, _session_graph: tuple[Graph, dict[str, str]]
) -> None:
    graph, _ = _session_graph
    command = case.command.format(construct=_run(graph, "construct"))
    file_names_before = _names(user.folder, case.output)
    reset_state = _resetter(case, user, graph)
    reset_state()
    full_seconds = user.runs(command)
    expected_graph, expected_files = _graph(graph), _files(user.folder, case)
    assert case.output is None or expected_files
    random_source = random.Random(case.name)
    stopped_count = 0
    for round_number in range(ROUNDS):
        reset_state()
        process = user.types(command)
        time.sleep(random_source.uniform(0.3, full_seconds))
        interrupt_time = time.monotonic()
        process.send_signal((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[round_number % 3])
        stdout, errors = process.communicate(timeout=120)
        assert process.returncode in (0, interrupt.EXIT_CODE), errors
        if process.returncode:
            stopped_count += 1
            assert time.monotonic() - interrupt_time < interrupt.UNWIND + interrupt.REPORT
            assert stdout == ""
            last_line = errors.splitlines()[-1]  # a training reports its finished parts before
            assert last_line.startswith(("interrupted; ", "stopped ")), errors
            assert last_line.endswith((f": kgp {command}", "; nothing was changed")), errors
            if not case.goes_on:
                assert _files(user.folder, case) in ({}, expected_files), (
                    "a part of the output is there as if it were the whole"
                )
            user.runs(command)
        assert _graph(graph) ^ expected_graph == set()
        assert _files(user.folder, case) == expected_files
        assert _names(user.folder, case.output) == file_names_before, "something is left over"
    print(f"{case.name}: {stopped_count} of {ROUNDS} interrupts before the end of {full_seconds:.1f} s")
    reset_state()
    if case.undoes == "construct":
        user.runs(command)


@pytest.mark.timeout(3600)
def test_the_server_starts_and_stops_whenever_it_was_interrupted_before(tmp_path: Path) -> None:
    settings = own_home(tmp_path)
    user = User(tmp_path, settings)
    start_seconds = user.runs("db start")
    user.runs("db stop")
    random_source = random.Random("db")
    try:
        for round_number in range(ROUNDS):
            for command in ("db start", "db stop"):
                process = user.types(command)
                time.sleep(random_source.uniform(0.3, start_seconds))
                process.send_signal((signal.SIGINT, signal.SIGTERM)[round_number % 2])
                _, errors = process.communicate(timeout=120)
                assert process.returncode in (0, interrupt.EXIT_CODE), errors
                assert errors.count("interrupted; ") == (process.returncode != 0), errors
                user.runs(command)
                assert server.status(settings).running is (command == "db start")
    finally:
        server.stop(settings)


def _resetter(case: InterruptCase, user: User, graph: Graph) -> Callable[[], None]:
    def reset() -> None:
        if case.undoes is not None:
            for run_record in runs.list_runs(graph):
                if run_record["kind"] == case.undoes:
                    runs.undo(graph, run_record["id"])
        for command in case.before:
            user.runs(command)
        if case.output is not None:
            for output_path in (user.folder / case.output, *user.folder.glob(f".{case.output}*")):
                shutil.rmtree(output_path) if output_path.is_dir() else output_path.unlink(missing_ok=True)

    return reset


def _run(graph: Graph, run_kind: str) -> str:
    return next(str(run_record["id"]) for run_record in runs.list_runs(graph) if run_record["kind"] == run_kind)


def _graph(graph: Graph) -> set[str]:
    """All that is in the graph: its digest, and the nodes with what the digest leaves out, vectors to four digits."""
    node_texts = (
        json.dumps([node_row["labels"], _rounded(node_row["properties"])], default=str)
        for node_row in graph.read(UPDATED)
    )
    return {str(digest(graph)), *node_texts}


def _rounded(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        property_name: [round(component, 4) for component in property_value]
        if property_name == "embedding"
        else property_value
        for property_name, property_value in sorted(properties.items())
        if property_name not in SESSION_PROPERTIES and not property_name.startswith(("rows_", "batch"))
    }


def _files(folder: Path, case: InterruptCase) -> dict[str, str]:
    """The output's files that must be equal, each with its hash."""
    if case.output is None:
        return {}
    output_path = folder / case.output
    output_files: Iterator[Path] = (
        iter([output_path])
        if output_path.is_file()
        else (match for pattern in case.compared for match in output_path.glob(pattern))
    )
    if not case.compared:  # with a date in it
        return {
            str(output_file): "" for output_file in [output_path, *output_path.glob("**/*")] if output_file.exists()
        }
    return {
        str(output_file): hashlib.sha256(_content(output_file)).hexdigest()
        for output_file in output_files
        if output_file.is_file()
    }


def _content(file_path: Path) -> bytes:
    """A file's bytes; unpacked, as gzip's header has the time."""
    return gzip.decompress(file_path.read_bytes()) if file_path.suffix == ".gz" else file_path.read_bytes()


def _names(folder: Path, output_name: str | None) -> set[str]:
    """What is in the user's folder, but for the output."""
    return {entry.name for entry in folder.iterdir()} - {output_name}
