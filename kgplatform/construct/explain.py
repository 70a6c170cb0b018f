"""The sentence behind an edge, with the phrase and the cue marked; read from the reports, which the graph has not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kgplatform.construct.report import Report, ReportSource
from kgplatform.construct.text import sentences
from kgplatform.errors import NotFoundError


def sentences_of(
    image: str, evidence: Sequence[Mapping[str, Any]], source: ReportSource | None
) -> list[dict[str, Any]]:
    """The evidence, each with its `sentence`: the phrase in brackets, the cue in braces. Unchanged without a source.

    Raises `NotFoundError` when the source has no such image, or another text for it.
    """
    if source is None or not evidence:
        return [dict(found) for found in evidence]
    report = next((row for row in source.reports() if isinstance(row, Report) and row.image_id == image), None)
    if report is None:
        raise NotFoundError(f"these reports have no image {image}", "Give those that the graph was constructed from.")
    return [{**found, "sentence": _marked(report.sections.get(found["section"], ""), found)} for found in evidence]


def _marked(text: str, found: Mapping[str, Any]) -> str:
    whole = next(((a, b) for a, b in sentences(text) if a <= found["start"] and found["end"] <= b), None)
    if whole is None:
        raise NotFoundError(
            "the report is not the one that the graph was constructed from", "Give the reports of that construction."
        )
    marks = [(found["start"], found["end"], "[", "]")]
    if found["cue"] is not None:
        marks.append((*found["cue"], "{", "}"))
    shown = text[whole[0] : whole[1]]
    for start, end, before, after in sorted(marks, reverse=True):
        start, end = start - whole[0], end - whole[0]
        shown = shown[:start] + before + shown[start:end] + after + shown[end:]
    return " ".join(shown.split())
