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
    score,
    words,
)
from kgplatform.triplets.radgraph_f1 import LabelledGraph, Link, Node, radgraph_f1, unlabelled
from kgplatform.triplets.text import Relation, Triplet, parse

SMALL = Triplet("small", Relation.MODIFY, "pleural effusion")
LEFT = Triplet("left", Relation.MODIFY, "lung")
THERE = Triplet("pleural effusion", Relation.LOCATED_AT, "lung")
WHY = Triplet("opacity", Relation.SUGGESTIVE_OF, "pneumonia")

texts = st.lists(st.sampled_from("abcd"), max_size=12)
triplets = st.lists(
    st.builds(Triplet, st.sampled_from(["lung", "left lung", "opacity"]), st.sampled_from(Relation), st.just("heart")),
    max_size=6,
)
pairs = st.lists(st.tuples(triplets, triplets), min_size=1, max_size=5)


def test_commas_and_semicolons_are_words() -> None:
    assert words([SMALL, LEFT]) == [
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
    assert words([]) == []


# BLEU


def plain_bleu(predicted: list[list[str]], references: list[list[str]], n: int) -> float:
    """The paper's formula, counting every n-gram by looking for it."""
    logs = 0.0
    for order in range(1, n + 1):
        right = total = 0
        for said, meant in zip(predicted, references, strict=True):
            left = [meant[i : i + order] for i in range(len(meant) - order + 1)]
            for gram in (said[i : i + order] for i in range(len(said) - order + 1)):
                total += 1
                if gram in left:
                    left.remove(gram)
                    right += 1
        if right == 0:
            return 0.0
        logs += math.log(right / total)
    c, r = sum(map(len, predicted)), sum(map(len, references))
    return 100 * min(1.0, math.exp(1 - r / c)) * math.exp(logs / n)


def test_bleu_by_hand() -> None:
    """'a a b' against 'a b': one a is clipped, so p₁ = 2/3; 'a b' is the one bigram of two, so p₂ = 1/2."""
    found = bleu([["a", "a", "b"]], [["a", "b"]])
    assert found.precisions == pytest.approx((100 * 2 / 3, 50, 0, 0))
    assert found.corpus == pytest.approx((100 * 2 / 3, 100 * math.sqrt(1 / 3), 0, 0))
    assert (found.brevity_penalty, found.length_ratio) == (1, 1.5)
    assert found.sentences[:2] == pytest.approx((100 * 2 / 3, 100 * math.sqrt(2 / 3 * (1 + 1) / (2 + 1))))


def test_a_short_prediction_pays_the_brevity_penalty() -> None:
    """All of it right, half as long: exp(1 - 2) at every order. This is how DyGIE++ has equal BLEU-1..4 in Table 1."""
    meant = [str(number) for number in range(20)]
    found = bleu([meant[:10]], [meant])
    assert found.precisions == (100, 100, 100, 100)
    assert found.brevity_penalty == pytest.approx(math.exp(-1))
    assert found.corpus == pytest.approx([100 * math.exp(-1)] * 4)
    assert (found.length_ratio, found.predicted_words, found.reference_words) == (0.5, 10, 20)


def test_a_corpus_is_not_the_mean_of_its_documents() -> None:
    predicted, references = [["a"] * 4, ["b"]], [["a"] * 4, ["c"]]
    found = bleu(predicted, references)
    assert found.corpus[0] == pytest.approx(80)
    assert found.sentences[0] == pytest.approx(50)


def test_bleu_of_nothing() -> None:
    assert bleu([[]], [[]]).corpus == (100, 100, 100, 100)
    assert bleu([[]], [[]]).length_ratio is None
    for said, meant in (([], ["a"] * 5), (["a"] * 5, [])):
        assert bleu([said], [meant]).corpus == bleu([said], [meant]).sentences == (0, 0, 0, 0)
    for nothing in ([], [["a"], ["b"]]):
        with pytest.raises(ValueError, match="do not make pairs"):
            bleu(nothing, [["a"]])


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6).filter(lambda some: all(a and b for a, b in some)))
def test_bleu_is_the_formula(documents: list[tuple[list[str], list[str]]]) -> None:
    predicted, references = [said for said, _ in documents], [meant for _, meant in documents]
    found = bleu(predicted, references)
    assert found.corpus == pytest.approx([plain_bleu(predicted, references, n) for n in (1, 2, 3, 4)], abs=1e-9)
    assert all(0 <= one <= 100 + 1e-9 for one in (*found.corpus, *found.sentences, *found.precisions))


