"""An invented report of a study: its text as MIMIC-CXR prints it, and what each part of it says."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kgp_loaders.phantom import wording
from kgp_loaders.phantom.findings import Kind, Severity, Shown, Side, Zone
from kgp_loaders.phantom.studies import DEVICES, FINDINGS, Study
from kgp_loaders.phantom.wording import Said, Sentence, pick, say

WIDTH: Final = 78  # characters of a printed line

_SEVERITIES: Final = {
    Severity.SMALL: ("small", "mild", "minimal", "trace", ""),
    Severity.MODERATE: ("moderate", "", ""),
    Severity.LARGE: ("large", "severe", "extensive"),
}
LOBES: Final = {
    (Side.RIGHT, Zone.UPPER): ("right upper lobe", "right lung"),
    (Side.RIGHT, Zone.MIDDLE): ("right middle lobe",),
    (Side.RIGHT, Zone.LOWER): ("right lower lobe", "right lung"),
    (Side.LEFT, Zone.UPPER): ("left upper lobe", "lingula", "left lung"),
    (Side.LEFT, Zone.LOWER): ("left lower lobe", "left lung"),
}
_SUGGESTED: Final = ("pneumonia", "aspiration", "malignancy", "heart failure", "tuberculosis", "pulmonary embolism")
_OFTEN_ABSENT: Final = (
    "pneumothorax", "pleural effusion", "consolidation", "pneumonia", "pulmonary edema", "nodule", "mass",
    "cardiomegaly", "atelectasis", "rib fracture", "mediastinal widening", "pericardial effusion", "heart failure",
)  # fmt: skip
_FINDINGS_HEADERS: Final = ("FINDINGS:", "FINDINGS:", "FINDINGS:", "Findings:", "FINDINGS AND IMPRESSION:", "REPORT:")
_IMPRESSION_HEADERS: Final = ("IMPRESSION:", "IMPRESSION:", "IMPRESSION:", "Impression:", "CONCLUSION:")
_INDICATIONS: Final = (
    "___-year-old woman with cough and fever // pneumonia?",
    "___M with shortness of breath. Evaluate for pleural effusion.",
    "History of cancer, new chest pain. Rule out pulmonary embolism.",
    "Fall. Query rib fracture or pneumothorax.",
    "Intubated patient, endotracheal tube position.",
)


class Part(NamedTuple):
    """A section: findings or impression, its text, and what it says."""

    section: str
    text: str
    said: tuple[Said, ...]
    sentences: tuple[tuple[int, int], ...]  # how many of `said` are before and up to the end of each sentence


class Report(NamedTuple):
    """A report: all of its text, and the parts that describe the image."""

    text: str
    parts: tuple[Part, ...]


def write(study: Study, seed: int) -> Report:
    """The report of a study."""
    rng = random.Random(f"kgp phantom report {seed} {study.number}")  # noqa: S311  not for secrets
    findings = list(_findings(study, rng))
    impression = list(_impression(study, rng))
    header = pick(rng, _FINDINGS_HEADERS)
    if header == "FINDINGS AND IMPRESSION:":
        findings, impression = [*findings, *impression], []
    elif rng.random() < 0.12:
        findings, impression = [], [*findings, *impression]  # many reports have an impression alone
    sections = [("findings", header, findings), ("impression", pick(rng, _IMPRESSION_HEADERS), impression)]
    lines = [" " * 33 + "FINAL REPORT"]
    views = "PORTABLE AP" if study.views == ("AP",) else ", ".join(study.views)
    lines += [f" EXAMINATION:  CHEST ({views})", " ", f" INDICATION:  {pick(rng, _INDICATIONS)}", " "]
    lines += [f" COMPARISON:  {pick(rng, ('None.', 'Chest radiograph ___.', '___'))}", " "]
    parts = []
    for section, title, sentences in sections:
        if sentences:
            part = _part(section, sentences)
            parts.append(part)
            lines += [f" {title} ", " ", f" {part.text}", " "]
    return Report("\n".join(lines) + "\n", tuple(parts))


def _findings(study: Study, rng: random.Random) -> Iterator[Sentence]:
    """What stands under findings, in any order."""
    absent = [key for key in _OFTEN_ABSENT if all(shown.kind.value != key for shown in study.shown)]
    shown = {item.kind for item in study.shown}
    possible = _other(shown, rng)  # not shown, and yet a report may speak of it as possible
    absent = [key for key in absent if key != possible.kind.value]
    told = [_told(item, absent, rng) for item in study.shown]
    denials = 1 + int(rng.random() * 2)
    told += [say(pick(rng, wording.ABSENT), _slots(None, absent, rng), rng) for _ in range(denials)]
    if rng.random() < 0.5:
        normal = wording.NORMAL if Kind.CARDIOMEGALY not in shown else wording.NORMAL_BUT_HEART
        told.append(say(pick(rng, normal), {}, rng))
    if rng.random() < 0.25:
        told.append(say(pick(rng, wording.OPEN), _slots(possible, absent, rng), rng))
    if rng.random() < 0.2:
        told.append(say(pick(rng, wording.ELSEWHERE), _slots(None, absent, rng), rng))
    if rng.random() < 0.06:
        removed = [kind for kind in sorted(DEVICES) if kind not in shown]
        told.append(say(pick(rng, wording.REMOVED), {"@": pick(rng, removed).value}, rng))
    while told:
        yield told.pop(int(rng.random() * len(told)))


def _impression(study: Study, rng: random.Random) -> Iterator[Sentence]:
    """The most important again, or that there is nothing."""
    absent = [key for key in _OFTEN_ABSENT if all(shown.kind.value != key for shown in study.shown)]
    main = [shown for shown in study.shown if shown.kind not in DEVICES]
    if not main:
        yield say(pick(rng, wording.NOTHING), {}, rng)
    for shown in main[:2]:
        yield _told(shown, absent, rng)
    if rng.random() < 0.3:
        yield say(pick(rng, wording.ABSENT), _slots(None, absent, rng), rng)


def _told(shown: Shown, absent: Sequence[str], rng: random.Random) -> Sentence:
    slots = _slots(shown, absent, rng)
    if shown.kind in DEVICES:
        return say(pick(rng, wording.DEVICES[shown.kind.value]), slots, rng)
    if "place" in slots:
        return say(pick(rng, wording.SUGGESTS if rng.random() < 0.35 else wording.PLACED), slots, rng)
    subtle = shown.severity is Severity.SMALL and rng.random() < 0.25
    return say(pick(rng, wording.OPEN if subtle else wording.SHOWN), slots, rng)


def _slots(shown: Shown | None, absent: Sequence[str], rng: random.Random) -> Mapping[str, str]:
    """The words and concepts of a sentence's slots."""
    left = list(absent)
    slots = {slot: left.pop(int(rng.random() ** 2 * len(left))) for slot in ("a", "b", "c")}
    slots["~"] = pick(rng, [key for key in _SUGGESTED if key not in slots.values()])
    if shown is not None:
        slots["@"] = shown.kind.value
        side = shown.side.value
        sided = f"{side}-sided" if shown.side in (Side.LEFT, Side.RIGHT) and rng.random() < 0.2 else side
        slots |= {"side": sided, "sev": pick(rng, _SEVERITIES[shown.severity])}
        lobes = LOBES.get((shown.side, shown.zone))
        if lobes is not None:
            slots["place"] = lobes[0] if rng.random() < 0.7 else pick(rng, lobes)
    return slots


