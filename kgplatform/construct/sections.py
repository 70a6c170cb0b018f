"""The sections of a report in free text, by their headers in the many ways that these really appear.

A header is a name with a mark after it. The name is one of those below (it may have a misspelled letter, Markdown's
marks or a number), the name of a view ("CHEST, TWO VIEWS:"), or has a word that says what the section is ("PATIENT
HISTORY:"). The mark is a colon, a dash, a full stop or the end of the line. Headers are at the start of a line; in a
report whose line endings were lost, also within it. A header that joins both sections ("FINDINGS AND IMPRESSION:")
gives findings. Other sections (history, comparison, technique, recommendations, addenda) are not about what this image
shows.

Appendix F.1 does not say what to do with a report that has neither section, as dictated ones often do. Its last
paragraph is taken as findings, as MIT-LCP's parser of MIMIC-CXR does, unless it is on the line of another kind of
header.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

FINDINGS, IMPRESSION, OTHER = "findings", "impression", "other"
FORM: Final = "form"  # a header of the report's form, which announces no content
UNKNOWN: Final = "unknown"

_NAMES: Final = {
    FINDINGS: (
        "finding", "findings", "description", "observation", "observations", "report", "body", "chest findings",
        "radiographic findings", "radiological findings", "imaging findings", "comment", "comments", "interpretation",
        "findings and impression", "findings impression", "impression and findings", "findings and conclusion",
        "findings and interpretation", "last paragraph", "discussion", "chest",
    ),
    IMPRESSION: (
        "impression", "impressions", "conclusion", "conclusions", "summary", "opinion", "assessment", "imp",
        "diagnostic impression", "final impression", "radiographic impression", "radiological impression",
        "radiologic diagnosis", "overall impression", "impression and recommendation", "impression recommendation",
        "impression and plan", "conclusion and recommendation", "conclusion recommendation", "impression conclusion",
        "final diagnosis", "conclusion impression", "impression summary",
    ),
    FORM: ("final report", "preliminary report", "radiology report", "x-ray report", "full report", "report text"),
}  # fmt: skip
_KINDS: Final = {name: kind for kind, names in _NAMES.items() for name in names}
# A header with one of these words is of another section, whatever else it says.
_OTHER_WORDS: Final = frozenset(
    "accession addendum addenda admission attending attestation clinical code comparison comparisons compared "  # noqa: SIM905
    "communication complaint contrast copies date dictated dictation dose electronically ended exam "
    "examination exams examinations facility history hospital hx indication indications information "
    "interpreted location mrn name notification number ordering patient physician plan prior previous priors "
    "procedure procedures protocol provider radiologist read reason recommendation recommendations reference "
    "requesting resident review reviewed sex age dob service signed signs study symptoms technique technical "
    "techniques time transcribed transcription transcriptionist type unit views".split()
)
_VIEW_WORDS: Final = frozenset(
    "a am and ap at bedside chest cxr decubitus digital erect exam examination expiratory film films for "  # noqa: SIM905
    "frontal image images in inspiratory lateral left lordotic m mobile obliques oblique of on one p pa plain "
    "pm portable post projection radiograph radiographs right semi semierect semiupright series single "
    "standard study supine the three two thorax upright view views with x xray ray rays four multiple "
    "additional repeat follow up followup abdomen bilateral".split()
)
_FIRST_WORDS: Final = frozenset(["findings", "finding", "impression", "impressions", "conclusion"])
_VIEW_MARKS: Final = frozenset(["chest", "cxr", "thorax"])
_JOINED: Final = re.compile(r"[\s/&,()\[\]*_#.'’-]+")
_BREAKS: Final = re.compile(
    r"\r\n?|[\x0b\x0c\x85\u2028\u2029]|<br\s*/?>|</?(?:p|div|li|ul|b|strong)\b[^>]*>|\\r\\n|\\n", re.I
)
_SPACES: Final = re.compile(r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_NOTHING: Final = re.compile(r"[\u200b-\u200d\u2060\ufeff]")
_TIME: Final = re.compile(r"\d{1,2}\s*:\s*\d{2}")
# Before a name: Markdown's marks, or a number.
_LEAD: Final = r"[ \t]*(?:[#>]{1,6}[ \t]*)?(?:(?:\d{1,2}|[IVX]{1,4})[.)][ \t]+)?(?:[*_]{1,3}[ \t]*)?[•\-]?[ \t]*"
_NAME: Final = r"[A-Za-z][A-Za-z0-9 ,/&()\[\]'’._-]{1,70}?"
_LINE_HEADER: Final = re.compile(
    rf"^{_LEAD}(?P<name>{_NAME}(?:\d{{1,2}}:\d{{2}}[A-Za-z. ,_]{{0,12}})?)(?P<list>\(s\))?[ \t]*(?:[*_]{{1,3}}[ \t]*)?"
    rf"(?P<mark>:[ \t]*[*_]{{0,3}}|[ \t]+[-–—]+(?=\s)|\.(?=[ \t])|[*_]{{0,3}}[ \t]*$)",
    re.MULTILINE,
)
_INLINE_HEADER: Final = re.compile(
    r"(?:(?<=[.!?;:\])_] )|(?<=[.!?;]))[ \t]*[*_]{0,3}(?P<name>[A-Z][A-Za-z /&,]{2,40}?)(?P<list>\(s\))?[ \t]*"
    r":[*_]{0,3}"
)
_PARAGRAPH: Final = re.compile(r"\n[ \t]*\n")


class Section(NamedTuple):
    """A part of a report: what it is, its header as it stands, and its text."""

    kind: str
    header: str
    text: str


class _Header(NamedTuple):
    """A header in a text, and what it announces."""

    start: int
    end: int
    name: str
    kind: str


def plain_text(text: str) -> str:
    """The text with one form of line endings, spaces and colons, and without HTML's tags for lines."""
    text = _NOTHING.sub("", _SPACES.sub(" ", text)).replace("\uff1a", ":")
    return _BREAKS.sub("\n", text)


