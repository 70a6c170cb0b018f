"""Files that a user or a data set names: opened as regular files of a bounded size, read whole, written whole.

A path from outside may be a FIFO (opening it waits for ever), a device (it has no end), a folder, or a file far larger
than anything of its kind. Every reader opens its file here, or has `require_file` look at it before a library opens it
by name. What a file unpacks to is bounded by the reader of its format.

An error names the file as the user knows it, never the name under which it is being written.
"""

from __future__ import annotations

import glob
import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from kgplatform.errors import InputError, UsageError

if TYPE_CHECKING:
    import yaml

MAX_DOCUMENT: Final = 64 << 20  # bytes of a JSON document; Python needs about 10 times as much for one
MAX_SETTINGS: Final = 1 << 15  # bytes of a YAML file; the longest of this repository has 3,000
MAX_RATIO: Final = 100  # what a compressed file may unpack to, in times its size ...
FREE: Final = 8 << 20  # ... if that is more than this many bytes
STALE: Final = 3_600  # seconds after which an unfinished file counts as abandoned
MARK: Final = "kgplatform"  # in files that have no other sign of this program
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


def open_regular_file(path: Path, byte_limit: int | None = None, hint: str = "") -> BufferedReader:
    """The file, open for reading. Raises `InputError` unless it is a regular file of at most `byte_limit` bytes."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise unreadable(path, error, hint) from None
    except ValueError:  # a NUL in the name
        raise InputError("no such file", hint or "Check the path.") from None
    try:
        file_status = os.fstat(descriptor)
        if stat.S_ISDIR(file_status.st_mode):
            raise unreadable(path, IsADirectoryError(), hint)
        if not stat.S_ISREG(file_status.st_mode):
            raise InputError("this is not a regular file", hint or "Give a file.", path=path)
        if byte_limit is not None and file_status.st_size > byte_limit:
            raise _too_large(path, byte_limit, hint)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def require_file(path: Path, hint: str = "") -> Path:
    """The path unchanged, for a library that opens it by name. Raises `InputError` as `open_regular_file` does."""
    open_regular_file(path, hint=hint).close()
    return path


def require_plain_folder(folder: Path) -> Path:
    """The folder unchanged, for a library that opens files in it by name. Raises `InputError` where one of them is a
    FIFO, a device or the like, which it might wait for for ever.
    """
    for member_path in folder.iterdir() if folder.is_dir() else ():
        if member_path.exists() and not member_path.is_dir():
            require_file(member_path)
    return folder


def read_bytes(path: Path, byte_limit: int, hint: str = "") -> bytes:
    """The file's content. Raises `InputError` as `open_regular_file` does."""
    with open_regular_file(path, byte_limit, hint) as file:
        try:
            content = file.read(byte_limit + 1)
        except OSError as error:
            raise unreadable(path, error, hint) from None
    if len(content) > byte_limit:  # it grew since, or has no size, as files of /proc
        raise _too_large(path, byte_limit, hint)
    return content


def _too_large(path: Path, max_bytes: int, hint: str) -> InputError:
    return InputError(
        f"the file is too large: it has more than {max_bytes:,} bytes", hint or "Check the path.", path=path
    )


def read_text(path: Path, byte_limit: int, hint: str = "") -> str:
    """The file's text, UTF-8 with or without a byte-order mark. Raises `InputError`."""
    content = read_bytes(path, byte_limit, hint)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad_byte("the file is not UTF-8 text", "Save it as UTF-8.", path, content, error) from None


def read_json(
    path: Path,
    byte_limit: int = MAX_DOCUMENT,
    hint: str = "",
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
    errors: str = "strict",
) -> Any:
    """The JSON document in a file; `pairs` makes its objects. Raises `InputError`, which quotes nothing of it.

    With `errors` = ``surrogateescape`` bytes that are not UTF-8 are no error: `is_text` shows which values have them.
    """
    content = read_bytes(path, byte_limit, hint)
    try:
        return json.loads(content.decode("utf-8-sig", errors), object_pairs_hook=pairs)
    except UnicodeDecodeError as error:
        hint = hint or "Fetch it again."
        raise _bad_byte("the file is not JSON in UTF-8", hint, path, content, error) from None
    except (ValueError, RecursionError) as error:
        line_number = error.lineno if isinstance(error, json.JSONDecodeError) else None
        raise InputError(
            "the file is not JSON in UTF-8", hint or "Fetch it again.", path=path, row=line_number
        ) from None


def _bad_byte(problem: str, hint: str, path: Path, content: bytes, error: UnicodeDecodeError) -> InputError:
    """The error for content that is not UTF-8: it names the line, and the byte, as a document may be one line."""
    byte_index = len(content) - len(error.object) + error.start  # a byte-order mark is not part of the object
    return InputError(
        f"{problem}: byte {byte_index + 1:,}", hint, path=path, row=content.count(b"\n", 0, byte_index) + 1
    )


def is_text(value: object) -> bool:
    """Whether all texts in a value of JSON can be UTF-8: not where a file was not, or has half a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def require_suffix(path: Path, suffix: str) -> None:
    """Raise `UsageError` for a file's name that does not end as its format does."""
    if path.suffix.lower() != suffix:
        raise UsageError(
            f"{path} would contain {suffix.removeprefix('.')}", f"Use a name such as {path.stem or 'FILE'}{suffix}"
        )


