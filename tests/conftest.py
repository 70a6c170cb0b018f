"""Fixtures: a real Neo4j for the whole session, the released data, and a `kgp` that runs as a user's would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from kgplatform import interrupt, naf, queries, server
from kgplatform.connect import open_graph
from kgplatform.graph import Graph
from kgplatform.ingest import ingest, prepare
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests import generators

# Fixed seeds, and no time limit an example: a slow machine is no failure.
hypothesis_settings.register_profile("suite", derandomize=True, deadline=None)
hypothesis_settings.load_profile("suite")

WIPE = parse_query(
    "tests/wipe", "// Empties the graph.\nMATCH (n) CALL (n) { DETACH DELETE n } IN TRANSACTIONS OF 10000 ROWS"
)
TOUCHED = ""
LOADED = "medmkg"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """For `--dist loadgroup`: tests go by file, but all those on the released MedMKG together, to load it once."""
    for test_item in items:
        on_medmkg = "medmkg_graph" in getattr(test_item, "fixturenames", ())
        test_item.add_marker(pytest.mark.xdist_group("medmkg" if on_medmkg else str(test_item.path)))


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def keep_groups_together(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`--dist loadgroup` works by a suffix of each test's id. Without it, tests go to any process, and each loads
    the released data again and again.
    """
    if getattr(config.option, "loadgroup", False) and not all("@" in test_item.nodeid for test_item in items):
        raise pytest.UsageError("pytest-xdist does not group tests with this pytest; see constraints.txt")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under CI a skipped test is a failed run: it would hide that something real was not there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        reporter.write_line("CI: tests were skipped, so the run fails")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True, scope="session")
def interrupts_arrive() -> None:
    """Signals reach the suite and the commands it starts, also where a shell runs the suite in the background, which
    ignores SIGINT, or under nohup, which ignores SIGHUP.
    """
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def signals_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that calls `main` in this process does not leave the command's handlers, which end the process."""
    for hook_name in ("_stop_requested", "_timed", "_finished", "_end"):
        monkeypatch.setattr(interrupt, hook_name, getattr(interrupt, hook_name))
    for hook_name in ("excepthook", "unraisablehook"):
        monkeypatch.setattr(sys, hook_name, getattr(sys, hook_name))
    handlers_by_signal = {signal_number: signal.getsignal(signal_number) for signal_number in interrupt.SIGNALS}
    yield
    for signal_number, handler in handlers_by_signal.items():
        signal.signal(signal_number, handler)


@pytest.fixture(autouse=True)
def no_foreign_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests never write to the graph that the developer's environment points at."""
    for variable_name in ("NEO4J_URI", "NEO4J_USERNAME", "NEO4J_PASSWORD", "NEO4J_DATABASE"):
        monkeypatch.delenv(variable_name, raising=False)


def own_home(folder: Path) -> Settings:
    """Settings of a platform home of a test's own, but for the fetched jars, which all share."""
    shared_cache = Settings.from_env().cache
    shared_cache.mkdir(parents=True, exist_ok=True)
    (folder / "cache").symlink_to(shared_cache)
    return Settings(home=folder)


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a local server that runs for the whole session."""
    settings = own_home(tmp_path_factory.mktemp("kgp-home"))
    server.start(settings)
    yield settings
    server.stop(settings)


@pytest.fixture(scope="session")
def _session_graph(settings: Settings) -> Iterator[tuple[Graph, dict[str, str]]]:
    with open_graph(settings) as graph:
        yield graph, {"holds": TOUCHED}


@pytest.fixture
def graph(_session_graph: tuple[Graph, dict[str, str]]) -> Graph:
    """The session's graph, empty but for constraints and indexes."""
    graph, state = _session_graph
    graph.run_unmanaged(WIPE)
    prepare(graph)
    state["holds"] = TOUCHED
    return graph


@pytest.fixture
def medmkg_graph(_session_graph: tuple[Graph, dict[str, str]], data_dir: Path) -> Graph:
    """The session's graph with the released MedMKG, scored and filtered. Tests must leave it unchanged."""
    from kgp_loaders.medmkg import MedMKG

    graph, state = _session_graph
    if state["holds"] != LOADED:
        graph.run_unmanaged(WIPE)
        ingest(graph, MedMKG.find(data_dir / "medmkg"))
        naf.score(graph)
        naf.filter_images(graph)
        state["holds"] = LOADED
    return graph


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The released data sets. Without KGP_DATA_DIR the test is skipped, and under CI that fails."""
    data_folder = Settings.from_env({"KGP_DATA_DIR": os.environ.get("KGP_DATA_DIR", "")}).data_dir
    if data_folder is None:
        if os.environ.get("CI"):
            pytest.fail("KGP_DATA_DIR is not set: the tests on the released data would be skipped")
        pytest.skip("KGP_DATA_DIR is not set")
    return data_folder


@dataclass(frozen=True)
class CommandResult:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Kgp = Callable[..., CommandResult]


@pytest.fixture
def kgp(settings: Settings) -> Kgp:
    """Runs `kgp` in a separate process against the session's server."""

    def run(*arguments: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> CommandResult:
        command = [sys.executable, "-c", "from kgplatform.cli import main; main()", *map(str, arguments)]
        environment = {**os.environ, "KGP_HOME": str(settings.home), **(env or {})}
        completed = subprocess.run(
            command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
        )
        return CommandResult(completed.returncode, completed.stdout, completed.stderr)

    return run


@pytest.fixture(scope="session")
def all_queries() -> list[queries.Query]:
    """Every query file, loaded."""
    return [queries.get(query_name) for query_name in queries.query_names()]


@pytest.fixture(scope="session")
def synthetic_studies_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a few synthetic studies with images. Tests must leave it unchanged."""
    return generators.write_generator_studies(tmp_path_factory.mktemp("invented"))


@pytest.fixture(scope="session")
def tiny_generator_folder(synthetic_studies_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny generator that the training made of them: `vision`, `llm-kg`, `vlm-kg`. Tests must leave it unchanged."""
    pytest.importorskip("trl")
    return generators.train_tiny_generator(synthetic_studies_folder, tmp_path_factory.mktemp("tiny"))
