"""PathVQA (He et al. 2020): questions about images of pathology.

    data/PART-*.parquet                     the model hub's form, which MedMKG uses: image, question, answer
    qas/PART/PART_qa.pkl, images/PART/      the authors' form: a pickled list of {"image", "question", "answer"}

The authors' lists have rows that are the same as an earlier row of their part. The hub's form has each once, and so
have the published counts (3,362 closed test questions of 3,391 rows): such rows are marked as repeated.

The pickles are read without running what they name: plain lists, objects and strings, nothing else.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from kgp_loaders.question_files import ParquetQuestions, below, mark_repeated, parquet_files, question_and_answer
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.datasets.questions import Question, QuestionSource
from kgplatform.errors import InputError

DATASET: Final = "PathVQA"
PARTS: Final = {"train": "train", "val": "valid", "test": "test"}
MAX_BYTES: Final = 200_000_000
_HINT: Final = "Give PathVQA's folder, with data/*.parquet, or with qas/ and images/."


class PathVQA:
    """The questions as a `kgplatform.datasets.questions.QuestionSource`. Raises `InputError` where they are missing."""

    dataset = DATASET

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        self._hub: QuestionSource | None = None
        self.images = images or folder / "images"
        if hub_files := parquet_files(folder):
            self.files = tuple(file_path for _, file_path in hub_files)
            self._hub = ParquetQuestions(DATASET, folder, images or folder / "unpacked")
            return
        self.files = tuple(folder / "qas" / part_name / f"{part_name}_qa.pkl" for part_name in PARTS)
        for file_path in self.files:
            if not file_path.is_file():
                raise InputError("there are no questions of PathVQA here", _HINT, path=folder)

    def questions(self) -> Iterator[Question | Reject]:
        """See `QuestionSource`."""
        return mark_repeated(self._read_questions()) if self._hub is None else self._hub.questions()

    def _read_questions(self) -> Iterator[Question | Reject]:
        for pickle_path in self.files:
            released_part = pickle_path.parent.name
            for row_number, record in enumerate(unpickled(pickle_path), 1):
                texts = question_and_answer(record)
                image_name = (
                    below(f"{record.get('image')}.jpg", self.images / released_part)
                    if isinstance(record, dict)
                    else None
                )
                image = None if image_name is None else image_name.removesuffix(".jpg")
                if isinstance(texts, str) or image is None:
                    reason = texts if isinstance(texts, str) else "image is not a path below the images' folder"
                    yield Reject(pickle_path, row_number, reason)
                    continue
                image_path = self.images / released_part / f"{image}.jpg"
                yield Question(
                    f"{released_part}:{row_number}", *texts, image, image_path, DATASET, PARTS[released_part]
                )


class _Plain(pickle.Unpickler):
    """Reads lists, dictionaries, strings and numbers; everything that a pickle names to be looked up is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError("it names code")


def unpickled(path: Path) -> list[Any]:
    """The list in a pickle. Raises `InputError` for anything else."""
    try:
        content = _Plain(BytesIO(files.read_bytes(path, MAX_BYTES, _HINT))).load()
    except InputError:
        raise
    except Exception:  # noqa: BLE001  a damaged pickle raises classes without number
        raise InputError("is not a pickled list of questions, or is damaged", "Fetch it again.", path=path) from None
    if not isinstance(content, list):
        raise InputError("is not a pickled list of questions", _HINT, path=path)
    return content
