"""What the graph states becomes links; parts share no subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgp_models.images.examples import (
    ImageExamples,
    LabelledImage,
    Link,
    graph_examples,
    split_by_study,
    split_by_subject,
)
from kgplatform.datasets.knowledge import NEGATIVE, POSITIVE, STANCES, UNCERTAIN, GraphImage, Knowledge
from kgplatform.errors import InputError

CUIS = ["C9900001", "C9900002"]


def knowledge(stances: list[tuple[int, int, int]]) -> Knowledge:
    images = [
        GraphImage("I1", "1.png", "OpenI", "s1", "p1"),
        GraphImage("I2", "2.png", "OpenI", "s2"),
        GraphImage("I3"),
    ]
    rows = np.array(stances, dtype=np.int64).reshape(-1, 3)
    return Knowledge(images, CUIS, ["effusion", "edema"], [], rows, np.empty((0, 3), dtype=np.int64))


def test_stances_become_links_and_an_uncertain_concept_is_neither_there_nor_not() -> None:
    stances = [(0, POSITIVE, 0), (0, UNCERTAIN, 1), (1, NEGATIVE, 0), (1, UNCERTAIN, 1), (1, POSITIVE, 1)]
    examples = graph_examples(knowledge(stances), {"I1": Path("1.png"), "I2": Path("2.png")})
    assert [image.id for image in examples.images] == ["I1", "I2"], "an image without a file is left out"
    assert examples.subjects == ["p1", "s2"], "the study, where the patient is not known"
    links = [
        Link("POSITIVE", CUIS[0], "effusion"),
        Link("POSITIVE", CUIS[1], "edema"),
        Link("NEGATIVE", CUIS[0], "effusion"),
    ]
    targets = examples.targets(links)
    assert targets[1].tolist() == [0.0, 1.0, 1.0], "what is stated counts, also next to an open stance"
    assert targets[0, 0] == 1.0
    assert np.isnan(targets[0, 1])
    assert targets[0, 2] == 0.0
    assert examples.frequent_links(2, ["UNCERTAIN"]) == [Link("UNCERTAIN", CUIS[1], "edema")]
    [data_set] = examples.sources
    assert (data_set.name, data_set.images, data_set.subjects, data_set.synthetic) == ("OpenI", 2, None, False)


def test_concepts_that_are_left_out_are_no_links() -> None:
    stances = [(0, POSITIVE, 0), (0, UNCERTAIN, 1), (1, POSITIVE, 1)]
    paths = {"I1": Path("1.png"), "I2": Path("2.png")}
    examples = graph_examples(knowledge(stances), paths, frozenset({CUIS[1]}))
    assert [image.id for image in examples.images] == ["I1", "I2"], "an image without another link shows nothing else"
    assert examples.frequent_links(1, STANCES) == [Link("POSITIVE", CUIS[0], "effusion")]
    assert not any(image.unknown for image in examples.images)


@given(st.lists(st.sampled_from("abcdefgh"), max_size=40), st.integers(0, 3))
def test_parts_share_no_subject_and_lose_no_image(subjects: list[str], seed: int) -> None:
    images = ImageExamples(
        [LabelledImage(f"I{number}", Path("a"), subject, frozenset()) for number, subject in enumerate(subjects)]
    )
    parts = split_by_subject(images, seed)
    assert sorted(image.id for part in parts.values() for image in part.images) == sorted(
        image.id for image in images.images
    )
    in_parts = [set(part.subjects) for part in parts.values()]
    assert not in_parts[0] & in_parts[1]
    assert not in_parts[0] & in_parts[2]
    assert not in_parts[1] & in_parts[2]
    assert split_by_subject(images, seed) == parts


def test_a_file_may_say_which_study_is_in_which_part() -> None:
    images = ImageExamples(
        [
            LabelledImage(f"I{study}", Path("a"), patient or study, frozenset(), study=study, patient=patient)
            for study, patient in (("1", "p1"), ("2", "p1"), ("3", "p2"), ("4", ""), ("5", ""))
        ]
    )
    parts = split_by_study(images, {"1": "train", "2": "train", "3": "val", "4": "validate", "5": "unused"})
    assert {part: [image.study for image in part_images.images] for part, part_images in parts.items()} == {
        "train": ["1", "2"],
        "validate": ["3", "4"],
        "test": [],
    }
    with pytest.raises(InputError, match="studies of 1 patient are in several parts"):
        split_by_study(images, {"1": "train", "2": "test"})
    with pytest.raises(InputError, match="no image is of a study that the splits put into training"):
        split_by_study(images, {"1": "test"})


def test_views_of_a_study_are_no_further_cases_of_a_finding() -> None:
    link = Link("POSITIVE", CUIS[0], "effusion")
    frontal = LabelledImage("I1", Path("1.png"), "s1", frozenset({link}), study="s1")
    lateral = frontal._replace(id="I1 lateral.png", path=Path("lateral.png"))
    other = LabelledImage("I2", Path("2.png"), "s2", frozenset({link}))
    assert ImageExamples([frontal, lateral]).frequent_links(2, ["POSITIVE"]) == []
    assert ImageExamples([frontal, lateral, other]).frequent_links(2, ["POSITIVE"]) == [link]
