"""A source of reports whose kind of study the user states where the source does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from kgplatform.batches import Reject
from kgplatform.construct.modality import Exam
from kgplatform.construct.report import Report, ReportSource
from kgplatform.construct.report_wrapper import ReportWrapper


class ReportsWithExam(ReportWrapper):
    """The reports of a source; what one does not state of its modality and regions is that of `exam`."""

    def __init__(self, source: ReportSource, exam: Exam) -> None:
        super().__init__(source, {"exam": exam.properties()})
        self._exam = exam

    def reports(self) -> Iterator[Report | Reject]:
        """The source's rows, with the reports' exams completed."""
        for source_row in super().reports():
            if isinstance(source_row, Reject):
                yield source_row
                continue
            exam = source_row.exam.completed_by(self._exam)
            yield replace(source_row, exam=exam, image={**source_row.image, **exam.properties()})