def split_sections(text: str) -> Iterator[Section]:
    """The parts of a report in order; what stands before the first header has an empty one."""
    text = plain_text(text)
    start, kind, name = 0, OTHER, ""
    for header in _headers(text):
        if header.kind == UNKNOWN and kind != OTHER:
            continue  # "LUNGS:" within the findings is a part of them
        yield Section(kind, name, text[start : header.start].strip())
        start, kind, name = header.end, OTHER if header.kind in (UNKNOWN, FORM) else header.kind, header.name
    yield Section(kind, name, text[start:].strip())


def sections(text: str) -> dict[str, str]:
    """Findings and impression of a report; parts of one kind are joined by an empty line."""
    report_parts = [section for section in split_sections(text) if section.text]
    section_texts = {
        kind: "\n\n".join(section.text for section in report_parts if section.kind == kind)
        for kind in (FINDINGS, IMPRESSION)
        if any(section.kind == kind for section in report_parts)
    }
    if not section_texts and report_parts:
        last_part = report_parts[-1]
        *earlier_paragraphs, last_paragraph = _PARAGRAPH.split(last_part.text)
        if earlier_paragraphs or not last_part.header or _kind_of_name(last_part.header) == FORM:
            section_texts = {FINDINGS: last_paragraph.strip()}
    return section_texts


def _headers(text: str) -> Iterator[_Header]:
    """The headers of a text in order. Those within lines count where their names are known."""
    headers = [header for header in map(_line_header, _LINE_HEADER.finditer(text)) if header is not None]
    inline_headers = [header for header in map(_inline_header, _INLINE_HEADER.finditer(text)) if header is not None]
    last_end = 0
    for header in sorted([*headers, *inline_headers]):
        if header.start >= last_end:
            yield header
            last_end = header.end


