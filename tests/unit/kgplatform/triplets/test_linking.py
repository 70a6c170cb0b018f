"""Entity linking: which concept a phrase means, how sure that is, and when it means none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.lexicon import Concept, Lexicon
from kgplatform.construct.tagger import Candidate, DictionaryTagger, Mention
from kgplatform.triplets.linking import THRESHOLD, Linker

CONCEPTS = [
    Concept("C0032227", "Pleural effusion", ("Disease or Syndrome",)),
    Concept("C0032227", "fluid in the chest"),
    Concept("C0018800", "Cardiomegaly"),
    Concept("C0024109", "Lung"),
    Concept("C0225730", "Left lung"),
    Concept("C1261077", "Left lower lobe"),
]
LINKER = Linker(DictionaryTagger(Lexicon(CONCEPTS)))


class _FixedTagger:
    """A tagger that says the same of every phrase."""

    name = "said 1"

    def __init__(self, *mentions: Mention) -> None:
        self._mentions = list(mentions)
        self.requests = 0

    def tag(self, text: str) -> list[Mention]:
        del text
        self.requests += 1
        return self._mentions


@pytest.mark.parametrize(
    ("phrase", "cui", "score"),
    [
        ("pleural effusion", "C0032227", 1.0),
        ("Pleural Effusions", "C0032227", 1.0),
        ("fluid of chest", "C0032227", 1.0),  # another name; small words do not count
        ("left lung", "C0225730", 1.0),
        ("LLL", "C1261077", 1.0),  # written out, three words
        ("mild cardiomegaly", "C0018800", 1 / 2),
        ("pleural effussion", "C0032227", 0.8),
        ("small left pleural effusion", "C0032227", 2 / 4),
        ("lung pleural effusion", "C0032227", 2 / 3),  # the mention that covers more
        ("cardiomegaly and left lung", "C0225730", 2 / 4),
    ],
)
def test_the_concept_of_a_phrase_and_its_score(phrase: str, cui: str, score: float) -> None:
    concept_link = LINKER.link(phrase)
    assert concept_link is not None
    assert (concept_link.cui, concept_link.method) == (cui, "dictionary 2")
    assert concept_link.score == pytest.approx(score)


@pytest.mark.parametrize("phrase", ["", "  ", "!!", "the", "hernia", "much too mild cardiomegaly", "mild effussion"])
def test_a_phrase_that_means_none(phrase: str) -> None:
    assert LINKER.link(phrase) is None


def test_a_link_has_the_preferred_name_and_the_types() -> None:
    assert LINKER.link("pleural effusion") == (
        "C0032227",
        "Pleural effusion",
        ("Disease or Syndrome",),
        1.0,
        "dictionary 2",
    )


def test_any_tagger_will_do_and_is_asked_once_a_phrase() -> None:
    tagger = _FixedTagger(
        Mention(0, 1, (Candidate("C0000001", "a", 1.0),)),
        Mention(2, 5, (Candidate("SNOMED:5", "b", 0.9), Candidate("C0000002", "c", 0.8, ("T047",)))),
    )
    linker = Linker(tagger)
    for _ in range(3):
        concept_link = linker.link("x y z")
    assert concept_link is not None
    assert (concept_link.cui, concept_link.name, concept_link.types) == (
        "C0000002",
        "c",
        ("T047",),
    )  # the first with a CUI
    assert concept_link.score == pytest.approx(0.8 * 2 / 3)
    assert tagger.requests == 1


def test_without_a_candidate_that_has_a_cui_there_is_no_link() -> None:
    assert Linker(_FixedTagger(Mention(0, 1, ()), Mention(0, 1, (Candidate("X", "x", 1.0),)))).link("x") is None


def test_what_decides_the_answers_is_told() -> None:
    assert Linker(_FixedTagger(), {"lexicon": "ab"}).about == {
        "tagger": "said 1",
        "threshold": THRESHOLD,
        "lexicon": "ab",
    }


@given(st.text(max_size=60))
def test_any_phrase_has_a_sure_link_or_none(phrase: str) -> None:
    concept_link = LINKER.link(phrase)
    assert concept_link is None or THRESHOLD <= concept_link.score <= 1


WORDS = ["mild", "left", "lower", "lobe", "lung", "pleural", "effusion", "cardiomegaly", "and", ",", "of", "xyz"]


@given(st.lists(st.sampled_from(WORDS), max_size=7))
def test_any_words_have_a_sure_link_or_none(words: list[str]) -> None:
    concept_link = LINKER.link(" ".join(words))
    assert concept_link is None or THRESHOLD <= concept_link.score <= 1
