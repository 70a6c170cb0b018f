"""VQA-RAD in the files that it is released as."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.vqa_rad import VQARAD
from kgplatform.datasets.questions import (
    Question,
    read_questions,
    unlike_release,
)
from tests.unit.loaders.question_releases import RAD, public, vqa_rad, write_json_file


class TestVQARAD:
    """What is its own."""

    def test_fields(self, tmp_path: Path) -> None:
        first_question, second_question, third_question = VQARAD(vqa_rad(tmp_path)).questions()
        assert first_question == Question(
            "7",
            "Is there an effusion?",
            "Yes",
            "synpic1.jpg",
            tmp_path / "images" / "synpic1.jpg",
            "VQA-RAD",
            "train",
            "PRES",
        )
        assert isinstance(second_question, Question)
        assert (second_question.answer, second_question.yes) == ("3", None)
        assert isinstance(third_question, Question)
        assert (third_question.part, third_question.yes) == ("test", False)

    def test_the_one_list_tells_its_test_part(self, tmp_path: Path) -> None:
        assert [question.part for question in read_questions("vqa_rad", public(tmp_path))[0]] == [
            "train",
            "test",
            "test",
        ]

    def test_bad_rows_are_told_by_row(self, tmp_path: Path) -> None:
        vqa_rad(tmp_path)
        bad_rows = [3, {}, {**RAD, "question": " "}, {**RAD, "answer": None}, {**RAD, "image_name": "../x.jpg"},
               {**RAD, "image_name": "/x.jpg"}, {**RAD, "qid": None}, {**RAD, "question": "a\x00b"}, RAD,
               RAD]  # fmt: skip
        write_json_file(tmp_path / "trainset.json", bad_rows)
        questions, rejects = read_questions("vqa_rad", tmp_path)
        assert [entry.id for entry in questions] == ["7", "9"]
        assert [(entry.row, entry.path.name) for entry in rejects[:8]] == [
            (row_number, "trainset.json") for row_number in range(1, 9)
        ]
        assert rejects[8].reason == "the question's id occurs twice"

    @pytest.mark.data
    def test_the_real_ones_are_those_of_the_papers_table(self, data_dir: Path) -> None:
        closed_questions, rejects = read_questions("vqa_rad", data_dir / "vqa_rad")
        test_questions = [question for question in closed_questions if question.part == "test"]
        assert (len(test_questions), sum(question.yes is True for question in test_questions)) == (251, 118)
        assert unlike_release("vqa_rad", closed_questions) == ""
        assert "has 251 and 118" in unlike_release("vqa_rad", closed_questions[:-1])
        assert (len(closed_questions), len(rejects)) == (1964, 0)
        all_questions, _ = read_questions("vqa_rad", data_dir / "vqa_rad", closed=False)
        assert len(all_questions) == 3064 + 451
        assert len({question.image for question in all_questions}) == 314  # of 315 files: one has no question
