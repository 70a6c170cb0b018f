"""Results on disk: whole or not there, never mixed, never in place of what somebody else wrote."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kgplatform import browser, contents, staging, stats, survey
from kgplatform.assess import score
from kgplatform.construct import select
from kgplatform.datasets.pairs import PairSet
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, UsageError
from kgplatform.export.triples import Node, Triples
from kgplatform.files import has_program_mark, replacing
from kgplatform.vqa import drawing

COVERAGE = [{"side": side, "typed": 1, "edges": 1, "percent": 100.0} for side in ("head", "tail")]
SHARES = [{"side": side, "semantic_type": "Finding", "edges": 1, "percent": 100.0} for side in ("head", "tail")]
DEAD = 99_999_999  # no process has such a number
DIE = """
import os, signal, sys
from pathlib import Path
from kgplatform import contents, staging
from kgplatform.datasets.splits import Split
from kgplatform.export.triples import Node, Triples
from kgplatform.files import has_program_mark, replacing
from kgplatform.datasets.pairs import PairSet
from kgplatform.vqa import drawing
kind, path = sys.argv[1], Path(sys.argv[2])
at = contents.result_folder(path, "test", {"n": 2}, replace=True) if kind == "folder" else replacing(path)
with at as staged:
    (staged / "a" if kind == "folder" else staged).write_text("half")
    if sys.argv[3] == "swap":
        path.rename(staged.with_name(staged.name.replace("partial", "old")))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _write_folder(folder: Path, number: int, *, replace: bool = False) -> None:
    with contents.result_folder(folder, "test", {"n": number}, replace=replace) as staged_folder:
        (staged_folder / "a").write_text(str(number), encoding="utf-8")
        if number == 1:
            (staged_folder / "below").mkdir()
            (staged_folder / "below" / "b").write_text("b", encoding="utf-8")


def killed(kind: str, path: Path, when: str = "midway") -> None:
    completed = subprocess.run([sys.executable, "-c", DIE, kind, str(path), when], check=False)
    assert completed.returncode == -signal.SIGKILL


def tree(folder: Path) -> dict[str, str]:
    return {file_name: (folder / file_name).read_text(encoding="utf-8") for file_name in staging.files_below(folder)}


def test_a_folder_is_replaced_whole_and_only_where_asked(tmp_path: Path) -> None:
    out_folder = tmp_path / "out"
    _write_folder(out_folder, 1)
    assert contents.complete(out_folder, "test", {"n": 1})
    assert not contents.complete(out_folder, "test", {"n": 2})
    assert not contents.complete(out_folder, "another", {"n": 1})
    with pytest.raises(InputError, match="test wrote this folder, but it was written with other settings"):
        _write_folder(out_folder, 2)
    _write_folder(out_folder, 2, replace=True)
    assert tree(out_folder).keys() == {"a", contents.CONTENTS_FILE}, "nothing of the old one is left"
    (out_folder / "a").write_text("changed", encoding="utf-8")
    assert not contents.complete(out_folder, "test", {"n": 2})
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("where", ["mine", "below/mine", "link"])
def test_a_folder_with_files_of_others_is_never_replaced(where: str, tmp_path: Path) -> None:
    out_folder = tmp_path / "out"
    _write_folder(out_folder, 1)
    if where == "link":
        (out_folder / where).symlink_to(tmp_path)
    else:
        (out_folder / where).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=f"contains {where}, which this command did not write"):
        _write_folder(out_folder, 2, replace=True)
    assert os.path.lexists(out_folder / where)
    with (
        pytest.raises(UsageError, match="did not write"),
        contents.result_folder(out_folder, "another command", {}, replace=True),
    ):
        raise AssertionError("it must not come so far")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_build_leaves_the_old_folder_and_the_next_one_clears_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out_folder = tmp_path / "out"
    killed("folder", out_folder)
    assert not out_folder.exists()
    _write_folder(out_folder, 1)
    killed("folder", out_folder)
    caplog.set_level(logging.INFO, "kgplatform")
    assert contents.complete(out_folder, "test", {"n": 1})
    original_tree = tree(out_folder)
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["out"], "also where there is nothing to do"
    killed("folder", out_folder)
    (tmp_path / ".out.mine").mkdir()
    with contents.result_folder(out_folder, "test", {"n": 2}, replace=True):
        pass
    assert caplog.messages == [f"removed what an interrupted command left of {out_folder}"] * 2
    assert sorted(file_path.name for file_path in tmp_path.iterdir()) == [".out.mine", "out"]
    _write_folder(out_folder, 1, replace=True)
    killed("folder", out_folder, "swap")
    assert not out_folder.exists()
    with (
        pytest.raises(ZeroDivisionError),
        contents.result_folder(out_folder, "test", {"n": 2}, replace=True),
    ):
        assert tree(out_folder) == original_tree, "what had been moved aside is back"
        raise ZeroDivisionError
    assert tree(out_folder) == original_tree
    assert sorted(file_path.name for file_path in tmp_path.iterdir()) == [".out.mine", "out"]


