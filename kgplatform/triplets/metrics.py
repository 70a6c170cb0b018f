"""How good generated triplets are: as text (BLEU, ROUGE-L; VLM-KG §3.3) and as sets. `radgraph_f1` compares graphs.

BLEU and ROUGE-L are ×100, as the paper prints them; precision, recall and F1 are from 0 to 1. More is better in all.
A document with nothing predicted and nothing in its reference is right; where only one of the two is empty it is wrong.
The text scores depend on the order of triplets, which has no meaning; the others do not.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np

from kgplatform.triplets.text import Triplet, serialise

ORDERS: Final = (1, 2, 3, 4)  # of the n-grams
BETA: Final = 1.2  # the weight of recall in ROUGE-L; the paper names none, coco-caption has this

Words = Sequence[str]
Key = Callable[[str], str]
_A = TypeVar("_A")
_B = TypeVar("_B")


@dataclass(frozen=True)
class Result:
    """A result; `as_dict` has its fields in plain types, for JSON."""

    def as_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def triplet_words(triplets: Iterable[Triplet]) -> list[str]:
    """The triplets' text as words, commas and semicolons being words of their own (VLM-KG §3.3)."""
    triplet_list = list(triplets)
    return serialise(triplet_list).replace(",", " , ").replace(";", " ; ").split() if triplet_list else []


def pair_documents(predicted: Sequence[_A], references: Sequence[_B]) -> list[tuple[_A, _B]]:
    """Each prediction with its reference. Raises `ValueError` for none, and for different numbers of them."""
    if not predicted or len(predicted) != len(references):
        raise ValueError(f"{len(predicted)} predictions and {len(references)} references do not make pairs")
    return list(zip(predicted, references, strict=True))


@dataclass(frozen=True)
class Bleu(Result):
    """BLEU-1..4 of a corpus with its parts, and the mean over documents. See `bleu`.

    `corpus`, `sentences` and `precisions` (p₁..p₄) are ×100; the brevity penalty is from 0 to 1; `length_ratio` is the
    words predicted / in the references, None where these have none.
    """

    corpus: tuple[float, ...]
    sentences: tuple[float, ...]
    precisions: tuple[float, ...]
    brevity_penalty: float
    length_ratio: float | None
    predicted_words: int
    reference_words: int


class _Overlap(NamedTuple):
    """Of a document, or summed: matched and all predicted n-grams of each order, and the words of both sides."""

    matched: tuple[int, ...]
    total: tuple[int, ...]
    predicted: int
    reference: int


def bleu(predicted: Sequence[Words], references: Sequence[Words]) -> Bleu:
    """BLEU (Papineni et al. 2002) with one reference a document.

        BLEU-N = BP · exp(1/N Σ log pₙ),  BP = min(1, exp(1 - r/c))

    with pₙ the clipped n-gram precision, c the words predicted and r those of the references. The corpus score sums all
    counts first and is not smoothed: an order without a match makes it 0. That of a document adds 1 to both counts of
    pₙ for n > 1 (Lin & Och 2004), as nearly every document lacks some 4-gram; their mean is `sentences`. The paper does
    not say which of the two it prints.
    """
    overlaps = [_overlap(prediction, reference) for prediction, reference in pair_documents(predicted, references)]
    corpus_overlap = _Overlap(
        tuple(map(sum, zip(*(overlap.matched for overlap in overlaps), strict=True))),
        tuple(map(sum, zip(*(overlap.total for overlap in overlaps), strict=True))),
        sum(overlap.predicted for overlap in overlaps),
        sum(overlap.reference for overlap in overlaps),
    )
    document_scores = [_bleu(overlap, smooth=1) for overlap in overlaps]
    return Bleu(
        corpus=_bleu(corpus_overlap, smooth=0),
        sentences=tuple(fmean(order_scores) for order_scores in zip(*document_scores, strict=True)),
        precisions=tuple(100 * precision for precision in _precisions(corpus_overlap, smooth=0)),
        brevity_penalty=_brevity(corpus_overlap),
        length_ratio=corpus_overlap.predicted / corpus_overlap.reference if corpus_overlap.reference else None,
        predicted_words=corpus_overlap.predicted,
        reference_words=corpus_overlap.reference,
    )


