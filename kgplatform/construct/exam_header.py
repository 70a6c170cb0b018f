"""The name of the exam as a report itself states it: in a separate section, a title line, or another header."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from kgplatform.construct.modality import UNKNOWN, exam_of, is_exam_name, named_share
from kgplatform.construct.section_names import FORM, OTHER, header_kind, name_words
from kgplatform.construct.sections import Section, split_sections

MAX_TITLE: Final = 120  # characters of a title line
TITLE_LINES: Final = 8  # lines before the first header that are looked at
CAPITALS_SHARE: Final = 0.6  # of the words of a title in capitals that occur in names of exams; of another title all
MAX_TECHNIQUE: Final = 300  # characters at the beginning of a technique that are looked at
_EXAM_NAMES: Final = frozenset(
    (
        "exam", "exams", "examination", "examinations", "type of exam", "type of examination", "exam type",
        "examination type", "exam name", "exam performed", "exams performed", "examination performed", "study",
        "studies", "study type", "type of study", "study performed", "study description", "exam description",
        "procedure", "procedures", "procedure name", "procedure type", "procedure performed", "protocol",
        "imaging study", "exam date", "exam and date",
    )
)  # fmt: skip
_TECHNIQUE_NAMES: Final = frozenset(("technique", "procedure and technique", "exam and technique", "views"))
_PARAGRAPH: Final = re.compile(r"\n[^\S\n]*\n")


def exam_text(report_text: str) -> str:
    """The exam's name as the report states it, in one line; empty where none is recognised as one.

    In this order: the text of EXAMINATION, STUDY, PROCEDURE and the like; a title line before the first header; a
    header that is itself an exam's name ("CHEST, TWO VIEWS:"); the beginning of TECHNIQUE.
    """
    report_parts = split_sections(report_text)
    candidates = (
        *_texts_under(report_parts, _EXAM_NAMES),
        *_title_lines(report_parts),
        *(section.header for section in report_parts if is_exam_name(section.header)),
        *_texts_under(report_parts, _TECHNIQUE_NAMES),
    )
    return next((" ".join(name.split()) for name in candidates if exam_of(name).is_stated), "")


def _texts_under(report_parts: Sequence[Section], names: frozenset[str]) -> Iterator[str]:
    """The first paragraphs of the sections of these names."""
    for section in report_parts:
        if section.kind == OTHER and " ".join(name_words(section.header)) in names:
            yield _PARAGRAPH.split(section.text, maxsplit=1)[0][:MAX_TECHNIQUE]


def _title_lines(report_parts: Sequence[Section]) -> Iterator[str]:
    """Lines before the first header that consist of an exam's name, perhaps with a date."""
    for section in report_parts[:2]:  # the second, where the first ends at FINAL REPORT
        if section.kind != OTHER or (section.header and header_kind(section.header) != FORM):
            continue
        for line in section.text.split("\n")[:TITLE_LINES]:
            title = line.strip(" \t*#_=-:.")
            exam = exam_of(title) if len(title) <= MAX_TITLE else UNKNOWN
            is_title = exam.modality is not None if title.isupper() else exam.is_complete
            if is_title and named_share(title) >= (CAPITALS_SHARE if title.isupper() else 1.0):
                yield title
