"""What a training of an image encoder is given: images with the links that the graph states about them.

A link is a stance to a concept. An image has a link (1), does not have it (0), or it is not known whether: an image
that is UNCERTAIN for a concept counts neither for nor against POSITIVE.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kgplatform.datasets.knowledge import STANCES, GraphImage, Knowledge
from kgplatform.errors import InputError
from kgplatform.schema import Stance
from kgplatform.trained_on import TrainedOn, TrainingImage, from_images
from kgplatform.wording import counted

Targets = NDArray[np.float32]  # (images, links): 1, 0, NaN where it is not known
PARTS: Final = ("train", "validate", "test")
RATIOS: Final = (0.8, 0.1, 0.1)
# How splits are called in files: R2Gen's, MIMIC-CXR's and our own.
SPLIT_PARTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "train": "train",
        "val": "validate",
        "valid": "validate",
        "validate": "validate",
        "validation": "validate",
        "test": "test",
    }
)


class Link(NamedTuple):
    """A stance to a concept."""

    stance: str
    cui: str
    name: str


class LabelledImage(NamedTuple):
    """An image with its links: those it has, and those of which nobody knows."""

    id: str
    path: Path
    subject: str  # or study, or image, where the patient is not known: what stays in one part
    links: frozenset[Link]
    unknown: frozenset[Link] = frozenset()
    dataset: str = ""
    view: str = ""
    study: str = ""
    patient: str = ""  # where known
    report: str = ""  # where it is a target, too; never in a log


@dataclass(frozen=True)
class ImageExamples:
    """Images to train or test with."""

    images: Sequence[LabelledImage] = field(repr=False)

    def targets(self, links: Sequence[Link]) -> Targets:
        """Which image has which link, (images, links)."""
        columns = {link: column for column, link in enumerate(links)}
        targets = np.zeros((len(self.images), len(links)), dtype=np.float32)
        for row, image in enumerate(self.images):
            targets[row, [columns[link] for link in image.unknown if link in columns]] = np.nan
            targets[row, [columns[link] for link in image.links if link in columns]] = 1.0
        return targets

    def frequent_links(self, least: int, stances: Sequence[str]) -> list[Link]:
        """The links of these stances that at least so many studies have, in order; an image without one is one."""
        pairs = {(image.dataset, image.study or image.id, link) for image in self.images for link in image.links}
        counts = Counter(link for *_, link in pairs if link.stance in stances)
        return sorted(link for link, count in counts.items() if count >= least)

    def select(self, rows: Sequence[int]) -> ImageExamples:
        """The images of these rows."""
        return ImageExamples([self.images[row] for row in rows])

    @property
    def subjects(self) -> list[str]:
        """Of each image."""
        return [image.subject for image in self.images]

    @property
    def sources(self) -> TrainedOn:
        """The data sets of the images."""
        return from_images(TrainingImage(image.dataset, image.id, image.patient) for image in self.images)

    @property
    def sha256(self) -> str:
        """A hash of the images' names and links."""
        digest = hashlib.sha256()
        for image in self.images:
            digest.update(repr((image.id, sorted(image.links), sorted(image.unknown))).encode())
            if image.report:
                digest.update(image.report.encode())
        return digest.hexdigest()


def graph_examples(knowledge: Knowledge, paths: Mapping[str, Path], left_out: Set[str] = frozenset()) -> ImageExamples:
    """The graph's images that lie somewhere (`paths`, by id), with their stances, but those to concepts that are
    `left_out`, by CUI.
    """
    stances_by_image: dict[int, dict[int, set[str]]] = {}
    for image_number, stance_number, concept_number in knowledge.stances.tolist():
        concept_stances = stances_by_image.setdefault(image_number, {})
        concept_stances.setdefault(concept_number, set()).add(STANCES[stance_number])
    images = []
    for image_number, image in enumerate(knowledge.images):
        image_path = paths.get(image.id)
        if image_path is None:
            continue
        links, unknown = set(), set()
        for concept_number, stances in stances_by_image.get(image_number, {}).items():
            concept = knowledge.cuis[concept_number], knowledge.concepts[concept_number]
            if concept[0] in left_out:
                continue
            links |= {Link(stance, *concept) for stance in stances}
            if Stance.UNCERTAIN.value in stances:
                unknown.add(Link(Stance.POSITIVE.value, *concept))
        images.append(
            LabelledImage(
                image.id,
                image_path,
                _subject(image),
                frozenset(links),
                frozenset(unknown - links),
                image.dataset,
                study=image.study,
                patient=image.subject,
            )
        )
    return ImageExamples(images)


def _subject(image: GraphImage) -> str:
    return image.subject or image.study or image.id


def split_by_study(images: ImageExamples, splits: Mapping[str, str]) -> dict[str, ImageExamples]:
    """The parts that `splits` names, by study; an image of another study is in none. Raises `InputError` where a
    patient's studies are in several parts, or none is in the training part.
    """
    part_by_row = {row: SPLIT_PARTS.get(splits.get(image.study, "")) for row, image in enumerate(images.images)}
    parts_by_patient: dict[str, set[str]] = {}
    for row, part in part_by_row.items():
        if part is not None and images.images[row].patient:
            parts_by_patient.setdefault(images.images[row].patient, set()).add(part)
    divided_count = sum(len(parts) > 1 for parts in parts_by_patient.values())
    if divided_count:
        message = f"studies of {counted(divided_count, 'patients')} are in several parts"
        raise InputError(message, "Put all studies of a patient into one part of the splits.")
    parts = {part: images.select([row for row, own in part_by_row.items() if own == part]) for part in PARTS}
    if not parts[PARTS[0]].images:
        raise InputError("no image is of a study that the splits put into training", "Check the splits.")
    return parts


def split_by_subject(images: ImageExamples, seed: int, ratios: Sequence[float] = RATIOS) -> dict[str, ImageExamples]:
    """Three parts of about these shares; all images of a subject are in one part."""
    subjects = sorted(set(images.subjects))
    random.Random(f"images {seed}").shuffle(subjects)  # noqa: S311  not for secrets
    bounds = np.cumsum([0.0, *ratios]) * len(subjects)
    part_by_subject = {
        subject: part
        for part, start, end in zip(PARTS, bounds[:-1], bounds[1:], strict=True)
        for subject in subjects[round(start) : round(end)]
    }
    return {
        part: images.select([row for row, subject in enumerate(images.subjects) if part_by_subject[subject] == part])
        for part in PARTS
    }
