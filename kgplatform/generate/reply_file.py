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
from kgplatform.generate.backend import GeneratorReply
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

    def _read(self, file_path: Path) -> set[str]:
        """The images whose replies are there."""
        self._file.seek(0)
        done_images, end_offset = set[str](), 0
        for line_number, reply_line in enumerate(self._file, 1):
            if not reply_line.endswith(b"\n") and reply_line.startswith(_BEGINS[: len(reply_line)]):
                self._file.truncate(end_offset)
                break
            end_offset += len(reply_line)
            try:
                reply_row = json.loads(reply_line)
                image_id, written_by = reply_row["image"], [reply_row["model"], reply_row["settings"]]
            except (ValueError, TypeError, KeyError, RecursionError):
                hint = "Choose another file for --out."
                raise InputError("this is not a reply of a generator", hint, path=file_path, row=line_number) from None
            if written_by == self._by:
                done_images.add(image_id)
        return done_images

    def append(self, replies: Iterable[GeneratorReply]) -> None:
        """Append what is not in it yet, but nothing of an image that could not be read."""
        with on_disk(self._path):
            for reply in replies:
                if reply.problem is None and reply.request.id not in self._done:
                    model_name, settings_hash = self._by
                    triplets = [
                        [*scored_triplet.triplet, _rounded(scored_triplet.score)] for scored_triplet in reply.triplets
                    ]
                    reply_row = {
                        "image": reply.request.id,
                        "model": model_name,
                        "settings": settings_hash,
                        "triplets": triplets,
                    }
                    self._file.write(json.dumps(reply_row).encode() + b"\n")
                    self._done.add(reply.request.id)
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with on_disk(self._path):
            self._file.close()


def _rounded(score: float | None) -> float | None:
    # the last digits of a probability depend on the other rows of its batch
    return None if score is None else round(score, 4)
