"""From the graph to a trained model and back: export, split, train, predict, look, undo, as a user would type it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml

from kgplatform.digest import digest
from kgplatform.graph import Graph
from tests import ROOT
from tests.conftest import Kgp

pytestmark = [pytest.mark.server, pytest.mark.data]
SETTINGS = "model: transe\narguments: {embedding_dim: 32, scoring_fct_norm: 2}\nepochs: 10\ncheck_every: 5\n"


@pytest.fixture
def trained_transe_folder(kgp: Kgp, medmkg_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with export/, leakage-free.parquet and models/transe, made by the first test that needs it."""
    folder = tmp_path_factory.getbasetemp() / "links"
    if not folder.exists():
        folder.mkdir()
        export_folder, split_path = folder / "export", folder / "leakage-free.parquet"
        (folder / "transe.yaml").write_text(SETTINGS)
        assert kgp("export", "parquet", "--out", export_folder).code == 0
        assert kgp("split", "leakage-free", export_folder, "--out", split_path).code == 0
        file_options = ("--export", export_folder, "--split", split_path, "--out", folder / "models" / "transe")
        training = kgp("train", "links", folder / "transe.yaml", *file_options, "--json")
        assert training.code == 0, training.err
        assert training.json["epochs"] == 10
        assert training.json["test"]["tail"]["hits@10"] > 1  # chance is 0.1
    return folder


def test_a_models_predictions_go_into_the_graph_and_out_again(
    kgp: Kgp, medmkg_graph: Graph, trained_transe_folder: Path
) -> None:
    digest_before = digest(medmkg_graph)
    model_folder = trained_transe_folder / "models" / "transe"
    prediction_run = kgp("predict", "links", "--model", model_folder, "--relation", "POSITIVE", "--top", "5", "--json")
    assert prediction_run.code == 0, prediction_run.err
    assert [prediction["rank"] for prediction in prediction_run.json["predictions"]] == [1, 2, 3, 4, 5]
    assert prediction_run.json["run"] is None
    assert digest(medmkg_graph) == digest_before  # without --write, nothing is written

    prediction_run = kgp(
        "predict", "links", "--model", model_folder, "--relation", "POSITIVE", "--top", "5", "--write", "--json"
    )
    assert (prediction_run.code, prediction_run.json["written"]) == (0, 5), prediction_run.err
    query_result = kgp("query", "explore/predicted_links", "--param", "limit=5", "--json")
    assert query_result.code == 0
    assert "PREDICTED" in query_result.out
    statistics = kgp("stats", "--json")
    assert statistics.json["edges"] == 35_387  # predictions are no facts
    second_run = kgp(
        "predict", "links", "--model", model_folder, "--relation", "POSITIVE", "--top", "5", "--write", "--json"
    )
    assert (second_run.json["written"], second_run.json["run"]) == (0, prediction_run.json["run"])
    assert kgp("runs", "undo", prediction_run.json["run"]).code == 0
    assert digest(medmkg_graph) == digest_before


@pytest.mark.long
def test_the_pool_of_the_docs_predicts_too(
    kgp: Kgp, medmkg_graph: Graph, trained_transe_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_before = digest(medmkg_graph)
    monkeypatch.chdir(trained_transe_folder)
    docs_text = (ROOT / "docs" / "link-prediction.md").read_text(encoding="utf-8")
    snippet = docs_text[docs_text.index("    from pathlib import Path") : docs_text.index("## Ranks")]
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(snippet)], capture_output=True, text=True, check=False
    )
    assert completed.returncode == 0, completed.stderr
    predict_command = ("predict", "links", "--model", "models/pool", "--relation", "POSITIVE", "--top", "5")
    prediction_run = kgp(*predict_command, "--write", "--json")
    assert (prediction_run.code, prediction_run.json["written"]) == (0, 5), prediction_run.err
    assert kgp("runs", "undo", prediction_run.json["run"]).code == 0
    assert digest(medmkg_graph) == digest_before
    Path("models/pool/pool.json").write_text("{}")
    prediction_run = kgp(*predict_command)
    assert prediction_run.code == 1
    assert "pool.json: is not a pool of this program" in prediction_run.err


