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

from kgplatform.datasets.questions import PARTS, Question, image_disjoint, official, on_validation, pictures
from kgplatform.errors import InputError, UsageError


def _question(
    number: int, image: str = "a.png", part: str = "train", answer: str = "yes", text: str = "Is it?"
) -> Question:
    return Question(str(number), text, answer, image, Path(image), "invented", part)


@pytest.mark.parametrize(
    ("answer", "yes"),
    [("yes", True), (" Yes. ", True), ("TRUE", True), ("no", False), ("false", False), ("none", None),
     ("yes, left", None), ("", None)],
)  # fmt: skip
def test_closed_questions_are_answered_by_yes_or_no(answer: str, yes: bool | None) -> None:
    assert _question(1, answer=answer).yes is yes


def test_wording_is_the_words() -> None:
    assert _question(1, text="Is there  a Pleural-effusion?").wording == "is there a pleural effusion"


def test_pictures_are_told_apart_by_what_they_show(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (80, 60), dtype=np.uint8)
    for image_name, image_pixels in (("a.png", pixels), ("copy of a.png", pixels), ("b.png", pixels[::-1])):
        Image.fromarray(image_pixels).save(tmp_path / image_name)
    questions = [
        replace(_question(number, image_name), path=tmp_path / image_name)
        for number, image_name in enumerate(("a.png", "copy of a.png", "b.png"))
    ]
    picture_ids = pictures(questions)
    assert picture_ids["a.png"] == picture_ids["copy of a.png"] != picture_ids["b.png"]
    (tmp_path / "b.png").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"b\.png"):
        pictures(questions)


class TestOfficial:
    """The released parts."""

    def test_a_tenth_of_training_is_held_back_where_no_validation_part_is_released(self) -> None:
        all_questions = [_question(number, part="test" if number < 30 else "train") for number in range(130)]
        question_set = official(all_questions)
        assert {part_name: len(part_questions) for part_name, part_questions in question_set.parts.items()} == {
            "train": 90,
            "valid": 10,
            "test": 30,
        }
        assert question_set.parts["test"] == all_questions[:30]
        assert {example.id for example in question_set.questions} == {example.id for example in all_questions}
        reversed_set = official(all_questions[::-1])
        assert (reversed_set.sha256, {example.id for example in reversed_set.parts["valid"]}) == (
            question_set.sha256,
            {example.id for example in question_set.parts["valid"]},
        )
        assert official(all_questions, seed=1).sha256 != question_set.sha256

    def test_a_released_validation_part_stays(self) -> None:
        questions = [_question(number, part=PARTS[number % 3]) for number in range(9)]
        assert [len(part_questions) for part_questions in official(questions).parts.values()] == [3, 3, 3]

    def test_nothing_to_test_with(self) -> None:
        with pytest.raises(InputError, match="no closed questions for test"):
            official([_question(number) for number in range(20)])


class TestOnValidation:
    """The released validation part as test; the test part is not read."""

    @given(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from(PARTS)), min_size=60, max_size=120), st.integers(0, 3)
    )
    def test_pictures_stay_in_one_part_and_the_test_part_is_not_read(
        self, rows: list[tuple[int, str]], seed: int
    ) -> None:
        all_questions = [_question(number, f"{image}.png", part) for number, (image, part) in enumerate(rows)]
        picture_ids = {f"{number}.png": f"picture {number // 2}" for number in range(31)}  # two files show the same
        try:
            question_set = on_validation(all_questions, picture_ids, seed)
        except InputError:  # all pictures of the training are also in the validation part
            return
        pictures_by_part = [{picture_ids[member.image] for member in question_set.parts[part]} for part in PARTS]
        assert not pictures_by_part[0] & pictures_by_part[1]
        assert not (pictures_by_part[0] | pictures_by_part[1]) & pictures_by_part[2]
        released = {member.id: member.part for member in all_questions}
        assert {released[member.id] for member in question_set.parts["test"]} == {"valid"}
        assert {released[member.id] for part in PARTS[:2] for member in question_set.parts[part]} == {"train"}
        assert sum(part == "valid" for _, part in rows) == len(question_set.parts["test"])

    def test_a_data_set_without_a_validation_part(self) -> None:
        with pytest.raises(InputError, match="no closed questions for"):
            on_validation([_question(number) for number in range(20)], {"a.png": "a"})


class TestImageDisjoint:
    """Folds in which no picture is on two sides."""

    @given(st.lists(st.integers(0, 11), min_size=30, max_size=90), st.integers(3, 6), st.integers(0, 3))
    def test_no_picture_is_on_two_sides_and_every_question_is_tested_once(
        self, images: list[int], folds: int, seed: int
    ) -> None:
        all_questions = [
            _question(number, f"{image_number}.png", part="test" if number % 7 else "train")
            for number, image_number in enumerate(images)
        ]
        picture_ids = {f"{number}.png": f"picture {number // 2}" for number in range(12)}  # two files show the same
        if len({picture_ids[example.image] for example in all_questions}) < folds:
            with pytest.raises(UsageError):
                image_disjoint(all_questions, picture_ids, 0, folds, seed)
            return
        test_counts: Counter[str] = Counter()
        for fold in range(folds):
            question_set = image_disjoint(all_questions, picture_ids, fold, folds, seed)
            part_pictures = [{picture_ids[example.image] for example in question_set.parts[part]} for part in PARTS]
            assert (
                not part_pictures[0] & part_pictures[1]
                | part_pictures[0] & part_pictures[2]
                | part_pictures[1] & part_pictures[2]
            )
            assert all(example.part == part for part in PARTS for example in question_set.parts[part])
            assert sorted(example.id for example in question_set.questions) == sorted(
                example.id for example in all_questions
            )
            test_counts.update(example.id for example in question_set.parts["test"])
        assert set(test_counts.values()) == {1}
        assert len(test_counts) == len(all_questions)

    def test_folds_are_about_as_large_and_the_order_of_files_does_not_matter(self) -> None:
        questions = [_question(number, f"{number // 5}.png") for number in range(500)]
        picture_ids = {f"{number}.png": str(number) for number in range(100)}
        fold_sets = [image_disjoint(questions, picture_ids, fold) for fold in range(5)]
        assert {len(question_set.parts["test"]) for question_set in fold_sets} == {100}
        assert image_disjoint(questions[::-1], picture_ids, 2).sha256 == fold_sets[2].sha256
        assert len({question_set.sha256 for question_set in fold_sets}) == 5

    @pytest.mark.parametrize(("fold", "folds"), [(0, 2), (5, 5), (-1, 5), (0, 101)])
    def test_folds_that_are_none(self, fold: int, folds: int) -> None:
        questions = [_question(number, f"{number}.png") for number in range(100)]
        with pytest.raises(UsageError, match="images have no fold"):
            image_disjoint(questions, {f"{number}.png": str(number) for number in range(100)}, fold, folds)
