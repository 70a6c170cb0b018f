"""Side, location, severity, size, change and acuity of findings: the table's examples, kinds of sentence, merging."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.attribute_sizes import sizes
from kgplatform.construct.attribute_table import Attribute, attribute_rows, certainty_of, parse_rows
from kgplatform.construct.attribute_values import merge_values
from kgplatform.construct.attributes import Described, describe
from kgplatform.construct.marked_sentence import parse_marked
from kgplatform.construct.stance import rules
from kgplatform.errors import InputError
from kgplatform.schema import Stance

ROWS = [row for row in attribute_rows() if row.attribute is not Attribute.CERTAINTY]


def described(marked_text: str) -> list[dict[str, list[Any]]]:
    """The attributes of the findings in [brackets]; <others> are anatomy."""
    sentence = parse_marked(marked_text)
    mentions = [
        Described(mention.start, mention.end, is_subject, frozenset())
        for mention, is_subject in zip(sentence.mentions, sentence.is_subject, strict=True)
    ]
    values = describe(sentence.text, mentions)
    return [
        {attribute.value: list(stated) for attribute, stated in value.items()}
        for value, is_subject in zip(values, sentence.is_subject, strict=True)
        if is_subject
    ]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.attribute} {row.value}" for row in ROWS])
def test_each_row_is_read_in_its_example(row: Any) -> None:
    assert any(row.value in values.get(row.attribute.value, []) for values in described(row.example))


def test_each_certainty_is_read_in_the_cue_of_its_example() -> None:
    for row in attribute_rows():
        if row.attribute is Attribute.CERTAINTY:
            sentence = parse_marked(row.example)
            decision = rules().stances(sentence.text, sentence.mentions)[sentence.is_subject.index(True)]
            assert decision.cue is not None
            assert certainty_of(sentence.text[decision.cue.start : decision.cue.end]) == row.value, row.example


def in_short(values: dict[str, list[Any]]) -> str:
    return " ".join(str(value) for attribute in Attribute for value in values.get(attribute.value, []))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # Words of the finding's own noun phrase.
        ("Small left [effusion].", ["left small"]),
        ("Small left and moderate right [effusions].", ["left right small moderate"]),
        ("Mild left-sided [edema].", ["left mild"]),
        ("A tiny calcified right upper lobe [nodule].", ["right upper lobe small"]),
        ("Bibasilar [atelectasis].", ["bilateral base"]),
        ("A small amount of left [effusion].", ["left small"]),
        # Words after it, and what "and" joins.
        ("[Opacity] in the left lower lobe.", ["left lower lobe"]),
        ("[Atelectasis] and [effusion] at the right base.", ["right base", "right base"]),
        ("The [effusion] is large and unchanged.", ["large unchanged"]),
        ("[Effusion], left greater than right.", ["left right"]),
        # The next finding's words are not those of the one before.
        ("Left [effusion] and right basilar [atelectasis].", ["left", "right base"]),
        ("No [effusion] on the right but a small [effusion] on the left.", ["right", "left small"]),
        ("Left [effusion]. Right [nodule].", ["left", "right"]),
        ("Small right [effusion] and [opacity] at the left base.", ["right small", "left base"]),
        ("Large [mass]; small [nodule].", ["large", "small"]),
        # Words before it in the clause.
        ("In the left lower lobe there is a [nodule].", ["left lower lobe"]),
        ("The left lung has an [opacity].", ["left lung"]),
        # Change from the prior study.
        ("Interval increase in the left [effusion].", ["left worse"]),
        ("There has been interval improvement in the [edema].", ["better"]),
        ("No significant interval change in the [mass].", ["unchanged"]),
        ("The [effusion] has not increased.", ["unchanged"]),
        ("New right [nodule].", ["right new"]),
        ("Increased interstitial [opacities].", [""]),
        # Sizes.
        ("An 8 mm [nodule].", ["8.0"]),
        ("A 2.5 x 3 cm [mass].", ["30.0"]),
        ("A [mass] measuring 4 cm.", ["40.0"]),
        ("The [catheter] is at the level of T4.", [""]),
        # A diagnosis is where the finding is that it explains.
        ("Left basilar [opacity], likely [atelectasis].", ["left base", "left base"]),
        ("[Opacity] at the right base may represent [pneumonia].", ["right base", "right base"]),
        ("Left [opacity] without [effusion].", ["left", ""]),
        # Nothing is said.
        ("[Effusion].", [""]),
        ("Compared to the prior study, [effusion] is present.", [""]),
    ],
)
def test_what_is_said_of_a_finding(sentence: str, expected: list[str]) -> None:
    assert [in_short(values) for values in described(sentence)] == expected


def test_anatomy_is_described_by_nothing_and_words_of_a_name_are_no_attributes() -> None:
    text = "Left ventricular enlargement in the left lung."
    name_words = frozenset({"left", "ventricular", "enlargement"})
    finding, anatomy = Described(0, 28, True, name_words, "heart"), Described(41, 45, False, frozenset(), "lung")
    assert describe(text, [finding])[0] == {Attribute.SIDE: ["left"], Attribute.LOCATION: ["lung"]}
    assert describe("Left ventricular enlargement.", [finding]) == [{}]
    assert describe(text, [finding, anatomy])[1] == {}


@given(st.text(max_size=200), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20), st.booleans()), max_size=6))
def test_any_text_has_attributes_for_each_mention(text: str, spans: list[tuple[int, int, bool]]) -> None:
    mentions, last = [], 0
    for start, length, is_finding in sorted(spans):
        if last <= start < len(text):
            last = min(start + length, len(text))
            mentions.append(Described(start, last, is_finding, frozenset()))
    values = describe(text, mentions)
    assert len(values) == len(mentions)
    assert all(not value for value, mention in zip(values, mentions, strict=True) if not mention.is_finding)


def test_long_sentences_are_described_in_time_that_grows_with_them() -> None:
    sentence = "small left nodule and " * 20_000
    mentions = [Described(22 * number + 11, 22 * number + 17, True, frozenset()) for number in range(20_000)]
    values = describe(sentence, mentions)
    assert values[0] == values[-1] == {Attribute.SEVERITY: ["small"], Attribute.SIDE: ["left"]}


class TestMerging:
    """One edge of several mentions."""

    def test_left_and_right_make_bilateral_and_the_severest_counts(self) -> None:
        mentions: list[dict[Attribute, list[Any]]] = [
            {Attribute.SIDE: ["left"], Attribute.SEVERITY: ["small"], Attribute.LOCATION: ["base"]},
            {Attribute.SIDE: ["right"], Attribute.SEVERITY: ["moderate"], Attribute.CHANGE: ["unchanged"]},
            {Attribute.SIZE: [8.0], Attribute.CHANGE: ["new"], Attribute.LOCATION: ["apex", "base"]},
        ]
        assert merge_values(mentions, Stance.POSITIVE) == {
            "side": "bilateral", "severity": "moderate", "location": ["apex", "base"], "size_mm": 8.0, "change": "new",
        }  # fmt: skip

    def test_a_denial_of_a_part_states_that_it_is_one(self) -> None:
        large = {Attribute.SEVERITY: ["large"]}
        assert merge_values([large], Stance.NEGATIVE) == {"severity": "large", "only": ["large"]}
        assert merge_values([{Attribute.ACUITY: ["acute"]}], Stance.NEGATIVE)["only"] == ["acute"]
        assert merge_values([{Attribute.SIDE: ["left"]}], Stance.NEGATIVE) == {"side": "left"}
        assert merge_values([large, {}], Stance.NEGATIVE) == {}, "another sentence denies the whole"


@pytest.mark.parametrize(
    "row",
    ["side\tleft", "colour\tred\tred\t[Opacity].", "side\tleft\tleft\texample\tmore"],
    ids=["short", "name", "long"],
)
def test_a_damaged_row_is_an_error_with_its_line(row: str) -> None:
    with pytest.raises(InputError, match="line 2"):
        list(parse_rows(f"attribute\tvalue\twords\texample\n{row}\n"))


@pytest.mark.parametrize(
    ("sentence", "greatest"),
    [
        ("A 12 mm x 1 cm nodule.", 12.0),
        ("A 1.5 x 20 mm nodule.", 20.0),
        ("A 2 cm x 5 mm x 3 mm nodule.", 20.0),
        ("A nodule measuring 0.8 by 0.6 cm.", 8.0),
        ("A nodule, previously 8 mm.", None),
        ("The nodule lies 8 mm above the diaphragm.", None),
        ("A 5000 cm nodule.", None),
    ],
)
def test_a_size_is_its_greatest_length_in_millimetres(sentence: str, greatest: float | None) -> None:
    assert next((size.mm for size in sizes(sentence)), None) == greatest