def _other(shown: Collection[Kind], rng: random.Random) -> Shown:
    """A finding that the image does not show."""
    kinds = [kind for kind in FINDINGS if kind not in shown]
    return Shown(pick(rng, kinds), pick(rng, (Side.LEFT, Side.RIGHT)))


def _part(section: str, sentences: Sequence[Sentence]) -> Part:
    text = ""
    said: list[Said] = []
    ends: list[tuple[int, int]] = []
    for sentence in sentences:
        text += "  " if text else ""
        start = len(said)
        said.extend(found.moved(len(text)) for found in sentence.said)
        ends.append((start, len(said)))
        text += sentence.text
    breaks = _breaks(text)
    printed = "".join("\n " if place in breaks else letter for place, letter in enumerate(text))

    def moved(place: int) -> int:
        return place + sum(at < place for at in breaks)

    return Part(
        section,
        printed,
        tuple(found._replace(start=moved(found.start), end=moved(found.end)) for found in said),
        tuple(ends),
    )


def _breaks(text: str) -> frozenset[int]:
    """The spaces at which the printed lines end."""
    breaks, start, last = [], 0, None
    for place, letter in enumerate(text):
        if place - start >= WIDTH and last is not None:
            breaks.append(last)
            start, last = last, None
        if letter == " " and text[place + 1 : place + 2] not in ("", " "):
            last = place
    return frozenset(breaks)
