"""Metrics of generated triplets: by hand, against plain oracles, and what must hold for any input."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.triplets.metrics import (
    Counts,
    bleu,
    bootstrap,
    bootstrap_difference,
    count,
    count_entities,
    longest_common_subsequence,
    rouge_l,
    score_documents,
    triplet_words,
)
from kgplatform.triplets.radgraph_f1 import radgraph_f1, unlabelled
from kgplatform.triplets.text import Relation, Triplet

SMALL = Triplet("small", Relation.MODIFY, "pleural effusion")
LEFT = Triplet("left", Relation.MODIFY, "lung")
LOCATED = Triplet("pleural effusion", Relation.LOCATED_AT, "lung")
WHY = Triplet("opacity", Relation.SUGGESTIVE_OF, "pneumonia")

texts = st.lists(st.sampled_from("abcd"), max_size=12)
triplets = st.lists(
    st.builds(Triplet, st.sampled_from(["lung", "left lung", "opacity"]), st.sampled_from(Relation), st.just("heart")),
    max_size=6,
)
pairs = st.lists(st.tuples(triplets, triplets), min_size=1, max_size=5)


def test_commas_and_semicolons_are_words() -> None:
    assert triplet_words([SMALL, LEFT]) == [
        "small",
        ",",
        "modify",
        ",",
        "pleural",
        "effusion",
        ";",
        "left",
        ",",
        "modify",
        ",",
        "lung",
    ]
    assert triplet_words([]) == []


# BLEU


def plain_bleu(predicted: list[list[str]], references: list[list[str]], n: int) -> float:
    """The paper's formula, counting every n-gram by looking for it."""
    log_sum = 0.0
    for order in range(1, n + 1):
        matched = total = 0
        for prediction, reference in zip(predicted, references, strict=True):
            remaining = [reference[start : start + order] for start in range(len(reference) - order + 1)]
            for ngram in (prediction[start : start + order] for start in range(len(prediction) - order + 1)):
                total += 1
                if ngram in remaining:
                    remaining.remove(ngram)
                    matched += 1
        if matched == 0:
            return 0.0
        log_sum += math.log(matched / total)
    c, r = sum(map(len, predicted)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(log_sum / n)


def test_bleu_by_hand() -> None:
    """'a a b' against 'a b': one a is clipped, so p₁ = 2/3; 'a b' is the one bigram of two, so p₂ = 1/2."""
    scores = bleu([["a", "a", "b"]], [["a", "b"]])
    assert scores.precisions == pytest.approx((100 * 2 / 3, 50, 0, 0))
    assert scores.corpus == pytest.approx((100 * 2 / 3, 100 * math.sqrt(1 / 3), 0, 0))
    assert (scores.brevity_penalty, scores.length_ratio) == (1, 1.5)
    assert scores.sentences[:2] == pytest.approx((100 * 2 / 3, 100 * math.sqrt(2 / 3 * (1 + 1) / (2 + 1))))


def test_a_short_prediction_pays_the_brevity_penalty() -> None:
    """All of it right, half as long: exp(1 - 2) at every order. This is how DyGIE++ has equal BLEU-1..4 in Table 1."""
    reference = [str(number) for number in range(20)]
    scores = bleu([reference[:10]], [reference])
    assert scores.precisions == (100, 100, 100, 100)
    assert scores.brevity_penalty == pytest.approx(math.exp(-1))
    assert scores.corpus == pytest.approx([100 * math.exp(-1)] * 4)
    assert (scores.length_ratio, scores.predicted_words, scores.reference_words) == (0.5, 10, 20)


def test_a_corpus_is_not_the_mean_of_its_documents() -> None:
    predicted, references = [["a"] * 4, ["b"]], [["a"] * 4, ["c"]]
    scores = bleu(predicted, references)
    assert scores.corpus[0] == pytest.approx(80)
    assert scores.sentences[0] == pytest.approx(50)


def test_bleu_of_nothing() -> None:
    assert bleu([[]], [[]]).corpus == (100, 100, 100, 100)
    assert bleu([[]], [[]]).length_ratio is None
    for prediction, reference in (([], ["a"] * 5), (["a"] * 5, [])):
        assert bleu([prediction], [reference]).corpus == bleu([prediction], [reference]).sentences == (0, 0, 0, 0)
    for unpaired in ([], [["a"], ["b"]]):
        with pytest.raises(ValueError, match="do not make pairs"):
            bleu(unpaired, [["a"]])


@given(
    st.lists(st.tuples(texts, texts), min_size=1, max_size=6).filter(
        lambda text_pairs: all(predicted_text and reference_text for predicted_text, reference_text in text_pairs)
    )
)
def test_bleu_is_the_formula(documents: list[tuple[list[str], list[str]]]) -> None:
    predicted, references = [prediction for prediction, _ in documents], [reference for _, reference in documents]
    scores = bleu(predicted, references)
    assert scores.corpus == pytest.approx(
        [plain_bleu(predicted, references, max_order) for max_order in (1, 2, 3, 4)], abs=1e-9
    )
    assert all(0 <= percentage <= 100 + 1e-9 for percentage in (*scores.corpus, *scores.sentences, *scores.precisions))


# ROUGE-L


def plain_lcs(first: Sequence[str], second: Sequence[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for first_index, first_word in enumerate(first):
        for second_index, second_word in enumerate(second):
            table[first_index + 1][second_index + 1] = (
                table[first_index][second_index] + 1
                if first_word == second_word
                else max(table[first_index][second_index + 1], table[first_index + 1][second_index])
            )
    return table[-1][-1]


@given(texts, texts)
def test_the_longest_common_subsequence_is_that_of_the_table(first: list[str], second: list[str]) -> None:
    assert longest_common_subsequence(first, second) == plain_lcs(first, second)


def test_long_texts_have_the_longest_common_subsequence_of_the_table() -> None:
    generator = random.Random(5)
    for _ in range(20):
        first, second = (generator.choices("abcdefgh", k=generator.randint(60, 150)) for _ in range(2))
        assert longest_common_subsequence(first, second) == plain_lcs(first, second)


def test_rouge_by_hand() -> None:
    """'a c' of 'a b c d': P = 1, R = 1/2, F = 2.44 · 1/2 / (1/2 + 1.44)."""
    scores = rouge_l([["a", "c"]], [["a", "b", "c", "d"]])
    assert (scores.precision, scores.recall) == (100, 50)
    assert scores.f == pytest.approx(100 * 2.44 * 0.5 / (0.5 + 1.44))


def test_recall_weighs_more_than_precision_in_rouge() -> None:
    short_text, long_text = ["a", "b"], ["a", "b", "c", "d"]
    assert rouge_l([long_text], [short_text]).f > rouge_l([short_text], [long_text]).f
    assert rouge_l([long_text], [short_text], beta=1).f == pytest.approx(rouge_l([short_text], [long_text], beta=1).f)


def test_rouge_of_nothing() -> None:
    assert rouge_l([[]], [[]]).f == 100
    assert rouge_l([[]], [["a"]]).f == rouge_l([["a"]], [[]]).f == rouge_l([["a"]], [["b"]]).f == 0
    assert rouge_l([["a"], []], [["a"], ["a"]]).f == 50  # the mean over documents


# Sets


def test_counts_by_hand() -> None:
    """Of three predicted two are right, of four meant two are found."""
    counts = count([SMALL, LEFT, LEFT, WHY], [LOCATED, LEFT, SMALL, Triplet("lung", Relation.MODIFY, "left")])
    assert counts == Counts(right=2, predicted=3, reference=4)
    assert (counts.precision, counts.recall, counts.f1) == (2 / 3, 1 / 2, 4 / 7)


def test_a_triplet_is_right_only_with_its_relation_and_direction() -> None:
    assert count([SMALL._replace(relation=Relation.LOCATED_AT)], [SMALL]).right == 0
    assert count([Triplet(SMALL.tail, SMALL.relation, SMALL.head)], [SMALL]).right == 0
    assert count_entities([Triplet(SMALL.tail, SMALL.relation, SMALL.head)], [SMALL]) == Counts(2, 2, 2)


def test_a_key_compares_what_is_linked() -> None:
    concepts = {"pleural effusion": "C1", "effusion": "C1", "fluid": "C1"}
    predicted = [Triplet("small", Relation.MODIFY, "effusion"), Triplet("small", Relation.MODIFY, "fluid")]
    assert count(predicted, [SMALL]) == Counts(0, 2, 1)
    assert count(predicted, [SMALL], lambda entity_text: concepts.get(entity_text, entity_text)) == Counts(1, 1, 1)
    assert count_entities(predicted, [SMALL]) == Counts(1, 3, 2)
    assert count_entities(predicted, [SMALL], lambda entity_text: concepts.get(entity_text, entity_text)) == Counts(
        2, 2, 2
    )


def test_micro_counts_triplets_and_macro_counts_documents() -> None:
    scores = score_documents([Counts(9, 10, 10), Counts(0, 1, 1)])
    assert (scores.precision, scores.recall, scores.f1) == (9 / 11, 9 / 11, 9 / 11)
    assert scores.macro_f1 == pytest.approx((0.9 + 0) / 2)
    assert (scores.right, scores.predicted, scores.reference, scores.documents) == (9, 11, 11, 2)


def test_sets_of_nothing() -> None:
    empty_pair, no_prediction, no_reference = count([], []), count([], [SMALL]), count([SMALL], [])
    assert (empty_pair.precision, empty_pair.recall, empty_pair.f1) == (1, 1, 1)
    assert (no_prediction.precision, no_prediction.recall, no_prediction.f1) == (0, 0, 0)
    assert (no_reference.precision, no_reference.recall, no_reference.f1) == (0, 0, 0)
    with pytest.raises(ValueError, match="no documents"):
        score_documents([])


def test_order_matters_to_text_scores_and_to_no_other() -> None:
    predicted, reference = [WHY, LEFT, SMALL], [SMALL, LEFT, WHY]
    assert bleu([triplet_words(predicted)], [triplet_words(reference)]).corpus[3] < 100
    assert rouge_l([triplet_words(predicted)], [triplet_words(reference)]).f < 100
    assert count(predicted, reference).f1 == count_entities(predicted, reference).f1 == 1
    assert radgraph_f1([unlabelled(predicted)], [unlabelled(reference)]).complete == 1


@given(pairs)
def test_all_scores_are_in_range_and_agree_with_plain_sets(
    documents: list[tuple[list[Triplet], list[Triplet]]],
) -> None:
    predicted, references = [
        [triplet_words(document_triplets) for document_triplets in corpus] for corpus in zip(*documents, strict=True)
    ]
    assert 0 <= rouge_l(predicted, references).f <= 100 + 1e-9
    scores = score_documents([count(prediction, reference) for prediction, reference in documents])
    matched = sum(len({*prediction} & {*reference}) for prediction, reference in documents)
    total_size = sum(len({*prediction}) + len({*reference}) for prediction, reference in documents)
    assert scores.f1 == (2 * matched / total_size if total_size else 1)
    assert 0 <= min(scores.precision, scores.recall) <= scores.f1 <= max(scores.precision, scores.recall) <= 1
    assert 0 <= scores.macro_f1 <= 1


@given(st.lists(triplets, min_size=1, max_size=5))
def test_the_reference_itself_is_perfect(documents: list[list[Triplet]]) -> None:
    document_words = [triplet_words(document) for document in documents]
    scores = bleu(document_words, document_words)
    assert (*scores.corpus, *scores.sentences) == pytest.approx([100] * 8)
    assert rouge_l(document_words, document_words).f == pytest.approx(100)
    perfect = score_documents([count(document, document) for document in documents])
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.macro_f1) == (1, 1, 1, 1)
    graphs = [unlabelled(document) for document in documents]
    assert set(radgraph_f1(graphs, graphs).as_dict().values()) == {1.0}


def test_results_are_plain_for_json() -> None:
    perfect_counts = [Counts(1, 1, 1)]
    perfect_counts = [Counts(1, 1, 1)]
    results = (
        bleu([["a"]], [["a"]]),
        rouge_l([["a"]], [["a"]]),
        score_documents(perfect_counts),
        bootstrap(perfect_counts, seed=0),
    )
    for scores in results:
        assert json.loads(json.dumps(scores.as_dict(), allow_nan=False)).keys() == scores.as_dict().keys()


# Bootstrap


def some_documents(share: float, size: int = 200) -> list[Counts]:
    generator = random.Random(1)
    return [Counts(sum(generator.random() < share for _ in range(8)), 8, 8) for _ in range(size)]


def test_an_interval_is_about_that_of_the_normal_distribution() -> None:
    """200 documents of 8: the share of right ones has the standard error √(p (1 - p) / 1600)."""
    documents = some_documents(0.7)
    interval = bootstrap(documents, seed=3, samples=4000)
    assert interval.value == score_documents(documents).f1
    half_width = 1.96 * math.sqrt(interval.value * (1 - interval.value) / 1600)
    assert (interval.value - interval.low, interval.high - interval.value) == pytest.approx(
        (half_width, half_width), rel=0.15
    )


def test_an_interval_is_the_same_for_the_same_seed() -> None:
    documents = some_documents(0.5)
    assert bootstrap(documents, seed=3) == bootstrap(documents, seed=3) != bootstrap(documents, seed=4)


def test_documents_of_nothing_have_an_interval() -> None:
    assert bootstrap([Counts(0, 0, 0)] * 3, seed=0).as_dict() == {"value": 1, "low": 1, "high": 1}
    with pytest.raises(ValueError, match="no documents"):
        bootstrap([], seed=0)


def test_a_difference_is_paired() -> None:
    """One more right in every document: the difference is nearly certain, although the two intervals overlap."""
    generator = random.Random(2)
    worse = [Counts(generator.randint(0, 18), 20, 20) for _ in range(60)]
    better = [document._replace(right=document.right + 1) for document in worse]
    interval = bootstrap_difference(better, worse, seed=0)
    assert (interval.value, interval.low, interval.high) == pytest.approx((0.05, 0.05, 0.05))
    assert bootstrap(better, seed=0).low < bootstrap(worse, seed=0).high
    zero_interval = bootstrap_difference(worse, worse, seed=0)
    assert (zero_interval.value, zero_interval.low, zero_interval.high) == (0, 0, 0)


def test_systems_of_other_documents_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same documents"):
        bootstrap_difference([Counts(1, 1, 1)], [Counts(1, 1, 2)], seed=0)
    with pytest.raises(ValueError, match="same documents"):
        bootstrap_difference([Counts(1, 1, 1)], [Counts(1, 1, 1)] * 2, seed=0)
