"""Questions about invented studies that need the image, the ontology, or both; each says which.

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
from kgplatform.staging import Told

FILES: Final = {"train": "trainset.json", "valid": "validset.json", "test": "testset.json"}
KNOWLEDGE: Final = "knowledge.csv"
SHARES: Final = {"train": 8, "valid": 1, "test": 1}  # of ten subjects, and of ten remedies
REMEDIES: Final = 400
MAX_QUESTIONS: Final = 1_000_000
_BY: Final = "kgp phantom questions"
_FIRST_LINE: Final = "Invented questions about invented studies, written by `kgp phantom questions`."


@dataclass(frozen=True)
class QuestionFiles:
    """What was written: questions by part and by what they need; `existing` tells that it was there already."""

    directory: Path
    counts: dict[str, dict[str, int]]
    remedies: int
    triples: int
    existing: bool = False


@dataclass(frozen=True)
class _Image:
    path: str
    shown: frozenset[str]


class _Asked(NamedTuple):
    text: str
    image: _Image
    needs: str
    topic: str


_Keys = Callable[[Remedy], Sequence[str]]


def build(
    studies: Path,
    directory: Path,
    count: int = 12_000,
    seed: int = 7,
    *,
    remedies: int = REMEDIES,
    replace: bool = False,
    told: Told = lambda _: None,
) -> QuestionFiles:
    """Write about `count` questions on the studies that `kgp phantom build --studies` wrote, all files or none.

    Raises `UsageError` for a number out of range and where the folder holds other files, and `InputError` where there
    are no studies, or the folder holds other questions of this command (unless `replace`).
    """
    if not 100 <= count <= MAX_QUESTIONS or not 20 <= remedies <= 1500:
        raise UsageError("the number of questions must be 100 to 1,000,000, that of remedies 20 to 1,500")
    images = _images(studies, seed)
    known = cabinet(remedies, seed)
    own = _dealt(known.remedies)
    rng = random.Random(f"kgp phantom questions {seed}")  # noqa: S311  not for secrets
    rows = {
        part: list(_Asker(rng, known, own[part], images[part]).rows(count * share // 10))
        for part, share in SHARES.items()
    }
    number = 0
    for those in rows.values():
        for row in those:
            row["qid"] = number = number + 1
    triples = list(known.triples())
    digest = hashlib.sha256(json.dumps([rows, triples], sort_keys=True).encode()).hexdigest()
    settings = {"questions": count, "seed": seed, "remedies": remedies, "sha256": digest}
    existing = contents.complete(directory, _BY, settings)
    if not existing:
        with contents.built(directory, _BY, settings, replace=replace, told=told) as staged:
            _write(staged, rows, triples)
    counts = {part: _counted(those) for part, those in rows.items()}
    return QuestionFiles(directory, counts, len(known.remedies), len(triples), existing)


def _images(studies: Path, seed: int) -> dict[str, list[_Image]]:
    """The AP and PA images of each part, by subject, with what is drawn there."""
    try:
        with (studies / "truth" / "shown.csv").open(encoding="utf-8", newline="") as file:
            shown: dict[str, set[str]] = defaultdict(set)
            for row in csv.DictReader(file):
                shown[row["study_id"]].add(row["finding"])
        with (studies / "mimic-cxr-2.0.0-metadata.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, KeyError, UnicodeDecodeError):
        hint = "Build them: kgp phantom build DIR --studies 2000"
        raise InputError("there are no invented studies here", hint, path=studies) from None
    parts: dict[str, list[_Image]] = {part: [] for part in SHARES}
    for row in rows:
        if row["ViewPosition"] in ("AP", "PA"):
            subject, study = row["subject_id"], row["study_id"]
            path = f"files/p{subject[:2]}/p{subject}/s{study}/{row['dicom_id']}.png"
            parts[_part(seed, subject)].append(_Image(path, frozenset(shown[study])))
    if not all(parts.values()):
        raise InputError("there are too few studies for three parts", "Build some 200, or more.", path=studies)
    return parts


def _part(seed: int, key: str) -> str:
    tenth = int.from_bytes(hashlib.sha256(f"{seed} {key}".encode()).digest()[:4], "big") % 10
    return "valid" if tenth == 8 else "test" if tenth == 9 else "train"


def _dealt(remedies: Sequence[Remedy]) -> dict[str, Sequence[Remedy]]:
    """The remedies of each part, which are in an order drawn by chance."""
    first, second = (len(remedies) * tenths // 10 for tenths in (8, 9))
    return {"train": remedies[:first], "valid": remedies[first:second], "test": remedies[second:]}


class _Asker:
    """Draws questions of one part: about its images, its remedies."""

    def __init__(self, rng: random.Random, known: Cabinet, own: Sequence[Remedy], images: Sequence[_Image]) -> None:
        self.rng, self.known, self.own, self.images = rng, known, own, images
        self.kinds = (self.there, self.treats, self.harms, self.acts, self.shows_treated, self.shows_harming)

    def rows(self, count: int) -> Iterator[dict[str, Any]]:
        """So many questions, as many of each kind, half of them answered by yes."""
        for number in range(count):
            yes = self.rng.random() < 0.5
            asked = None
            while asked is None:  # what was drawn has no such answer: draw again
                asked = self.kinds[number % len(self.kinds)](yes)
            text, image, needs, topic = asked
            yield {
                "qid": 0,
                "image_name": image.path,
                "image_organ": "CHEST",
                "question": text,
                "answer": "yes" if yes else "no",
                "answer_type": "CLOSED",
                "question_type": topic,
                "phrase_type": "freeform",
                "needs": needs,
            }

    def there(self, yes: bool) -> _Asked | None:
        """Whether a finding is there."""
        finding, images = self._finding(), self.rng.sample(self.images, min(60, len(self.images)))
        image = next((image for image in images if (finding in image.shown) is yes), None)
        return _Asked(f"Is there {article(finding)}?", image, "image", "PRES") if image else None

    def treats(self, yes: bool) -> _Asked | None:
        """Whether a remedy treats a finding; a denied one may be a finding that it harms."""
        finding = self._finding()
        remedy = self._remedy(yes, finding, lambda one: one.treats, lambda one: one.harms)
        text = f"Can {remedy.name} treat {article(finding)}?" if remedy else ""
        return _Asked(text, self._image(), "ontology", "TREAT") if remedy else None

    def harms(self, yes: bool) -> _Asked | None:
        """Whether a remedy is contraindicated with a finding; a denied one may be a finding that it treats."""
        finding = self._finding()
        remedy = self._remedy(yes, finding, lambda one: one.harms, lambda one: one.treats)
        text = f"Is {remedy.name} contraindicated with {article(finding)}?" if remedy else ""
        return _Asked(text, self._image(), "ontology", "CONTRA") if remedy else None

    def acts(self, yes: bool) -> _Asked | None:
        """Whether a remedy acts on a part of the body, by way of its class."""
        organ = self.rng.choice(ANATOMY)
        remedy = self._any([one for one in self.own if (organ in self.known.acts_on(one)) is yes])
        text = f"Does {remedy.name} act on the {organ}?" if remedy else ""
        return _Asked(text, self._image(), "ontology", "ACT") if remedy else None

    def shows_treated(self, yes: bool) -> _Asked | None:
        """Whether the image shows a finding that a remedy treats."""
        image, remedy = self._shown(yes, lambda one: one.treats)
        text = f"Does the image show a finding that {remedy.name} can treat?" if remedy else ""
        return _Asked(text, image, "both", "TREAT") if remedy else None

    def shows_harming(self, yes: bool) -> _Asked | None:
        """Whether the image shows a finding with which a remedy is contraindicated."""
        image, remedy = self._shown(yes, lambda one: one.harms)
        text = f"Is {remedy.name} contraindicated with what the image shows?" if remedy else ""
        return _Asked(text, image, "both", "CONTRA") if remedy else None

    def _finding(self) -> str:
        return self.rng.choice(FINDINGS).value

    def _image(self) -> _Image:
        return self.rng.choice(self.images)

    def _any(self, those: Sequence[Remedy]) -> Remedy | None:
        return self.rng.choice(those) if those else None

    def _remedy(self, yes: bool, finding: str, of: _Keys, other: _Keys) -> Remedy | None:
        if yes:
            return self._any([one for one in self.own if finding in of(one)])
        joined = self.rng.random() < 0.5
        return self._any([one for one in self.own if finding not in of(one) and (finding in other(one)) is joined])

    def _shown(self, yes: bool, of: _Keys) -> tuple[_Image, Remedy | None]:
        """An image about which both answers are possible, and a remedy with the wanted one."""
        image = self._image()
        those: dict[bool, list[Remedy]] = {True: [], False: []}
        for one in self.own:
            those[not image.shown.isdisjoint(of(one))].append(one)
        return image, self._any(those[yes]) if all(those.values()) else None


def _counted(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(str(row["needs"]) for row in rows).items()))


def _write(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]], triples: Sequence[Sequence[str]]) -> None:
    for part, name in FILES.items():
        text = json.dumps(rows[part], indent=1) + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    with (folder / KNOWLEDGE).open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *triples])
    about = "The images are in the folder of the studies.\nNext: kgp ingest triples knowledge.csv\n"
    (folder / "README.txt").write_text(f"{_FIRST_LINE}\n{about}", encoding="utf-8", newline="\n")