def _line_header(header_match: re.Match[str]) -> _Header | None:
    name, mark = header_match["name"].strip(" ,-"), header_match["mark"]
    kind = _kind_of_name(name)
    if not mark.startswith(":"):
        # Without a colon only a known name is a header: alone in its line, or in capitals before a dash or full stop.
        is_whole_line = not mark.strip(" \t*_")
        if kind in (None, UNKNOWN) or (kind == OTHER and not name.isupper()):
            return None
        if is_whole_line and not _stands_alone(name, kind):
            return None
        if not is_whole_line and not name.isupper():
            return None
    elif kind is None or (kind == UNKNOWN and not name.isupper()):
        return None  # "Note that there is no:" in running text
    return _Header(header_match.start(), header_match.end(), name, kind)


def _stands_alone(name: str, kind: str) -> bool:
    """Whether a known name without a mark is a header: "Findings", "FINAL REPORT"; no title such as "Chest"."""
    return name.isupper() or (
        kind != OTHER and name.lower() not in ("chest", "report", "comment", "body", "discussion")
    )


def _inline_header(header_match: re.Match[str]) -> _Header | None:
    name = header_match["name"].strip()
    kind = _kind_of_name(name)
    if kind in (None, UNKNOWN) or (kind == OTHER and not (name.isupper() or name.lower() in _PLAIN_OTHER)):
        return None
    return _Header(header_match.start("name"), header_match.end(), name, kind)


_PLAIN_OTHER: Final = frozenset(
    {
        "addendum", "clinical history", "clinical indication", "clinical information", "comparison", "comparisons",
        "exam", "examination", "history", "indication", "indications", "notification", "reason for exam", "technique",
        "recommendation", "recommendations", "procedure", "study",
    }
)  # fmt: skip


@lru_cache(maxsize=20_000)
def _kind_of_name(name: str) -> str | None:
    """What a header announces, `UNKNOWN` for one of no known name; None for words that can be no header."""
    words = [word for word in _JOINED.split(_TIME.sub(" ", name).lower()) if word]
    if not words or len(words) > 12:
        return None
    plain_name = " ".join(words)
    if plain_name in _KINDS:
        return _KINDS[plain_name]
    if not _VIEW_MARKS.isdisjoint(words) and all(word in _VIEW_WORDS or word.isdigit() for word in words):
        return FINDINGS
    is_joined = not {"and", "or", "of", "with", "for"}.isdisjoint(words[1:])
    if words[0] in _FIRST_WORDS and (len(words) <= 2 or (is_joined and len(words) <= 4)):
        return FINDINGS if words[0].startswith("finding") else IMPRESSION
    if not _OTHER_WORDS.isdisjoint(words):
        return OTHER
    misspelled = [known_name for known_name in _KINDS if _is_misspelling(plain_name, known_name)]
    if misspelled:
        return _KINDS[misspelled[0]]
    if len(words) == 1 and any(_is_misspelling(plain_name, other_word) for other_word in _OTHER_WORDS):
        return OTHER
    return UNKNOWN


def _is_misspelling(name: str, known_name: str) -> bool:
    """Whether the name differs from a known one of seven letters or more by one edit, of ten or more by two."""
    if len(known_name) < 7 or abs(len(name) - len(known_name)) > 2 or name[:1] != known_name[:1]:
        return False
    return edit_distance(name, known_name) <= (2 if len(known_name) >= 10 else 1)


def edit_distance(first: str, second: str) -> int:
    """The letters to insert, leave out, change or swap with their neighbours to make the one text the other (optimal
    string alignment).
    """
    before_last: list[int] = []
    last = list(range(len(second) + 1))
    for row, first_letter in enumerate(first, 1):
        current = [row]
        for column, second_letter in enumerate(second, 1):
            cost = min(last[column] + 1, current[-1] + 1, last[column - 1] + (first_letter != second_letter))
            if row > 1 and column > 1 and first_letter == second[column - 2] and first[row - 2] == second_letter:
                cost = min(cost, before_last[column - 2] + 1)
            current.append(cost)
        before_last, last = last, current
    return last[-1]
