"""The scoring against OpenI's MeSH codes: figures by an independent count, conditions, attributes, kinds of error."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations

import pytest

from benchmarks.construct.errors import Added, Missed, added_kind, count_errors, missed_kind
from benchmarks.construct.mesh import (
    Condition,
    attribute_figures,
    best_constant,
    by_regex,
    gold_codes,
    predicted_heads,
    read_heads,
    score,
    stated_concepts,
)
from kgplatform.construct.annotate import Annotation, annotate
from kgplatform.construct.attribute_table import Attribute
from kgplatform.construct.lexicon import Lexicon
from kgplatform.construct.open_lexicon import own_words
from kgplatform.construct.report import Report
from kgplatform.construct.semantic_types import Allowed
from kgplatform.construct.stance import rules
from kgplatform.construct.tagger import DictionaryTagger
from kgplatform.schema import Stance

HEADS = read_heads()
NAMES = [head.name for head in HEADS]


def annotated(text: str) -> Annotation:
    tagger = DictionaryTagger(Lexicon(own_words()), Allowed())
    return annotate(Report("1", "I1", {"findings": text}), tagger, rules())


def heads_of(text: str, reading: str) -> set[str]:
    return set(predicted_heads(stated_concepts(annotated(text), reading), HEADS))


def random_reports(names: list[str], seed: int) -> Iterator[set[str]]:
    generator = random.Random(seed)
    for _ in range(50):
        yield {name for name in names if generator.random() < 0.3}


def test_figures_are_those_of_counting_every_pair_of_report_and_head() -> None:
    names = ["a", "b", "c", "d"]
    gold, predicted = list(random_reports(names, 1)), list(random_reports(names, 2))
    pairs = [(name in g, name in p) for g, p in zip(gold, predicted, strict=True) for name in names]
    hits = sum(both == (True, True) for both in pairs)
    figures = score(gold, predicted, names, names)
    assert figures["micro"]["precision"] == pytest.approx(hits / sum(is_stated for _, is_stated in pairs))
    assert figures["micro"]["recall"] == pytest.approx(hits / sum(is_gold for is_gold, _ in pairs))
    assert figures["recall_of_common"] == figures["micro"]["recall"]
    low, high = figures["micro"]["f1_interval"]
    assert low < figures["micro"]["f1"] < high


def test_heads_that_are_not_scored_count_neither_as_hits_nor_as_errors() -> None:
    figures = score([{"a", "rare"}], [{"a", "other"}], ["a"], ["a"])
    assert (figures["micro"]["tp"], figures["micro"]["fp"], figures["micro"]["fn"]) == (1, 0, 0)


def test_the_constant_baseline_has_the_best_f1_of_all_sets_of_heads() -> None:
    gold = [{"a"}, {"a", "b"}, {"a", "b"}, {"c"}]
    subsets = [set(some) for size in (1, 2, 3) for some in combinations("abc", size)]
    best = max(subsets, key=lambda some: score(gold, [some] * 4, ["a", "b", "c"], ["a"])["micro"]["f1"])
    assert set(best_constant(gold, ["a", "b", "c"])) == best


def test_every_head_has_concepts_of_the_lexicon_and_a_pattern() -> None:
    assert all(head.conditions and head.pattern.pattern for head in HEADS)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize(
    ("locations", "stated", "holds"),
    [
        ("", (), True),
        ("base,apex", ("base",), True),
        ("base,apex", ("hilum",), False),
        ("-base", ("base",), False),
        ("-base", (), True),
        ("spine", ("spine",), True),
        ("spine", ("thoracic spine",), False),
    ],
)
def test_a_condition_can_require_a_location(locations: str, stated: tuple[str, ...], holds: bool) -> None:
    assert Condition("C0000001", locations).holds({Attribute.LOCATION: stated}) is holds


def test_indexers_read_likely_findings_and_alternatives_but_the_stance_reading_does_not() -> None:
    text = "Streaky opacity, likely atelectasis. Possible pneumonia."
    assert heads_of(text, "stance") == {"Opacity + Density"}
    assert heads_of(text, "indexers") == {"Opacity + Density", "Pulmonary Atelectasis"}


def test_attributes_are_counted_where_the_head_was_recognised() -> None:
    text = "Small left pleural effusion."
    predicted = predicted_heads(stated_concepts(annotated(text), "stance"), HEADS)
    codes = gold_codes("Pleural Effusion/left/small;Pleural Effusion/right;Cardiomegaly/mild")
    figures = attribute_figures([codes], [predicted], HEADS)
    assert figures["side"] == {"stated": 1, "stated otherwise": 1, "recall": 0.5}
    assert figures["severity"] == {"stated": 1, "recall": 1.0}


def test_the_regular_expressions_read_a_negation_before_the_match() -> None:
    assert by_regex("No effusion. Mild scarring.", HEADS) == {"Cicatrix"}


def test_every_error_has_one_kind() -> None:
    texts = ["No pneumonia.", "Possible pneumonia.", "XXXX.", "Pneumonia.", "Pneumonia."]
    annotations = [annotated(text) for text in texts]
    gold = [{"Pneumonia"}, {"Pneumonia"}, {"Pneumonia"}, set(), {"Nodule"}]
    predicted: list[set[str]] = [set(), set(), set(), {"Pneumonia"}, {"Pneumonia"}]
    cuis = {"Pneumonia": {"C0032285"}}
    assert count_errors(annotations, texts, gold, predicted, cuis) == {
        "missed": {Missed.NEGATIVE.value: 1, Missed.UNCERTAIN.value: 1, Missed.DE_IDENTIFIED.value: 1},
        "added": {Added.NORMAL.value: 1, Added.STATED.value: 1},
    }
    assert missed_kind([Stance.POSITIVE, Stance.NEGATIVE], "") is Missed.OTHER_LOCATION
    assert missed_kind([], "") is Missed.NO_CONCEPT
    assert added_kind([Stance.UNCERTAIN], {"Nodule"}) is Added.ALTERNATIVE
