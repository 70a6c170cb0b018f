"""Writes a synthetic data set in MedMKG's form, of any size, for those who have no data and for tests.

Nothing in it is about a person: concepts have CUIs from C9900000 on, patients and studies numbers from 90000000 on,
which neither UMLS nor MIMIC-CXR uses. What is taken from the released graph are its proportions (MedMKG Table 1 and
the released files): 4.25 stance edges an image, 1.55 images a concept, concepts with one image as half of all, the
shares of the stances, one concept that draws most NEGATIVE edges, 0.3 % of pairs with two stances, 4.66 UMLS-like
edges a concept over 60 % of the concepts, each with its inverse, and a mapping of 4.66 times the graph's images.

The same size and seed give the same bytes on any machine: only integers and `random.random()` decide.
"""

from __future__ import annotations

import csv
import hashlib
import random
from array import array
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from kgp_loaders.phantom.vocabulary import ANATOMY, DEVICE, FINDING, POPULAR_CONCEPTS, concept
from kgplatform import contents
from kgplatform.errors import UsageError
from kgplatform.schema import Stance

MIN_IMAGES: Final = 10  # fewer do not reach all eight of the most popular concepts
MAX_IMAGES: Final = 2_000_000  # study numbers have seven free digits, and the mapping lists 4.66 studies an image
MAX_CONCEPTS: Final = 100_000  # CUIs that begin with C99

_BY: Final = "kgp phantom build --images"
_FIRST_LINE: Final = "A synthetic data set in the form of MedMKG, written by `kgp phantom build`."
_ROOT: Final = "physionet.org/files/mimic-cxr-jpg/2.0.0/files"

_DEGREES: Final = (
    323,
    732,
    954,
    904,
    752,
    501,
    323,
    192,
    91,
    45,
    27,
    13,
    5,
    4,
    1,
    0,
    0,
    0,
    1,
)  # images with 1, 2 … edges
_TOP_SHARES: Final = (190, 187, 150, 104, 70, 62, 57, 50)  # of a thousand images, the most popular concepts' shares
_STANCES: Final = {  # of a thousand edges, how many are POSITIVE, NEGATIVE, UNCERTAIN
    "denied": (20, 970, 10),
    FINDING: (602, 61, 337),
    ANATOMY: (740, 61, 199),
    DEVICE: (740, 61, 199),
}
_CONFLICTS: Final = ((56, "POSITIVE", "UNCERTAIN"), (9, "NEGATIVE", "POSITIVE"), (3, "NEGATIVE", "UNCERTAIN"))


class _Relation(NamedTuple):
    """A relation and its inverse, how many such edges the released graph has, and what they join."""

    name: str
    inverse: str
    weight: int
    head: str
    tail: str


_RELATIONS: Final = tuple(
    _Relation(*relation)
    for relation in (
        ("isa", "inverse_isa", 1000, FINDING, FINDING),
        ("isa", "inverse_isa", 341, ANATOMY, ANATOMY),
        ("isa", "inverse_isa", 300, DEVICE, DEVICE),
        ("clinically_associated_with", "clinically_associated_with", 467, FINDING, FINDING),
        ("sib_in_isa", "sib_in_isa", 420, FINDING, FINDING),
        ("sib_in_part_of", "sib_in_part_of", 336, ANATOMY, ANATOMY),
        ("has_finding_site", "finding_site_of", 614, FINDING, ANATOMY),
        ("associated_morphology_of", "has_associated_morphology", 433, FINDING, FINDING),
        ("co-occurs_with", "co-occurs_with", 204, FINDING, FINDING),
        ("associated_with", "associated_with", 164, FINDING, FINDING),
        ("mapped_from", "mapped_to", 267, FINDING, FINDING),
        ("has_location", "location_of", 241, FINDING, ANATOMY),
        ("disease_has_associated_anatomic_site", "is_associated_anatomic_site_of", 214, FINDING, ANATOMY),
        ("has_procedure_site", "procedure_site_of", 152, DEVICE, ANATOMY),
        ("has_direct_procedure_site", "direct_procedure_site_of", 95, DEVICE, ANATOMY),
        ("part_of", "has_part", 146, ANATOMY, ANATOMY),
        ("regional_part_of", "has_regional_part", 66, ANATOMY, ANATOMY),
        ("method_of", "has_method", 140, DEVICE, DEVICE),
        ("used_for", "use", 39, DEVICE, FINDING),
        ("related_to", "related_to", 66, FINDING, FINDING),
        ("classified_as", "classifies", 132, FINDING, FINDING),
        ("related_part", "related_part", 53, ANATOMY, ANATOMY),
        ("ddx", "ddx", 48, FINDING, FINDING),
        ("ssc", "ssc", 48, FINDING, FINDING),
        ("pathological_process_of", "has_pathological_process", 88, FINDING, FINDING),
        ("continuous_with", "continuous_with", 32, ANATOMY, ANATOMY),
        ("direct_left_of", "direct_right_of", 44, ANATOMY, ANATOMY),
        ("causative_agent_of", "has_causative_agent", 36, FINDING, FINDING),
        ("same_as", "same_as", 20, FINDING, FINDING),
    )
)