def test_wrong_models_and_settings_are_one_clear_line(kgp: Kgp, medmkg_graph: Graph, tmp_path: Path) -> None:
    completed = kgp("predict", "links", "--model", tmp_path, "--relation", "POSITIVE")
    assert completed.code == 1
    assert "there is no link-prediction model here" in completed.err
    assert "Traceback" not in completed.err
    settings_path = tmp_path / "x.yaml"
    settings_path.write_text("model: transe\nepochs: many\n")
    completed = kgp(
        "train", "links", settings_path, "--export", tmp_path, "--split", tmp_path / "s", "--out", tmp_path / "m"
    )
    assert completed.code == 1
    assert "x.yaml: epochs must be a whole number" in completed.err


def test_a_short_link_prediction_benchmark_runs_resumes_and_writes_its_tables(
    trained_transe_folder: Path, tmp_path: Path
) -> None:
    export_folder, results_folder = trained_transe_folder / "export", tmp_path / "results"
    results_folder.mkdir()
    (results_folder / "link_prediction_tuning_paper.json").write_text("{}")  # lies there too, and is no result
    command = [
        sys.executable,
        "-m",
        "benchmarks.link_prediction.run",
        "--export",
        export_folder,
        "--results",
        results_folder,
    ]
    command += ["--build", tmp_path / "build", "--models", "frequency,inverse-rule,transe,tucker", "--epochs", "2"]
    completed = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    document = json.loads((results_folder / "link_prediction_paper.json").read_text())
    assert [run_record["model"] for run_record in document["runs"]] == ["frequency", "inverse-rule", "transe", "tucker"]
    runs_by_model = {run_record["model"]: run_record for run_record in document["runs"]}
    assert runs_by_model["inverse-rule"]["filtered"]["tail"]["hits@10"] == pytest.approx(50.5, abs=0.5)
    assert runs_by_model["transe"]["epochs"] == 2
    assert document["split"]["either"] == 1291
    table = (results_folder / "link_prediction_paper.md").read_text()
    assert "| transe | 1 |" in table
    assert (results_folder / "link_prediction_paper.svg").read_text().startswith("<?xml")
    second_run = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "transe seed 42: done before" in second_run.stderr


TRIALS = """
starts: {quick: {objective: margin, epochs: 4, check_every: 2, batch_size: 4096}}
models:
  transe: [{start: quick, arguments: {embedding_dim: 16}}, {start: quick, learning_rate: 0.05}]
  complex-n3: [{start: quick}]
"""


@pytest.mark.long
def test_tuning_keeps_the_best_trial_and_does_none_twice(trained_transe_folder: Path, tmp_path: Path) -> None:
    settings_folder, results_folder = tmp_path / "settings", tmp_path / "results"
    (settings_folder / "trials").mkdir(parents=True)
    (settings_folder / "trials" / "leakage-free.yaml").write_text(TRIALS)
    command = [
        sys.executable,
        "-m",
        "benchmarks.link_prediction.tuning",
        "--export",
        trained_transe_folder / "export",
    ]
    command += [
        "--settings",
        settings_folder,
        "--results",
        results_folder,
        "--build",
        tmp_path / "build",
        "--models",
        "transe",
    ]
    completed = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "1 of 2 models are complete" in completed.stderr
    trials = json.loads((results_folder / "link_prediction_tuning_leakage-free.json").read_text())["models"]["transe"]
    best_trial = max(trials, key=lambda trial: trial["mrr"])
    assert best_trial["mrr"] == pytest.approx(sum(task["mrr"] for task in best_trial["validation"].values()) / 3)
    tuned_settings = yaml.safe_load((settings_folder / "tuned" / "leakage-free" / "transe.yaml").read_text())
    assert tuned_settings == {
        setting_name: setting for setting_name, setting in best_trial["settings"].items() if setting_name != "paper"
    }
    modified_times = {
        file_path: file_path.stat().st_mtime_ns for file_path in (tmp_path / "build").rglob("*") if file_path.is_file()
    }
    assert subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, check=False).returncode == 0
    assert modified_times == {
        file_path: file_path.stat().st_mtime_ns for file_path in (tmp_path / "build").rglob("*") if file_path.is_file()
    }
    command[-1] = "tranze"
    unknown_model = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert unknown_model.returncode == 2
    assert "there are no trials for tranze" in unknown_model.stderr
