"""Questions about synthetic studies that need the image, the ontology, or both; each says which.

    trainset.json, validset.json, testset.json    VQA-RAD's fields, and `needs`: image, ontology or both
    knowledge.csv                                 the facts about remedies, for `kgp ingest triples`

- image: "Is there a pneumothorax?"
- ontology: "Can zorevane treat a pneumothorax?", "Is zorevane contraindicated with a pneumothorax?", and by way of the
  remedy's class "Does zorevane act on the pleura?"
- both: "Does the image show a finding that zorevane can treat?", "… with which zorevane is contraindicated?"

Answers cannot be guessed. Of every kind of question half are answered by yes: for each finding (image, ontology) and
for each image (both). A remedy is asked about in one part only, and subjects are in one part only. A fact of the wrong
kind is no fact: half of the denied questions name a pair that the other relation joins.
"""

from __future__ import annotations

import csv
import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from kgp_loaders.phantom.remedies import ANATOMY, COLUMNS, Cabinet, Remedy, cabinet
from kgp_loaders.phantom.studies import FINDINGS
from kgp_loaders.phantom.truth import article
from kgplatform import contents
from kgplatform.errors import InputError, UsageError

FILES: Final = {"train": "trainset.json", "valid": "validset.json", "test": "testset.json"}
KNOWLEDGE: Final = "knowledge.csv"
SHARES: Final = {"train": 8, "valid": 1, "test": 1}  # of ten subjects, and of ten remedies
REMEDIES: Final = 400
MAX_QUESTIONS: Final = 1_000_000
_BY: Final = "kgp phantom questions"
_FIRST_LINE: Final = "Synthetic questions about synthetic studies, written by `kgp phantom questions`."


@dataclass(frozen=True)
class QuestionFiles:
    """What was written: questions by part and by what they need; `existing` says that it existed already."""

    directory: Path
    counts: dict[str, dict[str, int]]
    remedies: int
    triples: int
    existing: bool = False


@dataclass(frozen=True)
class _Image:
    path: str
    findings: frozenset[str]


class _QuestionDraft(NamedTuple):
    text: str
    image: _Image
    needs: str
    topic: str


_Keys = Callable[[Remedy], Sequence[str]]


def build_question_set(
    studies: Path,
    directory: Path,
    count: int = 12_000,
    seed: int = 7,
    *,
    remedies: int = REMEDIES,
    replace: bool = False,
) -> QuestionFiles:
    """Write about `count` questions on the studies that `kgp phantom build --studies` wrote, all files or none.

    Raises `UsageError` for a number out of range and where the folder holds other files, and `InputError` where there
    are no studies, or the folder holds other questions of this command (unless `replace`).
    """
    if not 100 <= count <= MAX_QUESTIONS or not 20 <= remedies <= 1500:
        raise UsageError("the number of questions must be 100 to 1,000,000, that of remedies 20 to 1,500")
    images = _images(studies, seed)
    remedy_cabinet = cabinet(remedies, seed)
    remedies_by_part = _split_remedies(remedy_cabinet.remedies)
    rng = random.Random(f"kgp phantom questions {seed}")  # noqa: S311  not for secrets
    questions_by_part = {
        part_name: list(
            _Asker(rng, remedy_cabinet, remedies_by_part[part_name], images[part_name]).rows(count * tenths // 10)
        )
        for part_name, tenths in SHARES.items()
    }
    question_id = 0
    for part_questions in questions_by_part.values():
        for question in part_questions:
            question["qid"] = question_id = question_id + 1
    triples = list(remedy_cabinet.triples())
    digest = hashlib.sha256(json.dumps([questions_by_part, triples], sort_keys=True).encode()).hexdigest()
    settings = {"questions": count, "seed": seed, "remedies": remedies, "sha256": digest}
    existing = contents.complete(directory, _BY, settings)
    if not existing:
        with contents.result_folder(directory, _BY, settings, replace=replace) as staged_folder:
            _write(staged_folder, questions_by_part, triples)
    counts = {part_name: _counted(part_questions) for part_name, part_questions in questions_by_part.items()}
    return QuestionFiles(directory, counts, len(remedy_cabinet.remedies), len(triples), existing)


def _images(studies: Path, seed: int) -> dict[str, list[_Image]]:
    """The AP and PA images of each part, by subject, with what is drawn there."""
    try:
        with (studies / "truth" / "shown.csv").open(encoding="utf-8", newline="") as csv_file:
            findings_by_study: dict[str, set[str]] = defaultdict(set)
            for record in csv.DictReader(csv_file):
                findings_by_study[record["study_id"]].add(record["finding"])
        with (studies / "mimic-cxr-2.0.0-metadata.csv").open(encoding="utf-8", newline="") as csv_file:
            metadata = list(csv.DictReader(csv_file))
    except (OSError, KeyError, UnicodeDecodeError):
        hint = "Build them: kgp phantom build DIR --studies 2000"
        raise InputError("there are no synthetic studies here", hint, path=studies) from None
    images_by_part: dict[str, list[_Image]] = {part_name: [] for part_name in SHARES}
    for record in metadata:
        if record["ViewPosition"] in ("AP", "PA"):
            subject_id, study_id = record["subject_id"], record["study_id"]
            image_path = f"files/p{subject_id[:2]}/p{subject_id}/s{study_id}/{record['dicom_id']}.png"
            images_by_part[_part(seed, subject_id)].append(_Image(image_path, frozenset(findings_by_study[study_id])))
    if not all(images_by_part.values()):
        raise InputError("there are too few studies for three parts", "Build 200 or more.", path=studies)
    return images_by_part


def _part(seed: int, key: str) -> str:
    tenth = int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:4], "big") % 10
    return "valid" if tenth == 8 else "test" if tenth == 9 else "train"


