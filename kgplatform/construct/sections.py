"""The sections of a report in free text, by their headers in the many ways that these really appear.

A header is a name with a mark after it. Names are known ones (with a misspelled letter, or joined as in
"FINDINGS/IMPRESSION"), names of views ("CHEST, TWO VIEWS:") and of anatomy ("LUNGS:", which begins findings where no
section is open). The mark is a colon; after a known name also a dash, a full stop or the end of the line. Headers are
at the start of a line, with numbers, Markdown's or HTML's marks around them, or, where line endings were lost, within
it. A header that joins both sections gives findings. Other sections (history, comparison, technique, recommendations,
addenda, signatures) are not about what this image shows.

Appendix F.1 does not say what to do with a report that has neither section, as dictated ones often do. Its last
paragraph without a header is taken as findings, as MIT-LCP's parser of MIMIC-CXR does.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from kgplatform.construct.plain_text import plain_text
from kgplatform.construct.section_names import (
    ANATOMY,
    COMMON_WORDS,
    EXAM,
    FINDINGS,
    FORM,
    IMPRESSION,
    KINDS,
    OTHER,
    PARTS,
    UNKNOWN,
    header_kind,
    is_view_header,
    name_words,
)

_SPACES: Final = re.compile(r"[^\S\n]{2,}|[^\S\n ]")
_COMPARED: Final = re.compile(r"compar|prior|previous|recommend", re.IGNORECASE)  # headers before other exams' names
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n")

_NAME: Final = r"[A-Za-z](?:[A-Za-z0-9 ,/&+()\[\]'’#_-]|\.(?=[A-Za-z:])){0,60}"
_LINE_HEADER: Final = re.compile(
    # marks and numbers before the name, the name with a time, marks after it, and what ends it
    rf"^(?P<lead>[^A-Za-z0-9\n]{{0,8}}(?:(?:\d{{1,2}}|[A-H]|[IVX]{{1,4}})[.)][ ]?)?[^A-Za-z0-9\n]{{0,4}})"
    rf"(?P<name>{_NAME}?"
    r"(?:\d{1,2}:\d{2}[A-Za-z. ,_]{0,14})?)(?P<close>[ ]?[^A-Za-z0-9\n:;.–—-]{0,5}?)[ ]?"
    r"(?P<mark>:[:=>*_`\"' –-]{0,5}|[-–—;](?=\s)|\.(?=[ ])|(?<=[\])])(?=[ ])|[^A-Za-z0-9\n]{0,8}$)",
    re.MULTILINE,
)
_INLINE_HEADER: Final = re.compile(
    r"(?P<before>^|[\s.!?;:|\"'*_\])>])(?P<name>[A-Za-z][A-Za-z /&]{2,40}?)(?:\([sS]\))?[*_\"']{0,3}[ ]?"
    r":[:=>*_\"'–-]{0,4}"
)


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


@lru_cache(maxsize=4)  # of one report both the sections and the exam's name are read
def split_sections(text: str) -> tuple[Section, ...]:
    """The parts of a report in order; what stands before the first header has an empty one."""
    return tuple(_parts(plain_text(text)))


def _parts(text: str) -> Iterator[Section]:
    start, kind, name = 0, OTHER, ""
    has_content = False
    for header in _headers(text):
        if header.kind in (UNKNOWN, ANATOMY) and kind != OTHER:
            continue  # "LUNGS:" within the findings is a part of them
        if header.kind == UNKNOWN and has_content:
            continue
        if header.kind == EXAM and (kind != OTHER or _COMPARED.search(name)):
            continue
        yield Section(kind, name, text[start : header.start].strip())
        if header.kind == ANATOMY:
            start, kind, name = header.start, FINDINGS, ""
        else:
            start, name = header.end, header.name
            kind = {UNKNOWN: OTHER, FORM: OTHER, EXAM: FINDINGS}.get(header.kind, header.kind)
        has_content |= kind != OTHER
    yield Section(kind, name, text[start:].strip())


def sections(text: str) -> dict[str, str]:
    """Findings and impression of a report; parts of one kind are joined by an empty line."""
    report_parts = [section for section in split_sections(text) if section.text and not _is_dated_title(section)]
    section_texts = {
        kind: "\n\n".join(section.text for section in report_parts if section.kind == kind)
        for kind in (FINDINGS, IMPRESSION)
        if any(section.kind == kind for section in report_parts)
    }
    if not section_texts and (paragraphs := list(_paragraphs_without_header(report_parts))):
        section_texts = {FINDINGS: paragraphs[-1]}
    return section_texts


def _is_dated_title(section: Section) -> bool:
    """Whether it is an exam's name with a date alone: "CT HEAD: 3/4/2012"."""
    return header_kind(section.header) == EXAM and not any(map(str.isalpha, section.text))


def _paragraphs_without_header(report_parts: list[Section]) -> Iterator[str]:
    """The paragraphs that are not on the line of a header of another section."""
    for section in report_parts:
        paragraphs = [paragraph.strip() for paragraph in _PARAGRAPH.split(section.text)]
        is_headed = section.header and header_kind(section.header) != FORM
        yield from (paragraph for paragraph in paragraphs[1 if is_headed else 0 :] if paragraph)


