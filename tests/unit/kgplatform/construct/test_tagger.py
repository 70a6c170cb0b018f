"""The dictionary tagger: which concepts a phrase may mean, and where it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.lexicon import Concept, Lexicon, key, plain_names
from kgplatform.construct.semantic_types import EXCLUDED, Allowed, types_by_name
from kgplatform.construct.tagger import DictionaryTagger

CONCEPTS = [
    Concept("C0032227", "Pleural effusion, NOS"),
    Concept("C0032227", "pleural fluid"),
    Concept("C2317432", "Effusion", (), 5.0),
    Concept("C0013687", "effusion", (), 2.0),
    Concept("C0018800", "enlarged heart"),
    Concept("C0018800", "heart enlarged"),
    Concept("C0225730", "Left lung structure (body structure)"),
    Concept("C0034079", "Nodule, pulmonary"),
    Concept("C0746291", "LUNG RUL NODULE"),
    Concept("C0032326", "Pneumothorax"),
    Concept("C0205177", "Active", ("Functional Concept",)),
    Concept("C0027627", "Lung disease", ("Disease or Syndrome", "Qualitative Concept")),
]
TAGGER = DictionaryTagger(Lexicon(CONCEPTS), Allowed())


def tagged(text: str, tagger: DictionaryTagger = TAGGER) -> list[tuple[str, str]]:
    return [(text[mention.start : mention.end], mention.candidates[0].cui) for mention in tagger.tag(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Small pleural effusions.", [("pleural effusions", "C0032227")]),
        ("Pleural, effusion", [("effusion", "C2317432")]),
        ("The heart is mildly enlarged.", [("heart is mildly enlarged", "C0018800")]),
        ("Heart, enlarged", []),
        ("LEFT LUNG is clear", [("LEFT LUNG", "C0225730")]),
        ("pulmonary nodule", [("pulmonary nodule", "C0034079")]),
        ("lung RUL nodule", [("lung RUL nodule", "C0746291")]),
        ("right upper lobe", []),
        ("pneumothorasx? Pnuemothorax!", [("pneumothorasx", "C0032326"), ("Pnuemothorax", "C0032326")]),
        ("ptx", [("ptx", "C0032326")]),
        ("preeffusion effusional", []),
        ("active lung diseases", [("lung diseases", "C0027627")]),
        ("", []),
    ],
)
def test_which_phrases_are_found(text: str, expected: list[tuple[str, str]]) -> None:
    assert tagged(text) == expected


def test_candidates_come_with_the_closest_name_first_then_the_commonest_concept() -> None:
    tagger = DictionaryTagger(Lexicon(CONCEPTS, one_per_meaning=False), Allowed())
    [mention] = tagger.tag("effusion")
    assert [candidate.cui for candidate in mention.candidates] == ["C2317432", "C0013687"]
    assert [candidate.score for candidate in mention.candidates] == [1.0, 1.0]
    [corrected_mention] = tagger.tag("efusion")
    assert [candidate.score for candidate in corrected_mention.candidates] == [0.8, 0.8]


def test_typos_are_left_alone_when_asked() -> None:
    assert tagged("pnuemothorax", DictionaryTagger(Lexicon(CONCEPTS), approximate=False)) == []


def test_a_concept_has_the_first_of_its_names() -> None:
    [mention] = TAGGER.tag("pleural fluid")
    assert mention.candidates[0].name == "Pleural effusion, NOS"


def test_no_part_of_an_abbreviation_is_a_phrase_of_its_own() -> None:
    assert tagged("PICC", DictionaryTagger(Lexicon([Concept("C0205099", "central")]))) == []


@given(
    st.lists(
        st.sampled_from(
            [
                "left",
                "lung",
                "effusion",
                "pleural",
                ",",
                ".",
                "heart",
                "is",
                "mildly",
                "enlarged",
                "ptx",
                "RUL",
                "nodule-",
            ]
        )
    )
)
def test_mentions_stand_in_order_apart_and_have_candidates(words: list[str]) -> None:
    report_text = " ".join(words)
    previous_end = 0
    for mention in TAGGER.tag(report_text):
        assert previous_end <= mention.start < mention.end <= len(report_text)
        assert mention.candidates
        assert "." not in report_text[mention.start : mention.end]
        previous_end = mention.end


@given(st.text(max_size=100))
def test_any_text_can_be_tagged(text: str) -> None:
    TAGGER.tag(text)


@given(st.text(max_size=60))
def test_a_name_is_found_by_itself(name: str) -> None:
    lexicon = Lexicon([Concept("C0000001", name)])
    for plain_name in plain_names(name):
        if 0 < len(key(plain_name).split()) <= 12:
            assert lexicon.entries(key(plain_name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Effusion, pleural", "pleural Effusion"),
        ("lung; infiltrate", "infiltrate lung"),
        ("Structure of left lung (body structure)", "left lung"),
        ("pleural effusion (diagnosis)", "pleural effusion"),
        ("[D]Collapse (situation)", "Collapse"),
        ("Pneumonia NOS", "Pneumonia"),
    ],
)
def test_names_in_a_terminologys_dress_are_known_in_plain_dress(name: str, expected: str) -> None:
    assert expected in list(plain_names(name))
    assert next(plain_names(name)) == name


def test_the_papers_25_excluded_types() -> None:
    assert len(EXCLUDED) == 25
    is_allowed = Allowed()
    assert not is_allowed(("T080",))
    assert not is_allowed(("Qualitative Concept", "T079"))
    assert is_allowed(("Qualitative Concept", "Finding"))
    assert is_allowed(("T082",))
    assert is_allowed(())
    assert types_by_name("Focal (qualifier value)") == ("Qualitative Concept",)
    assert types_by_name("Pneumonia (disorder)") == ()
    assert not Allowed(["Finding"])(["finding"])


def test_the_hash_of_a_lexicon_is_of_all_that_decides() -> None:
    lexicon_hash = Lexicon(CONCEPTS).sha256()
    assert lexicon_hash == Lexicon(CONCEPTS).sha256()
    assert lexicon_hash != Lexicon(CONCEPTS[:-1]).sha256()
    assert lexicon_hash != Lexicon([CONCEPTS[0]._replace(weight=1.0), *CONCEPTS[1:]]).sha256()
    assert lexicon_hash != Lexicon([CONCEPTS[1], CONCEPTS[0], *CONCEPTS[2:]]).sha256()
