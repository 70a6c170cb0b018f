"""The retrieval benchmark's bookkeeping and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kgplatform.errors import UsageError
from tests.unit.test_generation_settings import script

benchmark = script("retrieval")
table = benchmark.retrieval_table


def outcome(shift: float) -> dict[str, Any]:
    """What a run gives, better by `shift` for each query."""
    rng = np.random.default_rng(5)
    values = {name: (rng.random(40) / 2 + shift).round(5).tolist() for name in table.COMPARED}
    names = [f"{figure}@{k}" for figure in "PR" for k in (1, 5, 10, 20, 50, 100)]
    means = dict.fromkeys(names, 0.3 + shift) | {"MRR": 0.3, "median rank": 9.0}
    return {
        "epochs": 3,
        "best_epoch": 2,
        "validation": 0.4,
        "training_seconds": 10.0,
        "test": {"text_to_image": means, "image_to_text": means},
        "queries": values,
        "subjects": list(range(40)),
    }


ABOUT: dict[str, Any] = {
    "data": "phantom",
    "backbone": "small",
    "protocol": "subject",
    "pairs": {
        "sha256": "p",
        "sizes": {"train": 8, "valid": 1, "test": 1},
        "in_training": {"test": {"report": 0, "subject": 0, "text": 0}},
    },
    "graph": {"images": 1, "concepts": 1, "stances": 1, "relations": 1},
}


def about() -> dict[str, Any]:
    means = {**outcome(0.0)["test"]["text_to_image"], "queries": 40, "relevant": 1.4}
    return {
        **ABOUT,
        "chance": {"text_to_image": means, "image_to_text": means},
        "popularity": {"image_to_text": means},
    }


def test_a_run_is_kept_once_found_by_its_hash_and_begun_anew_with_other_pairs(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = benchmark.Results(path, about(), "pairs")
    assert not results.has("backbone", 42, "a")
    assert results.of(42, "a") is None
    results.add("backbone", 42, "a", outcome(0.0))
    assert results.has("backbone", 42, "a")
    assert not results.has("backbone", 43, "a")
    results.add("knowledgeclip-empty", 42, "a", results.of(42, "a"))
    again = benchmark.Results(path, about(), "pairs")
    rows = again.document["runs"]
    assert [row["cell"] for row in rows] == ["backbone", "knowledgeclip-empty"]
    assert rows[0]["test"] == rows[1]["test"]
    again.add("backbone", 42, "b", outcome(0.1))  # other settings: in the place of the old run
    assert [row["settings_sha256"] for row in again.document["runs"]] == ["b", "a"]
    other = {**about(), "pairs": {**ABOUT["pairs"], "sha256": "q"}}
    assert benchmark.Results(path, other, "pairs").document["runs"] == []
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_the_table_marks_what_is_above_and_below_the_backbone(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = benchmark.Results(path, about(), "pairs")
    for cell, shift in (("backbone", 0.0), ("fashionklip", -0.05), ("knowledgeclip", 0.1), ("knowledgeclip-empty", 0)):
        for seed in (42, 43):
            results.add(cell, seed, cell, outcome(shift))
    table.write(path)
    lines = path.with_suffix(".md").read_text().splitlines()
    [plain] = [line for line in lines if line.startswith("| + KnowledgeCLIP, minus backbone, fine-tuned |")]
    assert plain.count("+10.00 [+10.00, +10.00] 🟩") == 4
    [worse] = [line for line in lines if line.startswith("| + FashionKLIP, minus backbone, fine-tuned |")]
    assert worse.count("-5.00 [-5.00, -5.00] 🟥") == 4
    [same] = [line for line in lines if line.startswith("| + KnowledgeCLIP, empty graph, minus backbone, fine-tuned |")]
    assert same.count("⬜") == 4
    [control] = [line for line in lines if line.startswith("| + KnowledgeCLIP, minus + KnowledgeCLIP, empty graph |")]
    assert control.count("🟩") == 4
    rows = [line for line in lines if line.startswith("| + KnowledgeCLIP | 40.00 ± 0.00 🟩")]
    assert len(rows) == 1


def test_the_papers_table_is_whole_and_marked_as_the_paper_does() -> None:
    assert [len(row.split()) for rows in table.PAPER.values() for row in rows] == [12] * 12
    text = table.paper_table()
    assert "25.56 🟩" in text  # KnowledgeCLIP on CLIP, OpenI, R@10
    assert "56.06 🟥" in text  # FashionKLIP on CLIP, MIMIC-CXR, R@100
    assert text.count("🟥") == 4


def test_a_run_is_named_by_all_that_decides_it() -> None:
    class Known:
        sha256 = "graph"

    class Pairs:
        sha256 = "pairs"

    class Data:
        knowledge, pairs = Known, Pairs

    def name(method: str, graph: str = "full") -> str:
        found: str = benchmark.hashed(benchmark.settings_of(benchmark.Cell(method, graph), "small", None), Data)
        return found

    cells = list(benchmark.cells("all", controls=True, ablation=True))
    assert len(cells) == 9
    assert {cell.graph for cell in benchmark.cells("all", controls=True)} == {"full", "empty", "shuffled"}
    names = {cell.name: name(cell.method, cell.graph) for cell in cells}
    assert names["fashionklip-empty"] == names["knowledgeclip-empty"] == names["backbone"]
    assert len(set(names.values())) == 7
    before = name("knowledgeclip")
    Known.sha256 = "another"
    assert name("knowledgeclip") != before
    assert name("backbone") == names["backbone"]
    with pytest.raises(UsageError, match="there is no method clip"):
        list(benchmark.cells("clip", controls=True))
    assert json.loads(json.dumps(names)) == names


def test_backbones_of_one_kind_are_told_apart_by_what_their_folders_hold(tmp_path: Path) -> None:
    for name, weights in (("clip", "a"), ("moved", "a"), ("pubmedclip", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(weights)
    one, moved, other = (benchmark.backbone_of(f"clip:{tmp_path / name}") for name in ("clip", "moved", "pubmedclip"))
    assert one == moved != other
    assert benchmark.backbone_of("small") == benchmark.backbone_name("small") == "small"
    assert benchmark.backbone_name(f"clip:{tmp_path / 'pubmedclip'}") == "clip-pubmedclip"