def _split_remedies(remedies: Sequence[Remedy]) -> dict[str, Sequence[Remedy]]:
    """The remedies of each part, which are in an order drawn by chance."""
    valid_start, test_start = (len(remedies) * tenths // 10 for tenths in (8, 9))
    return {"train": remedies[:valid_start], "valid": remedies[valid_start:test_start], "test": remedies[test_start:]}


class _Asker:
    """Draws questions of one part: about its images, its remedies."""

    def __init__(
        self, rng: random.Random, remedy_cabinet: Cabinet, own: Sequence[Remedy], images: Sequence[_Image]
    ) -> None:
        self.rng, self.cabinet, self.own, self.images = rng, remedy_cabinet, own, images
        self.kinds = (self.presence, self.treats, self.harms, self.acts, self.shows_treated, self.shows_harming)

    def rows(self, count: int) -> Iterator[dict[str, Any]]:
        """So many questions, as many of each kind, half of them answered by yes."""
        for question_number in range(count):
            is_yes = self.rng.random() < 0.5
            candidate = None
            while candidate is None:  # what was drawn has no such answer: draw again
                candidate = self.kinds[question_number % len(self.kinds)](is_yes)
            question_text, image, needs, topic = candidate
            yield {
                "qid": 0,
                "image_name": image.path,
                "image_organ": "CHEST",
                "question": question_text,
                "answer": "yes" if is_yes else "no",
                "answer_type": "CLOSED",
                "question_type": topic,
                "phrase_type": "freeform",
                "needs": needs,
            }

    def presence(self, yes: bool) -> _QuestionDraft | None:
        """Whether a finding is there."""
        finding, images = self._finding(), self.rng.sample(self.images, min(60, len(self.images)))
        image = next((image for image in images if (finding in image.findings) is yes), None)
        return _QuestionDraft(f"Is there {article(finding)}?", image, "image", "PRES") if image else None

    def treats(self, yes: bool) -> _QuestionDraft | None:
        """Whether a remedy treats a finding; a denied one may be a finding that it harms."""
        finding = self._finding()
        remedy = self._remedy(yes, finding, lambda candidate: candidate.treats, lambda candidate: candidate.harms)
        question_text = f"Can {remedy.name} treat {article(finding)}?" if remedy else ""
        return _QuestionDraft(question_text, self._image(), "ontology", "TREAT") if remedy else None

    def harms(self, yes: bool) -> _QuestionDraft | None:
        """Whether a remedy is contraindicated with a finding; a denied one may be a finding that it treats."""
        finding = self._finding()
        remedy = self._remedy(yes, finding, lambda candidate: candidate.harms, lambda candidate: candidate.treats)
        question_text = f"Is {remedy.name} contraindicated with {article(finding)}?" if remedy else ""
        return _QuestionDraft(question_text, self._image(), "ontology", "CONTRA") if remedy else None

    def acts(self, yes: bool) -> _QuestionDraft | None:
        """Whether a remedy acts on a part of the body, by way of its class."""
        organ = self.rng.choice(ANATOMY)
        remedy = self._any([candidate for candidate in self.own if (organ in self.cabinet.acts_on(candidate)) is yes])
        question_text = f"Does {remedy.name} act on the {organ}?" if remedy else ""
        return _QuestionDraft(question_text, self._image(), "ontology", "ACT") if remedy else None

    def shows_treated(self, yes: bool) -> _QuestionDraft | None:
        """Whether the image shows a finding that a remedy treats."""
        image, remedy = self._image_and_remedy(yes, lambda candidate: candidate.treats)
        question_text = f"Does the image show a finding that {remedy.name} can treat?" if remedy else ""
        return _QuestionDraft(question_text, image, "both", "TREAT") if remedy else None

    def shows_harming(self, yes: bool) -> _QuestionDraft | None:
        """Whether the image shows a finding with which a remedy is contraindicated."""
        image, remedy = self._image_and_remedy(yes, lambda candidate: candidate.harms)
        question_text = f"Is {remedy.name} contraindicated with what the image shows?" if remedy else ""
        return _QuestionDraft(question_text, image, "both", "CONTRA") if remedy else None

    def _finding(self) -> str:
        return self.rng.choice(FINDINGS).value

    def _image(self) -> _Image:
        return self.rng.choice(self.images)

    def _any(self, remedies: Sequence[Remedy]) -> Remedy | None:
        return self.rng.choice(remedies) if remedies else None

    def _remedy(self, yes: bool, finding: str, keys: _Keys, other_keys: _Keys) -> Remedy | None:
        if yes:
            return self._any([candidate for candidate in self.own if finding in keys(candidate)])
        is_other = self.rng.random() < 0.5
        return self._any(
            [
                candidate
                for candidate in self.own
                if finding not in keys(candidate) and (finding in other_keys(candidate)) is is_other
            ]
        )

    def _image_and_remedy(self, yes: bool, keys: _Keys) -> tuple[_Image, Remedy | None]:
        """An image about which both answers are possible, and a remedy with the wanted one."""
        image = self._image()
        remedies_by_answer: dict[bool, list[Remedy]] = {True: [], False: []}
        for candidate in self.own:
            remedies_by_answer[not image.findings.isdisjoint(keys(candidate))].append(candidate)
        return image, self._any(remedies_by_answer[yes]) if all(remedies_by_answer.values()) else None


def _counted(part_questions: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(str(question["needs"]) for question in part_questions).items()))


def _write(
    folder: Path, questions_by_part: Mapping[str, Sequence[Mapping[str, Any]]], triples: Sequence[Sequence[str]]
) -> None:
    for part_name, file_name in FILES.items():
        json_text = json.dumps(questions_by_part[part_name], indent=1) + "\n"
        (folder / file_name).write_text(json_text, encoding="utf-8", newline="\n")
    with (folder / KNOWLEDGE).open("w", encoding="utf-8", newline="") as csv_file:
        csv.writer(csv_file, lineterminator="\n").writerows([COLUMNS, *triples])
    notes = "The images are in the folder of the studies.\nNext: kgp ingest triples knowledge.csv\n"
    (folder / "README.txt").write_text(f"{_FIRST_LINE}\n{notes}", encoding="utf-8", newline="\n")
