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
    assert studies["train"] | studies["valid"] == {str(study) for study in range(120)}
    assert not studies["train"] & studies["valid"]
    assert 6 <= len(studies["valid"]) <= 18
    assert studies["test"] == {str(study) for study in range(120, 200)}
    assert {pair.view for pair in parts["test"]} == {"Frontal"}
    assert {pair.view for pair in parts["train"]} == {"Frontal", "Lateral"}
