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
from tests.conftest import Kgp

pytestmark = [pytest.mark.server, pytest.mark.data]
ROOT = Path(__file__).parents[2]
SETTINGS = "model: transe\narguments: {embedding_dim: 32, scoring_fct_norm: 2}\nepochs: 10\ncheck_every: 5\n"


@pytest.fixture
def trained(kgp: Kgp, medmkg_graph: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with export/, leakage-free.parquet and models/transe, made by the first test that needs it."""
    folder = tmp_path_factory.getbasetemp() / "links"
    if not folder.exists():
        folder.mkdir()
        export, split = folder / "export", folder / "leakage-free.parquet"
        (folder / "transe.yaml").write_text(SETTINGS)
        assert kgp("export", "parquet", "--out", export).code == 0
        assert kgp("split", "leakage-free", export, "--out", split).code == 0
        files = ("--export", export, "--split", split, "--out", folder / "models" / "transe")
        ran = kgp("train", "links", folder / "transe.yaml", *files, "--json")
        assert ran.code == 0, ran.err
        assert ran.json["epochs"] == 10
        assert ran.json["test"]["tail"]["hits@10"] > 1  # chance is 0.1
    return folder


def test_a_models_predictions_go_into_the_graph_and_out_again(kgp: Kgp, medmkg_graph: Graph, trained: Path) -> None:
    before = digest(medmkg_graph)
    model = trained / "models" / "transe"
    ran = kgp("predict", "links", "--model", model, "--relation", "POSITIVE", "--top", "5", "--json")
    assert ran.code == 0, ran.err
    assert [row["rank"] for row in ran.json["predictions"]] == [1, 2, 3, 4, 5]
    assert ran.json["run"] is None
    assert digest(medmkg_graph) == before  # without --write, nothing is written

    ran = kgp("predict", "links", "--model", model, "--relation", "POSITIVE", "--top", "5", "--write", "--json")
    assert (ran.code, ran.json["written"]) == (0, 5), ran.err
    shown = kgp("query", "explore/predicted_links", "--param", "limit=5", "--json")
    assert shown.code == 0
    assert "PREDICTED" in shown.out
    stats = kgp("stats", "--json")
    assert stats.json["edges"] == 35_387  # predictions are no facts
    again = kgp("predict", "links", "--model", model, "--relation", "POSITIVE", "--top", "5", "--write", "--json")
    assert (again.json["written"], again.json["run"]) == (0, ran.json["run"])
    assert kgp("runs", "undo", ran.json["run"]).code == 0
    assert digest(medmkg_graph) == before


def test_the_pool_of_the_docs_predicts_too(
    kgp: Kgp, medmkg_graph: Graph, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = digest(medmkg_graph)
    monkeypatch.chdir(trained)
    docs = (ROOT / "docs" / "link-prediction.md").read_text(encoding="utf-8")
    snippet = docs[docs.index("    from pathlib import Path") : docs.index("## Ranks")]
    made = subprocess.run([sys.executable, "-c", textwrap.dedent(snippet)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    predict = ("predict", "links", "--model", "models/pool", "--relation", "POSITIVE", "--top", "5")
    ran = kgp(*predict, "--write", "--json")
    assert (ran.code, ran.json["written"]) == (0, 5), ran.err
    assert kgp("runs", "undo", ran.json["run"]).code == 0
    assert digest(medmkg_graph) == before
    Path("models/pool/pool.json").write_text("{}")
    ran = kgp(*predict)
    assert ran.code == 1
    assert "pool.json: is not a pool of this program" in ran.err


def test_wrong_models_and_settings_are_one_clear_line(kgp: Kgp, medmkg_graph: Graph, tmp_path: Path) -> None:
    ran = kgp("predict", "links", "--model", tmp_path, "--relation", "POSITIVE")
    assert ran.code == 1
    assert "checkpoint.json: is missing or damaged" in ran.err
    assert "Traceback" not in ran.err
    settings = tmp_path / "x.yaml"
    settings.write_text("model: transe\nepochs: many\n")
    ran = kgp("train", "links", settings, "--export", tmp_path, "--split", tmp_path / "s", "--out", tmp_path / "m")
    assert ran.code == 1
    assert "x.yaml: epochs must be a whole number" in ran.err


def test_a_short_benchmark_runs_resumes_and_writes_its_tables(trained: Path, tmp_path: Path) -> None:
    export, results = trained / "export", tmp_path / "results"
    results.mkdir()
    (results / "link_prediction_tuning_paper.json").write_text("{}")  # lies there too, and is no result
    command = [sys.executable, ROOT / "benchmarks" / "link_prediction.py", "--export", export, "--results", results]
    command += ["--build", tmp_path / "build", "--models", "frequency,inverse-rule,transe,tucker", "--epochs", "2"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document = json.loads((results / "link_prediction_paper.json").read_text())
    assert [run["model"] for run in document["runs"]] == ["frequency", "inverse-rule", "transe", "tucker"]
    by_name = {run["model"]: run for run in document["runs"]}
    assert by_name["inverse-rule"]["filtered"]["tail"]["hits@10"] == pytest.approx(50.5, abs=0.5)
    assert by_name["transe"]["epochs"] == 2
    assert document["split"]["either"] == 1291
    table = (results / "link_prediction_paper.md").read_text()
    assert "| transe | 1 |" in table
    assert (results / "link_prediction_paper.svg").read_text().startswith("<?xml")
    again = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert "transe seed 42: done before" in again.stderr


TRIALS = """
starts: {quick: {objective: margin, epochs: 4, check_every: 2, batch_size: 4096}}
models:
  transe: [{start: quick, arguments: {embedding_dim: 16}}, {start: quick, learning_rate: 0.05}]
  complex-n3: [{start: quick}]
"""


def test_tuning_keeps_the_best_trial_and_does_none_twice(trained: Path, tmp_path: Path) -> None:
    settings, results = tmp_path / "settings", tmp_path / "results"
    (settings / "trials").mkdir(parents=True)
    (settings / "trials" / "leakage-free.yaml").write_text(TRIALS)
    command = [sys.executable, ROOT / "benchmarks" / "link_prediction_tuning.py", "--export", trained / "export"]
    command += ["--settings", settings, "--results", results, "--build", tmp_path / "build", "--models", "transe"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 models are complete" in done.stderr
    tried = json.loads((results / "link_prediction_tuning_leakage-free.json").read_text())["models"]["transe"]
    best = max(tried, key=lambda trial: trial["mrr"])
    assert best["mrr"] == pytest.approx(sum(task["mrr"] for task in best["validation"].values()) / 3)
    kept = yaml.safe_load((settings / "tuned" / "leakage-free" / "transe.yaml").read_text())
    assert kept == {name: value for name, value in best["settings"].items() if name != "paper"}
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*") if path.is_file()}
    assert subprocess.run([*map(str, command)], capture_output=True, check=False).returncode == 0
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*") if path.is_file()}
    command[-1] = "tranze"
    wrong = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "nothing to try of tranze" in wrong.stderr