@dataclass(frozen=True)
class Phantom:
    """What was written, and where; `existing` says that it existed already."""

    directory: Path
    images: int
    concepts: int
    cross_edges: int
    intra_edges: int
    mapped_images: int
    seed: int
    existing: bool = False


def build_phantom_graph(
    directory: Path,
    images: int = 500,
    seed: int = 7,
    *,
    replace: bool = False,
) -> Phantom:
    """Write `MedMKG.csv`, `image_mapping.csv` and `README.txt` into `directory`, all or none of them.

    Raises `UsageError` for a size out of range and where the folder holds other files, `InputError` where it holds
    another such graph (unless `replace`) or cannot be written.
    """
    if not MIN_IMAGES <= images <= MAX_IMAGES:
        raise UsageError(f"the number of images must be {MIN_IMAGES} to {MAX_IMAGES:,}")
    plan = _Plan(images, seed)
    settings = {"images": images, "seed": seed}
    existing = contents.complete(directory, _BY, settings)
    if existing:
        cross_count, intra_count = sum(1 for _ in _cross_edges(plan)), sum(1 for _ in _intra_edges(plan))
    else:
        with contents.result_folder(directory, _BY, settings, replace=replace) as staged_folder:
            cross_count, intra_count = _write_graph(staged_folder / "MedMKG.csv", plan)
            _write_csv(staged_folder / "image_mapping.csv", ("IID", "Image_Path"), _mapping(plan))
            _write_readme(staged_folder, plan)
    return Phantom(directory, images, plan.concepts, cross_count, intra_count, plan.studies, seed, existing)


