"""VQA-RAD (Lau et al. 2018): questions of clinicians about radiographs, CT and MR images.

    trainset.json, testset.json       [{"qid", "image_name", "image_organ", "question", "answer", "question_type", …}]
    VQA_RAD Dataset Public.json       the same in one list; test questions have a phrase_type that begins with test_
    data/PART-*.parquet               the model hub's form: image, question, answer; no validation part

Synthetic questions (`kgp phantom questions`) have the same fields, ``needs``, and a validset.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kgp_loaders.question_files import ParquetQuestions, below, parquet_files, question_and_answer, read_json_rows
from kgplatform.batches import Reject
from kgplatform.datasets.questions import Question, QuestionSource
from kgplatform.errors import InputError

DATASET: Final = "VQA-RAD"
FILES: Final = {"train": "trainset.json", "valid": "validset.json", "test": "testset.json"}
PUBLIC: Final = "VQA_RAD Dataset Public.json"
FOLDERS: Final = ("images", "images_256", "VQA_RAD Image Folder")
_HINT: Final = "Give VQA-RAD's folder, with trainset.json and testset.json."


def synthetic(folder: Path, images: Path | None = None) -> VQARAD:
    """The questions of `kgp phantom questions`. Raises `InputError` where they are missing."""
    return VQARAD(folder, images, "phantom")


class VQARAD:
    """The questions as a `kgplatform.datasets.questions.QuestionSource`. Raises `InputError` where they are missing."""

    def __init__(self, folder: Path, images: Path | None = None, dataset: str = DATASET) -> None:
        """`images`: where the images lie, if not below the folder."""
        self.folder = folder
        self.dataset = dataset
        self._hub: QuestionSource | None = None
        self.files: tuple[Path, ...]
        if all((folder / FILES[part_name]).is_file() for part_name in ("train", "test")):
            self.files = tuple(folder / entry_name for entry_name in FILES.values() if (folder / entry_name).is_file())
        elif (folder / PUBLIC).is_file():
            self.files = (folder / PUBLIC,)
        elif hub_files := parquet_files(folder):
            self.files = tuple(file_path for _, file_path in hub_files)
            self._hub = ParquetQuestions(dataset, folder, images or folder / "unpacked")
        else:
            if dataset != DATASET:
                hint = "Make them: kgp phantom questions STUDIES DIR."
                raise InputError("there are no synthetic questions here", hint, path=folder)
            raise InputError("there are no questions of VQA-RAD here", _HINT, path=folder)
        self.images = images or next(
            (folder / entry_name for entry_name in FOLDERS if (folder / entry_name).is_dir()), folder
        )

    def questions(self) -> Iterator[Question | Reject]:
        """See `QuestionSource`."""
        if self._hub is not None:
            yield from self._hub.questions()
            return
        for json_path in self.files:
            part_name = next((part_name for part_name, file_name in FILES.items() if file_name == json_path.name), "")
            for row_number, record in enumerate(read_json_rows(json_path, _HINT), 1):
                question = self._question(record, part_name)
                yield question if isinstance(question, Question) else Reject(json_path, row_number, question)

    def _question(self, record: Any, part_name: str) -> Question | str:
        texts = question_and_answer(record)
        if isinstance(texts, str):
            return texts
        image_name, question_id = below(record.get("image_name"), self.images), record.get("qid")
        if image_name is None:
            return "image_name is not a path below the images' folder"
        if isinstance(question_id, bool) or not isinstance(question_id, int | str) or not str(question_id).strip():
            return "there is no qid"
        if not part_name:
            part_name = "test" if str(record.get("phrase_type", "")).startswith("test") else "train"
        topic = " ".join(str(record.get("question_type", "")).split())
        needs = str(record.get("needs", ""))
        return Question(
            str(question_id), *texts, image_name, self.images / image_name, self.dataset, part_name, topic, needs
        )
