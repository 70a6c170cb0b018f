"""Counts in words: ``1 row``, ``2 rows``, ``1,000 rows``."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count with its noun; `plural` is given where an "s" does not make it."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