# ROUGE-L


def plain_lcs(first: Sequence[str], second: Sequence[str]) -> int:
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, one in enumerate(first):
        for j, other in enumerate(second):
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(texts, texts)
def test_the_longest_common_subsequence_is_that_of_the_table(first: list[str], second: list[str]) -> None:
    assert longest_common_subsequence(first, second) == plain_lcs(first, second)


def test_long_texts_have_the_longest_common_subsequence_of_the_table() -> None:
    chance = random.Random(5)
    for _ in range(20):
        first, second = (chance.choices("abcdefgh", k=chance.randint(60, 150)) for _ in range(2))
        assert longest_common_subsequence(first, second) == plain_lcs(first, second)


def test_rouge_by_hand() -> None:
    """'a c' of 'a b c d': P = 1, R = 1/2, F = 2.44 · 1/2 / (1/2 + 1.44)."""
    found = rouge_l([["a", "c"]], [["a", "b", "c", "d"]])
    assert (found.precision, found.recall) == (100, 50)
    assert found.f == pytest.approx(100 * 2.44 * 0.5 / (0.5 + 1.44))


def test_recall_weighs_more_than_precision_in_rouge() -> None:
    short, long = ["a", "b"], ["a", "b", "c", "d"]
    assert rouge_l([long], [short]).f > rouge_l([short], [long]).f
    assert rouge_l([long], [short], beta=1).f == pytest.approx(rouge_l([short], [long], beta=1).f)


def test_rouge_of_nothing() -> None:
    assert rouge_l([[]], [[]]).f == 100
    assert rouge_l([[]], [["a"]]).f == rouge_l([["a"]], [[]]).f == rouge_l([["a"]], [["b"]]).f == 0
    assert rouge_l([["a"], []], [["a"], ["a"]]).f == 50  # the mean over documents


# Sets


def test_counts_by_hand() -> None:
    """Of three predicted two are right, of four meant two are found."""
    found = count([SMALL, LEFT, LEFT, WHY], [THERE, LEFT, SMALL, Triplet("lung", Relation.MODIFY, "left")])
    assert found == Counts(right=2, predicted=3, reference=4)
    assert (found.precision, found.recall, found.f1) == (2 / 3, 1 / 2, 4 / 7)


def test_a_triplet_is_right_only_with_its_relation_and_direction() -> None:
    assert count([SMALL._replace(relation=Relation.LOCATED_AT)], [SMALL]).right == 0
    assert count([Triplet(SMALL.tail, SMALL.relation, SMALL.head)], [SMALL]).right == 0
    assert count_entities([Triplet(SMALL.tail, SMALL.relation, SMALL.head)], [SMALL]) == Counts(2, 2, 2)


def test_a_key_compares_what_is_linked() -> None:
    concepts = {"pleural effusion": "C1", "effusion": "C1", "fluid": "C1"}
    said = [Triplet("small", Relation.MODIFY, "effusion"), Triplet("small", Relation.MODIFY, "fluid")]
    assert count(said, [SMALL]) == Counts(0, 2, 1)
    assert count(said, [SMALL], lambda entity: concepts.get(entity, entity)) == Counts(1, 1, 1)
    assert count_entities(said, [SMALL]) == Counts(1, 3, 2)
    assert count_entities(said, [SMALL], lambda entity: concepts.get(entity, entity)) == Counts(2, 2, 2)


def test_micro_counts_triplets_and_macro_counts_documents() -> None:
    found = score([Counts(9, 10, 10), Counts(0, 1, 1)])
    assert (found.precision, found.recall, found.f1) == (9 / 11, 9 / 11, 9 / 11)
    assert found.macro_f1 == pytest.approx((0.9 + 0) / 2)
    assert (found.right, found.predicted, found.reference, found.documents) == (9, 11, 11, 2)


