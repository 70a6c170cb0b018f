"""A source of reports that passes on those of another one, changed or fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kgplatform.batches import Reject
from kgplatform.construct.report import Report, ReportSource


class ReportWrapper:
    """The reports of a source, unchanged; a subclass changes `reports`, and adds to `parameters` what decides how."""

    def __init__(self, source: ReportSource, own_parameters: Mapping[str, Any]) -> None:
        self._source = source
        self.parameters: Mapping[str, Any] = {**source.parameters, **own_parameters}

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
        """The source's, once all reports are read."""
        return getattr(self._source, "left_out", {})

    @property
    def remarks(self) -> Mapping[str, int]:
        """The source's, once all reports are read."""
        return getattr(self._source, "remarks", {})

    def reports(self) -> Iterator[Report | Reject]:
        """The source's."""
        return self._source.reports()
