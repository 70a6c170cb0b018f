"""What releases of VQA data sets have in common: JSON lists of questions, and Parquet files with images in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.errors import InputError
from kgplatform.radiograph import place
from kgplatform.vqa.questions import LONGEST, Question

MAX_IMAGE: Final = 50_000_000  # bytes of an image in a Parquet file
NAME: Final = re.compile(r"[\w .()/-]{1,200}")  # of an image, a path below the folder

_ENDINGS: Final = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"II*\x00": ".tif", b"MM\x00*": ".tif"}


def rows(path: Path, hint: str) -> list[Any]:
    """The list in a JSON file, None for an entry that is not valid UTF-8. Raises `InputError` for anything else."""
    document = files.read_json(path, hint=hint, errors="surrogateescape")
    if not isinstance(document, list):
        raise InputError("the file holds no list of questions", hint, path=path)
    return document if files.is_text(document) else [row if files.is_text(row) else None for row in document]


def said(row: object, question: str = "question", answer: str = "answer") -> tuple[str, str] | str:
    """Question and answer of an entry as words with single spaces, or why there are none."""
    if not isinstance(row, Mapping):
        return "the entry is not a JSON object, or not valid UTF-8"
    words = []
    for name in (question, answer):
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = str(value)  # counts
        if not isinstance(value, str) or not value.strip():
            return f"there is no {name}"
        if len(value) > LONGEST or not value.replace("\n", " ").replace("\t", " ").strip().isprintable():
            return f"the {name} is longer than {LONGEST:,} characters, or has control characters"
        words.append(" ".join(value.split()))
    return words[0], words[1]


def marked(questions: Iterable[Question | Reject]) -> Iterator[Question | Reject]:
    """The questions, those marked as repeated that have part, image, question and answer of an earlier one."""
    known = set()
    for one in questions:
        key = (one.part, one.image, one.text, one.answer) if isinstance(one, Question) else None
        yield replace(one, repeated=True) if isinstance(one, Question) and key in known else one
        known.add(key)


def below(name: object, folder: Path) -> str | None:
    """The path of an image below its folder; None for one that leads out of it, links followed, or is none."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        return None
    inside = not name.startswith("/") and ".." not in name.split("/") and place(folder, name) is not None
    return name if inside else None


class Parquet:
    """A data set as the model hub has it: ``data/PART-*.parquet`` with image, question, answer.

    Images are unpacked below `images`, each once, named by the hash of its bytes.
    """

    def __init__(self, dataset: str, folder: Path, images: Path) -> None:
        self.dataset = dataset
        self.files = parquet_files(folder)
        self.images = images
        self._last: tuple[bytes, str] | None = None  # an image and its name

    def questions(self) -> Iterator[Question | Reject]:
        """See `kgplatform.vqa.questions.QuestionSource`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for part, path in self.files:
            number = 0
            try:
                columns = ["image", "question", "answer"]
                with pq.ParquetFile(files.require_file(path), read_dictionary=["image.bytes", *columns[1:]]) as file:
                    files.check_parquet(file, path)
                    for batch in file.iter_batches(files.batch_rows(file, 64), columns=columns):
                        for at in range(len(batch)):  # one image in memory at a time
                            number += 1
                            yield self._question(batch.slice(at, 1).to_pylist()[0], part, path, number)
            except (pa.ArrowException, OSError, KeyError):
                raise InputError(
                    "is no Parquet file with image, question and answer, or is damaged", "Fetch it again.", path=path
                ) from None

    def _question(self, row: Mapping[str, Any], part: str, path: Path, number: int) -> Question | Reject:
        words = said(row)
        if isinstance(words, str):
            return Reject(path, number, words)
        image = row["image"]
        content = image.get("bytes") if isinstance(image, Mapping) else None
        ending = next((end for magic, end in _ENDINGS.items() if (content or b"").startswith(magic)), None)
        if content is None or ending is None or len(content) > MAX_IMAGE:
            return Reject(path, number, "there is no image")
        if self._last is None or content != self._last[0]:  # several questions in a row are about one image
            self._last = content, hashlib.sha256(content).hexdigest()[:24]
        name = self._last[1]
        unpacked = self.images / f"{name}{ending}"
        if not unpacked.is_file():
            self.images.mkdir(parents=True, exist_ok=True)
            with files.caching(unpacked) as staged:  # another process may unpack the same images now
                staged.write_bytes(content)
        return Question(f"{path.name}:{number}", *words, name, unpacked, self.dataset, part)


def parquet_files(folder: Path) -> list[tuple[str, Path]]:
    """The Parquet files of a data set by part, in order; none where there are none."""
    names = {"train": "train", "validation": "valid", "valid": "valid", "test": "test"}
    found = []
    for parts in (folder, folder / "data"):
        for path in sorted(parts.glob("*.parquet")):
            part = re.split(r"[-._]", path.name)[0]
            if part in names:
                found.append((names[part], path))
    return found