def _overlap(predicted: Words, reference: Words) -> _Overlap:
    predicted_ngrams = [_ngrams(predicted, order) for order in ORDERS]
    reference_ngrams = [_ngrams(reference, order) for order in ORDERS]
    matched = tuple(
        (predicted_counts & reference_counts).total()
        for predicted_counts, reference_counts in zip(predicted_ngrams, reference_ngrams, strict=True)
    )
    return _Overlap(
        matched,
        tuple(predicted_counts.total() for predicted_counts in predicted_ngrams),
        len(predicted),
        len(reference),
    )


def _ngrams(word_sequence: Words, order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(word_sequence[offset:] for offset in range(order)), strict=False))


def _precisions(overlap: _Overlap, smooth: int) -> list[float]:
    """p₁..p₄, from 0 to 1. All are 1 where both sides are empty; 0 where the prediction is too short for an n-gram."""
    if overlap.predicted == overlap.reference == 0:
        return [1.0] * len(ORDERS)
    smoothing = [0, *[smooth] * (len(ORDERS) - 1)]
    return [
        (match_count + addend) / (ngram_count + addend) if ngram_count + addend else 0.0
        for match_count, ngram_count, addend in zip(overlap.matched, overlap.total, smoothing, strict=True)
    ]


def _brevity(overlap: _Overlap) -> float:
    if overlap.predicted >= overlap.reference:
        return 1.0
    return math.exp(1 - overlap.reference / overlap.predicted) if overlap.predicted else 0.0


def _bleu(overlap: _Overlap, smooth: int) -> tuple[float, ...]:
    precisions = _precisions(overlap, smooth)
    return tuple(100 * _brevity(overlap) * _geometric_mean(precisions[:order]) for order in ORDERS)


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(fmean(map(math.log, values))) if all(values) else 0.0


@dataclass(frozen=True)
class RougeL(Result):
    """Means over documents, ×100: F (the score the paper prints), and the precision and recall in it. See `rouge_l`."""

    f: float
    precision: float
    recall: float


def rouge_l(predicted: Sequence[Words], references: Sequence[Words], beta: float = BETA) -> RougeL:
    """ROUGE-L (Lin 2004) by the longest common subsequence of each document's words.

        P = LCS / predicted,  R = LCS / reference,  F = (1 + β²) R P / (R + β² P)

    The paper's formula has `RLCS` for R·P, which is no score; this is the one of coco-caption, as is the mean over
    documents.
    """
    document_scores = [
        _rouge_l(prediction, reference, beta) for prediction, reference in pair_documents(predicted, references)
    ]
    f_measure, precision, recall = (
        100 * fmean(measure_scores) for measure_scores in zip(*document_scores, strict=True)
    )
    return RougeL(f_measure, precision, recall)


def _rouge_l(predicted: Words, reference: Words, beta: float) -> tuple[float, float, float]:
    if not predicted and not reference:
        return 1.0, 1.0, 1.0
    common_length = longest_common_subsequence(predicted, reference)
    if not common_length:
        return 0.0, 0.0, 0.0
    precision, recall = common_length / len(predicted), common_length / len(reference)
    return (1 + beta**2) * recall * precision / (recall + beta**2 * precision), precision, recall


def longest_common_subsequence(first: Words, second: Words) -> int:
    """The length, in O(n) operations on integers of m bits (Hyyrö 2004): a row of the usual table is one integer whose
    zeros are the places where the table's value rises by one.
    """
    position_masks: dict[str, int] = {}
    for position, word in enumerate(first):
        position_masks[word] = position_masks.get(word, 0) | 1 << position
    all_bits = (1 << len(first)) - 1
    row_bits = all_bits
    for word in second:
        matches = row_bits & position_masks.get(word, 0)
        row_bits = ((row_bits + matches) | (row_bits - matches)) & all_bits
    return len(first) - row_bits.bit_count()


class Counts(NamedTuple):
    """How many of the predicted are right; of one document, or summed over several."""

    right: int
    predicted: int
    reference: int

    @property
    def precision(self) -> float:
        """The share of the predicted that is right."""
        return self._share(self.predicted)

    @property
    def recall(self) -> float:
        """The share of the reference that was found."""
        return self._share(self.reference)

    @property
    def f1(self) -> float:
        """Their harmonic mean, 2 right / (predicted + reference)."""
        total_size = self.predicted + self.reference
        return 2 * self.right / total_size if total_size else 1.0

    def _share(self, count: int) -> float:
        if self.predicted == self.reference == 0:
            return 1.0
        return self.right / count if count else 0.0


