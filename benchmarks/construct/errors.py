"""Kinds of error against the indexers' heads: what the graph has where a head is missed, or is added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Final

from kgplatform.construct.annotate import Annotation
from kgplatform.schema import Stance

DE_IDENTIFIED: Final = "XXXX"  # in place of a word that OpenI's de-identification removed


class Missed(StrEnum):
    """What the graph has of a head that the indexers have, and construction does not."""

    OTHER_LOCATION = "the concept is POSITIVE, at another location than the head's"
    UNCERTAIN = "the concept is UNCERTAIN"
    NEGATIVE = "the concept is NEGATIVE"
    DE_IDENTIFIED = "no concept; words of the report are de-identified"
    NO_CONCEPT = "no concept"


class Added(StrEnum):
    """What the report is for a head that construction has, and the indexers do not."""

    NORMAL = "the report is indexed as normal, or not indexed"
    ALTERNATIVE = "likely, or one of several alternatives"
    STATED = "stated, not indexed"


def missed_kind(stances: Collection[Stance], text: str) -> Missed:
    """The kind of a missed head, from the stances of its concepts in the graph and the report's text."""
    if Stance.POSITIVE in stances:
        return Missed.OTHER_LOCATION
    if Stance.UNCERTAIN in stances:
        return Missed.UNCERTAIN
    if Stance.NEGATIVE in stances:
        return Missed.NEGATIVE
    return Missed.DE_IDENTIFIED if DE_IDENTIFIED in text else Missed.NO_CONCEPT


def added_kind(stances: Collection[Stance], gold: Collection[str]) -> Added:
    """The kind of an added head, from the stances of its concepts in the graph and the report's heads."""
    if not gold:
        return Added.NORMAL
    return Added.STATED if Stance.POSITIVE in stances else Added.ALTERNATIVE


def count_errors(
    annotations: Sequence[Annotation],
    texts: Sequence[str],
    gold: Sequence[Collection[str]],
    predicted: Sequence[Collection[str]],
    cuis: Mapping[str, Collection[str]],
) -> dict[str, dict[str, int]]:
    """How many heads are missed and added, by kind.

    Args:
        annotations: Of each report.
        texts: Of each report.
        gold: The indexers' heads of each report.
        predicted: Construction's.
        cuis: The concepts of each head that is scored.

    Returns:
        The counts under `missed` and `added`, the commonest kind first.

    """
    missed: Counter[str] = Counter()
    added: Counter[str] = Counter()
    for annotation, text, gold_heads, predicted_heads in zip(annotations, texts, gold, predicted, strict=True):
        for name, concepts in cuis.items():
            if (name in gold_heads) is (name in predicted_heads):
                continue
            stances = {stance for concept, stance in annotation.edges if concept.cui in concepts}
            if name in gold_heads:
                missed[missed_kind(stances, text).value] += 1
            else:
                added[added_kind(stances, gold_heads).value] += 1
    return {"missed": dict(missed.most_common()), "added": dict(added.most_common())}
