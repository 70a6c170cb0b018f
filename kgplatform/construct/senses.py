"""Which of several concepts with one name a phrase means, by the part of the body that it is said of.

In a report of the chest a "mass" is one of the lung, but not in "a mass in the liver" and "thyroid mass". A mention
whose first candidate has an organ takes another candidate where anatomy right before it, or after "of", "in" and the
like, is of another organ. Of candidates that are as good by name, one that the report names clearly elsewhere counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from kgplatform.construct.tagger import Candidate, Mention, is_anatomy

# Organs of the chest that say nothing against each other: an effusion "at the lung base" is pleural.
_CHEST: Final = frozenset(["lung", "pleura", "airway", "chest", "diaphragm"])
OTHER: Final = "other"  # the organ of anatomy that is not among the platform's own terms
_BEFORE: Final = re.compile(r"[\s-]*")  # between an organ's name and what follows it: "liver mass"
_AFTER: Final = re.compile(
    r"\s+(?:[a-z]+ing\s+)?(?:of|in|within|involving|at|on|from|to|along|near|over|overlying|arising from)"
    r"(?:\s+(?:the|her|his|their|this|a|an|left|right|both|bilateral|upper|lower|mid|posterior|anterior|lateral))*\s+",
    re.IGNORECASE,
)


def with_senses(text: str, mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions, with the candidate first that fits the organ that the text names."""
    chosen = list(mentions)
    for index, mention in enumerate(mentions):
        if len(mention.candidates) > 1 and mention.candidates[0].organ:
            organ = _organ_near(text, mentions, index)
            if organ and not _fits(mention.candidates[0], organ):
                fitting = [candidate for candidate in mention.candidates if _fits(candidate, organ)]
                others = [candidate for candidate in mention.candidates if candidate not in fitting]
                chosen[index] = mention._replace(candidates=(*fitting, *others))
    return chosen


def clear_senses(mentions: Iterable[Mention]) -> frozenset[str]:
    """The concepts that a report names without ambiguity."""
    return frozenset(mention.candidates[0].cui for mention in mentions if len(mention.candidates) == 1)


def clear_sense(mention: Mention, clear: Collection[str]) -> int:
    """The index of the candidate that is meant: of several as good by name, one that the report names clearly, too."""
    if len(mention.candidates) > 1:
        best_score = mention.candidates[0].score
        for index, candidate in enumerate(mention.candidates):
            if candidate.score == best_score and candidate.cui in clear:
                return index
    return 0


def _organ_near(text: str, mentions: Sequence[Mention], index: int) -> str:
    """The organ of the anatomy that a mention is said of; empty where none is named."""
    mention = mentions[index]
    if index and _BEFORE.fullmatch(text, mentions[index - 1].end, mention.start):
        return _organ(mentions[index - 1])
    if index + 1 < len(mentions) and _AFTER.fullmatch(text, mention.end, mentions[index + 1].start):
        return _organ(mentions[index + 1])
    return ""


def _organ(mention: Mention) -> str:
    return (mention.candidates[0].organ or OTHER) if is_anatomy(mention) else ""


def _fits(candidate: Candidate, organ: str) -> bool:
    return not candidate.organ or candidate.organ == organ or {candidate.organ, organ} <= _CHEST