def _headers(text: str) -> Iterator[_Header]:
    """The headers of a text in order. Spaces are single here only: evidence counts those of the report."""
    shift_starts, shifts = [0], [0]
    if "  " in text or "\t" in text or not text.isascii():
        for spaces in _SPACES.finditer(text):
            shifts.append(shifts[-1] + len(spaces[0]) - 1)
            shift_starts.append(spaces.end() - shifts[-1])
        text = _SPACES.sub(" ", text)
    headers = [header for match in _LINE_HEADER.finditer(text) if (header := _line_header(text, match)) is not None]
    inline_matches = list(_INLINE_HEADER.finditer(text))
    headers_of_line: Counter[tuple[int, bool]] = Counter()  # by the line's start, and whether in small letters
    for match in inline_matches:
        name = _known_end(match["name"])
        if header_kind(name) in (FINDINGS, IMPRESSION, OTHER) and not name.isupper():
            headers_of_line[text.rfind("\n", 0, match.start("name")), name[0].islower()] += 1
    headers += (
        header for match in inline_matches if (header := _inline_header(text, match, headers_of_line)) is not None
    )
    last_end = 0
    for header in sorted(headers):
        if header.start >= last_end:
            last_end = header.end
            start, end = (
                position + shifts[bisect_right(shift_starts, position) - 1] for position in (header.start, header.end)
            )
            yield header._replace(start=start, end=end)


def _line_header(text: str, match: re.Match[str]) -> _Header | None:
    name = match["name"].strip(" ,-")
    mark = match["mark"]
    kind = header_kind(name)
    if kind is None:
        return None
    if mark.startswith(":"):
        is_header = kind != UNKNOWN or name.isupper()  # "Note that there is no:" is text
        if kind == FINDINGS and not is_view_header(name):
            is_header = False
        if kind != UNKNOWN and name[0].islower():
            is_header = _ends_before(text, match.start())
    elif kind in (FINDINGS, IMPRESSION, FORM, OTHER):
        # Without a colon only a known name is a header, on a line that does not continue the last one.
        is_whole_line = match.end() == len(text) or text[match.end()] == "\n"
        is_exact = all(" ".join(name_words(part)) in KINDS for part in PARTS.split(name) if part.strip())
        is_exact |= kind == OTHER and is_whole_line and name.isupper() and not _is_in_capitals(text)
        is_capitalised = name.isupper() or (name[0].isupper() and kind in (FINDINGS, IMPRESSION))
        stands_alone = is_whole_line and (name.isupper() or name.lower() not in COMMON_WORDS)
        announces = not is_whole_line and (
            (kind in (FINDINGS, IMPRESSION) and (name.isupper() or mark in ("-", "–", "—")))
            or (not mark and name.isupper() and match["lead"].strip()[-1:] in ("(", "["))
        )
        is_header = is_exact and is_capitalised and (stands_alone or announces)
        if not name.isupper() or _is_in_capitals(text):
            is_header = is_header and _ends_before(text, match.start())
        if mark == "." and not name.isupper():
            is_header = False
    else:
        is_header = False
    return _Header(match.start(), match.end(), name, kind) if is_header else None


def _ends_before(text: str, position: int) -> bool:
    """Whether the text before a line is at an end: a blank line, or a line with a mark at its end."""
    before = text[:position].rstrip(" ")
    return (
        not before
        or before.endswith("\n\n")
        or before.rstrip()[-1:] in ("", ".", ":", ";", "!", "?", "_", "*", ")")
        or (before.rstrip("\n ").rpartition("\n")[2].strip(" *_#").isupper())
    )


@lru_cache(maxsize=16)
def _is_in_capitals(text: str) -> bool:
    """Whether the report is typed in capitals, so that capitals do not mark a header."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) > 80 and sum(map(str.isupper, letters)) > 0.7 * len(letters)


def _inline_header(text: str, match: re.Match[str], headers_of_line: Counter[tuple[int, bool]]) -> _Header | None:
    name = _known_end(match["name"])
    kind = header_kind(name)
    if kind not in (FINDINGS, IMPRESSION, OTHER) or name.lower() in COMMON_WORDS:
        return None
    if kind == FINDINGS and not (name.isupper() or name.lower() in KINDS):
        return None  # a view
    start = match.end("name") - len(match["name"]) + match["name"].rindex(name)
    if name.isupper():
        return _Header(start, match.end(), name, kind)
    is_after_end = start == 0 or text[:start].rstrip(" ")[-1:] in tuple(".!?;|\"'\n")
    is_one_of_several = headers_of_line[text.rfind("\n", 0, start), name[0].islower()] > 1
    is_header = is_one_of_several or (is_after_end and name[0].isupper())
    return _Header(start, match.end(), name, kind) if is_header else None


def _known_end(words: str) -> str:
    """The known name at the end of some words: "IMPRESSION" of "the lungs are clear IMPRESSION"."""
    name = words.strip()
    while header_kind(name) in (None, UNKNOWN, ANATOMY, EXAM) and " " in name:
        name = name.partition(" ")[2].lstrip()
    return name
