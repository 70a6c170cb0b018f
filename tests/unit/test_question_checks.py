"""The audit of questions: pictures and words that training knows, contradictions, names."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.audit import audit_questions
from kgplatform.vqa import questions
from kgplatform.vqa.checks import AuditedQuestions
from kgplatform.vqa.questions import Question, QuestionSet, overlaps


def asked(number: int, part: str, image: str, text: str, answer: str = "yes") -> Question:
    return Question(str(number), text, answer, image, Path(image), "tiny", part)


def dealt(*those: Question) -> QuestionSet:
    parts = {part: [one for one in those if one.part == part] for part in questions.PARTS}
    return QuestionSet(parts, "official", 42)


SHOWN = {"a.png": "p", "b.png": "q", "c.png": "p", "d.png": "r"}  # c shows what a shows
SET = dealt(
    asked(1, "train", "a.png", "Is there a mass?"),
    asked(2, "train", "b.png", "Is it large?", "no"),
    asked(3, "train", "b.png", "is it large", "yes"),
    asked(4, "valid", "d.png", "Is it large?"),
    asked(5, "test", "c.png", "Is there a MASS"),
    asked(6, "test", "b.png", "Is there a mass?"),
    asked(7, "test", "d.png", "Is it new?"),
)


def test_what_training_knows_is_found_by_picture_and_words() -> None:
    found = {one.id: one for one in audit_questions(AuditedQuestions(SET, SHOWN))}
    assert (found["KGP-A401"].count, found["KGP-A401"].of) == (2, 3)
    assert found["KGP-A401"].examples == ("5", "6")
    assert found["KGP-A402"].examples == ("5",)
    assert found["KGP-A403"].examples == ("2 = 3",)
    assert found["KGP-A404"].examples == ("a.png = c.png",)


def test_nothing_is_found_where_nothing_is_shared() -> None:
    clean = dealt(*(asked(n, part, f"{n}.png", "Is it?") for n, part in enumerate(questions.PARTS)))
    assert audit_questions(AuditedQuestions(clean, {f"{n}.png": str(n) for n in range(3)})) == []


def test_overlaps_count_by_the_images_name() -> None:
    assert overlaps(SET, "test") == {"image": 1, "question": 2, "both": 0}


@pytest.mark.data
def test_vqa_rad(data_dir: Path) -> None:
    found, _ = questions.read("vqa_rad", data_dir / "vqa_rad")
    official = questions.official(found)
    told = {
        one.id: (one.count, one.of) for one in audit_questions(AuditedQuestions(official, questions.pictures(found)))
    }
    assert told["KGP-A401"] == (242, 251)
    assert told["KGP-A402"] == (10, 251)
    assert overlaps(official, "test")["image"] == 242
