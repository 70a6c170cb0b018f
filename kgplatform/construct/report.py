"""What construction reads: reports, one a study, each with the image that its findings are joined to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from kgplatform.batches import Reject
from kgplatform.construct.modality import UNKNOWN, Exam

MORE_IMAGES: Final = "further images of a study: the first is taken"
SECTIONS: Final = ("findings", "impression")  # what describes the image (appendix F.1); all else is left out


@dataclass(frozen=True, slots=True)
class Report:
    """A study's report. `image` holds what the graph keeps of the study's image in addition to its id; `exam` is what
    kind of study it is, as far as the source states it. `codes` are those that indexers gave to the report, such as
    OpenI's ``Opacity/lung/base/left`` (`kgplatform.triplets.codes`).
    """

    study: str
    image_id: str
    sections: Mapping[str, str] = field(repr=False)  # never in a log: by name, in the report's order
    image: Mapping[str, str] = field(default_factory=dict)
    has_text: bool = True  # False where the source has no text at all: not even one without findings and impression
    exam: Exam = UNKNOWN
    codes: tuple[str, ...] = ()


class ReportSource(Protocol):
    """A loader of reports, bound to its files. The same files give the same reports in the same order."""

    @property
    def kind(self) -> str:
        """The loader's entry-point name, e.g. ``openi``."""
        ...

    @property
    def version(self) -> int:
        """Raised when the same files would give other reports."""
        ...

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything but the files' content that decides the outcome; JSON."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that are read."""
        ...

    @property
    def credentialed(self) -> bool:
        """Whether an agreement forbids to share the reports with third parties, as far as is known."""
        ...

    def reports(self) -> Iterator[Report | Reject]:
        """Yield the reports. A source may also have `left_out`: once all are read, how many images or studies were not
        asked for, by reason; and `remarks`, what was read, but perhaps not as it was meant. Raises `InputError` where a
        file as a whole is unusable.
        """
        ...
