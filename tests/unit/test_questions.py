"""Questions: what a closed one is, and how they are dealt out to training, validation and test."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kgplatform.errors import InputError, UsageError
from kgplatform.vqa.questions import PARTS, Question, image_disjoint, official, pictures


def question(
    number: int, image: str = "a.png", part: str = "train", answer: str = "yes", text: str = "Is it?"
) -> Question:
    return Question(str(number), text, answer, image, Path(image), "invented", part)


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("yes", True), (" Yes. ", True), ("TRUE", True), ("no", False), ("false", False), ("none", None),
     ("yes, left", None), ("", None)],
)  # fmt: skip
def test_closed_questions_are_answered_by_yes_or_no(answer: str, yes: bool | None) -> None:
    assert question(1, answer=answer).yes is yes


def test_wording_is_the_words() -> None:
    assert question(1, text="Is there  a Pleural-effusion?").wording == "is there a pleural effusion"


def test_pictures_are_told_apart_by_what_they_show(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (80, 60), dtype=np.uint8)
    for name, values in (("a.png", grey), ("copy of a.png", grey), ("b.png", grey[::-1])):
        Image.fromarray(values).save(tmp_path / name)
    asked = [
        replace(question(n, name), path=tmp_path / name) for n, name in enumerate(("a.png", "copy of a.png", "b.png"))
    ]
    shown = pictures(asked)
    assert shown["a.png"] == shown["copy of a.png"] != shown["b.png"]
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"b\.png"):
        pictures(asked)


class TestOfficial:
    """The released parts."""

    def test_a_tenth_of_training_is_held_back_where_no_validation_part_is_released(self) -> None:
        asked = [question(n, part="test" if n < 30 else "train") for n in range(130)]
        dealt = official(asked)
        assert {part: len(those) for part, those in dealt.parts.items()} == {"train": 90, "valid": 10, "test": 30}
        assert dealt.parts["test"] == asked[:30]
        assert {one.id for one in dealt.questions} == {one.id for one in asked}
        again = official(asked[::-1])
        assert (again.sha256, {one.id for one in again.parts["valid"]}) == (
            dealt.sha256,
            {one.id for one in dealt.parts["valid"]},
        )
        assert official(asked, seed=1).sha256 != dealt.sha256

    def test_a_released_validation_part_stays(self) -> None:
        asked = [question(n, part=PARTS[n % 3]) for n in range(9)]
        assert [len(those) for those in official(asked).parts.values()] == [3, 3, 3]

    def test_nothing_to_test_with(self) -> None:
        with pytest.raises(UsageError, match="no question is released for test"):
            official([question(n) for n in range(20)])


class TestImageDisjoint:
    """Folds in which no picture is on two sides."""

    @given(st.lists(st.integers(0, 11), min_size=30, max_size=90), st.integers(3, 6), st.integers(0, 3))
    def test_no_picture_is_on_two_sides_and_every_question_is_tested_once(
        self, images: list[int], folds: int, seed: int
    ) -> None:
        asked = [question(n, f"{image}.png", part="test" if n % 7 else "train") for n, image in enumerate(images)]
        shown = {f"{n}.png": f"picture {n // 2}" for n in range(12)}  # two files show the same
        if len({shown[one.image] for one in asked}) < folds:
            with pytest.raises(UsageError):
                image_disjoint(asked, shown, 0, folds, seed)
            return
        tested: Counter[str] = Counter()
        for fold in range(folds):
            dealt = image_disjoint(asked, shown, fold, folds, seed)
            sides = [{shown[one.image] for one in dealt.parts[part]} for part in PARTS]
            assert not sides[0] & sides[1] | sides[0] & sides[2] | sides[1] & sides[2]
            assert all(one.part == part for part in PARTS for one in dealt.parts[part])
            assert sorted(one.id for one in dealt.questions) == sorted(one.id for one in asked)
            tested.update(one.id for one in dealt.parts["test"])
        assert set(tested.values()) == {1}
        assert len(tested) == len(asked)

    def test_folds_are_about_as_large_and_the_order_of_files_does_not_matter(self) -> None:
        asked = [question(n, f"{n // 5}.png") for n in range(500)]
        shown = {f"{n}.png": str(n) for n in range(100)}
        dealt = [image_disjoint(asked, shown, fold) for fold in range(5)]
        assert {len(one.parts["test"]) for one in dealt} == {100}
        assert image_disjoint(asked[::-1], shown, 2).sha256 == dealt[2].sha256
        assert len({one.sha256 for one in dealt}) == 5

    @pytest.mark.parametrize(("fold", "folds"), [(0, 2), (5, 5), (-1, 5), (0, 101)])
    def test_folds_that_are_none(self, fold: int, folds: int) -> None:
        asked = [question(n, f"{n}.png") for n in range(100)]
        with pytest.raises(UsageError, match="pictures"):
            image_disjoint(asked, {f"{n}.png": str(n) for n in range(100)}, fold, folds)
