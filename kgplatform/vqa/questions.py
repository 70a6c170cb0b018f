"""Questions about images (MedMKG §4.3 and appendix K): read, those that are answered by yes or no, and split.

Two protocols deal questions out:

- ``official``: the released test part. Where no validation part is released, a tenth of training becomes one, as in the
  paper's code. In VQA-RAD nearly every test image then has other questions in training.
- ``image-disjoint``: all questions of the data set are dealt out anew, in folds, all of an image to one side. Images
  are told apart by what they show, not by their names.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from kgplatform import radiograph
from kgplatform.batches import Reject
from kgplatform.errors import InputError, UsageError
from kgplatform.suggest import did_you_mean
from kgplatform.wording import counted

KINDS: Final = ("vqa_rad", "slake", "path_vqa", "phantom")
PARTS: Final = ("train", "valid", "test")
TEST_SIZES: Final = {"vqa_rad": (251, 118), "slake": (355, 175), "path_vqa": (3362, 1816)}
"""Closed questions of the released test part, and those of them answered by yes, as MedMKG's Table 4 implies them."""
PROTOCOLS: Final = ("official", "image-disjoint")
SEED: Final = 42
FOLDS: Final = 5
LONGEST: Final = 2_000  # characters of a question or an answer
NO_IMAGE: Final = "there is no such image"
REPEATED: Final = "an earlier row has the same image, question and answer"
_YES: Final = frozenset({"yes", "true"})
_NO: Final = frozenset({"no", "false"})


class Box(NamedTuple):
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
    boxes: tuple[Box, ...] = ()
    repeated: bool = False

    @property
    def yes(self) -> bool | None:
        """Whether the answer is yes; None for an open question."""
        said = self.answer.strip().rstrip(".").casefold()
        return True if said in _YES else False if said in _NO else None

    @property
    def wording(self) -> str:
        """What two questions have in common that ask the same: their words, without capitals and marks."""
        return " ".join("".join(c if c.isalnum() else " " for c in self.text.casefold()).split())


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
    """The data set of a kind; `images` is where its images lie, if not where the release has them (for Parquet, which
    holds them, where they are unpacked). Raises `UsageError` for another kind and `InputError` for another folder.
    """
    from kgp_loaders.path_vqa import PathVQA
    from kgp_loaders.slake import SLAKE
    from kgp_loaders.vqa_rad import VQARAD

    if kind not in KINDS:
        raise UsageError(f"there are no questions of {kind}", did_you_mean(kind, KINDS, f"Kinds: {', '.join(KINDS)}."))
    if kind == "slake":
        return SLAKE(folder, images)
    if kind == "path_vqa":
        return PathVQA(folder, images)
    return VQARAD(folder, images, "phantom") if kind == "phantom" else VQARAD(folder, images)


