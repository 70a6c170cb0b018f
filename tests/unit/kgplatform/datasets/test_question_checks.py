"""The audit of questions: pictures and words that training knows, contradictions, names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kgplatform.audit import audit_questions
from kgplatform.datasets import questions
from kgplatform.datasets.knowledge import GraphImage
from kgplatform.datasets.question_checks import AuditedQuestions, questions_in_graph, refuse_graph_questions
from kgplatform.datasets.questions import Question, QuestionSet, question_overlaps
from kgplatform.errors import UsageError


def _question(number: int, part: str, image: str, text: str, answer: str = "yes") -> Question:
    return Question(str(number), text, answer, image, Path(image), "tiny", part)


def _question_set(*chosen: Question) -> QuestionSet:
    parts = {
        part_name: [question for question in chosen if question.part == part_name] for part_name in questions.PARTS
    }
    return QuestionSet(parts, "official", 42)


PICTURE_IDS = {"a.png": "p", "b.png": "q", "c.png": "p", "d.png": "r"}  # c shows what a shows
SET = _question_set(
    _question(1, "train", "a.png", "Is there a mass?"),
    _question(2, "train", "b.png", "Is it large?", "no"),
    _question(3, "train", "b.png", "is it large", "yes"),
    _question(4, "valid", "d.png", "Is it large?"),
    _question(5, "test", "c.png", "Is there a MASS"),
    _question(6, "test", "b.png", "Is there a mass?"),
    _question(7, "test", "d.png", "Is it new?"),
)


def test_what_training_knows_is_found_by_picture_and_words() -> None:
    findings = {finding.id: finding for finding in audit_questions(AuditedQuestions(SET, PICTURE_IDS))}
    assert (findings["KGP-A401"].count, findings["KGP-A401"].of) == (2, 3)
    assert findings["KGP-A401"].examples == ("5", "6")
    assert findings["KGP-A402"].examples == ("5",)
    assert findings["KGP-A403"].examples == ("2 = 3",)
    assert findings["KGP-A404"].examples == ("a.png = c.png",)


def test_nothing_is_found_where_nothing_is_shared() -> None:
    clean_set = _question_set(
        *(_question(number, part_name, f"{number}.png", "Is it?") for number, part_name in enumerate(questions.PARTS))
    )
    assert audit_questions(AuditedQuestions(clean_set, {f"{number}.png": str(number) for number in range(3)})) == []


def test_what_the_graph_was_built_from_is_found_by_subject_and_refused() -> None:
    question_set = _question_set(
        _question(1, "train", "files/p10/p10000001/s1/a.png", "Is it?"),
        _question(2, "valid", "files/p10/p10000002/s2/a.png", "Is it?"),
        _question(3, "test", "files/p10/p10000003/s3/a.png", "Is it?"),
    )
    graph_images = [GraphImage("I1", subject="10000001"), GraphImage("I2", subject="10000003"), GraphImage("I3")]
    picture_ids = {question.image: question.image for question in question_set.questions}
    [finding] = audit_questions(AuditedQuestions(question_set, picture_ids, graph_images))
    assert (finding.id, finding.count, finding.of, finding.examples) == ("KGP-A405", 1, 2, ("3",))
    with pytest.raises(UsageError, match="of 1 of the 2 questions that are held out"):
        refuse_graph_questions(question_set, graph_images, None)
    refuse_graph_questions(question_set, graph_images[:1], None)  # what training asks about may be known


def test_the_graphs_images_are_known_by_what_their_files_hold(tmp_path: Path) -> None:
    (tmp_path / "graph").mkdir()
    for image_name, content in (
        ("graph/I1.png", b"one"),
        ("graph/I2.png", b"two"),
        ("x.png", b"one"),
        ("y.png", b"six"),
    ):
        (tmp_path / image_name).write_bytes(content)
    unplaced = [_question(1, "test", "x.png", "Is it?"), _question(2, "test", "y.png", "Is it?")]
    test_questions = [replace(question, path=tmp_path / question.image) for question in unplaced]
    graph_images = [
        GraphImage("I1", "I1.png"),
        GraphImage("I2", "I2.png"),
        GraphImage("I3", "none.png"),
        GraphImage("I4"),
    ]
    assert [question.image for question in questions_in_graph(test_questions, graph_images, tmp_path / "graph")] == [
        "x.png"
    ]
    assert questions_in_graph(test_questions, graph_images) == []


def test_overlaps_count_by_the_images_name() -> None:
    assert question_overlaps(SET, "test") == {"image": 1, "question": 2, "both": 0}


@pytest.mark.data
def test_vqa_rad(data_dir: Path) -> None:
    loaded, _ = questions.read_questions("vqa_rad", data_dir / "vqa_rad")
    official_split = questions.official(loaded)
    finding_counts = {
        finding.id: (finding.count, finding.of)
        for finding in audit_questions(AuditedQuestions(official_split, questions.pictures(loaded)))
    }
    assert finding_counts["KGP-A401"] == (242, 251)
    assert finding_counts["KGP-A402"] == (10, 251)
    assert question_overlaps(official_split, "test")["image"] == 242
