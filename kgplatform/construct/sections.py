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


def split(text: str) -> Iterator[Section]:
    """The parts of a report in order; what stands before the first header has an empty one."""
    start, kind, header = 0, OTHER, ""
    for found in _HEADER.finditer(text):
        name = found["open"] or found["whole"]
        named = _kind(name, whole_line=found["open"] is None)
        if named is None or (named == UNKNOWN and kind != OTHER):
            continue  # "LUNGS:" within the findings is a part of them
        yield Section(kind, header, text[start : found.start()].strip())
        start, kind, header = found.end(), OTHER if named == UNKNOWN else named, name.strip()
    yield Section(kind, header, text[start:].strip())


def sections(text: str) -> dict[str, str]:
    """Findings and impression of a report; parts of one kind are joined by an empty line."""
    parts = [part for part in split(text) if part.text]
    found = {
        kind: "\n\n".join(part.text for part in parts if part.kind == kind)
        for kind in (FINDINGS, IMPRESSION)
        if any(part.kind == kind for part in parts)
    }
    if not found and parts:
        *_, last = parts[-1].text.split("\n\n")
        found = {FINDINGS: last.strip()} if parts[-1].header == "" or _is_form(parts[-1].header) else {}
    return found


def _kind(name: str, *, whole_line: bool) -> str | None:
    """What a header announces, `UNKNOWN` for one of no known name; None for words that are no header."""
    plain = _JOINED.sub(" ", name).strip().lower()
    plain = re.sub(r" and | or ", " ", plain) if plain.startswith(("findings", "impression")) else plain
    if plain in _FINDINGS:
        return FINDINGS
    if plain in _IMPRESSION:
        return IMPRESSION
    if plain in _NAMED:
        return OTHER
    if whole_line or not name.strip().isupper():
        return None  # a sentence in capitals, or "Note that there is no:" in running text
    return UNKNOWN


def _is_form(header: str) -> bool:
    """Whether a header is of the report's form and announces no content of its own."""
    return _JOINED.sub(" ", header).strip().lower() in {"final report", "preliminary report", "wet read", "report"}
