"""How far raters agree: weighted kappa of two, intraclass correlation of all.

Both are None where they are undefined, as when nobody's ratings vary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class ICC(NamedTuple):
    """Two-way random effects, absolute agreement: of a single rater, and of the raters' mean."""

    single: float | None
    mean: float | None


def weighted_kappa(first: Sequence[int], second: Sequence[int]) -> float | None:
    """Cohen's kappa with quadratic weights (Cohen 1968) of two raters of the same items.

        κ = 1 - Σ (a - b)² observed / Σ (a - b)² expected

    where expected pairs each rating of one with each of the other.
    """
    if len(first) != len(second):
        raise ValueError("the raters have different numbers of items")
    count = len(first)
    if count == 0:
        return None
    observed = sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / count
    # Σ over all pairs of (a - b)² = n Σa² - 2 Σa Σb + n Σb²
    squares = sum(a * a for a in first) + sum(b * b for b in second)
    expected = (count * squares - 2 * sum(first) * sum(second)) / count**2
    return None if expected == 0 else 1 - observed / expected


def icc(ratings: Sequence[Sequence[float]]) -> ICC:
    """ICC(2,1) and ICC(2,k) of Shrout & Fleiss (1979); `ratings` has a row an item, a column a rater.

        ICC(2,1) = (BMS - EMS) / (BMS + (k - 1) EMS + k (JMS - EMS) / n)
        ICC(2,k) = (BMS - EMS) / (BMS + (JMS - EMS) / n)

    with the mean squares between items (BMS), between raters (JMS) and of the rest (EMS).
    """
    n, k = len(ratings), len(ratings[0]) if ratings else 0
    if n < 2 or k < 2:
        return ICC(None, None)
    if any(len(row) != k for row in ratings):
        raise ValueError("not every item has a rating of each rater")
    grand = sum(map(sum, ratings)) / (n * k)
    items = [sum(row) / k for row in ratings]
    raters = [sum(row[place] for row in ratings) / n for place in range(k)]
    between = k * sum((item - grand) ** 2 for item in items) / (n - 1)
    judges = n * sum((rater - grand) ** 2 for rater in raters) / (k - 1)
    rest = sum(
        (value - item - rater + grand) ** 2
        for row, item in zip(ratings, items, strict=True)
        for value, rater in zip(row, raters, strict=True)
    ) / ((n - 1) * (k - 1))
    single = between + (k - 1) * rest + k * (judges - rest) / n
    mean = between + (judges - rest) / n
    defined = between + judges + rest > 1e-12
    return ICC(
        (between - rest) / single if defined and abs(single) > 1e-12 else None,
        (between - rest) / mean if defined and abs(mean) > 1e-12 else None,
    )
