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
def folder(tmp_path: Path) -> Path:
    (tmp_path / "annotation.json").write_text(json.dumps(ENTRIES), encoding="utf-8")
    return tmp_path


def test_a_study_has_its_first_image_or_none(folder: Path) -> None:
    rows = list(IUXray(folder).reports())
    reports = [row for row in rows if isinstance(row, Report)]
    assert [(row.study, row.image.get("path")) for row in reports] == [
        ("CXR1_IM-0001", "images/CXR1_IM-0001/0.png"),
        ("CXR2_IM-0002", None),
        ("CXR3_IM-0003", "images/CXR3_IM-0003/0.png"),
    ]
    assert [(row.row, row.reason) for row in rows if isinstance(row, Reject)] == [
        (3, "the id stands in the file twice")
    ]
    assert IUXray(folder).parameters == {"splits": ["train", "val", "test"]}


def test_every_image_has_its_report(folder: Path) -> None:
    every = IUXray(folder, every_image=True)
    rows = list(every.reports())
    reports = [row for row in rows if isinstance(row, Report)]
    assert [(row.image["path"], row.sections["findings"]) for row in reports] == [
        ("images/CXR1_IM-0001/0.png", "Clear."),
        ("images/CXR1_IM-0001/1.png", "Clear."),
        ("images/CXR3_IM-0003/0.png", "An effusion."),
    ]
    assert len({row.image_id for row in reports}) == 2
    assert len(rows) == 4
    assert every.parameters == {"splits": ["train", "val", "test"], "every_image": True}
