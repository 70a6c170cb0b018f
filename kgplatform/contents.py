"""Folders that tell what wrote them: the command, its settings, and the hash of each file.

With this a command finds its own result again, whole or not, and never takes other files for its own.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kgplatform import files, staging
from kgplatform.errors import InputError
from kgplatform.staging import Told

LISTED: Final = "contents.json"


@dataclass(frozen=True)
class Contents:
    """What a folder holds: written by the command `by` with `settings`; `files` have their sha256."""

    by: str
    settings: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Contents | None:
        """What stands in the folder; None where it tells nothing."""
        try:
            found = cls(**files.read_json(folder / LISTED))
        except (InputError, TypeError):
            return None
        sound = isinstance(found.files, dict) and isinstance(found.settings, dict) and isinstance(found.by, str)
        return found if sound else None

    def changed(self, folder: Path) -> str | None:
        """The first file that is missing or not as it was written."""
        return next((name for name, sha256 in self.files.items() if _sha256(folder / name) != sha256), None)


def complete(folder: Path, by: str, settings: Mapping[str, Any]) -> bool:
    """Whether the folder is what this command writes with these settings, each file as it was written."""
    found = Contents.read(folder)
    return found is not None and (found.by, found.settings) == (by, settings) and found.changed(folder) is None


@contextmanager
def built(
    folder: Path, by: str, settings: Mapping[str, Any], *, replace: bool, told: Told = lambda _: None
) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` when the block ends well (see `staging.folder`).

    Raises `InputError` where the command's earlier result is there, unless `replace`; and `UsageError` where the folder
    holds files that it did not write.
    """

    def written(there: Path) -> list[str]:
        found = Contents.read(there)
        return [] if found is None or found.by != by else [LISTED, *found.files]

    if folder.is_dir() and (found := Contents.read(folder)) is not None and found.by == by and not replace:
        changed = found.changed(folder)
        state = "is not as it was written, or is gone" if changed else "was written with other settings"
        hint = "Name another folder, or give --replace."
        raise InputError(f"{by} wrote this folder, but {changed or 'it'} {state}", hint, path=folder)
    with staging.folder(folder, written, told=told) as partial:
        yield partial
        files = {name: str(_sha256(partial / name)) for name in staging.files_below(partial)}
        text = json.dumps(asdict(Contents(by, settings, files)), indent=1, ensure_ascii=False) + "\n"
        (partial / LISTED).write_text(text, encoding="utf-8", newline="\n")


def _sha256(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