def test_sets_of_nothing() -> None:
    both, unsaid, unmeant = count([], []), count([], [SMALL]), count([SMALL], [])
    assert (both.precision, both.recall, both.f1) == (1, 1, 1)
    assert (unsaid.precision, unsaid.recall, unsaid.f1) == (0, 0, 0)
    assert (unmeant.precision, unmeant.recall, unmeant.f1) == (0, 0, 0)
    with pytest.raises(ValueError, match="no documents"):
        score([])


def test_order_matters_to_text_scores_and_to_no_other() -> None:
    said, meant = [WHY, LEFT, SMALL], [SMALL, LEFT, WHY]
    assert bleu([words(said)], [words(meant)]).corpus[3] < 100
    assert rouge_l([words(said)], [words(meant)]).f < 100
    assert count(said, meant).f1 == count_entities(said, meant).f1 == 1
    assert radgraph_f1([unlabelled(said)], [unlabelled(meant)]).complete == 1


@given(pairs)
def test_all_scores_are_in_range_and_agree_with_plain_sets(
    documents: list[tuple[list[Triplet], list[Triplet]]],
) -> None:
    predicted, references = [[words(side) for side in sides] for sides in zip(*documents, strict=True)]
    assert 0 <= rouge_l(predicted, references).f <= 100 + 1e-9
    found = score([count(said, meant) for said, meant in documents])
    right = sum(len({*said} & {*meant}) for said, meant in documents)
    sizes = sum(len({*said}) + len({*meant}) for said, meant in documents)
    assert found.f1 == (2 * right / sizes if sizes else 1)
    assert 0 <= min(found.precision, found.recall) <= found.f1 <= max(found.precision, found.recall) <= 1
    assert 0 <= found.macro_f1 <= 1


@given(st.lists(triplets, min_size=1, max_size=5))
def test_the_reference_itself_is_perfect(documents: list[list[Triplet]]) -> None:
    texts = [words(one) for one in documents]
    found = bleu(texts, texts)
    assert (*found.corpus, *found.sentences) == pytest.approx([100] * 8)
    assert rouge_l(texts, texts).f == pytest.approx(100)
    perfect = score([count(one, one) for one in documents])
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.macro_f1) == (1, 1, 1, 1)
    graphs = [unlabelled(one) for one in documents]
    assert set(radgraph_f1(graphs, graphs).as_dict().values()) == {1.0}


def test_results_are_plain_for_json() -> None:
    one_of_one = [Counts(1, 1, 1)]
    one_of_one = [Counts(1, 1, 1)]
    results = (bleu([["a"]], [["a"]]), rouge_l([["a"]], [["a"]]), score(one_of_one), bootstrap(one_of_one, seed=0))
    for one in results:
        assert json.loads(json.dumps(one.as_dict(), allow_nan=False)).keys() == one.as_dict().keys()


# Bootstrap


def some_documents(share: float, size: int = 200) -> list[Counts]:
    chance = random.Random(1)
    return [Counts(sum(chance.random() < share for _ in range(8)), 8, 8) for _ in range(size)]


def test_an_interval_is_about_that_of_the_normal_distribution() -> None:
    """200 documents of 8: the share of right ones has the standard error √(p (1 - p) / 1600)."""
    documents = some_documents(0.7)
    found = bootstrap(documents, seed=3, samples=4000)
    assert found.value == score(documents).f1
    error = 1.96 * math.sqrt(found.value * (1 - found.value) / 1600)
    assert (found.value - found.low, found.high - found.value) == pytest.approx((error, error), rel=0.15)


def test_an_interval_is_the_same_for_the_same_seed() -> None:
    documents = some_documents(0.5)
    assert bootstrap(documents, seed=3) == bootstrap(documents, seed=3) != bootstrap(documents, seed=4)


def test_documents_of_nothing_have_an_interval() -> None:
    assert bootstrap([Counts(0, 0, 0)] * 3, seed=0).as_dict() == {"value": 1, "low": 1, "high": 1}
    with pytest.raises(ValueError, match="no documents"):
        bootstrap([], seed=0)


