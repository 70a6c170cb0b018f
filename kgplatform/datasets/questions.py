"""Questions about images (MedMKG §4.3 and appendix K): read, those that are answered by yes or no, and split.

Three protocols deal questions out:

- ``official``: the released test part. Where no validation part is released, a tenth of training becomes one, as in the
  paper's code. In VQA-RAD nearly every test image then has other questions in training.
- ``validation``: the released validation part is tested on, and a tenth of the training part's images tune; the test
  part is not read.
- ``image-disjoint``: all questions of the data set are distributed again, in folds, all of an image to one side. Images
  are distinguished by what they show, not by their names.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from kgplatform import plugins, radiograph
from kgplatform.batches import Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.wording import counted

logger = logging.getLogger(__name__)
PARTS: Final = ("train", "valid", "test")
TEST_SIZES: Final = {"vqa_rad": (251, 118), "slake": (355, 175), "path_vqa": (3362, 1816)}
"""Closed questions of the released test part, and those of them answered by yes, as MedMKG's Table 4 implies them."""
PROTOCOLS: Final = ("official", "validation", "image-disjoint")
SEED: Final = 42
FOLDS: Final = 5
MAX_QUESTION_LENGTH: Final = 2_000  # characters of a question or an answer
NO_IMAGE: Final = "there is no such image"
REPEATED: Final = "an earlier row has the same image, question and answer"
_YES: Final = frozenset({"yes", "true"})
_NO: Final = frozenset({"no", "false"})


class BoundingBox(NamedTuple):
    """A thing in an image: left and upper edge, width and height, in pixels."""

    label: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answer as released, and its image: by a name that no other image of the data set has, and by
    where it lies. `topic` is the data set's own word for the kind of question; `needs` is what a phantom one needs:
    ``image``, ``ontology`` or ``both``. `repeated` is of a row that an earlier row of its part equals, in data sets
    whose publication counts such rows once.
    """

    id: str
    text: str
    answer: str
    image: str
    path: Path
    dataset: str
    part: str
    topic: str = ""
    needs: str = ""
    boxes: tuple[BoundingBox, ...] = ()
    repeated: bool = False

    @property
    def yes(self) -> bool | None:
        """Whether the answer is yes; None for an open question."""
        answer_text = self.answer.strip().rstrip(".").casefold()
        return True if answer_text in _YES else False if answer_text in _NO else None

    @property
    def wording(self) -> str:
        """What two questions have in common that ask the same: their words, without capitals and marks."""
        return " ".join(
            "".join(character if character.isalnum() else " " for character in self.text.casefold()).split()
        )


class QuestionSource(Protocol):
    """A data set bound to its folder. `questions` gives the same each time."""

    @property
    def dataset(self) -> str:
        """Its name, as published."""
        ...

    def questions(self) -> Iterator[Question | Reject]:
        """Each question of each part, in the files' order. Raises `InputError` where a whole file is unusable."""
        ...


def source(kind: str, folder: Path, images: Path | None = None) -> QuestionSource:
    """The data set of a kind, which is registered in the group ``kgplatform.questions``; `images` is where its images
    lie, if not where the release has them (for Parquet, which holds them, where they are unpacked). Raises `UsageError`
    for another kind and `InputError` for another folder.
    """
    question_source: QuestionSource = plugins.load_plugin("questions", kind, "data set of questions")(folder, images)
    return question_source


