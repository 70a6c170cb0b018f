"""One concept for each meaning: which concepts are the same, which stands for all, and which stay apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.meanings import OWN, MeaningIndex, one_to_one
from kgplatform.construct.semantic_types import kind_of
from kgplatform.construct.tagger import DictionaryTagger

OWN_TERMS = [
    Concept("C0032227", "pleural effusion", ("Finding",), OWN),
    Concept("C0032227", "pleural fluid", ("Finding",), OWN),
    Concept("C0032227", "effusion", ("Finding",), OWN),
    Concept("C0031039", "pericardial effusion", ("Finding",), OWN),
    Concept("C2317432", "effusion", ("Finding",), OWN),
    Concept("C0024109", "lung", ("Body Part, Organ, or Organ Component",), OWN),
]


def aliases(*concepts: Concept, same: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
    return Lexicon(concepts, same).aliases


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The same words, in another order, number or dress: the better connected stands for both.
        (Concept("C1", "Pleural effusion"), Concept("C2", "Effusion, pleural (disorder)", (), 9.0), {"C1": "C2"}),
        (Concept("C1", "Pleural effusions"), Concept("C2", "pleural effusion", (), 1.0), {"C1": "C2"}),
        (Concept("C1", "Entire left lung (body structure)"), Concept("C2", "Left lung", (), 1.0), {"C1": "C2"}),
        # Equally connected: the smaller CUI.
        (Concept("C1", "pneumonitis"), Concept("C2", "Pneumonitis"), {"C2": "C1"}),
        # Of different kinds they are different things.
        (Concept("C1", "Port (substance)"), Concept("C2", "Port (body structure)"), {}),
        (Concept("C1", "Screw (physical object)"), Concept("C2", "Screw (qualifier value)"), {}),
        (Concept("C1", "collapse", ("Finding",)), Concept("C2", "collapse", ("Medical Device",)), {}),
        # Other words are another meaning.
        (Concept("C1", "pleural effusion"), Concept("C2", "pericardial effusion"), {}),
        (Concept("C1", "acute pneumonia"), Concept("C2", "chronic pneumonia"), {}),
    ],
)  # fmt: skip
def test_preferred_names_of_the_same_words_are_one_meaning(
    first: Concept, second: Concept, expected: dict[str, str]
) -> None:
    assert aliases(first, second) == expected
    assert aliases(second, first) == expected, "in any order"


@pytest.mark.parametrize(
    ("name", "representative"),
    [
        ("Pleural effusion", "C0032227"),
        ("Pleural fluid (finding)", "C0032227"),
        ("bilateral pleural effusion (diagnosis)", "C0032227"),
        ("LARGE LEFT PLEURAL EFFUSION", "C0032227"),
        ("multiple pericardial effusions", "C0031039"),
        ("fluid", None),
        ("malignant pleural effusion", None),
        ("left lung", None),  # anatomy keeps its side
    ],
)
def test_names_of_own_terms_with_qualifiers_split_off(name: str, representative: str | None) -> None:
    types = ("Body Part, Organ, or Organ Component",) if name == "left lung" else ()
    assert aliases(*OWN_TERMS, Concept("C9999999", name, types, 50.0)).get("C9999999") == representative


def test_what_the_graph_calls_the_same_is_one_meaning_unless_the_kinds_differ() -> None:
    fever, hot = Concept("C1", "fever (finding)", (), 5.0), Concept("C2", "feeling hot")
    warm = Concept("C3", "warm (physical object)")
    assert aliases(fever, hot, warm, same=(("C2", "C1"), ("C1", "C3"), ("C1", "C8"))) == {"C2": "C1"}


def test_a_map_to_several_concepts_says_nothing_of_sameness() -> None:
    assert one_to_one([("a", "b"), ("b", "a"), ("c", "d"), ("c", "e"), ("f", "f")]) == [("a", "b")]


def test_a_mention_is_the_representative_with_its_alias() -> None:
    lexicon = Lexicon([*OWN_TERMS, Concept("C0747635", "bilateral pleural effusion (diagnosis)", (), 156.0)])
    [mention] = DictionaryTagger(lexicon).tag("Bilateral pleural effusions")
    assert (mention.candidates[0].cui, mention.candidates[0].alias) == ("C0032227", "C0747635")
    assert mention.candidates[0].name == "pleural effusion"
    [plain] = DictionaryTagger(lexicon).tag("pleural effusion")
    assert plain.candidates[0].alias == ""


def test_names_stay_apart_when_asked() -> None:
    concepts = [Concept("C1", "effusion"), Concept("C2", "effusion")]
    assert Lexicon(concepts, one_per_meaning=False).aliases == {}


CONCEPTS = st.builds(
    Concept,
    st.sampled_from([f"C{number}" for number in range(12)]),
    st.lists(st.sampled_from(["effusion", "left", "pleural"]), max_size=3).map(" ".join),
    st.sampled_from([(), ("Disease or Syndrome",), ("Body Part, Organ, or Organ Component",)]),
    st.sampled_from([0.0, 1.0, 2.0]),
)


@given(
    st.lists(CONCEPTS, max_size=12, unique_by=lambda concept: concept.cui),
    st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=8),
)
def test_each_alias_has_one_representative_that_is_no_alias_and_of_its_kind(
    concepts: list[Concept], pairs: list[tuple[int, int]]
) -> None:
    meanings = MeaningIndex()
    for concept in concepts:
        meanings.add(concept.cui, concept.name.split(), concept.types, concept.name, concept.weight)
    chosen = meanings.representatives((f"C{first}", f"C{second}") for first, second in pairs)
    by_cui = {concept.cui: concept for concept in concepts}
    kind_by_cui = {concept.cui: kind_of(concept.types) for concept in concepts}
    for alias, representative in chosen.items():
        assert representative not in chosen
        assert by_cui[representative].weight >= by_cui[alias].weight
        assert kind_by_cui[alias] in ("", kind_by_cui[representative]) or not kind_by_cui[representative]
    kinds: dict[str, set[str]] = {}
    for cui, kind in kind_by_cui.items():
        kinds.setdefault(chosen.get(cui, cui), set()).add(kind)
    assert all(len(group - {""}) <= 1 for group in kinds.values())
