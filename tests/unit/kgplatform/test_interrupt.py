"""Ctrl-C and SIGTERM: one clear line that is true, exit code 130, nothing half-written, at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import typer

from kgplatform import interrupt
from kgplatform.cli import interrupted
from kgplatform.cli.commands import app
from kgplatform.interrupt import Checkpoints, Stopped, checkpoints

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="signals")]

MAIN = "from kgplatform.cli import main; main()"
AT_IMPORT = """
import os, signal, sys
class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from kgplatform.cli import main
main()
"""
WORKING = """
import os, signal, sys, time
from kgplatform import cli, interrupt
interrupt.UNWIND = 1.0
def stop():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
class Deleted:
    def __del__(self):
        stop()
def swallowed(as_json):
    try:
        stop()
    except KeyboardInterrupt:
        time.sleep(30)
def deleted(as_json):
    one = Deleted()
    del one
    time.sleep(30)
def done(as_json):
    try:
        stop()
    except KeyboardInterrupt:
        print("done")
    return 0
def twice(as_json):
    try:
        stop()
    finally:
        stop()
def piped(as_json):
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)
    try:
        stop()
    finally:
        sys.stdout.write("row")
def exits():
    stop()
    time.sleep(2)
class TakenDown:
    def __del__(self, kill=os.kill, own=os.getpid(), number=signal.SIGINT):
        kill(own, number)  # Python's handlers are off already
if os.environ["AT"] == "exits":
    import atexit
    atexit.register(exits)
    cli._run = lambda as_json: print("done") or 0
elif os.environ["AT"] == "taken down":
    module = TakenDown()
    cli._run = lambda as_json: print("done") or 0
elif os.environ["AT"] == "caught":  # a second signal as the first one is dealt with
    cli._run = globals()["twice"]
    ignore, interrupt.ignore = interrupt.ignore, lambda: (os.kill(os.getpid(), signal.SIGTERM), ignore())
else:
    cli._run = globals()[os.environ["AT"]]
