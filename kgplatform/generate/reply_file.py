"""The file of `kgp generate --out`: what a generator says, one JSON object a line, never the report.

A batch's replies are in the file before they are in the graph. So a kill between the two leaves none out, and the call
that goes on finds them there and does not append them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kgplatform.errors import InputError
from kgplatform.generate.backend import Reply
from kgplatform.staging import on_disk

_BEGINS: Final = b'{"image": '


class ReplyFile:
    """The replies of one generator with one way of decoding, appended to a file that may have those of others."""

    def __init__(self, path: Path, model: str, settings: str) -> None:
        """Open the file, or make it; a last line that a kill cut short is cut off.

        Raises `InputError` for a file of something else, and for one that cannot be written.
        """
        self._by = [model, settings]
        self._path = path
        try:
            self._file = path.open("a+b")
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", "Check --out.", path=path) from None
        try:
            self._done = self._read(path)
        except BaseException:
            self._file.close()
            raise

    def _read(self, path: Path) -> set[str]:
        """The images whose replies are there."""
        self._file.seek(0)
        done, end = set[str](), 0
        for number, line in enumerate(self._file, 1):
            if not line.endswith(b"\n") and line.startswith(_BEGINS[: len(line)]):
                self._file.truncate(end)
                break
            end += len(line)
            try:
                row = json.loads(line)
                image, by = row["image"], [row["model"], row["settings"]]
            except (ValueError, TypeError, KeyError, RecursionError):
                hint = "Choose another file for --out."
                raise InputError("this is not a reply of a generator", hint, path=path, row=number) from None
            if by == self._by:
                done.add(image)
        return done

    def append(self, replies: Iterable[Reply]) -> None:
        """Append what is not there yet, but nothing of an image that could not be read."""
        with on_disk(self._path):
            for reply in replies:
                if reply.problem is None and reply.asked.id not in self._done:
                    model, settings = self._by
                    triplets = [[*one.triplet, _rounded(one.score)] for one in reply.triplets]
                    row = {"image": reply.asked.id, "model": model, "settings": settings, "triplets": triplets}
                    self._file.write(json.dumps(row).encode() + b"\n")
                    self._done.add(reply.asked.id)
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with on_disk(self._path):
            self._file.close()


def _rounded(score: float | None) -> float | None:
    # the last digits of a probability depend on the other rows of its batch
    return None if score is None else round(score, 4)
