"""Counts in words: ``1 row``, ``2 rows``, ``1,000 rows``."""

from __future__ import annotations

import re
from typing import Final

_PLURAL: Final = re.compile(r"\b[a-z]+[^s\W]s\b")


def counted(count: int, noun: str, singular: str = "") -> str:
    """The count with what is counted, a phrase in the plural, such as "further images of a study". For a single thing
    its first plural becomes a singular; `singular` is the phrase then, where that is not enough ("image has").
    """
    return f"{count:,} {noun if count != 1 else singular or _PLURAL.sub(_singular, noun, count=1)}"


def counted_or_none(count: int, noun: str) -> str:
    """As `counted`, with "no" in place of 0."""
    return counted(count, noun) if count else f"no {noun}"


def _singular(plural: re.Match[str]) -> str:
    word = plural[0]
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]