@dataclass(frozen=True)
class _Plan:
    """Sizes, and what stands at each place: concept 0 is the most popular one."""

    images: int
    seed: int

    @property
    def concepts(self) -> int:
        return min(MAX_CONCEPTS, max(len(POPULAR_CONCEPTS), self.images * 3149 // 4868))

    @property
    def studies(self) -> int:
        """Images in the mapping."""
        return self.images * 22671 // 4868

    @cached_property
    def _offset(self) -> int:
        return int(self.random("numbers").random() * 10_000_000)

    def random(self, purpose: str) -> random.Random:
        """A separate generator for each part, so that one part can change without the others."""
        return random.Random(f"kgp phantom {self.seed} {purpose}")  # noqa: S311  not for secrets

    def cui(self, concept: int) -> str:
        return f"C99{(concept * 61_681 + self._offset) % MAX_CONCEPTS:05d}"  # 61,681 has no factor 2 or 5: all differ

    def study(self, number: int) -> int:
        return 90_000_000 + (number * 7_368_787 + self._offset) % 10_000_000

    def image_id(self, image: int) -> str:
        return f"I{self.study(image * self.studies // self.images)}"


def _write_graph(csv_path: Path, plan: _Plan) -> tuple[int, int]:
    """Write the triples; returns how many join an image to a concept, and a concept to a concept."""
    counts = {"cross": 0, "intra": 0}

    def rows() -> Iterator[tuple[str, ...]]:
        for head, relation, tail in _intra_edges(plan):
            counts["intra"] += 1
            yield plan.cui(head), relation, plan.cui(tail), concept(head)[1], concept(tail)[1]
        for image_number, stance, tail in _cross_edges(plan):
            counts["cross"] += 1
            image_id = plan.image_id(image_number)
            yield image_id, stance, plan.cui(tail), f"Image_{image_id}", concept(tail)[1]

    _write_csv(csv_path, ("Head", "Relation", "Tail", "Head_Name", "Tail_Name"), rows())
    return counts["cross"], counts["intra"]


def _cross_edges(plan: _Plan) -> Iterator[tuple[int, str, int]]:
    """(image, stance, concept): each image draws as many different concepts as its degree from one shuffled deck."""
    rng = plan.random("cross")
    cumulative = list(accumulate(_DEGREES))
    degrees = bytearray(bisect(cumulative, rng.random() * cumulative[-1]) + 1 for _ in range(plan.images))
    deck = array("L")
    for concept_number, copies in enumerate(_popularity(plan.concepts, sum(degrees), plan.images)):
        deck.extend([concept_number] * copies)
    deck_start = 0
    for image_number, degree in enumerate(degrees):
        image_cards: set[int] = set()
        attempts_left = 20 * degree
        while len(image_cards) < degree and deck_start < len(deck) and attempts_left:
            attempts_left -= 1
            card_index = deck_start + int(rng.random() * (len(deck) - deck_start))
            card = deck[card_index]
            if card not in image_cards:
                image_cards.add(card)
                deck[card_index], deck[deck_start] = deck[deck_start], card
                deck_start += 1
                yield from ((image_number, stance, card) for stance in _stances(card, rng))


def _stances(concept_number: int, rng: random.Random) -> tuple[str, ...]:
    """The stance of an image to this concept, rarely two."""
    if rng.random() < 68 / 20_637:
        choice_index = bisect(list(accumulate(weight for weight, _, _ in _CONFLICTS)), rng.random() * 68)
        return _CONFLICTS[choice_index][1:]
    shares = _STANCES["denied" if concept_number == 1 else concept(concept_number)[0]]
    choice_index = bisect(list(accumulate(shares)), rng.random() * 1000)
    return ((Stance.POSITIVE, Stance.NEGATIVE, Stance.UNCERTAIN)[choice_index].value,)


def _popularity(concepts: int, edges: int, images: int) -> list[int]:
    """How many images each concept has, the most popular first; about half have one.

    After the top ones the counts fall as 1/(rank + q), a Zipf-Mandelbrot law, with q such that they add up.
    """
    top_counts = [max(1, images * share // 1000) for share in _TOP_SHARES]
    remaining, target_sum = concepts - len(top_counts), edges - sum(top_counts)

    def counts(q: int) -> list[int]:  # q in thousandths
        return [min(top_counts[-1], max(1, 1000 * remaining // (1000 * rank + q))) for rank in range(1, remaining + 1)]

    low, high = 0, 1000 * remaining
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if sum(counts(middle)) > target_sum else (low, middle)
    image_counts = top_counts + counts(low)
    for index in range(edges - sum(image_counts)):  # a few; many only in small graphs, where the law is too steep
        image_counts[index % (concepts // 2)] += 1
    return image_counts


def _intra_edges(plan: _Plan) -> Iterator[tuple[int, str, int]]:
    """(head, relation, tail), each followed by its inverse. Popular concepts are the hubs."""
    rng = plan.random("intra")
    members = [concept_number for concept_number in range(plan.concepts) if concept_number % 5 < 3]
    members_by_kind = {
        kind: [concept_number for concept_number in members if concept(concept_number)[0] == kind]
        for kind in (FINDING, ANATOMY, DEVICE)
    }
    relations_by_kind = {
        kind: [relation for relation in _RELATIONS if relation.head == kind] for kind in members_by_kind
    }
    cumulative = {
        kind: list(accumulate(relation.weight for relation in relations_by_kind[kind])) for kind in members_by_kind
    }
    edge_count = plan.concepts * 14_682 // 3149
    written_edges: set[tuple[int, str, int]] = set()
    for attempt in range(10 * edge_count):
        if len(written_edges) >= edge_count:
            return
        head = members[attempt] if attempt < len(members) else members[int(rng.random() * len(members))]
        kind = concept(head)[0]
        relation = relations_by_kind[kind][bisect(cumulative[kind], rng.random() * cumulative[kind][-1])]
        pool, fraction = members_by_kind[relation.tail], rng.random()
        if not pool:
            continue
        tail = pool[int(fraction * fraction * fraction * len(pool))]
        if head == tail or (head, relation.name, tail) in written_edges:
            continue
        for edge in ((head, relation.name, tail), (tail, relation.inverse, head)):
            written_edges.add(edge)
            yield edge


def _mapping(plan: _Plan) -> Iterator[tuple[str, str]]:
    """An image id and its path for every study of the pool; a patient has 1.6 studies on average."""
    rng = plan.random("mapping")
    patient_number = 0
    for study_number in range(plan.studies):
        patient_number += study_number == 0 or rng.random() < 0.62
        subject_id, study_id = f"p{plan.study(patient_number)}", plan.study(study_number)
        hex_digits = f"{rng.getrandbits(160):040x}"
        dicom_id = "-".join(hex_digits[digit_index : digit_index + 8] for digit_index in range(0, 40, 8))
        yield f"I{study_id}", f"{_ROOT}/{subject_id[:3]}/{subject_id}/s{study_id}/{dicom_id}.jpg"


def _write_csv(csv_path: Path, header: Sequence[str], csv_rows: Iterable[Sequence[str]]) -> None:
    with csv_path.open("w", encoding="utf-8", newline="") as csv_file:
        writer = csv.writer(csv_file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(csv_rows)


def _write_readme(directory: Path, plan: _Plan) -> None:
    checksums = "".join(
        f"{_sha256(directory / file_name)}  {file_name}\n" for file_name in ("MedMKG.csv", "image_mapping.csv")
    )
    readme_text = (
        f"{_FIRST_LINE}\n\nIt is about no real person, image or report: concepts (C99...), images (I9...) and patients "
        f"(p9...) do not exist.\nWritten with --images {plan.images} --seed {plan.seed}.\n\nsha256:\n{checksums}"
    )
    (directory / "README.txt").write_text(readme_text, encoding="utf-8", newline="\n")


def _sha256(file_path: Path) -> str:
    with file_path.open("rb") as binary_file:
        return hashlib.file_digest(binary_file, "sha256").hexdigest()
