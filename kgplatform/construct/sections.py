"""The sections of a report in free text, by their headers in the many ways that these really appear.

A header stands at the start of a line and ends in a colon ("FINDINGS:", "Impression :"), or it fills its line in
capitals ("FINAL REPORT"). Headers that join both sections ("FINDINGS AND IMPRESSION:") give findings. Appendix F.1 does
not say what to do with a report that has neither section, as dictated ones often do: here its last paragraph is taken
as findings, unless that stands under a header of another kind ("INDICATION:").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

FINDINGS, IMPRESSION, OTHER = "findings", "impression", "other"
UNKNOWN: Final = "unknown"

_FINDINGS: Final = frozenset(
    {
        "finding", "findings", "description", "observations", "report", "chest", "chest findings", "comment",
        "findings and impression", "findings impression", "impression and findings",
    }
)  # fmt: skip
_IMPRESSION: Final = frozenset(
    {"impression", "impressions", "impresssion", "imression", "conclusion", "conclusions", "summary", "opinion"}
)
_HEADER: Final = re.compile(
    r"^[ \t]*(?:(?P<open>[A-Za-z][A-Za-z ,/&()-]{1,60}?)[ \t]*:|(?P<whole>[A-Z][A-Z ,/&()-]{3,60})[ \t]*$)",
    re.MULTILINE,
)
_NAMED: Final = frozenset(
    {
        "addendum", "clinical history", "clinical indication", "clinical information", "comparison", "comparisons",
        "date", "electronically signed by", "end of impression", "exam", "examination", "final report", "history",
        "indication", "indications", "notification", "preliminary report", "procedure", "reason for exam",
        "reason for examination", "recommendation", "recommendations", "study", "technique", "type of exam", "views",
        "wet read",
    }
)  # fmt: skip
_JOINED: Final = re.compile(r"[\s/&,()-]+")


class Section(NamedTuple):
    """A part of a report: what it is, its header as it stands, and its text."""

    kind: str
    header: str
    text: str


def split_sections(text: str) -> Iterator[Section]:
    """The parts of a report in order; what stands before the first header has an empty one."""
    start, kind, header = 0, OTHER, ""
    for header_match in _HEADER.finditer(text):
        header_name = header_match["open"] or header_match["whole"]
        announced_kind = _kind(header_name, fills_line=header_match["open"] is None)
        if announced_kind is None or (announced_kind == UNKNOWN and kind != OTHER):
            continue  # "LUNGS:" within the findings is a part of them
        yield Section(kind, header, text[start : header_match.start()].strip())
        start, kind, header = (
            header_match.end(),
            OTHER if announced_kind == UNKNOWN else announced_kind,
            header_name.strip(),
        )
    yield Section(kind, header, text[start:].strip())


def sections(text: str) -> dict[str, str]:
    """Findings and impression of a report; parts of one kind are joined by an empty line."""
    report_parts = [section for section in split_sections(text) if section.text]
    section_texts = {
        kind: "\n\n".join(section.text for section in report_parts if section.kind == kind)
        for kind in (FINDINGS, IMPRESSION)
        if any(section.kind == kind for section in report_parts)
    }
    if not section_texts and report_parts:
        *_, last_paragraph = report_parts[-1].text.split("\n\n")
        section_texts = (
            {FINDINGS: last_paragraph.strip()}
            if report_parts[-1].header == "" or _is_form(report_parts[-1].header)
            else {}
        )
    return section_texts


def _kind(header_name: str, *, fills_line: bool) -> str | None:
    """What a header announces, `UNKNOWN` for one of no known name; None for words that are no header."""
    plain_name = _JOINED.sub(" ", header_name).strip().lower()
    plain_name = (
        re.sub(r" and | or ", " ", plain_name) if plain_name.startswith(("findings", "impression")) else plain_name
    )
    if plain_name in _FINDINGS:
        return FINDINGS
    if plain_name in _IMPRESSION:
        return IMPRESSION
    if plain_name in _NAMED:
        return OTHER
    if fills_line or not header_name.strip().isupper():
        return None  # a sentence in capitals, or "Note that there is no:" in running text
    return UNKNOWN


def _is_form(header: str) -> bool:
    """Whether a header is of the report's form and announces no content."""
    return _JOINED.sub(" ", header).strip().lower() in {"final report", "preliminary report", "wet read", "report"}
