"""What kind of study a report is about: the imaging modality and the regions of the body.

The words of exams' names are in `exam_words.tsv`, which a spreadsheet opens: a name's longest phrases count, several
regions add up, and the first modality decides. A modality with a question mark ("views", "portable") counts only where
no other word of the name states one. END closes the name: what follows is another exam, or why this one was made.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

MAX_NAME: Final = 300  # characters of a name that are read
_WORD: Final = re.compile(r"[a-z]+|[0-9]+")
_END: Final = "END"


class Modality(StrEnum):
    """DICOM's codes (PS3.3 C.7.3.1.1.1), with one for all plain radiographs."""

    XR = "XR"  # CR, DX, DR, IO, PX
    CT = "CT"
    MR = "MR"
    US = "US"
    MG = "MG"
    NM = "NM"
    PT = "PT"
    RF = "RF"  # fluoroscopy
    XA = "XA"  # angiography
    OT = "OT"  # any other


class Region(StrEnum):
    """Regions of the body, as far as exams' names tell them apart."""

    HEAD = "head"
    NECK = "neck"
    CHEST = "chest"
    HEART = "heart"
    BREAST = "breast"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    SPINE = "spine"
    EXTREMITY = "extremity"
    WHOLE_BODY = "whole body"


class Exam(NamedTuple):
    """A kind of study, as far as it is stated: no modality is None, no region an empty set."""

    modality: Modality | None = None
    regions: frozenset[Region] = frozenset()

    @property
    def is_stated(self) -> bool:
        """Whether anything is stated."""
        return self.modality is not None or bool(self.regions)

    @property
    def is_complete(self) -> bool:
        """Whether modality and region are stated."""
        return self.modality is not None and bool(self.regions)

    @property
    def is_chest(self) -> bool:
        """Whether the chest is among the regions, as it is in a study of the whole body."""
        return not self.regions.isdisjoint((Region.CHEST, Region.WHOLE_BODY))

    @property
    def is_chest_radiograph(self) -> bool:
        """Whether it is a plain radiograph with the chest in it."""
        return self.modality is Modality.XR and self.is_chest

    def assumed(self) -> Exam:
        """What a report is read as: a chest radiograph, where nothing that is stated contradicts that."""
        if self.modality not in (None, Modality.XR) or not (self.is_chest or not self.regions):
            return self
        return Exam(Modality.XR, self.regions or frozenset((Region.CHEST,)))

    def completed_by(self, other: Exam) -> Exam:
        """What the exam states, and what it does not as another one states it."""
        return Exam(self.modality or other.modality, self.regions or other.regions)

    def properties(self) -> dict[str, str]:
        """What an Image node keeps: `modality`, and `region`, of which several are joined as "chest+abdomen"."""
        modality_property = {} if self.modality is None else {"modality": self.modality.value}
        return modality_property | ({"region": self.region_names} if self.regions else {})

    @property
    def region_names(self) -> str:
        """The regions from head to foot, joined by "+"."""
        return "+".join(region for region in Region if region in self.regions)

    @property
    def description(self) -> str:
        """In words: "CT head", "radiograph, region not stated"."""
        if self.modality is None:
            return f"{self.region_names}, modality not stated" if self.regions else "not stated"
        modality_name = _NAMES[self.modality]
        return f"{modality_name} {self.region_names}" if self.regions else f"{modality_name}, region not stated"


CHEST_RADIOGRAPH: Final = Exam(Modality.XR, frozenset((Region.CHEST,)))
UNKNOWN: Final = Exam()
_NAMES: Final = {
    **{modality: modality.value for modality in Modality},
    Modality.XR: "radiograph",
    Modality.US: "ultrasound",
    Modality.MG: "mammogram",
    Modality.PT: "PET",
    Modality.NM: "nuclear medicine",
    Modality.RF: "fluoroscopy",
    Modality.XA: "angiography",
    Modality.OT: "other imaging",
}
_CODES: Final = {
    **{modality.value: modality for modality in Modality},
    **dict.fromkeys(("CR", "DX", "DR", "RG", "IO", "PX"), Modality.XR),
    **dict.fromkeys(("IVUS", "EUS", "ECHO"), Modality.US),
    **dict.fromkeys(("ES", "GM", "SM", "XC", "OP", "OCT", "BMD", "BDUS", "LS", "DG", "TG"), Modality.OT),
    **dict.fromkeys(("PET", "PETCT"), Modality.PT),
    "MRI": Modality.MR,
}  # in capitals: of DICOM, also retired ones, and the common variants
_OTHER_WORDS: Final = frozenset(
    ("other", "others", "endoscopy", "photograph", "photography", "microscopy", "pathology")
)


