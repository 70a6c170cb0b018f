"""Studies as instruction records: what the generator is given, and the triplets that it is to write (VLM-KG §2.1).

A record is ``{instruction, input, output, image}``: the input is the report, in the form in which RadGraph has its
texts (words and marks apart), the output its triplets. `Study.record` can leave sentences of a report out; then the
output still states what the image shows: of what is drawn (or, where nobody knows that, of the sentences left out).
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from kgplatform.errors import InputError
from kgplatform.triplets.text import Relation, Triplet, entity, serialise

LONG: Final = 25  # words of a report that is no accident: "No acute process." is written of many


class Record(NamedTuple):
    """One example. `image` is None where there is none, `report` empty where there is none."""

    id: str
    image: Path | None
    report: str
    triplets: tuple[Triplet, ...]

    def document(self, instruction: str) -> dict[str, str | None]:
        """The record in the paper's form (Figure 1)."""
        image_path = None if self.image is None else str(self.image)
        return {
            "instruction": instruction,
            "input": self.report,
            "output": serialise(self.triplets),
            "image": image_path,
        }


class Sentence(NamedTuple):
    """A sentence of a report, and the triplets whose head is in it."""

    text: str
    triplets: tuple[Triplet, ...]


@dataclass(frozen=True, slots=True)
class Study:
    """A study with its graph, by sentence. `image_triplets` are what its image shows, None where nobody knows."""

    id: str
    image: Path | None
    sentences: tuple[Sentence, ...] = field(repr=False)
    image_triplets: tuple[Triplet, ...] | None = None
    dataset: str = ""
    subject: str = ""  # the patient, where it is known
    study_triplets: tuple[Triplet, ...] = ()  # of the whole study, of which nobody knows the sentence

    def record(self, sentence_numbers: Collection[int] | None = None, same: Callable[[str], str] = entity) -> Record:
        """The record with these sentences, by number; all by default. `same` maps an entity to what it means.

        Where sentences are left out, triplets of the image follow: those that the sentences kept do not speak of.
        """
        chosen_sentences = [
            sentence
            for sentence_number, sentence in enumerate(self.sentences)
            if sentence_numbers is None or sentence_number in sentence_numbers
        ]
        stated_triplets = dict.fromkeys(triplet for sentence in chosen_sentences for triplet in sentence.triplets)
        stated_triplets |= dict.fromkeys(self.study_triplets)
        if len(chosen_sentences) < len(self.sentences):
            stated_triplets |= dict.fromkeys(self._missing(chosen_sentences, same))
        return Record(
            self.id, self.image, " ".join(sentence.text for sentence in chosen_sentences), tuple(stated_triplets)
        )

    def _missing(self, chosen_sentences: Sequence[Sentence], same: Callable[[str], str]) -> Iterable[Triplet]:
        """What the image shows and the sentences chosen do not say."""
        if self.image_triplets is None:
            return [
                triplet
                for sentence in self.sentences
                if sentence not in chosen_sentences
                for triplet in sentence.triplets
            ]
        stated_meanings = {
            same(entity_text)
            for sentence in chosen_sentences
            for triplet in sentence.triplets
            for entity_text in (triplet.head, triplet.tail)
        }
        return [triplet for triplet in self.image_triplets if same(finding(triplet)) not in stated_meanings]


def image_targets(studies: Iterable[Study], same: Callable[[str], str] = entity) -> list[tuple[Triplet, ...]]:
    """What is to be written of each study's image alone."""
    return [study.record(set(), same).triplets for study in studies]


def finding(triplet: Triplet) -> str:
    """What a drawn triplet is about: it says where a finding is, or how severe."""
    return triplet.tail if triplet.relation is Relation.MODIFY else triplet.head


def thinned(study: Study, share: float, rng: random.Random) -> set[int]:
    """Numbers of the sentences that stay when that share of them is left out, at random."""
    sentence_numbers = list(range(len(study.sentences)))
    omitted_numbers = rng.sample(sentence_numbers, round(share * len(sentence_numbers)))
    return set(sentence_numbers) - set(omitted_numbers)


def mixed(study: Study, sentences: Sequence[Sentence], share: float, rng: random.Random) -> Study:
    """The study with that share of its sentences, on the average, taken at random from those given."""
    if not share:
        return study
    return replace(
        study,
        sentences=tuple(rng.choice(sentences) if rng.random() < share else sentence for sentence in study.sentences),
    )


def shared_studies(training: Iterable[Study], other: Iterable[Study]) -> list[Study]:
    """Those of the other studies that are in the training, too, or whose patient is."""
    training = list(training)
    training_names = {name for study in training for name in _names(study)}
    patients = {study.subject for study in training if study.subject}
    return [study for study in other if _names(study) & training_names or study.subject in patients]


def repeated_reports(training: Iterable[Study], other: Iterable[Study]) -> list[Study]:
    """Those of the other studies whose report is also one of the training's, word for word, and is long: R2Gen's split
    of IU X-ray has many. Figures are of all studies and of those without these.
    """
    training_texts = {_text(study) for study in training if _is_long(study)}
    return [study for study in other if _is_long(study) and _text(study) in training_texts]


def require_apart(training: Iterable[Study], test: Iterable[Study]) -> None:
    """Raises `InputError` where a study or a patient of the test is in the training, too (paper §3.1)."""
    overlap = shared_studies(training, test)
    if overlap:
        raise InputError(
            f"{len(overlap):,} test studies or their patients are also in training; the first is {overlap[0].id}",
            "Split by patient.",
        )


def data_sha256(chosen: Sequence[Study]) -> str:
    """A hash of the studies: ids, texts, triplets, what is drawn."""
    digest = hashlib.sha256()
    for study in chosen:
        study_level = [study.study_triplets] if study.study_triplets else []  # so that hashes of other studies stay
        digest.update(json.dumps([study.id, study.sentences, study.image_triplets, *study_level]).encode())
    return digest.hexdigest()


def study_name(raw_name: str) -> str:
    """A study by one name, whether RadGraph calls it ``p10/p…/s50414267.txt`` or the reports 50414267."""
    name_stem = raw_name.rsplit("/", 1)[-1].removesuffix(".txt")
    return name_stem[1:] if re.fullmatch(r"s\d{8}", name_stem) else name_stem


def _names(study: Study) -> set[str]:
    """What a study is called: as an image's id ``I50414267``, as a report's 50414267."""
    return {study.id, study_name(study.id), study.id.removeprefix("I")}


def _text(study: Study) -> str:
    return " ".join(word for sentence in study.sentences for word in sentence.text.casefold().split())


def _is_long(study: Study) -> bool:
    return sum(len(sentence.text.split()) for sentence in study.sentences) >= LONG
