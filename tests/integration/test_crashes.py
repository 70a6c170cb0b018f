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
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.ingest import ingest, prepare
from kgplatform.retrieval.embed import embed
from kgplatform.retrieval.index import Part
from kgplatform.settings import Settings
from kgplatform.survey import Account
from tests.campaigns import rounds
from tests.conftest import WIPE, own_home
from tests.fake_encoder import FakeEncoder
from tests.integration.sources import small_rows, write_medmkg

T = TypeVar("T")

pytestmark = [pytest.mark.server, pytest.mark.data]

LOADER_KILLS = rounds(5, 100)
SERVER_KILLS = rounds(1, 50)
EARLY_KILLS = 10  # of the long campaign
INTERRUPTS = rounds(1, 20)  # of each command
# A process that loads with small batches, so that there is much to interrupt.
LOAD = """
from pathlib import Path
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.settings import Settings
from kgp_loaders.medmkg import MedMKG
import sys
with Graph.open(Settings.from_env()) as graph:
    ingest(graph, MedMKG.find(Path(sys.argv[1])), batch_rows=1000)
"""


@pytest.mark.campaign
def test_a_loader_killed_at_random_goes_on_where_it_stopped(graph: Graph, settings: Settings, data_dir: Path) -> None:
    source = MedMKG.find(data_dir / "medmkg")
    ingest(graph, source)
    wanted = str(digest(graph))
    chance = random.Random(20)
    killed = 0
    while killed < LOADER_KILLS:
        graph.run_unmanaged(WIPE)
        for _ in range(3):  # up to three kills of the same load, then it is left alone
            command = [sys.executable, "-c", LOAD, str(data_dir / "medmkg")]
            loader = subprocess.Popen(command, env={**os.environ, "KGP_HOME": str(settings.home)})
            time.sleep(chance.uniform(0.5, 4.0))
            if loader.poll() is None:
                loader.send_signal(signal.SIGKILL)
                killed += 1
            loader.wait()
        report = ingest(graph, source)
        assert report.rows.read == report.rows.written + report.rows.existing + report.rows.rejected == 35_387
        assert str(digest(graph)) == wanted
    assert ingest(graph, source).rows == Account(35_387, 0, 35_387, 0)
    assert str(digest(graph)) == wanted


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Settings]:
    """A server that this test may kill."""
    settings = own_home(tmp_path)
    server.start(settings)
    yield settings
    server.stop(settings)


@pytest.mark.campaign
def test_a_server_killed_in_the_middle_of_a_load_loses_nothing(own_server: Settings, data_dir: Path) -> None:
    source = MedMKG.find(data_dir / "medmkg")
    with Graph.open(own_server) as graph:
        empty = str(digest(graph))
        run = ingest(graph, source, batch_rows=1000).run
        wanted = str(digest(graph))
        chance = random.Random(10)
        for _ in range(SERVER_KILLS):
            runs.undo(graph, run)
            assert str(digest(graph)) == empty
            moment = chance.uniform(0.5, 4.0)
            killer = threading.Thread(target=_kill_and_restart, args=(own_server, moment))
            killer.start()
            report = ingest(graph, source, batch_rows=1000)  # waits for the server to come back by itself
            killer.join()
            assert report.rows == Account(35_387, 35_387, 0, 0)
            graph.wait()
            assert str(digest(graph)) == wanted
            assert runs.show(graph, run)["run"]["rows_written"] == 35_387


def test_a_server_killed_before_a_loads_first_statement_is_waited_for(own_server: Settings, tmp_path: Path) -> None:
    source = MedMKG.find(write_medmkg(tmp_path / "small", small_rows(20, 10)))
    with Graph.open(own_server) as graph:
        report = _disturbed(own_server, 0.0, lambda: ingest(graph, source))
        assert report.rows == Account(len(small_rows(20, 10)), len(small_rows(20, 10)), 0, 0)
        assert runs.show(graph, report.run)["run"]["status"] == "done"


