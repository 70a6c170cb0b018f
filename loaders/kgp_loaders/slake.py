"""SLAKE (Liu et al. 2021): questions about CT, MR and radiographs, with boxes and a knowledge graph; the English ones.

train.json, validate.json (or validation.json), test.json
    [{"img_name": "xmlab102/source.jpg", "question", "answer", "q_lang": "en", "qid", "content_type", …}]
imgs/xmlab102/source.jpg, detection.json        [{"Lung": [left, top, width, height]}, …]
KG/en_disease.csv, en_organ.csv, en_organ_rel.csv        head#relation#tail, in quotes where a tail has any
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Final, NamedTuple

from kgp_loaders.question_files import below, question_and_answer, read_json_rows
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.datasets.questions import BoundingBox, Question
from kgplatform.errors import InputError

DATASET: Final = "SLAKE"
FILES: Final = {"train": ("train.json",), "valid": ("validate.json", "validation.json"), "test": ("test.json",)}
GRAPH: Final = ("en_disease.csv", "en_organ.csv", "en_organ_rel.csv")
_HINT: Final = "Give SLAKE's folder, with train.json, validate.json and test.json."


class Fact(NamedTuple):
    """A triplet of SLAKE's knowledge graph, by names."""

    head: str
    relation: str
    tail: str


class SLAKE:
    """The English questions as a `kgplatform.datasets.questions.QuestionSource`.

    Raises `InputError` where there are none.
    """

    dataset = DATASET

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        self.folder = folder
        self.images = images or folder / "imgs"
        self.files: dict[str, Path] = {}
        for part_name, file_names in FILES.items():
            existing_path = next(
                (folder / file_name for file_name in file_names if (folder / file_name).is_file()), None
            )
            if existing_path is None:
                raise InputError(f"there is no {file_names[0]} of SLAKE here", _HINT, path=folder)
            self.files[part_name] = existing_path

    def questions(self) -> Iterator[Question | Reject]:
        """See `QuestionSource`. Questions in Chinese are passed over."""
        boxes_by_image: dict[str, tuple[BoundingBox, ...]] = {}
        for part_name, json_path in self.files.items():
            for row_number, record in enumerate(read_json_rows(json_path, _HINT), 1):
                if isinstance(record, dict) and record.get("q_lang") != "en":
                    continue
                question = self._question(record, part_name, boxes_by_image)
                yield question if isinstance(question, Question) else Reject(json_path, row_number, question)

    def _question(
        self, record: Any, part_name: str, boxes_by_image: dict[str, tuple[BoundingBox, ...]]
    ) -> Question | str:
        texts = question_and_answer(record)
        if isinstance(texts, str):
            return texts
        image_name, question_id = below(record.get("img_name"), self.images), record.get("qid")
        if image_name is None:
            return "img_name is not a path below imgs"
        if isinstance(question_id, bool) or not isinstance(question_id, int | str):
            return "there is no qid"
        image_path = self.images / image_name
        if image_name not in boxes_by_image:
            boxes_by_image[image_name] = detections(image_path.with_name("detection.json"))
        topic = " ".join(str(record.get("content_type", "")).split())
        return Question(
            f"{part_name}:{question_id}",
            *texts,
            image_name,
            image_path,
            DATASET,
            part_name,
            topic,
            boxes=boxes_by_image[image_name],
        )

    def graph(self) -> Iterator[Fact | Reject]:
        """The triplets of its knowledge graph, of the files that are there."""
        for file_name in GRAPH:
            facts_path = self.folder / "KG" / file_name
            if facts_path.is_file():
                yield from facts(facts_path)


def detections(path: Path) -> tuple[BoundingBox, ...]:
    """The boxes of an image; none where the file is missing. Raises `InputError` for a damaged one."""
    if not path.is_file():
        return ()
    try:
        entries = files.read_json(path, 1 << 20, "Fetch it again.")
        boxes = [
            BoundingBox(label, *(float(value) for value in edges))
            for entry in entries
            for label, edges in entry.items()
        ]
    except (ValueError, TypeError, AttributeError):
        raise InputError("is not a list of boxes", "Fetch it again.", path=path) from None
    if not all(map(math.isfinite, (edge for box in boxes for edge in box[1:]))):
        raise InputError("has a box whose values are not numbers", "Fetch it again.", path=path)
    return tuple(boxes)


def facts(path: Path) -> Iterator[Fact | Reject]:
    """The triplets of a file of the knowledge graph; bytes that are not UTF-8 are left out, as its users do.

    A tail is the whole value: most tails are sentences, so a comma in one separates nothing.
    """
    with TextIOWrapper(files.open_regular_file(path), "utf-8", "ignore", newline="") as facts_file:
        reader = csv.reader(facts_file, delimiter="#", skipinitialspace=True, strict=True)
        line_number = 1  # a quoted tail may have several
        while True:
            try:
                record = next(reader, None)
            except csv.Error:
                yield Reject(path, line_number, "a quoted value of the row is not closed, or goes on after its quote")
                record = []
            if record is None:
                return
            values = [" ".join(value.split()) for value in record]
            if line_number > 1 and any(values):  # the first line has the names of columns
                is_complete = len(values) == 3 and all(values)
                yield Fact(*values) if is_complete else Reject(path, line_number, "the row is not head#relation#tail")
            line_number = reader.line_num + 1
