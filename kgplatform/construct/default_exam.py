"""A source of reports whose kind of study the user states where the source does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kgplatform.batches import Reject
from kgplatform.construct.modality import Exam
from kgplatform.construct.report import Report, ReportSource


class ReportsWithExam:
    """The reports of a source; what one does not state of its modality and regions is that of `exam`."""

    def __init__(self, source: ReportSource, exam: Exam) -> None:
        self._source = source
        self._exam = exam
        self.parameters: Mapping[str, Any] = {**source.parameters, "exam": exam.properties()}

    @property
    def kind(self) -> str:
        """The source's."""
        return self._source.kind

    @property
    def version(self) -> int:
        """The source's."""
        return self._source.version

    @property
    def credentialed(self) -> bool:
        """The source's."""
        return self._source.credentialed

    @property
    def files(self) -> tuple[Path, ...]:
        """The source's files."""
        return self._source.files

    @property
    def left_out(self) -> Mapping[str, int]:
        """The source's."""
        return getattr(self._source, "left_out", {})

    @property
    def remarks(self) -> Mapping[str, int]:
        """The source's."""
        return getattr(self._source, "remarks", {})

    def reports(self) -> Iterator[Report | Reject]:
        """The source's rows, with the reports' exams completed."""
        for source_row in self._source.reports():
            if isinstance(source_row, Reject):
                yield source_row
                continue
            exam = source_row.exam.completed_by(self._exam)
            yield replace(source_row, exam=exam, image={**source_row.image, **exam.properties()})
