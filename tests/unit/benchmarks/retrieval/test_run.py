"""The retrieval benchmark's bookkeeping and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.training_runs import Cell, CellGraph, Results, backbone_identity, backbone_name
from benchmarks.retrieval import run as benchmark
from benchmarks.retrieval import table
from kgplatform.errors import UsageError


def outcome(shift: float) -> dict[str, Any]:
    """What a run gives, better by `shift` for each query."""
    generator = np.random.default_rng(5)
    query_scores = {
        measure_name: (generator.random(40) / 2 + shift).round(5).tolist() for measure_name in table.COMPARED
    }
    measures = [f"{measure}@{cutoff}" for measure in "PR" for cutoff in (1, 5, 10, 20, 50, 100)]
    means = dict.fromkeys(measures, 0.3 + shift) | {"MRR": 0.3, "median rank": 9.0}
    return {
        "epochs": 3,
        "best_epoch": 2,
        "validation": 0.4,
        "training_seconds": 10.0,
        "test": {"text_to_image": means, "image_to_text": means},
        "queries": query_scores,
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
    results_path = tmp_path / "results.json"
    results = Results(results_path, about(), "pairs")
    assert not results.has("backbone", 42, "a")
    assert results.outcome(42, "a") is None
    results.add("backbone", 42, "a", outcome(0.0))
    assert results.has("backbone", 42, "a")
    assert not results.has("backbone", 43, "a")
    stored_outcome = results.outcome(42, "a")
    assert stored_outcome is not None
    results.add("knowledgeclip-empty", 42, "a", stored_outcome)
    reread = Results(results_path, about(), "pairs")
    run_rows = reread.document["runs"]
    assert [run_row["cell"] for run_row in run_rows] == ["backbone", "knowledgeclip-empty"]
    assert run_rows[0]["test"] == run_rows[1]["test"]
    reread.add("backbone", 42, "b", outcome(0.1))  # other settings: in the place of the old run
    assert [run_row["settings_sha256"] for run_row in reread.document["runs"]] == ["b", "a"]
    other_description = {**about(), "pairs": {**ABOUT["pairs"], "sha256": "q"}}
    assert Results(results_path, other_description, "pairs").document["runs"] == []
    assert [file_path.name for file_path in tmp_path.iterdir()] == ["results.json"]


def test_the_table_marks_what_is_above_and_below_the_backbone(tmp_path: Path) -> None:
    results_path = tmp_path / "results.json"
    results = Results(results_path, about(), "pairs")
    for cell, shift in (("backbone", 0.0), ("fashionklip", -0.05), ("knowledgeclip", 0.1), ("knowledgeclip-empty", 0)):
        for seed in (42, 43):
            results.add(cell, seed, cell, outcome(shift))
    table.write_retrieval_table(results_path)
    lines = results_path.with_suffix(".md").read_text().splitlines()
    [better_line] = [line for line in lines if line.startswith("| + KnowledgeCLIP, minus backbone, fine-tuned |")]
    assert better_line.count("+10.00 [+10.00, +10.00] 🟩") == 4
    [worse_line] = [line for line in lines if line.startswith("| + FashionKLIP, minus backbone, fine-tuned |")]
    assert worse_line.count("-5.00 [-5.00, -5.00] 🟥") == 4
    [equal_line] = [
        line for line in lines if line.startswith("| + KnowledgeCLIP, empty graph, minus backbone, fine-tuned |")
    ]
    assert equal_line.count("⬜") == 4
    [control_line] = [
        line for line in lines if line.startswith("| + KnowledgeCLIP, minus + KnowledgeCLIP, empty graph |")
    ]
    assert control_line.count("🟩") == 4
    method_lines = [line for line in lines if line.startswith("| + KnowledgeCLIP | 40.00 ± 0.00 🟩")]
    assert len(method_lines) == 1


def test_the_papers_table_is_whole_and_marked_as_the_paper_does() -> None:
    assert [len(table_row.split()) for table_rows in table.PAPER.values() for table_row in table_rows] == [12] * 12
    table_text = table.retrieval_paper_table()
    assert "25.56 🟩" in table_text  # KnowledgeCLIP on CLIP, OpenI, R@10
    assert "56.06 🟥" in table_text  # FashionKLIP on CLIP, MIMIC-CXR, R@100
    assert table_text.count("🟥") == 4


def test_a_run_is_named_by_all_that_decides_it() -> None:
    class GraphDescription:
        sha256 = "graph"

    class Pairs:
        sha256 = "pairs"

    class Data:
        knowledge, pairs, among_valid = GraphDescription, Pairs, False

    data: Any = Data

    def name(method: str, graph: CellGraph = "full") -> str:
        settings_hash: str = benchmark.retrieval_run_hash(
            benchmark.retrieval_cell_settings(Cell(method, graph), "small", None), data
        )
        return settings_hash

    cells = list(benchmark.retrieval_cells("all", controls=True, ablation=True))
    assert len(cells) == 9
    assert {cell.graph for cell in benchmark.retrieval_cells("all", controls=True)} == {"full", "empty", "shuffled"}
    cell_hashes = {cell.name: name(cell.method, cell.graph) for cell in cells}
    assert cell_hashes["fashionklip-empty"] == cell_hashes["knowledgeclip-empty"] == cell_hashes["backbone"]
    assert len(set(cell_hashes.values())) == 7
    original_hash = name("knowledgeclip")
    GraphDescription.sha256 = "another"
    assert name("knowledgeclip") != original_hash
    assert name("backbone") == cell_hashes["backbone"]
    Data.among_valid = True  # with other images to look among, every figure is another
    assert name("backbone") != cell_hashes["backbone"]
    with pytest.raises(UsageError, match="there is no method clip"):
        list(benchmark.retrieval_cells("clip", controls=True))
    with pytest.raises(UsageError, match="no method stances"):
        list(benchmark.retrieval_cells("stances", controls=True))
    assert [cell.name for cell in benchmark.retrieval_cells("stances", controls=True, reads_stances=True)] == [
        "stances"
    ]
    assert json.loads(json.dumps(cell_hashes)) == cell_hashes


def test_backbones_of_one_kind_are_told_apart_by_what_their_folders_hold(tmp_path: Path) -> None:
    for folder_name, weights in (("clip", "a"), ("moved", "a"), ("pubmedclip", "b")):
        (tmp_path / folder_name).mkdir()
        (tmp_path / folder_name / "model.safetensors").write_text(weights)
    clip_name, moved_name, pubmedclip_name = (
        backbone_identity(f"clip:{tmp_path / folder_name}") for folder_name in ("clip", "moved", "pubmedclip")
    )
    assert clip_name == moved_name != pubmedclip_name
    assert backbone_identity("small") == backbone_name("small") == "small"
    assert backbone_name(f"clip:{tmp_path / 'pubmedclip'}") == "clip-pubmedclip"
