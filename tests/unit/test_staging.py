"""Results on disk: whole or not there, never mixed, never in place of what somebody else wrote."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kgplatform import contents, staging
from kgplatform.errors import InputError, UsageError

DIE = """
import os, signal, sys
from pathlib import Path
from kgplatform import contents, staging
kind, path = sys.argv[1], Path(sys.argv[2])
at = contents.built(path, "test", {"n": 2}, replace=True) if kind == "folder" else staging.file(path)
with at as staged:
    (staged / "a" if kind == "folder" else staged).write_text("half")
    if sys.argv[3] == "swap":
        path.rename(staged.with_name(staged.name.replace("partial", "old")))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def build(folder: Path, number: int, *, replace: bool = False, said: list[str] | None = None) -> None:
    with contents.built(folder, "test", {"n": number}, replace=replace, told=(said or []).append) as staged:
        (staged / "a").write_text(str(number), encoding="utf-8")
        if number == 1:
            (staged / "below").mkdir()
            (staged / "below" / "b").write_text("b", encoding="utf-8")


def killed(kind: str, path: Path, when: str = "midway") -> None:
    ran = subprocess.run([sys.executable, "-c", DIE, kind, str(path), when], check=False)
    assert ran.returncode == -signal.SIGKILL


def tree(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text(encoding="utf-8") for name in staging.files_below(folder)}


def test_a_folder_is_replaced_whole_and_only_where_asked(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    build(folder, 1)
    assert contents.complete(folder, "test", {"n": 1})
    assert not contents.complete(folder, "test", {"n": 2})
    assert not contents.complete(folder, "another", {"n": 1})
    with pytest.raises(InputError, match="test wrote this folder, but it was written with other settings"):
        build(folder, 2)
    build(folder, 2, replace=True)
    assert tree(folder).keys() == {"a", contents.LISTED}, "nothing of the old one is left"
    (folder / "a").write_text("changed", encoding="utf-8")
    assert not contents.complete(folder, "test", {"n": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("where", ["mine", "below/mine", "link"])
def test_a_folder_with_files_of_others_is_never_replaced(where: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    build(folder, 1)
    if where == "link":
        (folder / where).symlink_to(tmp_path)
    else:
        (folder / where).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=f"holds {where}, which this command did not write"):
        build(folder, 2, replace=True)
    assert os.path.lexists(folder / where)
    with (
        pytest.raises(UsageError, match="did not write"),
        contents.built(folder, "another command", {}, replace=True),
    ):
        raise AssertionError("it must not come so far")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_killed_build_leaves_the_old_folder_and_the_next_one_clears_up(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    killed("folder", folder)
    assert not folder.exists()
    build(folder, 1)
    killed("folder", folder)
    before = tree(folder)
    assert contents.complete(folder, "test", {"n": 1})
    said: list[str] = []
    (tmp_path / ".out.mine").mkdir()
    with contents.built(folder, "test", {"n": 2}, replace=True, told=said.append):
        pass
    assert said == [f"removed what a command that was stopped left of {folder}"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mine", "out"]
    build(folder, 1, replace=True)
    killed("folder", folder, "swap")
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), contents.built(folder, "test", {"n": 2}, replace=True, told=said.append):
        assert tree(folder) == before, "what had been moved aside is back"
        raise ZeroDivisionError
    assert tree(folder) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.mine", "out"]


def test_a_failed_build_leaves_the_old_folder(tmp_path: Path) -> None:
    build(tmp_path / "out", 1)
    before = tree(tmp_path / "out")
    for error in (ZeroDivisionError(), KeyboardInterrupt()):
        with pytest.raises(type(error)), contents.built(tmp_path / "out", "test", {}, replace=True) as staged:
            (staged / "a").write_text("new", encoding="utf-8")
            raise error
    with (
        pytest.raises(InputError, match=r"out: cannot be written: No space"),
        contents.built(tmp_path / "out", "test", {}, replace=True),
    ):
        raise OSError(28, "No space left on device")
    assert tree(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_files(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    killed("file", path)
    assert not path.exists()
    with staging.file(path) as staged:
        staged.write_text("whole", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), staging.file(path) as staged:
        staged.write_text("half", encoding="utf-8")
        raise ZeroDivisionError
    with (
        pytest.raises(UsageError, match="holds something that this command did not write"),
        staging.file(path, staging.marked),
    ):
        raise AssertionError("it must not come so far")
    assert tree(tmp_path) == {"out.txt": "whole"}
    path.write_text("by kgplatform", encoding="utf-8")
    with staging.file(path, staging.marked) as staged:
        staged.write_text("new", encoding="utf-8")
    assert tree(tmp_path) == {"out.txt": "new"}
    for other in (tmp_path, Path("/dev/null")):
        with pytest.raises(UsageError, match="is not a regular file"), staging.file(other):
            raise AssertionError("it must not come so far")