def read(
    kind: str,
    folder: Path,
    images: Path | None = None,
    *,
    closed: bool = True,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> tuple[list[Question], list[Reject]]:
    """The questions of a data set whose image is there, `closed` ones alone or all, and what was left out; how many
    open ones are left out is told.

    Raises as `source` does, and `InputError` where no question is left.
    """
    questions: dict[str, Question] = {}
    rejects: list[Reject] = []
    there: dict[Path, bool] = {}
    not_closed = 0
    for number, found in enumerate(source(kind, folder, images).questions(), 1):
        progress(number, None)
        if isinstance(found, Reject):
            rejects.append(found)
            continue
        if closed and found.yes is None:
            not_closed += 1
            continue
        if found.repeated:
            rejects.append(Reject(folder, number, REPEATED))
        elif not there.setdefault(found.path, found.path.is_file()):
            rejects.append(Reject(found.path, number, NO_IMAGE))
        elif found.id in questions:
            rejects.append(Reject(folder, number, "the question's id stands there twice"))
        else:
            questions[found.id] = found
    if not_closed:
        what = counted(not_closed, "open questions are", "open question is")
        told(f"{what} left out: only those answered by yes or no are used")
    if not questions:
        why = f"; {len(rejects):,} left out, the first because {rejects[0].reason}" if rejects else ""
        hint = "Check the folder."
        if rejects and rejects[0].reason == NO_IMAGE:
            hint = f"Say where the images are (--images DIR); the first was looked for at {rejects[0].path}."
        raise InputError(f"there is no {'closed ' if closed else ''}question{why}", hint, path=folder)
    return list(questions.values()), rejects


def left_out(rejects: Sequence[Reject]) -> str:
    """How many questions were left out, by reason, the most frequent first."""
    counts = Counter(bad.reason for bad in rejects).most_common()
    return "questions left out: " + "; ".join(f"{count:,} because {reason}" for reason, count in counts)


def pictures(questions: Iterable[Question]) -> dict[str, str]:
    """By image: a hash of what it shows, its grey values as a small square; images of one hash are one picture.

    Raises `InputError` for a damaged image.
    """
    paths = {question.image: question.path for question in questions}
    return {image: _shown(path) for image, path in sorted(paths.items())}


def _shown(path: Path) -> str:
    small = radiograph.square(radiograph.read(path, draft=64), 64)
    return hashlib.sha256(small.tobytes()).hexdigest()[:16]


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
        return [question for part in PARTS for question in self.parts[part]]

    @property
    def sha256(self) -> str:
        """The hash of all that decides a result but the pictures: ids, words, answers, images, parts."""
        rows = sorted(
            (part, one.dataset, one.id, one.text, one.answer, one.image) for part in PARTS for one in self.parts[part]
        )
        return hashlib.sha256("\n".join("\0".join(row) for row in rows).encode()).hexdigest()


def official(questions: Sequence[Question], seed: int = SEED) -> QuestionSet:
    """The released parts; a tenth of training, by question, becomes the validation part where none is released.

    Raises `UsageError` where there is no training or no test part.
    """
    parts = {part: [one for one in questions if one.part == part] for part in PARTS}
    if not parts["valid"]:
        dealt = sorted(parts["train"], key=lambda one: _chance("valid", seed, one.id))
        chosen = {one.id for one in dealt[: round(len(dealt) / 10)]}
        parts["valid"] = [one for one in parts["train"] if one.id in chosen]
        parts["train"] = [one for one in parts["train"] if one.id not in chosen]
    if not all(parts.values()):
        empty = ", ".join(part for part in PARTS if not parts[part])
        raise UsageError(f"no question is released for {empty}", "Use the protocol image-disjoint.")
    return QuestionSet(parts, "official", seed)


def image_disjoint(
    questions: Sequence[Question], shown: dict[str, str], fold: int, folds: int = FOLDS, seed: int = SEED
) -> QuestionSet:
    """The fold's questions as test, those of the next fold as validation, the rest as training, whatever part they
    were released for. `shown` is from `pictures`: a picture is in one fold only. Pictures are dealt out in the order of
    their hashes, each to the fold that has the fewest questions yet.

    Raises `UsageError` for fewer than three folds, an unknown fold, and more folds than pictures.
    """
    of_picture: dict[str, list[Question]] = {}
    for question in questions:
        of_picture.setdefault(shown[question.image], []).append(question)
    if not 3 <= folds <= len(of_picture) or not 0 <= fold < folds:
        raise UsageError(f"fold {fold} of {folds} is none of {len(of_picture):,} pictures", "Take 5 folds, from 0.")
    members: list[list[Question]] = [[] for _ in range(folds)]
    for picture in sorted(of_picture, key=lambda key: _chance("fold", seed, key)):
        min(members, key=len).extend(of_picture[picture])
    order = {question.id: place for place, question in enumerate(questions)}
    parts: dict[str, list[Question]] = {part: [] for part in PARTS}
    for number, those in enumerate(members):
        part = "test" if number == fold else "valid" if number == (fold + 1) % folds else "train"
        parts[part] += [replace(one, part=part) for one in those]
    ordered = {part: sorted(those, key=lambda one: order[one.id]) for part, those in parts.items()}
    return QuestionSet(ordered, "image-disjoint", seed, fold)


def unlike_release(kind: str, questions: Iterable[Question]) -> str:
    """What to say where the closed test questions are not as many as were released; nothing where they are."""
    test = [one for one in questions if one.part == "test" and one.yes is not None]
    found = len(test), sum(one.yes is True for one in test)
    wanted = TEST_SIZES.get(kind, found)
    if found == wanted:
        return ""
    return (
        f"the test part has {found[0]:,} closed questions, {found[1]:,} of them answered by yes, where the release of "
        f"{kind} has {wanted[0]:,} and {wanted[1]:,}: figures do not compare with those that others report"
    )


def readable(text: str) -> str:
    """A text with question marks for what is no character: bytes on a command line that are not UTF-8, which neither
    tokenizers nor files take.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def overlaps(dealt: QuestionSet, part: str) -> dict[str, int]:
    """How many questions of a part have in training: their image, by name (``image``), a question of the same words
    (``question``), and both in one question (``both``).
    """
    train, asked = dealt.parts["train"], dealt.parts[part]
    images, wordings = {one.image for one in train}, {one.wording for one in train}
    both = {(one.image, one.wording) for one in train}
    return {
        "image": sum(one.image in images for one in asked),
        "question": sum(one.wording in wordings for one in asked),
        "both": sum((one.image, one.wording) in both for one in asked),
    }


def _chance(what: str, seed: int, key: str) -> bytes:
    """A number that the seed and the key decide and nothing else does."""
    return hashlib.sha256("\0".join((what, str(seed), key)).encode()).digest()
