"""What releases of VQA data sets have in common: JSON lists of questions, and Parquet files with images in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kgplatform import files, parquet
from kgplatform.batches import Reject
from kgplatform.datasets.questions import MAX_QUESTION_LENGTH, Question
from kgplatform.errors import InputError
from kgplatform.radiograph import resolve_image_path

MAX_IMAGE: Final = 50_000_000  # bytes of an image in a Parquet file
NAME: Final = re.compile(r"[\w .()/-]{1,200}")  # of an image, a path below the folder

_ENDINGS: Final = {b"\x89PNG\r\n\x1a\n": ".png", b"\xff\xd8\xff": ".jpg", b"II*\x00": ".tif", b"MM\x00*": ".tif"}


def read_json_rows(path: Path, hint: str) -> list[Any]:
    """The list in a JSON file, None for an entry that is not valid UTF-8. Raises `InputError` for anything else."""
    document = files.read_json(path, hint=hint, errors="surrogateescape")
    if not isinstance(document, list):
        raise InputError("the file holds no list of questions", hint, path=path)
    return document if files.is_text(document) else [entry if files.is_text(entry) else None for entry in document]


def question_and_answer(row: object, question: str = "question", answer: str = "answer") -> tuple[str, str] | str:
    """Question and answer of an entry as words with single spaces, or why there are none."""
    if not isinstance(row, Mapping):
        return "the entry is not a JSON object, or not valid UTF-8"
    texts = []
    for field_name in (question, answer):
        content = row.get(field_name)
        if isinstance(content, int | float) and not isinstance(content, bool):
            content = str(content)  # counts
        if not isinstance(content, str) or not content.strip():
            return f"there is no {field_name}"
        if (
            len(content) > MAX_QUESTION_LENGTH
            or not content.replace("\n", " ").replace("\t", " ").strip().isprintable()
        ):
            return f"the {field_name} is longer than {MAX_QUESTION_LENGTH:,} characters, or has control characters"
        texts.append(" ".join(content.split()))
    return texts[0], texts[1]


def mark_repeated(questions: Iterable[Question | Reject]) -> Iterator[Question | Reject]:
    """The questions, those marked as repeated that have part, image, question and answer of an earlier one."""
    previous_keys = set()
    for question in questions:
        question_key = (
            (question.part, question.image, question.text, question.answer) if isinstance(question, Question) else None
        )
        yield (
            replace(question, repeated=True)
            if isinstance(question, Question) and question_key in previous_keys
            else question
        )
        previous_keys.add(question_key)


def below(name: object, folder: Path) -> str | None:
    """The path of an image below its folder; None for one that leads out of it, links followed, or is none."""
    if not isinstance(name, str) or NAME.fullmatch(name) is None:
        return None
    is_inside = (
        not name.startswith("/") and ".." not in name.split("/") and resolve_image_path(folder, name) is not None
    )
    return name if is_inside else None


class ParquetQuestions:
    """A data set as the model hub has it: ``data/PART-*.parquet`` with image, question, answer.

    Images are unpacked below `images`, each once, named by the hash of its bytes.
    """

    def __init__(self, dataset: str, folder: Path, images: Path) -> None:
        self.dataset = dataset
        self.files = parquet_files(folder)
        self.images = images
        self._last: tuple[bytes, str] | None = None  # an image and its name

    def questions(self) -> Iterator[Question | Reject]:
        """See `kgplatform.datasets.questions.QuestionSource`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for part_name, parquet_path in self.files:
            row_number = 0
            try:
                columns = ["image", "question", "answer"]
                with pq.ParquetFile(
                    files.require_file(parquet_path), read_dictionary=["image.bytes", *columns[1:]]
                ) as parquet_file:
                    parquet.check_parquet(parquet_file, parquet_path)
                    for batch in parquet_file.iter_batches(parquet.batch_rows(parquet_file, 64), columns=columns):
                        for row_index in range(len(batch)):  # one image in memory at a time
                            row_number += 1
                            yield self._question(
                                batch.slice(row_index, 1).to_pylist()[0], part_name, parquet_path, row_number
                            )
            except (pa.ArrowException, OSError, KeyError):
                raise InputError(
                    "is not a Parquet file with image, question and answer, or is damaged",
                    "Fetch it again.",
                    path=parquet_path,
                ) from None

    def _question(
        self, record: Mapping[str, Any], part_name: str, parquet_path: Path, row_number: int
    ) -> Question | Reject:
        texts = question_and_answer(record)
        if isinstance(texts, str):
            return Reject(parquet_path, row_number, texts)
        image = record["image"]
        image_bytes = image.get("bytes") if isinstance(image, Mapping) else None
        image_suffix = next(
            (suffix for signature, suffix in _ENDINGS.items() if (image_bytes or b"").startswith(signature)), None
        )
        if image_bytes is None or image_suffix is None or len(image_bytes) > MAX_IMAGE:
            return Reject(parquet_path, row_number, "there is no image")
        if self._last is None or image_bytes != self._last[0]:  # several questions in a row are about one image
            self._last = image_bytes, hashlib.sha256(image_bytes).hexdigest()[:24]
        image_hash = self._last[1]
        image_path = self.images / f"{image_hash}{image_suffix}"
        if not image_path.is_file():
            self.images.mkdir(parents=True, exist_ok=True)
            with files.atomic_file(image_path) as staged_path:  # another process may unpack the same images now
                staged_path.write_bytes(image_bytes)
        return Question(f"{parquet_path.name}:{row_number}", *texts, image_hash, image_path, self.dataset, part_name)


def parquet_files(folder: Path) -> list[tuple[str, Path]]:
    """The Parquet files of a data set by part, in order; none where there are none."""
    parts_by_name = {"train": "train", "validation": "valid", "valid": "valid", "test": "test"}
    part_files = []
    for data_folder in (folder, folder / "data"):
        for parquet_path in sorted(data_folder.glob("*.parquet")):
            part_name = re.split(r"[-._]", parquet_path.name)[0]
            if part_name in parts_by_name:
                part_files.append((parts_by_name[part_name], parquet_path))
    return part_files
