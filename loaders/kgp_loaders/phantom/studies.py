"""Which patients, studies and images there are, and what each study shows."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeVar

from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, Zone
from kgp_loaders.phantom.wording import pick

T = TypeVar("T")

FIRST_SUBJECT: Final = 90_000_000  # MIMIC-CXR's subjects and studies begin with 1 and 5
MAX_STUDIES: Final = 1_000_000

_VIEWS: Final = ((("AP",), 55), (("PA", "LATERAL"), 33), (("AP", "LATERAL"), 8), (("AP", "AP"), 4))
_NORMAL: Final = 30  # of a hundred studies
_COUNTS: Final = (40, 30, 20, 10)  # of a hundred others, with 1, 2 … findings
_SIDED: Final = (Side.LEFT, Side.RIGHT)
_LUNG: Final = (Zone.UPPER, Zone.MIDDLE, Zone.LOWER)

# By finding: its share, the sides and zones that it can have.
_FINDINGS: Final[dict[Kind, tuple[int, Sequence[Side], Sequence[Zone]]]] = {
    Kind.CARDIOMEGALY: (14, (Side.NONE,), (Zone.NONE,)),
    Kind.EFFUSION: (16, (*_SIDED, Side.BOTH), (Zone.NONE,)),
    Kind.PNEUMOTHORAX: (7, _SIDED, (Zone.NONE,)),
    Kind.CONSOLIDATION: (11, _SIDED, _LUNG),
    Kind.ATELECTASIS: (12, _SIDED, (Zone.LOWER,)),
    Kind.NODULE: (6, _SIDED, _LUNG),
    Kind.MASS: (4, _SIDED, _LUNG),
    Kind.EDEMA: (9, (Side.NONE,), (Zone.NONE,)),
    Kind.EMPHYSEMA: (5, (Side.NONE,), (Zone.NONE,)),
    Kind.INTERSTITIAL: (5, (Side.BOTH,), (Zone.NONE,)),
    Kind.GRANULOMA: (4, _SIDED, _LUNG),
    Kind.THICKENING: (3, _SIDED, (Zone.UPPER,)),
    Kind.FRACTURE: (4, _SIDED, (Zone.NONE,)),
    Kind.DIAPHRAGM: (4, _SIDED, (Zone.NONE,)),
    Kind.SCOLIOSIS: (3, (Side.NONE,), (Zone.NONE,)),
    Kind.HILUM: (3, _SIDED, (Zone.NONE,)),
    Kind.HERNIA: (2, (Side.NONE,), (Zone.NONE,)),
}
_DEVICES: Final[dict[Kind, tuple[int, Sequence[Side]]]] = {
    Kind.ET_TUBE: (18, (Side.NONE,)),
    Kind.NG_TUBE: (18, (Side.NONE,)),
    Kind.CENTRAL_LINE: (22, (Side.RIGHT, Side.LEFT)),
    Kind.PACEMAKER: (8, (Side.LEFT,)),
    Kind.CHEST_TUBE: (8, _SIDED),
    Kind.WIRES: (8, (Side.NONE,)),
    Kind.PORT: (5, (Side.RIGHT,)),
}
DEVICES: Final = frozenset(_DEVICES)
FINDINGS: Final = tuple(_FINDINGS)


@dataclass(frozen=True, slots=True)
class SyntheticStudy:
    """A study of a patient. `views` and `images` (DICOM ids) go together."""

    number: int
    subject: int
    study: int
    split: str
    date: int  # YYYYMMDD, in the years to which MIMIC moves its dates
    views: tuple[str, ...]
    images: tuple[str, ...]
    findings: tuple[RadiographFinding, ...]

    @property
    def time(self) -> str:
        """HHMMSS of the study."""
        day_second = self.number * 7_919 % 86_400
        return f"{day_second // 3600:02d}{day_second // 60 % 60:02d}{day_second % 60:02d}"

    @property
    def folder(self) -> str:
        """Where MIMIC-CXR-JPG keeps the patient's studies."""
        return f"files/p{str(self.subject)[:2]}/p{self.subject}"


def synthetic_studies(count: int, seed: int) -> Iterator[SyntheticStudy]:
    """The studies, by patient. A patient has up to three."""
    patient_rng = random.Random(f"kgp phantom patients {seed}")  # noqa: S311  not for secrets
    study_number = patient_number = 0
    while study_number < count:
        subject_id = FIRST_SUBJECT + (patient_number * 7_368_787 + seed * 1_013) % 10_000_000
        split = ("train", "validate", "test")[bisect((80, 90), patient_rng.random() * 100)]
        for _ in range(1 + bisect((70, 92), patient_rng.random() * 100)):
            if study_number < count:
                yield _study(study_number, subject_id, split, seed)
                study_number += 1
        patient_number += 1


def _study(study_number: int, subject_id: int, split: str, seed: int) -> SyntheticStudy:
    rng = random.Random(f"kgp phantom study {seed} {study_number}")  # noqa: S311
    views = _weighted(rng, _VIEWS)
    image_ids = tuple(_dicom_id(seed, study_number, image_number) for image_number in range(len(views)))
    date = (2110 + int(rng.random() * 90)) * 10_000 + (1 + int(rng.random() * 12)) * 100 + 1 + int(rng.random() * 28)
    study_id = FIRST_SUBJECT + (study_number * 3_687_631 + seed * 2_027) % 10_000_000
    return SyntheticStudy(
        study_number, subject_id, study_id, split, date, views, image_ids, tuple(_findings(rng, portable="AP" in views))
    )


def _dicom_id(seed: int, study_number: int, image_number: int) -> str:
    hex_digits = hashlib.sha256(f"kgp phantom {seed} {study_number} {image_number}".encode()).hexdigest()
    return "-".join(hex_digits[digit_index : digit_index + 8] for digit_index in range(0, 40, 8))


def _findings(rng: random.Random, *, portable: bool) -> Iterator[RadiographFinding]:
    """Findings and devices, none twice; the portable (AP) studies are those of the more severely ill."""
    remaining = dict(_FINDINGS)
    if rng.random() * 100 >= _NORMAL:
        for _ in range(1 + bisect(list(accumulate(_COUNTS)), rng.random() * sum(_COUNTS))):
            kind = _weighted(rng, [(kind, percentage) for kind, (percentage, _, _) in remaining.items()])
            _, sides, zones = remaining.pop(kind)
            side = pick(rng, sides)
            zone = pick(rng, [zone for zone in zones if (side, zone) != (Side.LEFT, Zone.MIDDLE)])
            yield RadiographFinding(kind, side, zone, pick(rng, tuple(Severity)))
    for kind, (percentage, sides) in _DEVICES.items():
        if rng.random() * 100 < (percentage if portable else percentage / 4):
            yield RadiographFinding(kind, pick(rng, sides))


def _weighted(rng: random.Random, choices: Sequence[tuple[T, int]]) -> T:
    cumulative = list(accumulate(weight for _, weight in choices))
    return choices[bisect(cumulative, rng.random() * cumulative[-1])][0]