class _Phrase(NamedTuple):
    """What words of an exam's name state. A weak modality counts where no other is stated."""

    modality: Modality | None
    is_weak: bool
    regions: frozenset[Region]
    is_end: bool


def exam_of(name: str) -> Exam:
    """The modality and regions in an exam's name, such as "CT HEAD WITHOUT CONTRAST" or "CHEST (PA AND LAT)"."""
    return _exam_of(name[:MAX_NAME])


@lru_cache(maxsize=20_000)
def _exam_of(name: str) -> Exam:
    strong_modality: Modality | None = None
    weak_modality: Modality | None = None
    regions: set[Region] = set()
    for _, phrase in _phrases(_words(name)):
        if phrase is None:
            continue
        if phrase.is_end:
            break
        regions |= phrase.regions
        if phrase.is_weak:
            weak_modality = weak_modality or phrase.modality
        else:
            strong_modality = strong_modality or phrase.modality
    return Exam(strong_modality or weak_modality, frozenset(regions))


def modality_of(value: str) -> Modality | None:
    """The modality that a table's column or a DICOM header states: a code of DICOM, of several ("PT, CT") the first
    that is one of an image, or a name in any case. None where it states none.
    """
    value = unicodedata.normalize("NFKC", value[:MAX_NAME])
    codes = [code for code in re.split(r"[^A-Z0-9]+", value.upper()) if code]
    if all(len(code) <= 5 for code in codes):
        code_modality = next((_CODES[code] for code in codes if code in _CODES), None)
        if code_modality is not None:
            return code_modality
    named_modality = exam_of(value).modality
    if named_modality is None and not _OTHER_WORDS.isdisjoint(_words(value)):
        return Modality.OT
    return named_modality


def regions_of(value: str) -> frozenset[Region]:
    """The regions that a table's column or DICOM's BodyPartExamined states; none where it states none."""
    return exam_of(value.replace("_", " ")).regions


def named_share(name: str) -> float:
    """How much of a line's words, without numbers, occur in names of exams: 1 for all, 0 also for no word."""
    words = [word for word in _words(name[:MAX_NAME]) if word.isalpha()]
    named_count = sum(
        sum(word.isalpha() for word in phrase_words)
        for phrase_words, phrase in _phrases(_words(name[:MAX_NAME]))
        if phrase is not None
    )
    return named_count / len(words) if words else 0.0


def is_exam_name(name: str) -> bool:
    """Whether all of some words are an exam's name with a modality and a region, as in "CT HEAD WITHOUT CONTRAST"."""
    for phrase_words, phrase in _phrases(_words(name[:MAX_NAME])):
        if phrase.is_end if phrase is not None else phrase_words[0].isalpha():
            return False  # "AP chest compared to 3/4: effusion"; a word of no exam's name
    return exam_of(name).is_complete


def _words(text: str) -> tuple[str, ...]:
    """The words and numbers in small letters."""
    return tuple(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def _phrases(words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], _Phrase | None]]:
    """The words in order, parted into the longest phrases of the table and single other words."""
    phrase_table, longest_phrases = _phrase_table(), _longest_phrases()
    start = 0
    while start < len(words):
        for length in range(min(longest_phrases.get(words[start], 1), len(words) - start), 0, -1):
            phrase = phrase_table.get(words[start : start + length])
            if phrase is not None or length == 1:
                yield words[start : start + length], phrase
                start += length
                break


@cache
def _phrase_table() -> Mapping[tuple[str, ...], _Phrase]:
    """The phrases of `exam_words.tsv`, by their words."""
    table_text = files("kgplatform.construct").joinpath("exam_words.tsv").read_text(encoding="utf-8")
    phrase_table: dict[tuple[str, ...], _Phrase] = {}
    for line in table_text.splitlines()[1:]:
        names, modality, region = line.split("\t")
        is_end = modality == _END
        phrase = _Phrase(
            Modality(modality.rstrip("?")) if modality and not is_end else None,
            modality.endswith("?"),
            frozenset(map(Region, region.split("+"))) if region else frozenset(),
            is_end,
        )
        for name in names.split("|"):
            phrase_table[_words(name)] = phrase
    return phrase_table


@cache
def _longest_phrases() -> Mapping[str, int]:
    """The words of the longest phrase that begins with a word."""
    longest_phrases: dict[str, int] = {}
    for phrase_words in _phrase_table():
        longest_phrases[phrase_words[0]] = max(len(phrase_words), longest_phrases.get(phrase_words[0], 1))
    return longest_phrases
