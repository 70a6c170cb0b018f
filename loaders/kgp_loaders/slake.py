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

from kgp_loaders.question_files import below, rows, said
from kgplatform import files
from kgplatform.batches import Reject
from kgplatform.errors import InputError
from kgplatform.vqa.questions import Box, Question

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
    """The English questions as a `kgplatform.vqa.questions.QuestionSource`. Raises `InputError` where they are not."""

    dataset = DATASET

    def __init__(self, folder: Path, images: Path | None = None) -> None:
        self.folder = folder
        self.images = images or folder / "imgs"
        self.files: dict[str, Path] = {}
        for part, names in FILES.items():
            there = next((folder / name for name in names if (folder / name).is_file()), None)
            if there is None:
                raise InputError(f"there is no {names[0]} of SLAKE here", _HINT, path=folder)
            self.files[part] = there

    def questions(self) -> Iterator[Question | Reject]:
        """See `QuestionSource`. Questions in Chinese are passed over."""
        boxes: dict[str, tuple[Box, ...]] = {}
        for part, path in self.files.items():
            for number, row in enumerate(rows(path, _HINT), 1):
                if isinstance(row, dict) and row.get("q_lang") != "en":
                    continue
                found = self._question(row, part, boxes)
                yield found if isinstance(found, Question) else Reject(path, number, found)

    def _question(self, row: Any, part: str, boxes: dict[str, tuple[Box, ...]]) -> Question | str:
        words = said(row)
        if isinstance(words, str):
            return words
        image, number = below(row.get("img_name"), self.images), row.get("qid")
        if image is None:
            return "img_name is no path below imgs"
        if isinstance(number, bool) or not isinstance(number, int | str):
            return "there is no qid"
        path = self.images / image
        if image not in boxes:
            boxes[image] = detections(path.with_name("detection.json"))
        topic = " ".join(str(row.get("content_type", "")).split())
        return Question(f"{part}:{number}", *words, image, path, DATASET, part, topic, boxes=boxes[image])

    def graph(self) -> Iterator[Fact | Reject]:
        """The triplets of its knowledge graph, of the files that are there."""
        for name in GRAPH:
            path = self.folder / "KG" / name
            if path.is_file():
                yield from facts(path)


def detections(path: Path) -> tuple[Box, ...]:
    """The boxes of an image; none where the file is not there. Raises `InputError` for a damaged one."""
    if not path.is_file():
        return ()
    try:
        found = files.read_json(path, 1 << 20, "Fetch it again.")
        boxes = [Box(label, *(float(value) for value in edges)) for entry in found for label, edges in entry.items()]
    except (ValueError, TypeError, AttributeError):
        raise InputError("is no list of boxes", "Fetch it again.", path=path) from None
    if not all(map(math.isfinite, (edge for box in boxes for edge in box[1:]))):
        raise InputError("has a box that is no numbers", "Fetch it again.", path=path)
    return tuple(boxes)


def facts(path: Path) -> Iterator[Fact | Reject]:
    """The triplets of a file of the knowledge graph; bytes that are not UTF-8 are left out, as its users do.

    A tail is the whole value: most tails are sentences, so a comma in one separates nothing.
    """
    with TextIOWrapper(files.opened(path), "utf-8", "ignore", newline="") as file:
        reader = csv.reader(file, delimiter="#", skipinitialspace=True, strict=True)
        line = 1  # a quoted tail may have several
        while True:
            try:
                row = next(reader, None)
            except csv.Error:
                yield Reject(path, line, "a quoted value of the row is not closed, or goes on after its quote")
                row = []
            if row is None:
                return
            values = [" ".join(value.split()) for value in row]
            if line > 1 and any(values):  # the first line has the names of columns
                whole = len(values) == 3 and all(values)
                yield Fact(*values) if whole else Reject(path, line, "the row is not head#relation#tail")
            line = reader.line_num + 1