@dataclass(frozen=True)
class SetScore(Result):
    """Precision, recall and F1 over all documents' elements together (micro); and the mean of the documents' F1."""

    precision: float
    recall: float
    f1: float
    macro_f1: float
    right: int
    predicted: int
    reference: int
    documents: int


def exact_key(entity: str) -> str:
    """The key of an exact comparison."""
    return entity


def keyed(triplets: Iterable[Triplet], key: Key = exact_key) -> set[Triplet]:
    """The triplets with `key` of each entity in its place: what is compared."""
    return {Triplet(key(head), relation, key(tail)) for head, relation, tail in triplets}


def count(predicted: Iterable[Triplet], reference: Iterable[Triplet], key: Key = exact_key) -> Counts:
    """A document's triplets. One is right when head, relation and tail are; `key` maps an entity to what it is compared
    by, such as the concept that it is linked to.
    """
    return count_shared(keyed(predicted, key), keyed(reference, key))


def count_entities(predicted: Iterable[Triplet], reference: Iterable[Triplet], key: Key = exact_key) -> Counts:
    """A document's distinct entities, in any triplets."""
    return count_shared(_entities(predicted, key), _entities(reference, key))


def _entities(triplets: Iterable[Triplet], key: Key) -> set[str]:
    return {key(entity) for head, _, tail in triplets for entity in (head, tail)}


def count_shared(predicted: Set[_A], reference: Set[_A]) -> Counts:
    """How much of the two sets is the same."""
    return Counts(len(predicted & reference), len(predicted), len(reference))


def score_documents(documents: Sequence[Counts]) -> SetScore:
    """The documents' counts (of `count` or `count_entities`) as one score. Raises `ValueError` for none."""
    if not documents:
        raise ValueError("there are no documents to score")
    total_counts = Counts(*map(sum, zip(*documents, strict=True)))
    return SetScore(
        total_counts.precision,
        total_counts.recall,
        total_counts.f1,
        fmean(document.f1 for document in documents),
        *total_counts,
        documents=len(documents),
    )


@dataclass(frozen=True)
class Interval(Result):
    """A value and the 95 % percentile interval of its bootstrap."""

    value: float
    low: float
    high: float


def bootstrap(documents: Sequence[Counts], seed: int, samples: int = 1000) -> Interval:
    """The micro-F1 and its interval, over samples of as many documents with replacement (Koehn 2004)."""
    return _interval(_micro(documents), _resampled((documents,), seed, samples)[0])


def bootstrap_difference(first: Sequence[Counts], second: Sequence[Counts], seed: int, samples: int = 1000) -> Interval:
    """The micro-F1 of the first system minus that of the second, on the same documents in the same order: each sample
    takes the same documents for both. They differ where the interval leaves out 0.
    """
    if [document.reference for document in first] != [document.reference for document in second]:
        raise ValueError("the two systems were not scored on the same documents")
    first_scores, second_scores = _resampled((first, second), seed, samples)
    return _interval(_micro(first) - _micro(second), first_scores - second_scores)


def _micro(documents: Sequence[Counts]) -> float:
    return score_documents(documents).f1


def _resampled(systems: Sequence[Sequence[Counts]], seed: int, samples: int) -> list[np.ndarray]:
    """Each system's micro-F1 in each sample."""
    document_count = len(systems[0])
    if not document_count:
        raise ValueError("there are no documents to sample")
    draws = np.random.default_rng(seed).multinomial(
        document_count, np.full(document_count, 1 / document_count), samples
    )  # (samples, documents)
    scores = []
    for documents in systems:
        right_counts, predicted_counts, reference_counts = (draws @ np.array(documents)).T
        total_counts = predicted_counts + reference_counts
        scores.append(np.where(total_counts == 0, 1.0, 2 * right_counts / np.maximum(total_counts, 1)))
    return scores


def _interval(value: float, sampled: np.ndarray) -> Interval:
    low, high = np.percentile(sampled, [2.5, 97.5])
    return Interval(value, float(low), float(high))