def read_questions(
    kind: str,
    folder: Path,
    images: Path | None = None,
    *,
    closed: bool = True,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> tuple[list[Question], list[Reject]]:
    """The questions of a data set whose image is there, `closed` ones alone or all, and what was left out; how many
    open ones are left out is reported.

    Raises as `source` does, and `InputError` where no question is left.
    """
    questions: dict[str, Question] = {}
    rejects: list[Reject] = []
    image_exists: dict[Path, bool] = {}
    not_closed = 0
    for question_number, entry in enumerate(source(kind, folder, images).questions(), 1):
        progress(question_number, None)
        if isinstance(entry, Reject):
            rejects.append(entry)
            continue
        if closed and entry.yes is None:
            not_closed += 1
            continue
        if entry.repeated:
            rejects.append(Reject(folder, question_number, REPEATED))
        elif not image_exists.setdefault(entry.path, entry.path.is_file()):
            rejects.append(Reject(entry.path, question_number, NO_IMAGE))
        elif entry.id in questions:
            rejects.append(Reject(folder, question_number, "the question's id occurs twice"))
        else:
            questions[entry.id] = entry
    if not_closed:
        count_text = counted(not_closed, "open questions are", "open question is")
        logger.info(f"{count_text} left out: only those answered by yes or no are used")
    if not questions:
        reason_text = f"; {len(rejects):,} left out, the first because {rejects[0].reason}" if rejects else ""
        hint = "Check the folder."
        if rejects and rejects[0].reason == NO_IMAGE:
            hint = f"Give the folder of the images (--images DIR); the first was expected at {rejects[0].path}."
        raise InputError(f"there is no {'closed ' if closed else ''}question{reason_text}", hint, path=folder)
    return list(questions.values()), rejects


def left_out(rejects: Sequence[Reject]) -> str:
    """How many questions were left out, by reason, the most frequent first."""
    reason_counts = Counter(reject.reason for reject in rejects).most_common()
    return "questions left out: " + "; ".join(f"{count:,} because {reason}" for reason, count in reason_counts)


def pictures(questions: Iterable[Question]) -> dict[str, str]:
    """By image: a hash of what it shows, its grey values as a small square; images of one hash are one picture.

    Raises `InputError` for a damaged image.
    """
    image_paths = {question.image: question.path for question in questions}
    return {image: _picture_hash(image_path) for image, image_path in sorted(image_paths.items())}


def _picture_hash(image_path: Path) -> str:
    thumbnail = radiograph.square(radiograph.read_radiograph(image_path, draft=64), 64)
    return hashlib.sha256(thumbnail.tobytes()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class QuestionSet:
    """Questions by part (``train``, ``valid``, ``test``), and how they were dealt out; `fold` counts from 0."""

    parts: dict[str, list[Question]]
    protocol: str
    seed: int
    fold: int = 0

    @property
    def questions(self) -> list[Question]:
        """All of them, by part."""
        return [question for part_name in PARTS for question in self.parts[part_name]]

    @property
    def sha256(self) -> str:
        """The hash of all that decides a result but the pictures: ids, words, answers, images, parts."""
        question_rows = sorted(
            (part_name, question.dataset, question.id, question.text, question.answer, question.image)
            for part_name in PARTS
            for question in self.parts[part_name]
        )
        return hashlib.sha256("\n".join("\0".join(question_row) for question_row in question_rows).encode()).hexdigest()


def official(questions: Sequence[Question], seed: int = SEED) -> QuestionSet:
    """The released parts; a tenth of training, by question, becomes the validation part where none is released.

    Raises `InputError` where there is no training or no test part.
    """
    parts = {part_name: [question for question in questions if question.part == part_name] for part_name in PARTS}
    if not parts["valid"]:
        shuffled_train = sorted(parts["train"], key=lambda question: _chance("valid", seed, question.id))
        valid_ids = {question.id for question in shuffled_train[: round(len(shuffled_train) / 10)]}
        parts["valid"] = [question for question in parts["train"] if question.id in valid_ids]
        parts["train"] = [question for question in parts["train"] if question.id not in valid_ids]
    if not all(parts.values()):
        empty_parts = ", ".join(part_name for part_name in PARTS if not parts[part_name])
        alternative = "python -m benchmarks.vqa.run --protocol image-disjoint needs no parts."
        hint = f"Give the folder of the whole release. ({alternative})"
        raise InputError(f"the data set has no closed questions for {empty_parts}", hint)
    return QuestionSet(parts, "official", seed)


def on_validation(questions: Sequence[Question], picture_hashes: dict[str, str], seed: int = SEED) -> QuestionSet:
    """The released validation part as test, the released test part unread; a tenth of the training part's pictures,
    with all of their questions, becomes the validation part. `picture_hashes` is from `pictures`.

    A training question whose picture is also one of the validation part's is left out. Raises `InputError` where
    training or validation part are missing.
    """
    test_pictures = {picture_hashes[question.image] for question in questions if question.part == "valid"}
    training = [
        question
        for question in questions
        if question.part == "train" and picture_hashes[question.image] not in test_pictures
    ]
    training_pictures = sorted(
        {picture_hashes[question.image] for question in training}, key=lambda key: _chance("picture", seed, key)
    )
    tuning_pictures = set(training_pictures[: math.ceil(len(training_pictures) / 10)])
    parts: dict[str, list[Question]] = {
        "train": [question for question in training if picture_hashes[question.image] not in tuning_pictures],
        "valid": [
            replace(question, part="valid")
            for question in training
            if picture_hashes[question.image] in tuning_pictures
        ],
        "test": [replace(question, part="test") for question in questions if question.part == "valid"],
    }
    if not all(parts.values()):
        empty_parts = ", ".join(part_name for part_name in PARTS if not parts[part_name])
        raise InputError(f"the data set has no closed questions for {empty_parts}", "Use another protocol.")
    return QuestionSet(parts, "validation", seed)


def image_disjoint(
    questions: Sequence[Question], picture_hashes: dict[str, str], fold: int, folds: int = FOLDS, seed: int = SEED
) -> QuestionSet:
    """The fold's questions as test, those of the next fold as validation, the rest as training, regardless of the part
    they were released for. `picture_hashes` is from `pictures`: a picture is in one fold only. Pictures are dealt out
    in the order of their hashes, each to the fold that has the fewest questions yet.

    Raises `UsageError` for fewer than three folds, an unknown fold, and more folds than pictures.
    """
    questions_by_picture: dict[str, list[Question]] = {}
    for question in questions:
        questions_by_picture.setdefault(picture_hashes[question.image], []).append(question)
    if not 3 <= folds <= len(questions_by_picture) or not 0 <= fold < folds:
        raise UsageError(
            f"{len(questions_by_picture):,} images have no fold {fold} of {folds}", "Use 5 folds, numbered from 0."
        )
    fold_members: list[list[Question]] = [[] for _ in range(folds)]
    for picture in sorted(questions_by_picture, key=lambda picture_hash: _chance("fold", seed, picture_hash)):
        min(fold_members, key=len).extend(questions_by_picture[picture])
    order_by_id = {question.id: position for position, question in enumerate(questions)}
    parts: dict[str, list[Question]] = {part_name: [] for part_name in PARTS}
    for fold_number, group in enumerate(fold_members):
        part_name = "test" if fold_number == fold else "valid" if fold_number == (fold + 1) % folds else "train"
        parts[part_name] += [replace(member, part=part_name) for member in group]
    ordered = {
        part_name: sorted(group, key=lambda member: order_by_id[member.id]) for part_name, group in parts.items()
    }
    return QuestionSet(ordered, "image-disjoint", seed, fold)


def unlike_release(kind: str, questions: Iterable[Question]) -> str:
    """What to say where the closed test questions are not as many as were released; nothing where they are."""
    test_questions = [question for question in questions if question.part == "test" and question.yes is not None]
    test_sizes = len(test_questions), sum(question.yes is True for question in test_questions)
    released_sizes = TEST_SIZES.get(kind, test_sizes)
    if test_sizes == released_sizes:
        return ""
    return (
        f"the test part has {test_sizes[0]:,} closed questions, {test_sizes[1]:,} of them answered by yes, where the "
        f"release of {kind} has {released_sizes[0]:,} and {released_sizes[1]:,}: figures do not compare with those "
        "that others report"
    )


def replace_undecodable(text: str) -> str:
    """A text with question marks for what is no character: bytes on a command line that are not UTF-8, which neither
    tokenizers nor files take.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def question_overlaps(question_set: QuestionSet, part: str) -> dict[str, int]:
    """How many questions of a part have in training: their image, by name (``image``), a question of the same words
    (``question``), and both in one question (``both``).
    """
    train_questions, part_questions = question_set.parts["train"], question_set.parts[part]
    images, wordings = (
        {question.image for question in train_questions},
        {question.wording for question in train_questions},
    )
    image_wordings = {(question.image, question.wording) for question in train_questions}
    return {
        "image": sum(question.image in images for question in part_questions),
        "question": sum(question.wording in wordings for question in part_questions),
        "both": sum((question.image, question.wording) in image_wordings for question in part_questions),
    }


def _chance(purpose: str, seed: int, key: str) -> bytes:
    """A number that the seed and the key decide and nothing else does."""
    return hashlib.sha256("\0".join((purpose, str(seed), key)).encode()).digest()
