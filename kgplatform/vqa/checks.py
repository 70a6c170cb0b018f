"""What `kgplatform.audit` looks for in a data set's questions: what the test asks that training was told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from kgplatform.errors import UsageError
from kgplatform.export.checks import EXAMPLES, Found
from kgplatform.radiograph import place
from kgplatform.retrieval.knowledge import GraphImage
from kgplatform.vqa.questions import Question, QuestionSet


class AuditedQuestions(NamedTuple):
    """Questions in their parts, by image a hash of what it shows (`kgplatform.vqa.questions.pictures`), and the images
    of the graph that is asked about them.
    """

    dealt: QuestionSet
    shown: Mapping[str, str]
    images: Sequence[GraphImage] = ()


def seen_pictures(audited: AuditedQuestions) -> Found:
    """Test questions about a picture that training asks about, too, be it under another name."""
    return _in_training(audited, lambda one: audited.shown[one.image])


def seen_questions(audited: AuditedQuestions) -> Found:
    """Test questions that training asks in the same words about the same picture."""
    return _in_training(audited, lambda one: f"{audited.shown[one.image]} {one.wording}")


def contradictions(audited: AuditedQuestions) -> Found:
    """Questions in the same words about the same picture with another answer."""
    answers: dict[str, set[bool | None]] = {}
    those: dict[str, list[Question]] = {}
    for one in audited.dealt.questions:
        key = f"{audited.shown[one.image]} {one.wording}"
        answers.setdefault(key, set()).add(one.yes)
        those.setdefault(key, []).append(one)
    found = [" = ".join(one.id for one in those[key]) for key, said in sorted(answers.items()) if len(said) > 1]
    return Found(len(found), len(those), found[:EXAMPLES])


def shared_pictures(audited: AuditedQuestions) -> Found:
    """Pictures that the data set has under several names."""
    names: dict[str, list[str]] = {}
    for image, picture in sorted(audited.shown.items()):
        names.setdefault(picture, []).append(image)
    found = [" = ".join(those) for those in names.values() if len(those) > 1]
    return Found(len(found), len(names), found[:EXAMPLES])


def of_the_graph(audited: AuditedQuestions) -> Found:
    """Questions of validation and test about subjects that the graph was built from."""
    held_out = _held_out(audited.dealt)
    found = [one.id for one in known(held_out, audited.images)]
    return Found(len(found), len(held_out), found[:EXAMPLES])


def refuse_known(dealt: QuestionSet, images: Sequence[GraphImage], folder: Path | None) -> None:
    """Raise `UsageError` where the graph was built from images that are validated or tested on: it tells their reports.

    `folder` is where the paths of the graph's images begin, None where they are not at hand.
    """
    held_out = _held_out(dealt)
    found = known(held_out, images, folder)
    if found:
        raise UsageError(
            f"the graph was built from the images, or the subjects, of {len(found):,} of the {len(held_out):,} "
            "questions that are held out",
            "Ask about other studies than those of the graph.",
        )


def known(questions: Iterable[Question], images: Iterable[GraphImage], folder: Path | None = None) -> list[Question]:
    """The questions about images that the graph has: of a subject of its (where a question's image lies in a folder
    pSUBJECT, as MIMIC-CXR's do), or, of images in `folder`, a file with the same bytes.
    """
    images, questions = list(images), list(questions)
    subjects = {f"p{image.subject}" for image in images if image.subject}
    paths = [] if folder is None else [place(folder, image.path) for image in images]
    graph = {path for path in paths if path is not None and path.is_file()}
    asked = {one.path for one in questions if one.path.is_file()}
    sizes = {path.stat().st_size for path in graph} & {path.stat().st_size for path in asked}
    contents = {content for _, content in _contents(graph, sizes)}
    same = {path for path, content in _contents(asked, sizes) if content in contents}
    return [one for one in questions if one.path in same or subjects & {*PurePosixPath(one.image).parts}]


def _contents(paths: Iterable[Path], sizes: set[int]) -> Iterator[tuple[Path, str]]:
    """Hashes of the files that have one of these sizes: of others no two are the same."""
    for path in paths:
        if path.stat().st_size in sizes:
            with path.open("rb") as file:
                yield path, hashlib.file_digest(file, "sha256").hexdigest()


def _held_out(dealt: QuestionSet) -> list[Question]:
    return [*dealt.parts["valid"], *dealt.parts["test"]]


def _in_training(audited: AuditedQuestions, key: Callable[[Question], str]) -> Found:
    train, test = audited.dealt.parts["train"], audited.dealt.parts["test"]
    known = {key(one) for one in train}
    found = [one.id for one in test if key(one) in known]
    return Found(len(found), len(test), found[:EXAMPLES], f"protocol {audited.dealt.protocol}")
