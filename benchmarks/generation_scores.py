"""All measures of a system's triplets beside their references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from kgplatform.triplets import metrics
from kgplatform.triplets.metrics import Counts, Key, bootstrap, count, count_entities, words
from kgplatform.triplets.radgraph_f1 import radgraph_f1, unlabelled
from kgplatform.triplets.text import Triplet

Triplets = tuple[Triplet, ...]


class Scores(NamedTuple):
    """The figures of a case, as JSON holds them, and each study's counts, for differences."""

    document: dict[str, Any]
    counts: list[Counts]


def scores(predicted: Sequence[Triplets], references: Sequence[Triplets], same: Key, seed: int) -> Scores:
    """All measures. `normalised` compares an entity by the concept that it means, `exact` by its words."""
    texts = [words(one) for one in predicted], [words(one) for one in references]
    exact = [count(one, other) for one, other in zip(predicted, references, strict=True)]
    counts = [count(one, other, same) for one, other in zip(predicted, references, strict=True)]
    ends = [count_entities(one, other, same) for one, other in zip(predicted, references, strict=True)]
    graphs = [unlabelled(one) for one in predicted], [unlabelled(one) for one in references]
    document = {
        "bleu": metrics.bleu(*texts).as_dict(),
        "rouge_l": metrics.rouge_l(*texts).as_dict(),
        "triplets": {"exact": metrics.score(exact).as_dict(), "normalised": metrics.score(counts).as_dict()},
        "interval": bootstrap(counts, seed).as_dict(),
        "entities": metrics.score(ends).as_dict(),
        "radgraph_f1": {
            "exact": radgraph_f1(*graphs).as_dict(),
            "normalised": radgraph_f1(*graphs, key=same).as_dict(),
        },
    }
    return Scores(document, counts)
