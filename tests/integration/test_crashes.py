"""Loaders and servers killed at random: afterwards the graph is that of an undisturbed load, digest for digest.

`make test` runs a short campaign of fixed seed; `make test-long` the full one.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from kgp_loaders.medmkg import MedMKG
from kgplatform import interrupt, runs, server
from kgplatform.connect import open_graph
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.ingest import ingest, prepare
from kgplatform.search.embed import embed
from kgplatform.search.index import Part
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests.campaigns import rounds
from tests.conftest import WIPE, own_home
from tests.fake_encoder import FakeEncoder
from tests.integration.sources import small_rows, write_medmkg

T = TypeVar("T")

pytestmark = [pytest.mark.server, pytest.mark.data]

LOADER_KILLS = rounds(3, 100)
SERVER_KILLS = rounds(1, 50)
EARLY_KILLS = 10  # of the long campaign
INTERRUPTS = rounds(1, 20)  # of each command
# A process that loads with small batches, so that there is much to interrupt.
LOAD = """
from pathlib import Path
from kgplatform.connect import open_graph
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.settings import Settings
from kgp_loaders.medmkg import MedMKG
import sys
with open_graph(Settings.from_env()) as graph:
    ingest(graph, MedMKG.find(Path(sys.argv[1])), batch_rows=1000)
