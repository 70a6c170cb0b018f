"""Folders of results appear whole or not at all, and never in place of what somebody else wrote.

A folder is written next to its place, under a hidden name (``.NAME.PID.partial``), and renamed at the end.
What a killed command left is removed by the next command that writes to the same place.
"""

from __future__ import annotations

import errno
import glob
import logging
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError, KgpError, UsageError

logger = logging.getLogger(__name__)
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
_IN_RUST: Final = re.compile(r"\(os error (\d+)\)")
_IN_TORCH: Final = re.compile(r"iostream error|PytorchStreamWriter failed")  # the reason is lost there
_ROOM: Final = "Make room on the disk, or name another one, and give the same command again."


@contextmanager
def staged_folder(path: Path, written: Callable[[Path], Collection[str]], *, mode: int = 0o777) -> Iterator[Path]:
    """A folder to write to, which takes the place of `path` when the block ends well, and else is removed.

    `written` names the files below a folder that an earlier call wrote there: a folder with another file is kept.
    Raises `UsageError` where it is kept, and `InputError` where the folder cannot be written.
    """
    path = _resolved(path)
    _check_folder(path, written)
    with _explained_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path)
        partial_folder, previous_folder = _hidden(path, "partial"), _hidden(path, "old")
        partial_folder.mkdir(mode)
        try:
            yield partial_folder
            _check_folder(path, written)
            if path.is_dir():
                shutil.copymode(path, partial_folder)
                path.rename(previous_folder)
            partial_folder.rename(path)
            shutil.rmtree(previous_folder, ignore_errors=True)
        finally:
            if previous_folder.is_dir() and not path.exists():
                previous_folder.rename(path)
            shutil.rmtree(partial_folder, ignore_errors=True)


def disk_error(error: BaseException) -> OSError | None:
    """The full or failing disk behind any error that a library made of it; None where it is something else."""
    cause: BaseException | None = error
    while cause is not None:
        match = _IN_RUST.search(str(cause))
        error_number = cause.errno if isinstance(cause, OSError) else int(match[1]) if match else None
        if error_number in _DISK_ERRORS:
            return OSError(error_number, os.strerror(error_number))
        if isinstance(cause, RuntimeError) and _IN_TORCH.search(str(cause)):
            return OSError(errno.ENOSPC, "the disk is full or fails")
        cause = cause.__cause__ or cause.__context__
    return None


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Work that writes to `path`. Raises `InputError`, which names it, where the disk is full or fails."""
    try:
        yield
    except KgpError:
        raise
    except Exception as error:
        if (disk_failure := disk_error(error)) is None:
            raise
        raise InputError(f"cannot be written: {disk_failure.strerror}", _ROOM, path=path) from None


def files_below(path: Path) -> list[str]:
    """The names of all files below a folder, links included, sorted."""
    relative_paths = []
    for parent, subfolders, file_names in os.walk(path):
        links = (entry_name for entry_name in subfolders if Path(parent, entry_name).is_symlink())
        relative_paths += [
            Path(parent, entry_name).relative_to(path).as_posix() for entry_name in (*file_names, *links)
        ]
    return sorted(relative_paths)


def _check_folder(folder_path: Path, written: Callable[[Path], Collection[str]]) -> None:
    if not folder_path.exists():
        return
    if not folder_path.is_dir():
        raise UsageError(f"{folder_path} is not a folder", "Choose another folder.")
    if not (existing_files := files_below(folder_path)):
        return
    own_files = set(written(folder_path))
    if foreign_file := next((file_name for file_name in existing_files if file_name not in own_files), None):
        hint = "Move it, or choose another folder."
        raise UsageError(f"{folder_path} contains {foreign_file}, which this command did not write", hint)


def _hidden(target_path: Path, suffix: str) -> Path:
    return target_path.with_name(f".{target_path.name}.{os.getpid()}.{suffix}")


def _resolved(target_path: Path) -> Path:
    try:
        return target_path.resolve()
    except (OSError, RuntimeError):  # links in a circle
        raise InputError("cannot be written: its links form a loop", path=target_path) from None


def remove_leftovers(path: Path) -> None:
    """Remove what killed commands left that wrote to this path, or put it back where it is all there is."""
    import psutil

    for leftover in sorted(path.parent.glob(f".{glob.escape(path.name)}.*.*")):
        pid, _, suffix = leftover.name.removeprefix(f".{path.name}.").partition(".")
        if suffix not in ("partial", "old") or not pid.isdecimal():
            continue
        if int(pid) != os.getpid() and psutil.pid_exists(int(pid)):  # in a container all commands have the same pid
            continue
        if suffix == "old" and not path.exists():
            leftover.rename(path)
            logger.info(f"{path}: restored; an interrupted command had moved it aside")
        elif leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover, ignore_errors=True)
            logger.info(f"removed what an interrupted command left of {path}")
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def _explained_errors(path: Path) -> Iterator[None]:
    """Errors of writing as errors of `path`, which the user named; those of other files are let through."""
    try:
        yield
    except OSError as error:
        own_prefixes = (str(path), str(path.parent), *(str(_hidden(path, suffix)) for suffix in ("partial", "old")))
        if not (
            error.errno in _DISK_ERRORS if error.filename is None else str(error.filename).startswith(own_prefixes)
        ):
            raise
        hint = "Check the path, its permissions and the space on the disk."
        if error.errno in (errno.EBUSY, errno.EXDEV):
            hint = "It is the root of a file system: name a folder below it."
        raise InputError(f"cannot be written: {error.strerror or error}", hint, path=path) from None
