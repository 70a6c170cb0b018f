"""The sentence behind an edge, with the phrase and the cue marked; read from the reports, which the graph has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgplatform.construct.report import Report, ReportSource
from kgplatform.construct.text import sentences
from kgplatform.errors import NotFoundError


def evidence_sentences(
    image: str, evidence: Sequence[Mapping[str, Any]], source: ReportSource | None
) -> list[dict[str, Any]]:
    """The evidence, each with its `sentence`: the phrase in brackets, the cue in braces. Unchanged without a source.

    Raises `NotFoundError` when the source has no such image, or another text for it.
    """
    if source is None or not evidence:
        return [dict(evidence_record) for evidence_record in evidence]
    image_report = next(
        (
            source_row
            for source_row in source.reports()
            if isinstance(source_row, Report) and source_row.image_id == image
        ),
        None,
    )
    if image_report is None:
        raise NotFoundError(f"these reports have no image {image}", "Give those that the graph was constructed from.")
    return [
        {
            **evidence_record,
            "sentence": _marked(image_report.sections.get(evidence_record["section"], ""), evidence_record),
        }
        for evidence_record in evidence
    ]


def describe_evidence(evidence_record: Mapping[str, Any]) -> str:
    """A line on a mention: its section and sentence (or characters), then in brackets the rule that decided, the
    attributes of the finding, and the CUI whose name the phrase is.
    """
    characters = f"characters {evidence_record['start']}-{evidence_record['end']}"
    parts = [f"rule: {evidence_record['rule']}"] if evidence_record.get("rule") else []
    for name, values in evidence_record.get("attributes", {}).items():
        parts.append(f"{name} {', '.join(map(str, values))}")
    if evidence_record.get("alias"):
        parts.append(f"a name of {evidence_record['alias']}")
    explanation = f" ({'; '.join(parts)})" if parts else ""
    return f"{evidence_record['section']}: {evidence_record.get('sentence') or characters}{explanation}"


def _marked(section_text: str, evidence_record: Mapping[str, Any]) -> str:
    sentence_span = next(
        (
            (sentence_start, sentence_end)
            for sentence_start, sentence_end in sentences(section_text)
            if sentence_start <= evidence_record["start"] and evidence_record["end"] <= sentence_end
        ),
        None,
    )
    if sentence_span is None:
        raise NotFoundError(
            "the report is not the one that the graph was constructed from",
            "Give the reports that the graph was constructed from.",
        )
    span_marks = [(evidence_record["start"], evidence_record["end"], "[", "]")]
    if evidence_record["cue"] is not None:
        span_marks.append((*evidence_record["cue"], "{", "}"))
    marked_text = section_text[sentence_span[0] : sentence_span[1]]
    for mark_start, mark_end, opening_mark, closing_mark in sorted(span_marks, reverse=True):
        mark_start, mark_end = mark_start - sentence_span[0], mark_end - sentence_span[0]
        marked_text = (
            marked_text[:mark_start]
            + opening_mark
            + marked_text[mark_start:mark_end]
            + closing_mark
            + marked_text[mark_end:]
        )
    return " ".join(marked_text.split())
