"""Reports of other languages are not read as if they were English."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgplatform.construct.language import is_english
from kgplatform.construct.pipeline import open_reports
from kgplatform.construct.report import Report


@pytest.mark.parametrize(
    "text",
    [
        "Keine Atelectasis. Kein Pneumothorax. Keine Pneumonia.",
        "Pneumothorax nicht ausgeschlossen",
        "Herz normal groß, Lunge frei.",
        "Pas de pneumothorax. Absence de pneumonia.",
        "Coeur de taille normale. Les champs pulmonaires sont clairs.",
        "Sin hernia ni pneumonia, no hay edema",
        "Sem derrame pleural. Pulmões normais.",
        "Non c'è versamento pleurico.",
        "Geen pneumothorax.",
        "Лёгкие без изменений",
        "胸部X线未见异常",
    ],
)
def test_other_languages_are_recognised(text: str) -> None:
    assert not is_english(text)


@pytest.mark.parametrize(
    "text",
    ["", "Cardiomegaly.", "No pneumothorax", "Stable. Clear.", "Normal chest x-XXXX.", "The en face view, per Dr. Le."],
)
def test_short_english_is_english(text: str) -> None:
    assert is_english(text)


@pytest.mark.data
@pytest.mark.parametrize(("kind", "folder"), [("openi", "openi"), ("iu-xray", "iu_xray")])
def test_no_real_english_report_is_taken_for_another_language(kind: str, folder: str, data_dir: Path) -> None:
    reports = [report for report in open_reports(kind, data_dir / folder).reports() if isinstance(report, Report)]
    assert len(reports) > 2_000
    assert all(is_english(" ".join(report.sections.values())) for report in reports)
