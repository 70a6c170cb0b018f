"""What a language model is asked about reports of several kinds of studies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kgplatform.construct.annotate import annotate
from kgplatform.construct.language_model import prompt
from kgplatform.construct.modality import CHEST_RADIOGRAPH, UNKNOWN, Exam, exam_of
from tests.fake_model import serving

pytest.importorskip("openai")
from tests.unit.kgplatform.construct.language_model.language_model_judges import TAGGER, a_report, judging


@pytest.mark.parametrize("exam", [UNKNOWN, CHEST_RADIOGRAPH, exam_of("CHEST"), exam_of("XR"), exam_of("BABYGRAM")])
def test_the_task_for_chest_radiographs_and_its_hash_stay(exam: Exam) -> None:
    assert prompt.task(exam) == prompt.TASK
    assert prompt.task_hash(exam) == prompt.HASH == "f4670ea53b14", "cached answers stay valid"


@pytest.mark.parametrize(
    ("name", "study", "image"),
    [
        ("CT HEAD", "of a CT (head). For", "describes a CT."),
        ("CT CHEST/ABD", "of a CT (chest, abdomen). For", "describes a CT."),
        ("MRI", "of an MRI. For", "describes an MRI."),
        ("XR HAND", "of a radiograph (extremity). For", "describes a radiograph."),
        ("BRAIN", "of a study (head). For", "describes a study."),
        ("DEXA", "of a study. For", "describes a study."),
    ],
)
def test_the_task_names_the_study(name: str, study: str, image: str) -> None:
    task_text = " ".join(prompt.task(exam_of(name)).split())
    assert study in task_text
    assert image in task_text
    assert "chest radiograph" not in task_text


def test_an_answer_about_another_study_is_not_taken_from_the_cache(tmp_path: Path) -> None:
    head_report = replace(a_report(), exam=exam_of("CT HEAD"))
    with serving() as server, judging(server, tmp_path) as judge:
        for report in (a_report(), head_report, head_report, replace(a_report(), exam=CHEST_RADIOGRAPH)):
            annotate(report, TAGGER, judge)
    assert ["chest radiograph" in messages[0]["content"] for messages in server.requests] == [True, False]