def read_yaml(path: Path, hint: str) -> object:
    """What a YAML file of settings holds; `hint` says where to find examples.

    Raises `InputError`: no such file, a folder, not permitted, too large, not text, or damaged at a line; or with an
    alias, as a file of 300 bytes with aliases is a billion items to whoever walks through it.
    """
    import yaml

    content = read_bytes(path, MAX_SETTINGS, hint)
    try:
        yaml_text = content.decode("utf-8")
        for yaml_event in yaml.parse(yaml_text, Loader=yaml.SafeLoader) if "*" in yaml_text else ():
            if isinstance(yaml_event, yaml.AliasEvent):
                raise InputError("settings may not have YAML aliases (*name)", "Write the value out.", path=path)
        _refuse_repeated_keys(yaml.compose(yaml_text, Loader=yaml.SafeLoader), path)
        return yaml.safe_load(yaml_text)
    except UnicodeDecodeError as error:
        raise _bad_byte("this is not YAML: it is not UTF-8 text", hint, path, content, error) from None
    except yaml.MarkedYAMLError as error:
        line_number = error.problem_mark.line + 1 if error.problem_mark else None
        remedy = f"Check indentation, colons and quotes. {hint}"
        raise InputError("this is not YAML", remedy, path=path, row=line_number) from None
    except (ValueError, yaml.YAMLError, RecursionError):  # ValueError: an invalid date
        raise InputError("this is not YAML", hint, path=path) from None


def _refuse_repeated_keys(node: yaml.Node | None, path: Path) -> None:
    """Raise `InputError` for a mapping that has a key twice, of which YAML's reader would take the last."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        unique_keys = set[str]()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            if key in unique_keys:
                row = key_node.start_mark.line + 1
                raise InputError(f"{key[:40]!r} occurs twice", "Remove one of them.", path=path, row=row)
            unique_keys.add(key)
            _refuse_repeated_keys(value_node, path)
    elif isinstance(node, yaml.SequenceNode):
        for item_node in node.value:
            _refuse_repeated_keys(item_node, path)


def final_name(path: Path) -> Path:
    """The file that is being written under that name: ``a.csv`` for ``.a.csv.part`` and ``a.csv.4711.partial``."""
    name_match = _UNFINISHED.fullmatch(path.name)
    return path.with_name(name_match["name"]) if name_match else path


@contextmanager
def replacing(path: Path, own: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """A name to write the file under; at the end it takes the place of `path`, or is removed where that failed.

    `own` returns whether a file that exists already is of the kind that the command writes: another one is kept.
    Raises `UsageError` where it is kept, and `InputError`, which names `path`, where it cannot be written.
    """
    from kgplatform.staging import disk_error, remove_leftovers

    require_own(path, own)
    remove_leftovers(path)
    partial_path = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial_path
        require_own(path, own)
        partial_path.replace(path)
    except BaseException as error:
        partial_path.unlink(missing_ok=True)
        if cause := disk_error(error) or (error if isinstance(error, OSError) else None):
            raise unwritable(path, cause) from None
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """A name to write the program's own file under, so that it appears complete or not at all. Another thread or
    process may write the same file now. At the end it takes the place of `path`, regardless of what that is. What a
    killed process left goes after an hour.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover_path in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(FileNotFoundError):  # another writer has removed it
            if time.time() - leftover_path.stat().st_mtime > STALE:
                leftover_path.unlink()
    partial_path = path.with_name(f".{path.name}.{uuid4().int}.partial")
    try:
        yield partial_path
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)


def write_json(path: Path, document: object, indent: int | None = 1) -> None:
    """Write a JSON document of the program's own, complete or not at all (see `atomic_file`)."""
    with atomic_file(path) as partial_path:
        partial_path.write_text(json.dumps(document, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def require_own(path: Path, own: Callable[[Path], bool] | None) -> None:
    """Raise `UsageError` where `path` is there and no file that may be overwritten (see `replacing`)."""
    if not path.exists() or path.is_dir():  # a folder is reported when it is written to
        return
    if not path.is_file():
        raise UsageError(f"{path} is not a regular file", "Give the name of a file.")
    if own is None or not path.stat().st_size:
        return
    try:
        is_ours = own(path)
    except Exception:  # noqa: BLE001  whatever a library makes of a file that is something else
        is_ours = False
    if not is_ours:
        hint = "Move it, or give another name."
        raise UsageError(f"{path} contains something that this command did not write", hint)


def has_program_mark(path: Path) -> bool:
    """Whether a file has this program's mark in it, as figures have."""
    return path.stat().st_size <= MAX_DOCUMENT and MARK.encode() in path.read_bytes()


def figure_metadata(path: Path) -> dict[str, str]:
    """What matplotlib is to write into a figure, by which `has_program_mark` knows it again."""
    return {".png": {"Software": MARK}, ".svg": {"Creator": MARK}, ".pdf": {"Creator": MARK}}.get(path.suffix, {})


def unwritable(path: Path, error: OSError) -> InputError:
    """The error for a file that cannot be written."""
    if not path.parent.is_dir():
        return InputError("its folder does not exist", "Create the folder first, or choose another place.", path=path)
    if path.is_dir():
        return InputError("this is a folder, not a file", "Give the name of a file.", path=path)
    return InputError(f"cannot be written: {error.strerror}", "Choose another place.", path=path)
