"""IU X-ray in R2Gen's layout: one image a study, or every image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgp_loaders.iu_xray import IUXray
from kgplatform.batches import Reject
from kgplatform.construct.report import Report

ENTRIES: dict[str, list[Any]] = {
    "train": [
        {"id": "CXR1_IM-0001", "report": "Clear.", "image_path": ["CXR1_IM-0001/0.png", "CXR1_IM-0001/1.png"]},
        {"id": "CXR2_IM-0002", "report": "A mass.", "image_path": []},
    ],
    "val": [{"id": "CXR1_IM-0001", "report": "Again.", "image_path": ["x/0.png", "x/1.png"]}],
    "test": [{"id": "CXR3_IM-0003", "report": "An effusion.", "image_path": ["CXR3_IM-0003/0.png"]}],
}


@pytest.fixture
def iu_xray_folder(tmp_path: Path) -> Path:
    (tmp_path / "annotation.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    return tmp_path


def test_a_study_has_its_first_image_or_none(iu_xray_folder: Path) -> None:
    records = list(IUXray(iu_xray_folder).reports())
    reports = [record for record in records if isinstance(record, Report)]
    assert [(record.study, record.image.get("path")) for record in reports] == [
        ("CXR1_IM-0001", "images/CXR1_IM-0001/0.png"),
        ("CXR2_IM-0002", None),
        ("CXR3_IM-0003", "images/CXR3_IM-0003/0.png"),
    ]
    assert [(record.row, record.reason) for record in records if isinstance(record, Reject)] == [
        (3, "the id occurs twice in the file")
    ]
    assert IUXray(iu_xray_folder).parameters == {"splits": ["train", "val", "test"]}


def test_every_iu_xray_image_has_its_report(iu_xray_folder: Path) -> None:
    loader = IUXray(iu_xray_folder, every_image=True)
    records = list(loader.reports())
    reports = [record for record in records if isinstance(record, Report)]
    assert [(record.image["path"], record.sections["findings"]) for record in reports] == [
        ("images/CXR1_IM-0001/0.png", "Clear."),
        ("images/CXR1_IM-0001/1.png", "Clear."),
        ("images/CXR3_IM-0003/0.png", "An effusion."),
    ]
    assert len({record.image_id for record in reports}) == 2
    assert len(records) == 4
    assert loader.parameters == {"splits": ["train", "val", "test"], "every_image": True}
