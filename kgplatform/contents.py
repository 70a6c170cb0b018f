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

CONTENTS_FILE: Final = "contents.json"


@dataclass(frozen=True)
class Contents:
    """What a folder holds: written by the command `by` with `settings`; `files` have their sha256."""

    by: str
    settings: Mapping[str, Any]
    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> Contents | None:
        """What the folder contains; None where it states nothing."""
        try:
            contents = cls(**files.read_json(folder / CONTENTS_FILE))
        except (InputError, TypeError):
            return None
        is_sound = (
            isinstance(contents.files, dict) and isinstance(contents.settings, dict) and isinstance(contents.by, str)
        )
        return contents if is_sound else None

    def changed(self, folder: Path) -> str | None:
        """The first file that is missing or not as it was written."""
        return next(
            (
                file_name
                for file_name, written_sha256 in self.files.items()
                if _sha256(folder / file_name) != written_sha256
            ),
            None,
        )


def complete(folder: Path, by: str, settings: Mapping[str, Any]) -> bool:
    """Whether the folder is what this command writes with these settings, each file as it was written. What a killed
    command left next to it is removed.
    """
    staging.remove_leftovers(folder.absolute())
    contents = Contents.read(folder)
    return (
        contents is not None and (contents.by, contents.settings) == (by, settings) and contents.changed(folder) is None
    )


@contextmanager
def result_folder(folder: Path, by: str, settings: Mapping[str, Any], *, replace: bool) -> Iterator[Path]:
    """A folder to write to, which becomes `folder` when the block ends well (see `staging.staged_folder`).

    Raises `InputError` where the command's earlier result is there, unless `replace`; and `UsageError` where the folder
    holds files that it did not write.
    """

    def written(target_folder: Path) -> list[str]:
        contents = Contents.read(target_folder)
        return [] if contents is None or contents.by != by else [CONTENTS_FILE, *contents.files]

    if folder.is_dir() and (contents := Contents.read(folder)) is not None and contents.by == by and not replace:
        changed_file = contents.changed(folder)
        problem = "was changed or deleted" if changed_file else "was written with other settings"
        hint = "Choose another folder, or use --replace."
        raise InputError(f"{by} wrote this folder, but {changed_file or 'it'} {problem}", hint, path=folder)
    with staging.staged_folder(folder, written) as partial_folder:
        yield partial_folder
        file_hashes = {
            file_name: str(_sha256(partial_folder / file_name)) for file_name in staging.files_below(partial_folder)
        }
        contents_text = json.dumps(asdict(Contents(by, settings, file_hashes)), indent=1, ensure_ascii=False) + "\n"
        (partial_folder / CONTENTS_FILE).write_text(contents_text, encoding="utf-8", newline="\n")


def _sha256(file_path: Path) -> str | None:
    try:
        with file_path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