def test_a_difference_is_paired() -> None:
    """One more right in every document: the difference is nearly certain, although the two intervals overlap."""
    chance = random.Random(2)
    worse = [Counts(chance.randint(0, 18), 20, 20) for _ in range(60)]
    better = [one._replace(right=one.right + 1) for one in worse]
    found = bootstrap_difference(better, worse, seed=0)
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert bootstrap(better, seed=0).low < bootstrap(worse, seed=0).high
    same = bootstrap_difference(worse, worse, seed=0)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_systems_of_other_documents_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same documents"):
        bootstrap_difference([Counts(1, 1, 1)], [Counts(1, 1, 2)], seed=0)
    with pytest.raises(ValueError, match="same documents"):
        bootstrap_difference([Counts(1, 1, 1)], [Counts(1, 1, 1)] * 2, seed=0)


# RadGraph-F1

TRUTH = LabelledGraph(
    (Node("effusion", "OBS-DP"), Node("lung", "ANAT-DP"), Node("left", "ANAT-DP"), Node("mass", "OBS-DA")),
    (Link(0, "located_at", 1), Link(2, "modify", 1)),
)


def test_radgraph_f1_by_hand() -> None:
    """The mass is called present, and the effusion has another relation to the lung."""
    nodes = (*TRUTH.nodes[:3], Node("mass", "OBS-DP"))
    found = radgraph_f1([LabelledGraph(nodes, (Link(0, "suggestive_of", 1), Link(2, "modify", 1)))], [TRUTH])
    assert found.simple == 3 / 4  # 3 of 4 entities on both sides
    assert found.partial == 3 / 4  # effusion has a relation, as it should
    assert found.complete == 2 / 4  # right: left → lung, and lung alone
    assert found.combined == (3 / 4 + 1 / 2) / 2  # 1 of 2 relations


def test_a_missing_relation_costs_at_the_levels_that_see_it() -> None:
    found = radgraph_f1([TRUTH._replace(links=TRUTH.links[:1])], [TRUTH])
    assert found.simple == 1
    assert found.partial == 3 / 4
    assert found.complete == 3 / 4
    assert found.combined == pytest.approx((1 + 2 / 3) / 2)


def test_a_wrong_label_of_the_tail_costs_in_combined_only_through_relations() -> None:
    nodes = (TRUTH.nodes[0], Node("lung", "OBS-DP"), *TRUTH.nodes[2:])
    found = radgraph_f1([LabelledGraph(nodes, TRUTH.links)], [TRUTH])
    assert (found.simple, found.partial, found.complete) == (3 / 4, 3 / 4, 3 / 4)
    assert found.combined == (3 / 4 + 0) / 2


def test_entities_of_equal_text_are_two_where_only_one_has_a_relation() -> None:
    twice = LabelledGraph((Node("lung", "A"), Node("lung", "A")), (Link(0, "modify", 1),))
    once = LabelledGraph((Node("lung", "A"),), ())
    found = radgraph_f1([once], [twice])
    assert (found.simple, found.partial, found.complete) == (1, 2 / 3, 2 / 3)


def test_radgraph_f1_of_nothing_and_means() -> None:
    nothing = LabelledGraph((), ())
    assert set(radgraph_f1([nothing], [nothing]).as_dict().values()) == {1.0}
    one_sided = radgraph_f1([nothing], [TRUTH])
    assert (one_sided.simple, one_sided.partial, one_sided.complete, one_sided.combined) == (0, 0, 0, 0)
    assert radgraph_f1([TRUTH, nothing], [TRUTH, TRUTH]).complete == 0.5


def test_radgraph_f1_with_a_key() -> None:
    other = LabelledGraph((Node("pleural effusion", "OBS-DP"), *TRUTH.nodes[1:]), TRUTH.links)
    assert radgraph_f1([other], [TRUTH]).simple == 3 / 4
    assert radgraph_f1([other], [TRUTH], lambda text: text.removeprefix("pleural ")).complete == 1


def test_triplets_without_labels_as_a_graph() -> None:
    parsed = parse("small, modify, effusion; effusion, located_at, lung").triplets
    assert unlabelled(parsed) == LabelledGraph(
        (Node("small", ""), Node("effusion", ""), Node("lung", "")),
        (Link(0, "modify", 1), Link(1, "located_at", 2)),
    )
    found = radgraph_f1([unlabelled(parsed)], [unlabelled(parsed[:1])])
    assert found.simple == count_entities(parsed, parsed[:1]).f1
