"""Words and sentences of reports: where each stands, and in which form it is compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.text import sentences, stem, tokenize_text

texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(["No effusion", ". ", ".", "\n\n", "1. ", "Dr. ", "3.5 cm", "?", "XXXX", ")", "ü"])).map(
        "".join
    ),
)


def _split_sentences(text: str) -> list[str]:
    return [text[sentence_start:sentence_end].strip() for sentence_start, sentence_end in sentences(text)]


@given(texts)
def test_tokens_are_the_texts_own_characters_in_order(text: str) -> None:
    previous_end = 0
    for token in tokenize_text(text):
        assert previous_end <= token.start < token.end <= len(text)
        assert token.text == text[token.start : token.end].lower()
        assert not text[previous_end : token.start].strip()
        previous_end = token.end
    assert not text[previous_end:].strip()


@given(texts)
def test_sentences_cover_all_but_blanks_once(text: str) -> None:
    previous_end = 0
    for sentence_start, sentence_end in sentences(text):
        assert previous_end <= sentence_start < sentence_end <= len(text)
        assert not text[previous_end:sentence_start].strip()
        assert text[sentence_start:sentence_end].strip()
        previous_end = sentence_end
    assert not text[previous_end:].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No effusion. Heart normal.", ["No effusion.", "Heart normal."]),
        ("A nodule of 3.5 cm is seen.", ["A nodule of 3.5 cm is seen."]),
        ("1. Atelectasis. 2. No effusion.", ["1. Atelectasis.", "2. No effusion."]),
        ("Lesion in the apex.There is no effusion.", ["Lesion in the apex.", "There is no effusion."]),
        ("Discussed with Dr. XXXX. Stable.", ["Discussed with Dr. XXXX.", "Stable."]),
        ("Heart normal\n\nLungs clear", ["Heart normal", "Lungs clear"]),
        ("Is it an effusion? Yes.", ["Is it an effusion?", "Yes."]),
        ("Seen at level 5. No effusion.", ["Seen at level 5.", "No effusion."]),
        ("", []),
        (" . ", ["."]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert _split_sentences(text) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("effusions", "effusion"),
        ("opacities", "opacity"),
        ("masses", "mass"),
        ("pneumothoraces", "pneumothorax"),
        ("atelectases", "atelectasis"),
        ("atelectasis", "atelectasis"),
        ("apices", "apex"),
        ("bronchus", "bronchus"),
        ("diseases", "disease"),
        ("oedema", "edema"),
        ("ödem", "odem"),
        ("gas", "gas"),
        ("a", "a"),
    ],
)
def test_the_form_in_which_a_word_is_compared(word: str, expected: str) -> None:
    assert stem(word) == expected


@given(st.text(st.characters(categories=["Ll"]), min_size=1, max_size=20))
def test_a_word_in_its_form_stays_in_it_unless_it_ends_in_s(word: str) -> None:
    word_stem = stem(word)
    assert word_stem.endswith("s") or stem(word_stem) == word_stem
