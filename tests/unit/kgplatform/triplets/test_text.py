"""Triplets as text: what is written is read back, and nothing that a model says does harm."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.triplets.text import (
    MAX_ENTITY,
    MAX_TRIPLETS,
    Parsed,
    Relation,
    Triplet,
    entity,
    parse_triplets,
    serialise,
)

GARBAGE = 10_000
PIECES = [
    *",;|()[]{}<>\n\r\t\0 .:-_'\"“”\\/*#•1234567890",
    *(relation.value for relation in Relation),
    "Located At", "MODIFIES", "suggests", "located-at", "effusion", "left lower lobe", "Pneumothorax", "head, modify",
    "; DROP", "MATCH (n) DETACH DELETE n", "`]->()", "{\"a\": ", "\ud800", "\u202e", "\u0130", "\u1e9e", "e\u0301",
    "\ufeff", "\u2028", "🫁", "肺", "x" * 200, "the ", "null", "<|im_end|>", "Here are the triplets:", "1. ", "- ",
]  # fmt: skip

phrases = st.text(max_size=60)
entities = phrases.map(entity).filter(bool)
normalised = st.builds(Triplet, entities, st.sampled_from(Relation), entities)


def test_the_form_in_plain_lines() -> None:
    triplet_text = "effusion, located_at, left lung; small, modify, effusion; opacity, suggestive_of, pneumonia"
    expected = [
        Triplet("effusion", Relation.LOCATED_AT, "left lung"),
        Triplet("small", Relation.MODIFY, "effusion"),
        Triplet("opacity", Relation.SUGGESTIVE_OF, "pneumonia"),
    ]
    assert serialise(expected) == triplet_text
    assert parse_triplets(triplet_text) == Parsed(tuple(expected), 0)
    assert parse_triplets("") == parse_triplets(" ;\n; ") == Parsed((), 0)


@pytest.mark.parametrize(
    "reply",
    [
        "(Small, modify, effusion), (effusion, located_at, Lung)",
        "1. small, modify, effusion\n2. effusion, located at, lung.",
        "- small | modifies | effusion\n- effusion | Located-At | lung",
        '"small", MODIFY, "effusion";; \'effusion\', located_at, lung;',
        "small, modify, effusion; effusion, located_at, lung; small, modify, effusion",
    ],
)
def test_forms_that_models_use_are_read(reply: str) -> None:
    expected = (Triplet("small", Relation.MODIFY, "effusion"), Triplet("effusion", Relation.LOCATED_AT, "lung"))
    assert parse_triplets(reply) == Parsed(expected, 0)


@pytest.mark.parametrize(
    "part",
    [
        "no evidence of disease",
        "a, modify",
        "a, b, c",
        "a, modify, b, c",
        ", modify, b",
        "a, modify, ...",
        "a, is_a, b",
    ],
)
def test_what_is_no_triplet_is_left_out_and_counted(part: str) -> None:
    assert parse_triplets(f"{part}; small, modify, effusion") == Parsed(
        (Triplet("small", Relation.MODIFY, "effusion"),), 1
    )


def test_a_reply_without_end_gives_a_bounded_number() -> None:
    reply = "; ".join(f"a{number}, modify, b" for number in range(MAX_TRIPLETS + 7))
    assert (len(parse_triplets(reply).triplets), parse_triplets(reply).left_out) == (MAX_TRIPLETS, 7)
    assert entity("x" * (MAX_ENTITY + 1)) == ""


@pytest.mark.parametrize("text", ["opacity][nodule", "opacity) ( nodule", "opacity)] [(nodule", "opacity )( )( nodule"])
def test_brackets_that_would_separate_triplets_are_not_in_an_entity(text: str) -> None:
    assert entity(text) == "opacity nodule"
    assert entity("opacity (nodule) of the lung") == "opacity (nodule) of the lung"


@given(st.lists(normalised, max_size=20))
def test_what_is_written_is_read_back(triplets: list[Triplet]) -> None:
    assert parse_triplets(serialise(triplets)) == Parsed(tuple(dict.fromkeys(triplets)), 0)


@given(phrases)
def test_an_entity_is_its_own_normal_form(phrase: str) -> None:
    normal_form = entity(phrase)
    assert entity(normal_form) == normal_form
    assert not set(normal_form) & set(",;|\n\r")
    assert len(normal_form) <= MAX_ENTITY
    normal_form.encode()


@given(st.text(max_size=300))
def test_any_text_is_read_as_known_triplets(reply: str) -> None:
    _check_reply(reply)


def test_ten_thousand_replies_of_garbage_give_only_known_relations() -> None:
    generator = random.Random(6)
    triplet_count = 0
    for _ in range(GARBAGE):
        triplet_count += _check_reply("".join(generator.choice(PIECES) for _ in range(generator.randint(0, 40))))
    assert triplet_count  # not all is refused


def _check_reply(reply: str) -> int:
    result = parse_triplets(reply)
    for head, relation, tail in result.triplets:
        assert relation in Relation
        assert entity(head) == head != ""
        assert entity(tail) == tail != ""
    assert len(set(result.triplets)) == len(result.triplets) <= MAX_TRIPLETS
    assert parse_triplets(serialise(result.triplets)) == Parsed(result.triplets, 0)
    return len(result.triplets)
