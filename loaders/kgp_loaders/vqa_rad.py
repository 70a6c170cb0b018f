"""VQA-RAD (Lau et al. 2018): questions of clinicians about radiographs, CT and MR images.

    trainset.json, testset.json       [{"qid", "image_name", "image_organ", "question", "answer", "question_type", …}]
    VQA_RAD Dataset Public.json       the same in one list; test questions have a phrase_type that begins with test_
    data/PART-*.parquet               the model hub's form: image, question, answer; no validation part

Invented questions (`kgp phantom questions`) have the same fields, ``needs``, and a validset.json.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from kgp_loaders.question_files import Parquet, below, parquet_files, rows, said
from kgplatform.batches import Reject
from kgplatform.errors import InputError
from kgplatform.vqa.questions import Question, QuestionSource

DATASET: Final = "VQA-RAD"
FILES: Final = {"train": "trainset.json", "valid": "validset.json", "test": "testset.json"}
PUBLIC: Final = "VQA_RAD Dataset Public.json"
FOLDERS: Final = ("images", "images_256", "VQA_RAD Image Folder")
_HINT: Final = "Give VQA-RAD's folder, with trainset.json and testset.json."


class VQARAD:
    """The questions as a `kgplatform.vqa.questions.QuestionSource`. Raises `InputError` where they are not there."""

    def __init__(self, folder: Path, images: Path | None = None, dataset: str = DATASET) -> None:
        """`images`: where the images lie, if not below the folder."""
        self.folder = folder
        self.dataset = dataset
        self._hub: QuestionSource | None = None
        self.files: tuple[Path, ...]
        if all((folder / FILES[part]).is_file() for part in ("train", "test")):
            self.files = tuple(folder / name for name in FILES.values() if (folder / name).is_file())
        elif (folder / PUBLIC).is_file():
            self.files = (folder / PUBLIC,)
        elif found := parquet_files(folder):
            self.files = tuple(path for _, path in found)
            self._hub = Parquet(dataset, folder, images or folder / "unpacked")
        else:
            if dataset != DATASET:
                hint = "Make them: kgp phantom questions STUDIES DIR."
                raise InputError("there are no invented questions here", hint, path=folder)
            raise InputError("there are no questions of VQA-RAD here", _HINT, path=folder)
        self.images = images or next((folder / name for name in FOLDERS if (folder / name).is_dir()), folder)

    def questions(self) -> Iterator[Question | Reject]:
        """See `QuestionSource`."""
        if self._hub is not None:
            yield from self._hub.questions()
            return
        for path in self.files:
            part = next((part for part, name in FILES.items() if name == path.name), "")
            for number, row in enumerate(rows(path, _HINT), 1):
                found = self._question(row, part)
                yield found if isinstance(found, Question) else Reject(path, number, found)

    def _question(self, row: Any, part: str) -> Question | str:
        words = said(row)
        if isinstance(words, str):
            return words
        image, number = below(row.get("image_name"), self.images), row.get("qid")
        if image is None:
            return "image_name is no path below the images' folder"
        if isinstance(number, bool) or not isinstance(number, int | str) or not str(number).strip():
            return "there is no qid"
        if not part:
            part = "test" if str(row.get("phrase_type", "")).startswith("test") else "train"
        topic = " ".join(str(row.get("question_type", "")).split())
        needs = str(row.get("needs", ""))
        return Question(str(number), *words, image, self.images / image, self.dataset, part, topic, needs)
