"""The sizes a sentence states: "1.2 cm", "3 x 4 mm". Distances, former sizes and advised movements are no sizes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

MM: Final = {"mm": 1.0, "cm": 10.0}
MAX_MM: Final = 1_000.0

_SIZE: Final = re.compile(
    r"(\d+(?:\.\d+)?)[\s-]*(mm|cm)?(?:\s*(?:x|by|×)\s*(\d+(?:\.\d+)?)[\s-]*(mm|cm)?)?"
    r"(?:\s*(?:x|by|×)\s*(\d+(?:\.\d+)?)[\s-]*(mm|cm)?)?(?<=[mc]m)(?![a-z])"
    r"(?!\s*(?:above|below|from|proximal|distal|superior|inferior|away|to the|beyond|past|into))",
    re.IGNORECASE,
)
_FORMER: Final = re.compile(
    r"\b(?:previously|formerly|prior|was|were|versus|compared (?:to|with))[\s:]*$", re.IGNORECASE
)
_ADVICE: Final = re.compile(r"\b(?:retract|advanc|withdraw|pull|reposition)", re.IGNORECASE)  # of a tube, by so much
_BEFORE: Final = 30  # characters before a size in which a word says that it is a former one


class Size(NamedTuple):
    """The characters of a size in its sentence, and its greatest extent."""

    start: int
    end: int
    mm: float


def sizes(text: str) -> Iterator[Size]:
    """The sizes that a sentence states of what it describes.

    Args:
        text: One sentence.

    Yields:
        Each size in order, its greatest extent in millimetres, up to `MAX_MM`.

    """
    if _ADVICE.search(text) is not None:
        return
    for match in _SIZE.finditer(text):
        if _FORMER.search(text, max(0, match.start() - _BEFORE), match.start()) is None:
            greatest = _greatest(match.groups())
            if 0 < greatest <= MAX_MM:
                yield Size(match.start(), match.end(), greatest)


def _greatest(parts: tuple[str | None, ...]) -> float:
    """The greatest of up to three lengths; one without a unit has that of the next: "3 x 4 cm"."""
    greatest, unit = 0.0, ""
    for length, own_unit in reversed(list(zip(parts[::2], parts[1::2], strict=True))):
        unit = own_unit.lower() if own_unit else unit
        if length:
            greatest = max(greatest, float(length) * MM[unit])
    return greatest
