"""What `kgplatform.audit` looks for in a data set's questions: what the test asks that training contained."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kgplatform.datasets.knowledge import GraphImage
from kgplatform.datasets.questions import Question, QuestionSet
from kgplatform.datasets.split_checks import EXAMPLES, CheckCount
from kgplatform.errors import UsageError
from kgplatform.radiograph import find_image


class AuditedQuestions(NamedTuple):
    """Questions in their parts, by image a hash of what it shows (`kgplatform.datasets.questions.pictures`), and the
    images of the graph that is asked about them.
    """

    question_set: QuestionSet
    picture_hashes: Mapping[str, str]
    images: Sequence[GraphImage] = ()


def pictures_in_training(audited: AuditedQuestions) -> CheckCount:
    """Test questions about a picture that training asks about, too, be it under another name."""
    return _in_training(audited, lambda question: audited.picture_hashes[question.image])


def questions_in_training(audited: AuditedQuestions) -> CheckCount:
    """Test questions that training asks in the same words about the same picture."""
    return _in_training(audited, lambda question: f"{audited.picture_hashes[question.image]} {question.wording}")


def contradictions(audited: AuditedQuestions) -> CheckCount:
    """Questions in the same words about the same picture with another answer."""
    answers: dict[str, set[bool | None]] = {}
    questions_by_key: dict[str, list[Question]] = {}
    for question in audited.question_set.questions:
        question_key = f"{audited.picture_hashes[question.image]} {question.wording}"
        answers.setdefault(question_key, set()).add(question.yes)
        questions_by_key.setdefault(question_key, []).append(question)
    contradicting = [
        " = ".join(question.id for question in questions_by_key[question_key])
        for question_key, answer_set in sorted(answers.items())
        if len(answer_set) > 1
    ]
    return CheckCount(len(contradicting), len(questions_by_key), contradicting[:EXAMPLES])


def shared_pictures(audited: AuditedQuestions) -> CheckCount:
    """Pictures that the data set has under several names."""
    images_by_picture: dict[str, list[str]] = {}
    for image, picture in sorted(audited.picture_hashes.items()):
        images_by_picture.setdefault(picture, []).append(image)
    shared = [" = ".join(image_names) for image_names in images_by_picture.values() if len(image_names) > 1]
    return CheckCount(len(shared), len(images_by_picture), shared[:EXAMPLES])


def question_graph_overlap(audited: AuditedQuestions) -> CheckCount:
    """Questions of validation and test about subjects that the graph was built from."""
    held_out = _held_out(audited.question_set)
    matching_ids = [question.id for question in questions_in_graph(held_out, audited.images)]
    return CheckCount(len(matching_ids), len(held_out), matching_ids[:EXAMPLES])


def refuse_graph_questions(question_set: QuestionSet, images: Sequence[GraphImage], folder: Path | None) -> None:
    """Raise `UsageError` where the graph was built from images that are validated or tested on: it contains their
    reports.

    `folder` is where the paths of the graph's images begin, None where they are not available.
    """
    held_out = _held_out(question_set)
    matches = questions_in_graph(held_out, images, folder)
    if matches:
        raise UsageError(
            f"the graph was built from the images, or the subjects, of {len(matches):,} of the {len(held_out):,} "
            "questions that are held out",
            "Ask about other studies than those of the graph.",
        )


def questions_in_graph(
    questions: Iterable[Question], images: Iterable[GraphImage], folder: Path | None = None
) -> list[Question]:
    """The questions about images that the graph has: of a subject of its (where a question's image is in a folder
    pSUBJECT, as MIMIC-CXR's do), or, of images in `folder`, a file with the same bytes.
    """
    images, questions = list(images), list(questions)
    subjects = {f"p{image.subject}" for image in images if image.subject}
    image_paths = [] if folder is None else [find_image(folder, image.path) for image in images]
    graph_paths = {image_path for image_path in image_paths if image_path is not None and image_path.is_file()}
    question_paths = {question.path for question in questions if question.path.is_file()}
    shared_sizes = {image_path.stat().st_size for image_path in graph_paths} & {
        image_path.stat().st_size for image_path in question_paths
    }
    graph_hashes = {file_hash for _, file_hash in _contents(graph_paths, shared_sizes)}
    shared_paths = {
        image_path for image_path, file_hash in _contents(question_paths, shared_sizes) if file_hash in graph_hashes
    }
    return [
        question
        for question in questions
        if question.path in shared_paths or subjects & {*PurePosixPath(question.image).parts}
    ]


def _contents(paths: Iterable[Path], sizes: set[int]) -> Iterator[tuple[Path, str]]:
    """Hashes of the files that have one of these sizes: of others no two are the same."""
    for image_path in paths:
        if image_path.stat().st_size in sizes:
            with image_path.open("rb") as image_file:
                yield image_path, hashlib.file_digest(image_file, "sha256").hexdigest()


def _held_out(question_set: QuestionSet) -> list[Question]:
    return [*question_set.parts["valid"], *question_set.parts["test"]]


def _in_training(audited: AuditedQuestions, question_key: Callable[[Question], str]) -> CheckCount:
    train_questions, test_questions = audited.question_set.parts["train"], audited.question_set.parts["test"]
    train_keys = {question_key(question) for question in train_questions}
    shared_ids = [question.id for question in test_questions if question_key(question) in train_keys]
    return CheckCount(
        len(shared_ids), len(test_questions), shared_ids[:EXAMPLES], f"protocol {audited.question_set.protocol}"
    )
