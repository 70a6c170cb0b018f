"""How far raters agree: kappa of two, intraclass correlation of all.

All are None where they are undefined, as when nobody's ratings vary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple


class ICC(NamedTuple):
    """Two-way random effects, absolute agreement: of a single rater, and of the raters' mean."""

    single: float | None
    mean: float | None


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two raters who put the same items into categories without an order.

        κ = (observed - expected) / (1 - expected)

    where observed is the share of items with equal categories, and expected what it would be by chance.
    """
    if len(first) != len(second):
        raise ValueError("the raters have different numbers of items")
    count = len(first)
    # In whole numbers, so that raters with one category have exactly what chance gives.
    observed = count * sum(a == b for a, b in zip(first, second, strict=True))
    first_counts, second_counts = Counter(first), Counter(second)
    expected = sum(item_count * second_counts[category] for category, item_count in first_counts.items())
    return None if expected == count**2 else (observed - expected) / (count**2 - expected)


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
    if any(len(item_ratings) != k for item_ratings in ratings):
        raise ValueError("not every item has a rating of each rater")
    grand_mean = sum(map(sum, ratings)) / (n * k)
    item_means = [sum(item_ratings) / k for item_ratings in ratings]
    rater_means = [sum(item_ratings[rater_index] for item_ratings in ratings) / n for rater_index in range(k)]
    between_items = k * sum((item_mean - grand_mean) ** 2 for item_mean in item_means) / (n - 1)
    between_raters = n * sum((rater_mean - grand_mean) ** 2 for rater_mean in rater_means) / (k - 1)
    residual = sum(
        (rating - item_mean - rater_mean + grand_mean) ** 2
        for item_ratings, item_mean in zip(ratings, item_means, strict=True)
        for rating, rater_mean in zip(item_ratings, rater_means, strict=True)
    ) / ((n - 1) * (k - 1))
    single_denominator = between_items + (k - 1) * residual + k * (between_raters - residual) / n
    mean_denominator = between_items + (between_raters - residual) / n
    is_defined = between_items + between_raters + residual > 1e-12
    return ICC(
        (between_items - residual) / single_denominator if is_defined and abs(single_denominator) > 1e-12 else None,
        (between_items - residual) / mean_denominator if is_defined and abs(mean_denominator) > 1e-12 else None,
    )
