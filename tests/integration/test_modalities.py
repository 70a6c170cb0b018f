"""A table of several kinds of studies becomes a graph that can be queried by modality and region."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kgplatform import queries
from kgplatform.graph import Graph
from kgplatform.readonly import open_query
from tests.conftest import Kgp

pytestmark = pytest.mark.server

TABLE = """id,modality,exam,text
1,CR,CHEST (PA AND LAT),FINDINGS: Small pleural effusion.
2,DX,PORTABLE CHEST,FINDINGS: No pleural effusion.
3,CT,CT CHEST/ABD/PELVIS,FINDINGS: Small pleural effusion.
4,,,FINDINGS: Small pleural effusion.
"""


def _rows(graph: Graph, name: str, **parameters: Any) -> list[dict[str, Any]]:
    named_query = queries.get(f"explore/{name}")
    with open_query(graph, named_query.text, named_query.bind(parameters)) as answer:
        return list(answer)


def test_images_and_findings_are_counted_by_modality(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text(TABLE, encoding="utf-8")
    completed = kgp("construct", "run", "reports", str(tmp_path / "ward.csv"))
    assert completed.code == 0, completed.err
    assert "\n  1 report of other studies than chest radiographs: CT chest+abdomen+pelvis\n" in completed.out
    assert "\n  1 report without a stated region of the body, read as chest radiographs\n" in completed.out
    kinds = {(row["modality"], row["region"]): row["images"] for row in _rows(graph, "images_by_modality")}
    assert kinds == {("XR", "chest"): 2, ("CT", "chest+abdomen+pelvis"): 1, (None, None): 1}
    [radiographs] = [row for row in _rows(graph, "images_by_modality") if row["modality"] == "XR"]
    assert (radiographs["positive"], radiographs["negative"], radiographs["uncertain"]) == (1, 1, 0)
    stances = _rows(graph, "finding_by_modality", concept="C0032227")
    assert [(row["stance"], row["modality"], row["images"]) for row in stances] == [
        ("NEGATIVE", "XR", 1),
        ("POSITIVE", "CT", 1),
        ("POSITIVE", "XR", 1),
        ("POSITIVE", None, 1),
    ]
    assert len(_rows(graph, "finding_by_modality", concept="C0032227", modality="CT")) == 1


def test_the_user_states_the_modality_of_reports_that_state_none(graph: Graph, kgp: Kgp, tmp_path: Path) -> None:
    (tmp_path / "ward.csv").write_text(TABLE, encoding="utf-8")
    stated_run = kgp(
        "construct", "run", "reports", str(tmp_path / "ward.csv"), "--modality", "mri", "--region", "chest"
    )
    assert stated_run.code == 0, stated_run.err
    assert "1 report of other studies than chest radiographs: MR chest" in stated_run.out
    assert {row["modality"] for row in _rows(graph, "images_by_modality")} == {"XR", "CT", "MR"}
    wrong_run = kgp("construct", "run", "reports", str(tmp_path / "ward.csv"), "--modality", "spoken")
    assert wrong_run.code == 2
    assert "no known modality" in wrong_run.err