@pytest.mark.long
def test_10_early_kills_of_the_server_are_survived_by_load_dry_run_undo_and_embedding(
    own_server: Settings, data_dir: Path
) -> None:
    source = MedMKG.find(data_dir / "medmkg")
    chance = random.Random(11)
    with Graph.open(own_server) as graph:
        prepare(graph)
        run = ingest(graph, source).run
        wanted = str(digest(graph))
        for number in range(EARLY_KILLS):
            if number % 2 == 0:
                _disturbed(own_server, chance.uniform(0, 1.0), lambda: runs.undo(graph, run))
                assert digest(graph).nodes == 0
                report = ingest(graph, source, dry_run=True)
                assert report.rows == Account(35_387, 35_387, 0, 0)
                report = _disturbed(own_server, chance.uniform(0, 3.0), lambda: ingest(graph, source))
                assert report.rows == Account(35_387, 35_387, 0, 0)
            else:
                report = _disturbed(own_server, chance.uniform(0, 3.0), lambda: ingest(graph, source, dry_run=True))
                assert report.rows == Account(35_387, 0, 35_387, 0)
                _disturbed(own_server, chance.uniform(0, 3.0), lambda: embed(graph, FakeEncoder(), only=Part.CONCEPTS))
            assert str(digest(graph)) == wanted


def _disturbed(settings: Settings, moment: float, work: Callable[[], T]) -> T:
    """Do the work while the server is killed so many seconds after its beginning, and started again."""
    killer = threading.Thread(target=_kill_and_restart, args=(settings, moment))
    if moment == 0.0:
        _kill(settings)
    killer.start()
    try:
        return work()
    finally:
        killer.join()


def _kill_and_restart(settings: Settings, after: float) -> None:
    time.sleep(after)
    _kill(settings)
    server.start(settings)


def _kill(settings: Settings) -> None:
    pid = server.status(settings).pid
    if pid is not None:
        process = psutil.Process(pid)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
            process.wait(30)


def test_an_undo_that_was_interrupted_is_finished_by_the_next(graph: Graph, settings: Settings, data_dir: Path) -> None:
    empty = str(digest(graph))
    run = ingest(graph, MedMKG.find(data_dir / "medmkg")).run
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", "runs", "undo", run]
    for pause in (0.6, 0.8):
        undo = subprocess.Popen(command, env={**os.environ, "KGP_HOME": str(settings.home)}, stdout=subprocess.DEVNULL)
        time.sleep(pause)
        undo.kill()
        undo.wait()
    runs.undo(graph, run)
    assert str(digest(graph)) == empty


@pytest.mark.campaign
@pytest.mark.parametrize("what", ["ingest", "undo"] if rounds(0, 1) else ["ingest"])
def test_a_command_that_is_interrupted_at_random_says_so_and_goes_on(
    what: str, graph: Graph, settings: Settings, tmp_path: Path
) -> None:
    """Ctrl-C and SIGTERM to the command that a user types, then the same command again."""
    folder = write_medmkg(tmp_path / "small", small_rows(300, 60))
    run = ingest(graph, MedMKG.find(folder)).run
    arguments = ["runs", "undo", run] if what == "undo" else ["ingest", "medmkg", str(folder)]
    if what == "undo":
        runs.undo(graph, run)
    wanted = str(digest(graph))
    chance = random.Random(25)
    for number in range(INTERRUPTS):
        if what == "undo":
            ingest(graph, MedMKG.find(folder))
        else:
            runs.undo(graph, run)
        process = _typed(settings, arguments)
        time.sleep(chance.uniform(0.5, 2.5))
        began = time.monotonic()
        process.send_signal((signal.SIGINT, signal.SIGTERM)[number % 2])
        said, errors = process.communicate(timeout=60)
        assert time.monotonic() - began < interrupt.UNWIND + interrupt.REPORT
        assert process.returncode in (0, interrupt.EXIT_CODE), errors
        if process.returncode:
            assert said == ""
            assert errors.count("interrupted; ") == errors.count("\n") == 1, errors
            assert errors.endswith(f"the same command goes on from there: kgp {' '.join(arguments)}\n")
            again = _typed(settings, arguments)
            assert (again.communicate(timeout=120)[1], again.returncode) == ("", 0)
        assert str(digest(graph)) == wanted


def _typed(settings: Settings, arguments: list[str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from kgplatform.cli import main; main()", *arguments]
    environment = {**os.environ, "KGP_HOME": str(settings.home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
