"""What the platform logs: lines on stderr of a command, and of a library's caller what Python shows."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path

import pytest

from kgplatform.cli import main, output

DEAD = 99_999_999  # no process has such a number
REMOVED = "removed what an interrupted command left of"
BUILD = "from kgp_loaders.phantom.study_set import build_study_set; build_study_set(Path(sys.argv[1]), 3, images=False)"
READ_NAMES = """
from kgplatform.construct.pipeline import settings_concepts
from kgplatform.construct.settings import ConstructionSettings
list(settings_concepts(ConstructionSettings("", Path(), lexicon=(Path(sys.argv[1]),))))
"""
logger = logging.getLogger("kgp_models.anything")


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def with_leftover(folder: Path) -> Path:
    """The folder, next to what a killed command left of it."""
    (folder.parent / f".{folder.name}.{DEAD}.partial").mkdir()
    return folder


def kgp_output(arguments: Sequence[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What the command writes on stderr; its stdout is one JSON document."""
    monkeypatch.setattr(sys, "argv", ["kgp", *arguments, "--json"])
    with pytest.raises(SystemExit) as exit_info:
        main()
    stdout, stderr = capsys.readouterr()
    assert exit_info.value.code == 0, stderr
    json.loads(stdout)
    return stderr


def python(code: str, argument: Path) -> subprocess.CompletedProcess[str]:
    """A program of a user of the library, in a process of its own."""
    command = [sys.executable, "-c", f"import logging, sys\nfrom pathlib import Path\n{code}", str(argument)]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_a_command_writes_what_is_logged_on_stderr_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_leftover(tmp_path / "made")
    stderr = kgp_output(["phantom", "build", str(folder), "--images", "20"], capsys, monkeypatch)
    assert stderr == f"{REMOVED} {folder}\n"
    for package in output.LOGGERS:
        package_logger = logging.getLogger(package)
        assert (package_logger.handlers, package_logger.level, package_logger.propagate) == ([], logging.NOTSET, True)


def test_a_control_character_of_a_message_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_leftover(tmp_path / "a\x1b[2Jb")
    stderr = kgp_output(["phantom", "build", str(folder), "--images", "20"], capsys, monkeypatch)
    assert stderr == f"{REMOVED} {tmp_path / 'a�[2Jb'}\n"


def test_a_line_is_written_once_whatever_a_library_sets_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root_handler = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(root_handler)
    try:
        with output.log_lines():
            logger.info("%s images", 3)
            logger.debug("details")
            logging.getLogger("another.library").info("of another library")
    finally:
        logging.getLogger().removeHandler(root_handler)
    assert capsys.readouterr().err == "3 images\n"


def test_threads_log_as_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    with output.log_lines(), ThreadPoolExecutor(4) as thread_pool:
        list(thread_pool.map(lambda number: logger.warning(f"image {number}"), range(50)))
    assert sorted(capsys.readouterr().err.splitlines()) == sorted(f"image {number}" for number in range(50))


def test_a_line_takes_the_place_of_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with output.log_lines():
        logger.info("before")
        report = output.progress("images")
        report(10, 40)
        logger.info("meanwhile")
        report(40, 40)
        logger.info("after")
    before, first_bar, meanwhile, last_bar = terminal.getvalue().split("\r\033[K")
    assert before == "before\n"
    assert first_bar.startswith("images") and "\n" not in first_bar
    assert meanwhile == "meanwhile\n"
    assert last_bar.startswith("images") and last_bar.endswith("\nafter\n")


def test_a_library_says_nothing_of_what_is_only_to_be_known(tmp_path: Path) -> None:
    completed = python(BUILD, with_leftover(tmp_path / "studies"))
    assert (completed.stdout, completed.stderr) == ("", "")
    completed = python(f"logging.basicConfig(level=logging.INFO); {BUILD}", with_leftover(tmp_path / "others"))
    assert completed.stderr == f"INFO:kgplatform.staging:{REMOVED} {tmp_path / 'others'}\n"


def test_a_library_warns_of_what_changes_the_result(tmp_path: Path) -> None:
    lexicon_path = tmp_path / "names.csv"
    lexicon_path.write_text("cui,name\nC0032227,pleural effusion\nnone,zebrafinch\n", encoding="utf-8")
    completed = python(READ_NAMES, lexicon_path)
    assert completed.stderr.startswith(f"{lexicon_path}: 1 row left out, the first of them row 3: ")
    assert "zebrafinch" not in completed.stderr
