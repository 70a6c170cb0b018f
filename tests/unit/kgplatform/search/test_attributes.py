"""What a text states of its findings, and which edges agree with it."""

from __future__ import annotations

from typing import Any

import pytest

from kgplatform.cli.search import Change, Severity, Side
from kgplatform.construct.attribute_table import Attribute
from kgplatform.construct.lexicon import Concept
from kgplatform.errors import UsageError
from kgplatform.schema import Stance
from kgplatform.search.attributes import (
    DescribedFinding,
    attributes_alone,
    compare_attributes,
    find_in_text,
    has_attribute_words,
    has_required,
    required_values,
    values_of,
)

GRAPH_CONCEPTS = [
    Concept("C0205091", "Left (qualifier value)", ("Qualitative Concept",)),
    Concept("C9900001", "Moderate"),
    Concept("C4552777", "Pleural effusion"),
    Concept("C0747635", "Bilateral pleural effusion"),
    Concept("C9900002", "Mass of chest wall (finding)"),
]
LARGE, SMALL = ("large", "severe"), ("small", "mild", "minimal")
LEFT, RIGHT = ("left", "bilateral"), ("right", "bilateral")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("large left pleural effusion", [("C0032227", {"severity": LARGE, "side": LEFT})]),
        ("There is a large left pleural effusion.", [("C0032227", {"severity": LARGE, "side": LEFT})]),
        ("pleural effusion", [("C0032227", {})]),
        ("the effusion on the right has improved", [("C0032227", {"side": RIGHT, "change": ("better",)})]),
        (
            "small bilateral pleural effusions and a large right pneumothorax",
            [
                ("C0032227", {"severity": SMALL, "side": ("bilateral",)}),
                ("C0032326", {"severity": LARGE, "side": RIGHT}),
            ],
        ),
        (
            "worsening left lower lobe pneumonia",
            [("C0032285", {"side": LEFT, "location": ("lower lobe",), "change": ("worse",)})],
        ),
        ("chronic left rib fracture", [("KGP0024", {"side": LEFT, "acuity": ("chronic", "old")})]),
        ("moderate mass of chest wall", [("C9900002", {"severity": ("moderate",)})]),
        ("2 cm nodule", [("C0034079", {})]),
        ("left lung", []),
        ("qwertz", []),
    ],
)
def test_findings_of_a_text(text: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    findings = find_in_text(text, GRAPH_CONCEPTS)
    assert [(finding.meanings[0][0], dict(finding.attributes)) for finding in findings] == expected


def test_a_finding_has_all_concepts_of_its_meaning() -> None:
    [finding] = find_in_text("a small effusion", GRAPH_CONCEPTS)
    assert finding.meanings[0] == ("C0032227", "C0747635", "C4552777")


@pytest.mark.parametrize("text", ["", "qwertz uiop", "effusion", "picture of a dog"])
def test_texts_without_attribute_words_are_not_looked_into(text: str) -> None:
    assert not has_attribute_words(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("large, on the left", {"severity": LARGE, "side": LEFT}),
        ("large left", {"severity": LARGE, "side": LEFT}),
        ("worsening", {"change": ("worse",)}),
        ("in the left lower lobe", {"side": LEFT, "location": ("lower lobe",)}),
        ("finding on the left", {}),  # of whatever "finding" is
        ("x", {}),
    ],
)
def test_attributes_without_a_finding(text: str, expected: dict[str, tuple[str, ...]]) -> None:
    assert attributes_alone(text) == expected


@pytest.mark.parametrize(
    ("stated", "agreeing", "contradicting"),
    [
        ({}, (), ()),
        ({"side": "left"}, ("side",), ()),
        ({"side": "bilateral", "severity": "severe"}, ("severity", "side"), ()),
        ({"side": "right", "severity": "large"}, ("severity",), ("side",)),
        ({"severity": "small", "change": "new"}, (), ("severity",)),
        ({"location": ["base"]}, ("location",), ()),
        ({"location": ["lower lobe"]}, (), ()),  # a base is in a lower lobe
        ({"location": ["lung"]}, (), ()),
        ({"location": ["apex", "base"]}, ("location",), ()),
        ({"location": ["apex"]}, (), ("location",)),
    ],
)
def test_edges_agree_contradict_or_state_nothing(
    stated: dict[str, Any], agreeing: tuple[str, ...], contradicting: tuple[str, ...]
) -> None:
    finding = DescribedFinding(
        "effusion",
        ("C0032227",),
        Stance.POSITIVE,
        {"severity": LARGE, "side": LEFT, "location": ("base",)},
    )
    assert compare_attributes(finding, stated) == (agreeing, contradicting)


def test_required_attributes_are_exact_but_a_bilateral_finding_is_left_and_right() -> None:
    finding = DescribedFinding("effusion", ("C0032227",), Stance.POSITIVE, {}, {"side": "left", "location": "base"})
    assert has_required(finding, {"side": "left", "location": ["base", "lung"], "severity": "small"})
    assert has_required(finding, {"side": "bilateral", "location": ["base"]})
    assert not has_required(finding, {"side": "right", "location": ["base"]})
    assert not has_required(finding, {"side": "left"})
    assert str(finding) == "effusion (C0032227): side left (required), location base (required)"


def test_values_that_no_edge_can_have_are_refused_with_a_suggestion() -> None:
    assert required_values(side=None, location=" Lower lobe ") == {"location": "lower lobe"}
    with pytest.raises(UsageError, match="no finding has the location lower lob") as error:
        required_values(location="lower lob\x1b")
    assert error.value.hint.startswith("Did you mean lower lobe")
    with pytest.raises(UsageError, match="no finding has the side up"):
        required_values(side="up")


def test_the_options_of_the_command_are_the_values_of_the_table() -> None:
    for option, attribute in ((Side, Attribute.SIDE), (Severity, Attribute.SEVERITY), (Change, Attribute.CHANGE)):
        assert sorted(option) == sorted(values_of(attribute))