"""


@pytest.mark.campaign
def test_a_loader_killed_at_random_goes_on_where_it_stopped(graph: Graph, settings: Settings, data_dir: Path) -> None:
    medmkg_source = MedMKG.find(data_dir / "medmkg")
    ingest(graph, medmkg_source)
    expected_digest = str(digest(graph))
    random_source = random.Random(20)
    kill_count = 0
    while kill_count < LOADER_KILLS:
        graph.run_unmanaged(WIPE)
        for _ in range(3):  # up to three kills of the same load, then it is left alone
            command = [sys.executable, "-c", LOAD, str(data_dir / "medmkg")]
            loader_process = subprocess.Popen(command, env={**os.environ, "KGP_HOME": str(settings.home)})
            time.sleep(random_source.uniform(0.5, 4.0))
            if loader_process.poll() is None:
                loader_process.send_signal(signal.SIGKILL)
                kill_count += 1
            loader_process.wait()
        load_report = ingest(graph, medmkg_source)
        assert (
            load_report.rows.read
            == load_report.rows.written + load_report.rows.existing + load_report.rows.rejected
            == 35_387
        )
        assert str(digest(graph)) == expected_digest
    assert ingest(graph, medmkg_source).rows == Account(35_387, 0, 35_387, 0)
    assert str(digest(graph)) == expected_digest


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Settings]:
    """A server that this test may kill."""
    settings = own_home(tmp_path)
    server.start(settings)
    yield settings
    server.stop(settings)


@pytest.mark.campaign
def test_a_server_killed_in_the_middle_of_a_load_loses_nothing(own_server: Settings, data_dir: Path) -> None:
    medmkg_source = MedMKG.find(data_dir / "medmkg")
    with open_graph(own_server) as graph:
        empty_digest = str(digest(graph))
        run_id = ingest(graph, medmkg_source, batch_rows=1000).run
        expected_digest = str(digest(graph))
        random_source = random.Random(10)
        for _ in range(SERVER_KILLS):
            runs.undo(graph, run_id)
            assert str(digest(graph)) == empty_digest
            kill_delay = random_source.uniform(0.5, 4.0)
            killer_thread = threading.Thread(target=_kill_and_restart, args=(own_server, kill_delay))
            killer_thread.start()
            load_report = ingest(graph, medmkg_source, batch_rows=1000)  # waits for the server to come back by itself
            killer_thread.join()
            assert load_report.rows == Account(35_387, 35_387, 0, 0)
            graph.wait()
            assert str(digest(graph)) == expected_digest
            assert runs.show(graph, run_id)["run"]["rows_written"] == 35_387


def test_a_server_killed_before_a_loads_first_statement_is_waited_for(own_server: Settings, tmp_path: Path) -> None:
    medmkg_source = MedMKG.find(write_medmkg(tmp_path / "small", small_rows(20, 10)))
    with open_graph(own_server) as graph:
        load_report = _disturbed(own_server, 0.0, lambda: ingest(graph, medmkg_source))
        assert load_report.rows == Account(len(small_rows(20, 10)), len(small_rows(20, 10)), 0, 0)
        assert runs.show(graph, load_report.run)["run"]["status"] == "done"


@pytest.mark.long
def test_10_early_kills_of_the_server_are_survived_by_load_dry_run_undo_and_embedding(
    own_server: Settings, data_dir: Path
) -> None:
    medmkg_source = MedMKG.find(data_dir / "medmkg")
    random_source = random.Random(11)
    with open_graph(own_server) as graph:
        prepare(graph)
        run_id = ingest(graph, medmkg_source).run
        expected_digest = str(digest(graph))
        for kill_number in range(EARLY_KILLS):
            if kill_number % 2 == 0:
                _disturbed(own_server, random_source.uniform(0, 1.0), lambda: runs.undo(graph, run_id))
                assert digest(graph).nodes == 0
                load_report = ingest(graph, medmkg_source, dry_run=True)
                assert load_report.rows == Account(35_387, 35_387, 0, 0)
                load_report = _disturbed(
                    own_server, random_source.uniform(0, 3.0), lambda: ingest(graph, medmkg_source)
                )
                assert load_report.rows == Account(35_387, 35_387, 0, 0)
            else:
                load_report = _disturbed(
                    own_server, random_source.uniform(0, 3.0), lambda: ingest(graph, medmkg_source, dry_run=True)
                )
                assert load_report.rows == Account(35_387, 0, 35_387, 0)
                _disturbed(
                    own_server, random_source.uniform(0, 3.0), lambda: embed(graph, FakeEncoder(), only=Part.CONCEPTS)
                )
            assert str(digest(graph)) == expected_digest


def _disturbed(settings: Settings, kill_delay: float, work: Callable[[], T]) -> T:
    """Do the work while the server is killed so many seconds after its beginning, and started again."""
    killer_thread = threading.Thread(target=_kill_and_restart, args=(settings, kill_delay))
    if kill_delay == 0.0:
        _kill(settings)
    killer_thread.start()
    try:
        return work()
    finally:
        killer_thread.join()


def _kill_and_restart(settings: Settings, kill_delay: float) -> None:
    time.sleep(kill_delay)
    _kill(settings)
    server.start(settings)


def _kill(settings: Settings) -> None:
    server_pid = server.status(settings).pid
    if server_pid is not None:
        server_process = psutil.Process(server_pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            server_process.kill()
            server_process.wait(30)


def test_an_undo_that_was_interrupted_is_finished_by_the_next(graph: Graph, settings: Settings, data_dir: Path) -> None:
    empty_digest = str(digest(graph))
    run_id = ingest(graph, MedMKG.find(data_dir / "medmkg")).run
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", "runs", "undo", run_id]
    for kill_delay in (0.6, 0.8):
        undo_process = subprocess.Popen(
            command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL
        )
        time.sleep(kill_delay)
        undo_process.kill()
        undo_process.wait()
    runs.undo(graph, run_id)
    assert str(digest(graph)) == empty_digest


@pytest.mark.campaign
@pytest.mark.parametrize("action", ["ingest", "undo"] if rounds(0, 1) else ["ingest"])
def test_a_command_that_is_interrupted_at_random_says_so_and_goes_on(
    action: str, graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM to the command that a user types, then the same command again."""
    medmkg_folder = write_medmkg(tmp_path / "small", small_rows(300, 60))
    run_id = ingest(graph, MedMKG.find(medmkg_folder)).run
    arguments = ["runs", "undo", run_id] if action == "undo" else ["ingest", "medmkg", str(medmkg_folder)]
    if action == "undo":
        runs.undo(graph, run_id)
    expected_digest = str(digest(graph))
    random_source = random.Random(25)
    for interrupt_number in range(INTERRUPTS):
        if action == "undo":
            ingest(graph, MedMKG.find(medmkg_folder))
        else:
            runs.undo(graph, run_id)
        process = _typed(settings, arguments)
        time.sleep(random_source.uniform(0.5, 2.5))
        interrupt_time = time.monotonic()
        process.send_signal((signal.SIGINT, signal.SIGTERM)[interrupt_number % 2])
        stdout, errors = process.communicate(timeout=60)
        assert time.monotonic() - interrupt_time < interrupt.UNWIND + interrupt.REPORT
        assert process.returncode in (0, interrupt.EXIT_CODE), errors
        if process.returncode:
            assert stdout == ""
            assert errors.count("interrupted; ") == errors.count("\n") == 1, errors
            assert errors.endswith(f"the same command goes on from there: kgp {' '.join(arguments)}\n")
            second_process = _typed(settings, arguments)
            assert (second_process.communicate(timeout=120)[1], second_process.returncode) == ("", 0)
        assert str(digest(graph)) == expected_digest


def _typed(settings: Settings, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", *arguments]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