cli.main()
"""


def _command_names(group: object, before: str = "") -> Iterator[str]:
    for command_name, command in getattr(group, "commands", {}).items():
        yield from (
            _command_names(command, f"{before}{command_name} ")
            if hasattr(command, "commands")
            else (f"{before}{command_name}",)
        )


def test_every_command_says_what_an_interrupt_leaves() -> None:
    assert set(_command_names(typer.main.get_command(app))) == set(interrupted.STATE_BY_COMMAND)


def _start_kgp(code: str, *arguments: object, home: Path, at: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "KGP_HOME": str(home), "AT": at}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


@pytest.mark.parametrize(("number", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_a_command_that_is_interrupted_is_one_line(number: signal.Signals, workers: int, tmp_path: Path) -> None:
    output_folder = tmp_path / "out"
    arguments = ["phantom", "build", output_folder / "studies", "--studies", "300", "--workers", workers]
    with _start_kgp(MAIN, *arguments, home=tmp_path) as process:
        while not list(output_folder.glob(".studies.*/files/**/*.png")) and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        output, error_output = process.communicate(timeout=60)
    assert (process.returncode, output) == (interrupt.EXIT_CODE, "")
    repeated_command = " ".join(map(str, arguments))
    assert (
        error_output == "interrupted; nothing is half-written, and the same command starts from the beginning: "
        f"kgp {repeated_command}\n"
    )
    assert list(output_folder.iterdir()) == []


@pytest.mark.parametrize("module", ["typer", "kgplatform.cli.train", "torch", "pykeen.models"])
def test_ctrl_c_while_modules_are_imported(module: str, tmp_path: Path) -> None:
    arguments = ["train", "links", "x.yaml", "--export", "e", "--split", "s", "--out", "o"]
    process = _start_kgp(AT_IMPORT, *arguments, home=tmp_path, at=module)
    output, error_output = process.communicate(timeout=120)
    assert (process.returncode, output) == (interrupt.EXIT_CODE, ""), error_output
    assert error_output.count("\n") == 1, error_output
    assert error_output.endswith(f"the same command goes on: kgp {' '.join(arguments)}\n")


def test_as_json(tmp_path: Path) -> None:
    process = _start_kgp(AT_IMPORT, "doctor", "--json", home=tmp_path, at="kgplatform.doctor")
    output, error_output = process.communicate(timeout=60)
    assert (process.returncode, error_output) == (interrupt.EXIT_CODE, "")
    assert json.loads(output) == {
        "error": {"kind": "interrupted", "message": "interrupted; nothing was changed", "hint": ""}
    }


@pytest.mark.parametrize("at", ["twice", "caught"])
def test_a_second_signal_at_any_moment_is_still_one_line(at: str, tmp_path: Path) -> None:
    process = _start_kgp(WORKING, "ingest", "triples", "x.csv", home=tmp_path, at=at)
    output, error_output = process.communicate(timeout=60)
    assert (process.returncode, output) == (interrupt.EXIT_CODE, ""), error_output
    assert error_output.count("\n") == 1, error_output
    assert error_output.startswith("interrupted; what was written so far is in the graph"), error_output


def test_a_pipe_that_nobody_reads_any_more_is_no_traceback(tmp_path: Path) -> None:
    """`kgp … | less`: Ctrl-C ends both."""
    process = _start_kgp(WORKING, "query", "names", home=tmp_path, at="piped")
    _, error_output = process.communicate(timeout=60)
    assert (process.returncode, error_output) == (interrupt.EXIT_CODE, "interrupted; nothing was changed\n")


def test_a_pipe_that_is_full_does_not_keep_the_process(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, b"x" * 4096)
    os.set_blocking(write_end, True)
    environment = {**os.environ, "KGP_HOME": str(tmp_path), "AT": "swallowed"}
    process = subprocess.Popen([sys.executable, "-c", WORKING, "stats"], env=environment, stderr=write_end)
    try:
        assert process.wait(30) == interrupt.EXIT_CODE
    finally:
        process.kill()
        os.close(read_end)
        os.close(write_end)


def test_the_end_of_the_terminal_is_an_interrupt_unless_nohup_keeps_it_away(tmp_path: Path) -> None:
    program = WORKING.replace("signal.SIGINT", "signal.SIGHUP").replace("time.sleep(30)", "raise")
    process = _start_kgp(program, "ingest", "triples", "x.csv", home=tmp_path, at="swallowed")
    assert process.communicate(timeout=60)[1].startswith("interrupted; what was written so far is in the graph")
    ignoring_program = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + program
    process = _start_kgp(ignoring_program, "ingest", "triples", "x.csv", home=tmp_path, at="done")
    assert (*process.communicate(timeout=60), process.returncode) == ("", "", 0)


def test_work_that_is_done_whole_is_stopped_at_its_end() -> None:
    finished_steps: list[int] = []
    previous_handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        with interrupt.deferred():
            signal.raise_signal(signal.SIGINT)
            finished_steps.append(1)
        finished_steps.append(2)
    assert finished_steps == [1]
    assert signal.getsignal(signal.SIGINT) is previous_handler


def test_processes_that_work_for_one_that_was_killed_end_with_it(tmp_path: Path) -> None:
    arguments = ["phantom", "build", tmp_path / "studies", "--studies", "300", "--workers", "2"]
    with _start_kgp(MAIN, *arguments, home=tmp_path) as process:
        parent_process = psutil.Process(process.pid)
        while (
            len(worker_processes := parent_process.children(recursive=True)) < 3 and process.poll() is None
        ):  # one is a tracker
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=60)
    _, surviving = psutil.wait_procs(worker_processes, 10)
    for survivor in surviving:
        survivor.kill()
    assert surviving == []


@pytest.mark.parametrize("at", ["swallowed", "deleted"])
def test_a_signal_that_a_library_swallows_ends_the_work_all_the_same(at: str, tmp_path: Path) -> None:
    start_time = time.monotonic()
    process = _start_kgp(WORKING, "ingest", "triples", "x.csv", home=tmp_path, at=at)
    output, error_output = process.communicate(timeout=60)
    assert (process.returncode, output) == (interrupt.EXIT_CODE, ""), error_output
    assert error_output.count("\n") == 1, error_output
    assert error_output.startswith("interrupted; what was written so far is in the graph"), error_output
    assert time.monotonic() - start_time < 20


@pytest.mark.parametrize("at", ["done", "exits", "taken down"])
def test_a_signal_that_comes_when_all_is_done_changes_nothing(at: str, tmp_path: Path) -> None:
    process = _start_kgp(WORKING, "ingest", "triples", "x.csv", home=tmp_path, at=at)
    assert (*process.communicate(timeout=60), process.returncode) == ("done\n", "", 0)


def test_predictions_that_are_only_printed_leave_nothing() -> None:
    command = ["predict", "links", "--model", "m", "--relation", "isa"]
    assert interrupted._text(command, None) == "interrupted; nothing was changed"
    assert "is in the graph" in interrupted._text([*command, "--write"], None)


def test_a_dry_run_that_is_interrupted_left_nothing(tmp_path: Path) -> None:
    process = _start_kgp(
        AT_IMPORT, "ingest", "triples", "x.csv", "--dry-run", home=tmp_path, at="kgplatform.cli.ingest"
    )
    output, error_output = process.communicate(timeout=60)
    assert (process.returncode, output, error_output) == (interrupt.EXIT_CODE, "", "interrupted; nothing was changed\n")


def test_work_in_steps_is_saved_before_it_stops() -> None:
    finished_steps: list[int] = []
    previous_handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(Stopped, match="step 3"), checkpoints() as schedule:
        for step in range(1, 9):
            if step == 3:
                signal.raise_signal(signal.SIGINT)
            finished_steps.append(step)
            if schedule.due() and schedule.stopping:
                raise Stopped(f"stopped after step {step}")
    assert finished_steps == [1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is previous_handler
    with pytest.raises(KeyboardInterrupt), checkpoints() as schedule:
        signal.raise_signal(signal.SIGINT)
        finished_steps.append(4)
        signal.raise_signal(signal.SIGTERM)  # a second one does not wait
        raise AssertionError("it must not come so far")
    with pytest.raises(KeyboardInterrupt), checkpoints():
        signal.raise_signal(signal.SIGINT)
        finished_steps.append(5)  # what ends without looking is stopped afterwards
    assert finished_steps == [1, 2, 3, 4, 5]
    assert not interrupt.was_interrupted(), "a program that uses the library goes on"


def test_saving_is_due_by_the_clock_and_takes_a_tenth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_time = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock_time)
    schedule, save_times = Checkpoints(), []
    for second in range(600):
        clock_time = float(second)
        if schedule.due():
            save_times.append(second)
            schedule.saved()
    assert save_times == [60 * number for number in range(1, 10)]
    schedule = Checkpoints()
    clock_time += 60
    assert schedule.due()
    clock_time += 30  # a large model
    schedule.saved()
    clock_time += 299
    assert not schedule.due()
    clock_time += 1
    assert schedule.due()
