"""`kgp pairs` without a graph: what it prints, what it leaves out, and what a careless user reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kgplatform.cli import pairs as cli
from kgplatform.cli.output import log_lines
from kgplatform.datasets.pair_source import KINDS
from kgplatform.datasets.pairs import PARTS, PROTOCOLS, PairSet
from kgplatform.errors import ConnectionFailed, InputError, UsageError
from tests.unit.kgplatform.datasets.test_pairs import numbered_openi_studies, write_openi_studies


def _run_pairs(folder: Path, out: Path, **changed: Any) -> None:
    arguments: dict[str, Any] = {
        "kind": cli.PairKind.openi, "images": None, "views": "", "protocol": cli.Protocol.report, "sample": None,
        "exclude_graph": False, "seed": 42, "as_json": True,
    }  # fmt: skip
    cli.pairs(folder=folder, out=out, **{**arguments, **changed})


def test_choices_are_those_of_the_library() -> None:
    assert tuple(cli.PairKind) == KINDS
    assert tuple(cli.Protocol) == tuple(PROTOCOLS)


def test_pairs_are_written_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openi_folder = write_openi_studies(tmp_path / "openi", [*numbered_openi_studies(), ("77", "", "")])
    (openi_folder / "1_IM-1001.dcm.png").unlink()
    _run_pairs(openi_folder, tmp_path / "pairs.parquet")
    summary = json.loads(capsys.readouterr().out)
    pair_set = PairSet.read(tmp_path / "pairs.parquet")
    assert summary["sha256"] == pair_set.sha256
    assert {part_name: summary["parts"][part_name]["pairs"] for part_name in PARTS} == {
        part_name: len(pair_set.parts[part_name]) for part_name in PARTS
    }
    assert sum(summary["parts"][part_name]["studies"] for part_name in PARTS) == 40
    assert summary["parts"]["train"].keys() == {"pairs", "studies", "subjects", "texts"}
    assert summary["left_out"] == {"without an image file": 1, "without findings and impression": 2}
    assert summary["left_out_rows"][0]["path"].endswith("1_IM-1001.dcm.png")
    assert summary["in_training"].keys() == {"valid", "test"}
    assert summary["in_training"]["test"]["report"] == 0
    assert summary["in_training"]["test"]["text"] > 0


def test_a_larger_sample_than_there_are_pairs_is_noted_and_the_file_is_named_parquet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    openi_folder = write_openi_studies(tmp_path / "openi", numbered_openi_studies())
    with log_lines():
        _run_pairs(openi_folder, tmp_path / "pairs.parquet", sample=100_000)
    assert "pairs instead of 100,000: there are no more" in capsys.readouterr().err
    with pytest.raises(UsageError, match=r"pairs\.csv would contain parquet"):
        _run_pairs(openi_folder, tmp_path / "pairs.csv")
    assert not (tmp_path / "pairs.csv").exists()


def test_views_samples_and_the_papers_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openi_folder = write_openi_studies(tmp_path / "openi", numbered_openi_studies(200), tmp_path / "pictures")
    _run_pairs(openi_folder, tmp_path / "a.parquet", images=tmp_path / "pictures", views="Lateral, ", sample=100)
    pair_set = PairSet.read(tmp_path / "a.parquet")
    assert [len(pair_set.parts[part_name]) for part_name in PARTS] == [80, 10, 10]
    assert {pair.view for pair in pair_set.pairs} == {"Lateral"}
    capsys.readouterr()
    _run_pairs(
        openi_folder, tmp_path / "b.parquet", images=tmp_path / "pictures", protocol=cli.Protocol.paper, as_json=False
    )
    stdout = capsys.readouterr().out
    assert "400 pairs in" in stdout
    assert "by paper" in stdout
    [report_columns] = [line.split() for line in stdout.splitlines() if line.startswith("report ")]
    assert int(report_columns[-1]) > 20  # of 40 test images; four of five by chance
    assert "Finding" not in stdout


def test_what_the_views_leave_out_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    openi_folder = write_openi_studies(tmp_path / "openi", numbered_openi_studies(), tmp_path / "pictures")
    _run_pairs(openi_folder, tmp_path / "a.parquet", images=tmp_path / "pictures", views="frontal,AP")
    left_out = json.loads(capsys.readouterr().out)["left_out"]
    assert left_out["images of other projections than frontal, AP"] == 40
    assert left_out["images of the view AP"] == 0
    assert {pair.view for pair in PairSet.read(tmp_path / "a.parquet").pairs} == {"Frontal"}


def test_without_a_pair_the_reasons_are_told(tmp_path: Path) -> None:
    openi_folder = write_openi_studies(tmp_path / "openi", numbered_openi_studies(), tmp_path / "pictures")
    with pytest.raises(InputError, match=r"no pair of an image and its report: 80 without an image file") as refusal:
        _run_pairs(openi_folder, tmp_path / "pairs.parquet")
    assert "--images" in refusal.value.hint
    with pytest.raises(InputError, match="no images of the view AP"):
        _run_pairs(openi_folder, tmp_path / "pairs.parquet", views="AP")
    with pytest.raises(UsageError, match="2 pairs are too few"):
        _run_pairs(openi_folder, tmp_path / "pairs.parquet", images=tmp_path / "pictures", sample=2)
    assert not (tmp_path / "pairs.parquet").exists()


def test_without_a_server_the_way_without_a_graph_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KGP_HOME", str(tmp_path / "home"))
    with pytest.raises(ConnectionFailed, match="not running") as refusal:
        _run_pairs(
            write_openi_studies(tmp_path / "openi", numbered_openi_studies()),
            tmp_path / "pairs.parquet",
            exclude_graph=True,
        )
    assert "--no-exclude-graph" in refusal.value.hint
