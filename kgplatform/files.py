"""Files of the user's: why one cannot be read or written, and YAML settings.

An error names the file as the user knows it, never the name under which it is being written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError

MAX_SETTINGS: Final = 1 << 20  # bytes of a file of settings
_UNFINISHED: Final = re.compile(r"\.?(?P<name>.+?)(\.\d+)?\.(partial|part)")


def unreadable(path: Path, error: OSError, hint: str = "") -> InputError:
    """The error for a file that cannot be opened or read: missing, a folder, not permitted, or the system's reason."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return InputError("no such file", hint or "Check the path.", path=path)
    if isinstance(error, IsADirectoryError):
        return InputError("this is a folder, not a file", hint or "Give a file in it.", path=path)
    if isinstance(error, PermissionError):
        return InputError("you have no permission to read it", "Change its permissions, or give a copy.", path=path)
    return InputError(f"cannot be read: {error.strerror or 'unknown reason'}", hint or "Check the file.", path=path)


def require_file(path: Path, hint: str = "") -> None:
    """Raise `InputError` unless a regular file (or a link to one) is there and can be opened for reading."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            raise InputError("this is not a regular file", hint or "Give a file.", path=path)
        with path.open("rb"):
            pass
    except OSError as error:
        raise unreadable(path, error, hint) from None
    except ValueError:  # a NUL in the name
        raise InputError("no such file", hint or "Check the path.") from None


def read_yaml(path: Path, hint: str) -> object:
    """What a YAML file of settings holds; `hint` says where to find examples.

    Raises `InputError`: no such file, a folder, not permitted, too large, not text, or damaged at a line.
    """
    import yaml

    require_file(path, hint)
    try:
        if path.stat().st_size > MAX_SETTINGS:
            raise InputError("the file is too large for settings", "Check the path.", path=path)
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error, hint) from None
    except UnicodeDecodeError:
        raise InputError("this is not YAML: it is not UTF-8 text", hint, path=path) from None
    except yaml.MarkedYAMLError as error:
        row = error.problem_mark.line + 1 if error.problem_mark else None
        mend = f"Check indentation, colons and quotes. {hint}"
        raise InputError("this is not YAML", mend, path=path, row=row) from None
    except (ValueError, yaml.YAMLError, RecursionError):  # ValueError: a date that is none
        raise InputError("this is not YAML", hint, path=path) from None


def final_name(path: Path) -> Path:
    """The file that is being written under that name: ``a.csv`` for ``.a.csv.part`` and ``a.csv.4711.partial``."""
    match = _UNFINISHED.fullmatch(path.name)
    return path.with_name(match["name"]) if match else path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name to write the file under; at the end it takes the place of `path`, or is removed where that failed.

    Raises `InputError`, which names `path`, where it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from None
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a file that cannot be written."""
    if not path.parent.is_dir():
        return InputError("its folder is not there", "Make the folder first, or choose another place.", path=path)
    if path.is_dir():
        return InputError("this is a folder, not a file", "Give the name of a file.", path=path)
    return InputError(f"cannot be written: {error.strerror}", "Choose another place.", path=path)
