"""The exam's name as a report states it, and the sections of reports of other studies than chest radiographs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kgplatform.construct.exam_header import exam_text
from kgplatform.construct.modality import exam_of
from kgplatform.construct.sections import sections

REPORTS = {
    "EXAMINATION: CHEST (PA AND LAT) INDICATION: cough. FINDINGS: Clear.": "CHEST (PA AND LAT)",
    "FINAL REPORT\n EXAMINATION:  CT HEAD W/O CONTRAST\n\n INDICATION:  fall\n\n FINDINGS:\n No mass.": (
        "CT HEAD W/O CONTRAST"
    ),
    "EXAM:\nMRI BRAIN\nWITHOUT CONTRAST\n\nFINDINGS: Normal.": "MRI BRAIN WITHOUT CONTRAST",
    "TYPE OF EXAM: MRI brain w/o\nCLINICAL HISTORY: seizure\nIMPRESSION: Normal.": "MRI brain w/o",
    "STUDY: US abdomen\nFINDINGS: Normal.": "US abdomen",
    "PROCEDURE: CT chest\nFINDINGS: Normal.": "CT chest",
    "EXAM: 3/4/2012\nTECHNIQUE: CT of the head.\nFINDINGS: Normal.": "CT of the head.",
    "CT HEAD WITHOUT CONTRAST 3/4/2012\n\nHISTORY: fall\n\nFINDINGS: No mass.": "CT HEAD WITHOUT CONTRAST 3/4/2012",
    "FINAL REPORT\nCT HEAD, DR. A. SMITH\nHISTORY: fall\nFINDINGS: No mass.": "CT HEAD, DR. A. SMITH",
    "MRI of the left knee\n\nNo tear.": "MRI of the left knee",
    "FINAL REPORT\n CHEST, TWO VIEWS: \n\n HISTORY: cough.\n\n FINDINGS: Clear.": "CHEST, TWO VIEWS",
    "HISTORY: pain.\nCOMPARISON: CT head\nTECHNIQUE: Frontal view of the chest\nFINDINGS: x": (
        "Frontal view of the chest"
    ),
    "FINAL REPORT\nINDICATION: cough\n\nFINDINGS:\nClear.": "",
    "INDICATION: fall, CT head\nCOMPARISON:\nCT HEAD: 3/4/2012\nFINDINGS: Clear.": "",
    "The chest is clear on both views.": "",
    "Mr. Smith has chest pain.\n\nFINDINGS: Clear.": "",
    "FINDINGS: CT head is recommended.": "",
    "": "",
}


@pytest.mark.parametrize("report_text", REPORTS)
def test_a_report_states_its_exam(report_text: str) -> None:
    assert exam_text(report_text) == REPORTS[report_text]


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_the_exam(text: str) -> None:
    name = exam_text(text)
    assert name == "" or exam_of(name).is_stated
    assert "\n" not in name


@given(
    st.lists(st.sampled_from(["EXAM:", "FINDINGS:", "CT HEAD", "\n", "\n\n", " clear ", "FINAL REPORT", "COMPARISON:"]))
)
def test_only_what_the_report_has_is_its_exam(pieces: list[str]) -> None:
    report_text = "".join(pieces)
    assert exam_text(report_text) in " ".join(report_text.split())


@pytest.mark.parametrize(
    ("report_text", "expected"),
    [
        ("CT HEAD WITHOUT CONTRAST: No mass effect.", {"findings": "No mass effect."}),
        ("HISTORY: fall.\nCT HEAD: No mass.\nIMPRESSION: Normal.", {"findings": "No mass.", "impression": "Normal."}),
        ("CT HEAD WITHOUT CONTRAST: 3/4/2012\nHISTORY: fall\nFINDINGS: Clear.", {"findings": "Clear."}),
        ("COMPARISON:\nCT HEAD: 3/4/2012\nFINDINGS: Clear.", {"findings": "Clear."}),
        ("FINDINGS: Clear.\nCT HEAD: No mass.", {"findings": "Clear.\nCT HEAD: No mass."}),
        ("EXAM: CT ABDOMEN\nLIVER: Normal.\nKIDNEYS: No stone.", {"findings": "LIVER: Normal.\nKIDNEYS: No stone."}),
        ("BRAIN: No mass.\nVENTRICLES: Normal.", {"findings": "BRAIN: No mass.\nVENTRICLES: Normal."}),
    ],
)
def test_sections_of_other_studies(report_text: str, expected: dict[str, str]) -> None:
    assert sections(report_text) == expected