def test_what_a_command_of_the_same_process_number_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container each command may have the number that the killed one had."""
    partial_folder = tmp_path / f".out.{os.getpid()}.partial"
    partial_folder.mkdir()
    (partial_folder / "a").write_text("half", encoding="utf-8")
    _write_folder(tmp_path / "out", 1)
    (tmp_path / f".rejects.tsv.{os.getpid()}.partial").write_text("half", encoding="utf-8")
    (tmp_path / f".rejects.tsv.{DEAD}.partial").write_text("half", encoding="utf-8")
    with survey._reject_file(tmp_path / "rejects.tsv"):
        pass
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["out"]


def test_a_failed_build_leaves_the_old_folder(tmp_path: Path) -> None:
    _write_folder(tmp_path / "out", 1)
    original_tree = tree(tmp_path / "out")
    for error in (ZeroDivisionError(), KeyboardInterrupt()):
        with (
            pytest.raises(type(error)),
            contents.result_folder(tmp_path / "out", "test", {}, replace=True) as staged_folder,
        ):
            (staged_folder / "a").write_text("new", encoding="utf-8")
            raise error
    with (
        pytest.raises(InputError, match=r"out: cannot be written: No space"),
        contents.result_folder(tmp_path / "out", "test", {}, replace=True),
    ):
        raise OSError(28, "No space left on device")
    assert tree(tmp_path / "out") == original_tree
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_files(tmp_path: Path) -> None:
    text_path = tmp_path / "out.txt"
    killed("file", text_path)
    assert not text_path.exists()
    with replacing(text_path) as staged_path:
        staged_path.write_text("whole", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), replacing(text_path) as staged_path:
        staged_path.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    with (
        pytest.raises(UsageError, match="contains something that this command did not write"),
        replacing(text_path, has_program_mark),
    ):
        raise AssertionError("it must not come so far")
    assert tree(tmp_path) == {"out.txt": "whole"}
    text_path.write_text("by kgplatform", encoding="utf-8")
    with replacing(text_path, has_program_mark) as staged_path:
        staged_path.write_text("new", encoding="utf-8")
    assert tree(tmp_path) == {"out.txt": "new"}
    with pytest.raises(UsageError, match="is not a regular file"), replacing(Path("/dev/null")):
        raise AssertionError("it must not come so far")


def test_no_command_writes_over_a_file_that_is_something_else(tmp_path: Path) -> None:
    """Each writes over its own, and keeps what somebody else wrote."""
    triples = Triples(
        np.array([[0, 0, 1]] * 3), [Node("Concept", f"C000000{number}", "x", "") for number in range(2)], ["r"]
    )
    writers: dict[str, Callable[[Path], object]] = {
        "split.parquet": Split(triples, np.array([0, 1, 2], dtype=np.int8), "paper", 1).write,
        "pairs.parquet": PairSet({"train": [], "valid": [], "test": []}, "openi", tmp_path, None, "subject").write,
        "kept.csv": lambda file_path: select.write_choices(file_path, []),
        "shares.svg": lambda file_path: stats.plot_semantic_types(SHARES, COVERAGE, file_path),
        "shares.png": lambda file_path: stats.plot_semantic_types(SHARES, COVERAGE, file_path),
        "subgraph.svg": lambda file_path: drawing.write_drawing(file_path, "Is it?", [], []),
        "kgp-favourites.zip": lambda file_path: browser.write_setup(file_path.parent),
        "kgp.grass": lambda file_path: browser.write_setup(file_path.parent),
        "scores.json": lambda file_path: score.write_scores([], file_path.parent),
        "assessment.png": lambda file_path: score.write_scores([], file_path.parent),
    }
    for file_name, write_file in writers.items():
        file_path = tmp_path / file_name
        for _ in range(2):
            write_file(file_path)
        original_bytes = file_path.read_bytes()
        file_path.write_text("mine", encoding="utf-8")
        with pytest.raises(UsageError, match="contains something that this command did not write"):
            write_file(file_path)
        assert file_path.read_text(encoding="utf-8") == "mine"
        file_path.write_bytes(original_bytes)
    assert sorted(file_path.name for file_path in tmp_path.iterdir()) == sorted([*writers, "assessment.svg"])
