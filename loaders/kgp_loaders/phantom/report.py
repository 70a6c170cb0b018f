"""A synthetic report of a study: its text as MIMIC-CXR prints it, and what each part of it says."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from kgp_loaders.phantom import wording
from kgp_loaders.phantom.findings import Kind, RadiographFinding, Severity, Side, Zone
from kgp_loaders.phantom.studies import DEVICES, FINDINGS, SyntheticStudy
from kgp_loaders.phantom.wording import LabelledSentence, LabelledSpan, pick, say

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


class ReportSection(NamedTuple):
    """A section: findings or impression, its text, and what it says."""

    section: str
    text: str
    spans: tuple[LabelledSpan, ...]
    sentences: tuple[tuple[int, int], ...]  # how many of `spans` are before and up to the end of each sentence


class SyntheticReport(NamedTuple):
    """A report: all of its text, and the parts that describe the image."""

    text: str
    parts: tuple[ReportSection, ...]


def write_report(study: SyntheticStudy, seed: int) -> SyntheticReport:
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
    report_lines = [" " * 33 + "FINAL REPORT"]
    views = "PORTABLE AP" if study.views == ("AP",) else ", ".join(study.views)
    report_lines += [f" EXAMINATION:  CHEST ({views})", " ", f" INDICATION:  {pick(rng, _INDICATIONS)}", " "]
    report_lines += [f" COMPARISON:  {pick(rng, ('None.', 'Chest radiograph ___.', '___'))}", " "]
    report_parts = []
    for section, section_title, sentences in sections:
        if sentences:
            report_part = _part(section, sentences)
            report_parts.append(report_part)
            report_lines += [f" {section_title} ", " ", f" {report_part.text}", " "]
    return SyntheticReport("\n".join(report_lines) + "\n", tuple(report_parts))


def _findings(study: SyntheticStudy, rng: random.Random) -> Iterator[LabelledSentence]:
    """What stands under findings, in any order."""
    absent = [
        concept_key
        for concept_key in _OFTEN_ABSENT
        if all(finding.kind.value != concept_key for finding in study.findings)
    ]
    present_kinds = {finding.kind for finding in study.findings}
    possible_finding = _other(present_kinds, rng)  # not shown, and yet a report may speak of it as possible
    absent = [concept_key for concept_key in absent if concept_key != possible_finding.kind.value]
    sentences = [_finding_sentence(finding, absent, rng) for finding in study.findings]
    denials = 1 + int(rng.random() * 2)
    sentences += [say(pick(rng, wording.ABSENT), _slots(None, absent, rng), rng) for _ in range(denials)]
    if rng.random() < 0.5:
        normal_wordings = wording.NORMAL if Kind.CARDIOMEGALY not in present_kinds else wording.NORMAL_BUT_HEART
        sentences.append(say(pick(rng, normal_wordings), {}, rng))
    if rng.random() < 0.25:
        sentences.append(say(pick(rng, wording.OPEN), _slots(possible_finding, absent, rng), rng))
    if rng.random() < 0.2:
        sentences.append(say(pick(rng, wording.ELSEWHERE), _slots(None, absent, rng), rng))
    if rng.random() < 0.06:
        removed_devices = [kind for kind in sorted(DEVICES) if kind not in present_kinds]
        sentences.append(say(pick(rng, wording.REMOVED), {"@": pick(rng, removed_devices).value}, rng))
    while sentences:
        yield sentences.pop(int(rng.random() * len(sentences)))


def _impression(study: SyntheticStudy, rng: random.Random) -> Iterator[LabelledSentence]:
    """The most important again, or that there is nothing."""
    absent = [
        concept_key
        for concept_key in _OFTEN_ABSENT
        if all(finding.kind.value != concept_key for finding in study.findings)
    ]
    main_findings = [finding for finding in study.findings if finding.kind not in DEVICES]
    if not main_findings:
        yield say(pick(rng, wording.NOTHING), {}, rng)
    for finding in main_findings[:2]:
        yield _finding_sentence(finding, absent, rng)
    if rng.random() < 0.3:
        yield say(pick(rng, wording.ABSENT), _slots(None, absent, rng), rng)


def _finding_sentence(finding: RadiographFinding, absent: Sequence[str], rng: random.Random) -> LabelledSentence:
    slots = _slots(finding, absent, rng)
    if finding.kind in DEVICES:
        return say(pick(rng, wording.DEVICES[finding.kind.value]), slots, rng)
    if "place" in slots:
        return say(pick(rng, wording.SUGGESTS if rng.random() < 0.35 else wording.PLACED), slots, rng)
    is_subtle = finding.severity is Severity.SMALL and rng.random() < 0.25
    return say(pick(rng, wording.OPEN if is_subtle else wording.PRESENT), slots, rng)


def _slots(finding: RadiographFinding | None, absent: Sequence[str], rng: random.Random) -> Mapping[str, str]:
    """The words and concepts of a sentence's slots."""
    remaining = list(absent)
    slots = {slot: remaining.pop(int(rng.random() ** 2 * len(remaining))) for slot in ("a", "b", "c")}
    slots["~"] = pick(rng, [concept_key for concept_key in _SUGGESTED if concept_key not in slots.values()])
    if finding is not None:
        slots["@"] = finding.kind.value
        side_name = finding.side.value
        side_words = (
            f"{side_name}-sided" if finding.side in (Side.LEFT, Side.RIGHT) and rng.random() < 0.2 else side_name
        )
        slots |= {"side": side_words, "sev": pick(rng, _SEVERITIES[finding.severity])}
        lobe_names = LOBES.get((finding.side, finding.zone))
        if lobe_names is not None:
            slots["place"] = lobe_names[0] if rng.random() < 0.7 else pick(rng, lobe_names)
    return slots


def _other(present_kinds: Collection[Kind], rng: random.Random) -> RadiographFinding:
    """A finding that the image does not show."""
    kinds = [kind for kind in FINDINGS if kind not in present_kinds]
    return RadiographFinding(pick(rng, kinds), pick(rng, (Side.LEFT, Side.RIGHT)))


def _part(section: str, sentences: Sequence[LabelledSentence]) -> ReportSection:
    joined_text = ""
    mentions: list[LabelledSpan] = []
    sentence_spans: list[tuple[int, int]] = []
    for sentence in sentences:
        joined_text += "  " if joined_text else ""
        first_mention = len(mentions)
        mentions.extend(mention.moved(len(joined_text)) for mention in sentence.spans)
        sentence_spans.append((first_mention, len(mentions)))
        joined_text += sentence.text
    breaks = _breaks(joined_text)
    printed_text = "".join("\n " if position in breaks else character for position, character in enumerate(joined_text))

    def moved(position: int) -> int:
        return position + sum(line_break < position for line_break in breaks)

    return ReportSection(
        section,
        printed_text,
        tuple(mention._replace(start=moved(mention.start), end=moved(mention.end)) for mention in mentions),
        tuple(sentence_spans),
    )


def _breaks(section_text: str) -> frozenset[int]:
    """The spaces at which the printed lines end."""
    breaks, line_start, last_space = [], 0, None
    for position, character in enumerate(section_text):
        if position - line_start >= WIDTH and last_space is not None:
            breaks.append(last_space)
            line_start, last_space = last_space, None
        if character == " " and section_text[position + 1 : position + 2] not in ("", " "):
            last_space = position
    return frozenset(breaks)
