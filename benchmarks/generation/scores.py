"""All measures of a system's triplets compared with their references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kgplatform.triplets import metrics
from kgplatform.triplets.metrics import Counts, Key, bootstrap, count, count_entities, triplet_words
from kgplatform.triplets.radgraph_f1 import radgraph_f1, unlabelled
from kgplatform.triplets.text import Triplet

Triplets = tuple[Triplet, ...]


class CaseScores(NamedTuple):
    """The figures of a case, as JSON holds them, and each study's counts, for differences."""

    document: dict[str, Any]
    counts: list[Counts]


def score_case(predicted: Sequence[Triplets], references: Sequence[Triplets], same: Key, seed: int) -> CaseScores:
    """All measures. `normalised` compares an entity by the concept that it means, `exact` by its words."""
    text_pair = (
        [triplet_words(triplets) for triplets in predicted],
        [triplet_words(triplets) for triplets in references],
    )
    exact_counts = [count(triplets, reference) for triplets, reference in zip(predicted, references, strict=True)]
    counts = [count(triplets, reference, same) for triplets, reference in zip(predicted, references, strict=True)]
    entity_counts = [
        count_entities(triplets, reference, same) for triplets, reference in zip(predicted, references, strict=True)
    ]
    graph_pair = [unlabelled(triplets) for triplets in predicted], [unlabelled(triplets) for triplets in references]
    document = {
        "bleu": metrics.bleu(*text_pair).as_dict(),
        "rouge_l": metrics.rouge_l(*text_pair).as_dict(),
        "triplets": {
            "exact": metrics.score_documents(exact_counts).as_dict(),
            "normalised": metrics.score_documents(counts).as_dict(),
        },
        "interval": bootstrap(counts, seed).as_dict(),
        "entities": metrics.score_documents(entity_counts).as_dict(),
        "radgraph_f1": {
            "exact": radgraph_f1(*graph_pair).as_dict(),
            "normalised": radgraph_f1(*graph_pair, key=same).as_dict(),
        },
    }
    return CaseScores(document, counts)
