"""The VQA benchmark's cells, its bookkeeping, and its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.table_text import describe_runs
from benchmarks.harness.training_runs import Cell
from benchmarks.vqa import run as benchmark
from benchmarks.vqa import table
from kgplatform.errors import UsageError

YES = ["110100", "011010"]  # of two folds


def row(cell: str, seed: int, fold: int, answers: str) -> dict[str, Any]:
    context = {"machine": {"cores": 2, "device": "cpu"}, "commit": "c" * 40, "dirty": False, "date": "2026-01-01"}
    return {
        "cell": cell,
        "seed": seed,
        "fold": fold,
        "settings_sha256": "s",
        "context": context,
        "epochs": 3,
        "best_epoch": 2,
        "validation": {"valid accuracy": 0.5},
        "training_seconds": 1.0,
        "weights": 7,
        "answers": answers,
    }


def _results_document(rows: list[dict[str, Any]]) -> dict[str, Any]:
    folds = [
        {
            "sizes": {"train": 8, "valid": 2, "test": 6},
            "train_yes": 3,
            "yes": yes_answers,
            "linked": "110000",
            "images": [0, 0, 1, 1, 2, 2],
            "needs": ["image", "both"] * 3,
            "in_training": {"image": 1, "question": 2, "both": 0},
        }
        for yes_answers in YES
    ]
    graph = {"images": 1, "concepts": 1, "stances": 1, "relations": 1, "at hand": False}
    description = {"data": "tiny", "backbone": "offline", "protocol": "image-disjoint", "questions": {"sha256": "q"}}
    return {"about": {**description, "folds": folds, "graph": graph}, "runs": rows}


def test_the_cells_asked_for() -> None:
    cell_names = [cell.name for cell in benchmark.vqa_cells("all", controls=True)]
    assert len(cell_names) == 3 + 5 * 4 == len(set(cell_names))
    assert cell_names[:4] == ["base", "question-only", "image-only", "krisp"]
    assert [cell.name for cell in benchmark.vqa_cells("mkbn", controls=False)] == [*cell_names[:3], "mkbn"]
    with pytest.raises(UsageError, match="there is no method x"):
        list(benchmark.vqa_cells("x", controls=True))


@pytest.mark.parametrize(
    "wrong", [("--seeds", "0"), ("--jobs", "0"), ("--folds", "1"), ("--epochs", "0"), ("--studies", "-1", "4")]
)
def test_numbers_that_make_no_sense_are_refused(wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", *wrong])
    with pytest.raises(SystemExit) as program_exit:
        benchmark.main()
    assert program_exit.value.code == 2


@pytest.mark.parametrize("wrong", [("--backbone", "nope"), ("--settings", "nope"), ("--methods", "base")])
def test_what_is_not_there_is_refused_before_data_are_made(
    wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["run.py", "--data", "phantom", "--build", str(tmp_path), *wrong])
    assert benchmark.main() == 2
    assert f"{wrong[1]}" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_the_settings_of_a_cell_are_the_backbones_or_those_asked_for() -> None:
    cell = Cell("krisp", "shuffled")
    own_settings, code_settings = (
        benchmark.vqa_cell_settings(cell, "offline", settings_name, None) for settings_name in (None, "code")
    )
    assert own_settings.graph == code_settings.graph == "shuffled"
    assert own_settings.tuning.learning_rate != code_settings.tuning.learning_rate
    assert benchmark.vqa_cell_settings(cell, "clip:weights", None, 2).tuning.epochs == 2
    assert benchmark.vqa_cell_settings(cell, "clip:weights", None, None).backbone.endswith("/weights")
    with pytest.raises(UsageError, match="there are no settings x"):
        benchmark.vqa_cell_settings(cell, "offline", "x", None)


class TestTested:
    """What cells answered, over folds."""

    def test_answers_are_joined_over_the_folds_and_a_damaged_image_is_a_wrong_answer(self) -> None:
        tested = table.Tested(_results_document([row("base", 42, 0, "110?00"), row("base", 42, 1, "0?1010")]))
        answers = tested.answers("base", 42)
        assert answers.correct.tolist() == [1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 1]
        assert tested.majority().figures()["accuracy"] == pytest.approx(6 / 12)  # no, by training

    def test_a_seed_counts_when_every_fold_is_there(self) -> None:
        run_rows = [row("base", 42, 0, "110100"), row("base", 42, 1, "011010"), row("base", 43, 0, "110100")]
        tested = table.Tested(_results_document([*run_rows, row("krisp", 42, 0, "110100")]))
        assert tested.seeds("base") == [42]
        assert tested.cells == ["base"]

    def test_images_of_folds_are_not_mixed_up(self) -> None:
        tested = table.Tested(_results_document([]))
        assert len(set(tested.images.tolist())) == 6

    def test_differences_are_of_the_questions_asked_for(self) -> None:
        run_rows = [row("base", 42, fold, "000000") for fold in (0, 1)]
        tested = table.Tested(
            _results_document(run_rows + [row("krisp", 42, fold, yes_answers) for fold, yes_answers in enumerate(YES)])
        )
        all_questions = np.ones(12, dtype=bool)
        assert table.accuracy_difference(tested, "krisp", "base", all_questions).startswith("+50.00 [")
        assert table.accuracy_difference(tested, "base", "krisp", all_questions).startswith("-50.00 [")
        assert table.accuracy_difference(tested, "krisp", "base", tested.linked).startswith("+75.00 [")


def test_the_table_is_written_with_baselines_controls_and_the_papers(tmp_path: Path) -> None:
    cell_names = [cell.name for cell in benchmark.vqa_cells("all", controls=True)]
    run_rows = [
        row(cell, seed, fold, yes_answers)
        for cell in cell_names
        for seed in (42, 43)
        for fold, yes_answers in enumerate(YES)
    ]
    results_path = tmp_path / "vqa.json"
    results_path.write_text(json.dumps(_results_document(run_rows)), encoding="utf-8")
    table.write_vqa_table(results_path)
    table_text = results_path.with_suffix(".md").read_text(encoding="utf-8")
    assert "most common answer in training | 50.00" in table_text
    for row_name in ("question only", "KRISP, shuffled graph", "MR-MKG, without stance", "EKGRL, minus base model"):
        assert row_name in table_text
    assert "4 name a concept of the graph" in table_text
    assert "| + KRISP | 73.71 🟩" in table_text


def test_the_papers_table_is_whole() -> None:
    for table_rows in table.PAPER.values():
        assert len(table_rows) == 6
        assert all(len(table_row.split()) == 12 for table_row in table_rows)
    best_accuracy = max(float(table_row.split()[0]) for table_rows in table.PAPER.values() for table_row in table_rows)
    assert best_accuracy == 80.08  # requirements, section 1.12


def test_a_table_names_every_commit_that_runs_are_of_the_oldest_first() -> None:
    def row(seed: int, commit: str, run_date: str, has_changes: bool) -> dict[str, Any]:
        machine = {"cores": 2, "device": "cpu"}
        return {
            "seed": seed,
            "context": {"machine": machine, "commit": commit * 40, "date": run_date, "dirty": has_changes},
        }

    run_rows = [row(43, "b", "2026-02-01", True), row(42, "a", "2026-01-01", False), row(42, "b", "2026-02-02", True)]
    assert describe_runs(run_rows) == (
        f"Seeds: 42, 43. Commits, + with changes: {'a' * 10}, {'b' * 10}+; 2 cores, cpu."
    )
