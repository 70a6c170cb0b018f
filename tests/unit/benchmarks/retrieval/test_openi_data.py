"""Which radiographs of OpenI retrieval trains on, and which it is tested on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.retrieval.data import r2gen_pairs
from kgplatform.datasets.pair_source import Pair


def test_no_study_of_the_test_trains_and_the_test_is_frontal() -> None:
    all_pairs = [
        Pair(f"{study}{view}", Path(), f"report {study}", str(study), "", view, "OpenI")
        for study in range(200)
        for view in ("Frontal", "Lateral")
    ]
    part_by_study = {str(study): "train" for study in range(120)} | {
        str(study): "validation" for study in range(120, 150)
    }
    parts = r2gen_pairs(all_pairs, part_by_study)
    studies = {part: {pair.study for pair in part_pairs} for part, part_pairs in parts.items()}
    assert studies["train"] == {str(study) for study in range(120)}
    assert studies["valid"] == {str(study) for study in range(120, 150)}
    assert studies["test"] == {str(study) for study in range(150, 200)}
    assert {pair.view for part in ("valid", "test") for pair in parts[part]} == {"Frontal"}
    assert {pair.view for pair in parts["train"]} == {"Frontal", "Lateral"}
