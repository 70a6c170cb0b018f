"""`kgp train generator`: as a process, killed, as two processes, and without its packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kgp_models.generator.checkpoint import load_generator
from kgplatform.errors import SettingsError
from kgplatform.extras import install_command
from tests import generators
from tests.generators import WEIGHTS

pytestmark = pytest.mark.slow  # a model is trained first


def test_a_training_killed_outright_goes_on_by_the_same_command(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    """SIGKILL to `kgp train generator` as soon as stage 1 has saved where it is."""
    config_path = tmp_path / "s.yaml"
    config_path.write_text(
        yaml.safe_dump(json.loads(json.dumps(generators.tiny_generator_settings().as_dict()))), encoding="utf-8"
    )
    kgp_path = Path(sys.executable).with_name("kgp")
    command: list[str | Path] = [kgp_path, "train", "generator", "--config", config_path,
               "--data", synthetic_studies_folder, "--out", tmp_path / "g", "--stage", "1"]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    work_folder, deadline = tmp_path / "g" / "llm-kg" / "work", time.monotonic() + 120
    while not list(work_folder.glob("checkpoint-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was killed on its way"
    second_run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert second_run.returncode == 0, second_run.stderr
    resumed_tensors, full_tensors = (
        load_file(folder / WEIGHTS[1]) for folder in (tmp_path / "g", tiny_generator_folder)
    )
    assert all(torch.equal(resumed_tensors[tensor_name], full_tensors[tensor_name]) for tensor_name in full_tensors)


@pytest.mark.long
def test_two_processes_train_one_generator(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    """As `accelerate launch` has it on two GPUs, on processors: it calls torchrun."""
    config_path = tmp_path / "s.yaml"
    config_path.write_text(
        yaml.safe_dump(json.loads(json.dumps(generators.tiny_generator_settings().as_dict()))), encoding="utf-8"
    )
    bin_folder = Path(sys.executable).parent
    launch_command: list[str | Path] = [
        bin_folder / "torchrun",
        "--standalone",
        "--nproc_per_node",
        "2",
        bin_folder / "kgp",
    ]
    command: list[str | Path] = [
        *launch_command,
        "train",
        "generator",
        "--config",
        config_path,
        "--data",
        synthetic_studies_folder,
        "--out",
        tmp_path / "g",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr.count("VLM-KG: ") == 1, "one of them tells"
    for folder_name in ("llm-kg", "vlm-kg"):
        joint_steps, single_steps = (
            load_generator(folder / folder_name).about["figures"]["steps"]
            for folder in (tmp_path / "g", tiny_generator_folder)
        )
        assert joint_steps < 0.7 * single_steps, "each has half of the records"
    assert not list(tmp_path.rglob("work"))


def test_the_command_trains_and_says_where(synthetic_studies_folder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from kgplatform.cli.commands import app

    config_path = tmp_path / "s.yaml"
    config_path.write_text(
        yaml.safe_dump(json.loads(json.dumps(generators.tiny_generator_settings().as_dict()))), encoding="utf-8"
    )
    arguments = [
        "train",
        "generator",
        "--config",
        str(config_path),
        "--data",
        str(synthetic_studies_folder),
        "--out",
        str(tmp_path / "g"),
    ]
    completed = CliRunner().invoke(app, [*arguments, "--stage", "1", "--json"])
    assert completed.exit_code == 0, completed.output
    document = json.loads(completed.stdout)
    assert document["model"] == str(tmp_path / "g" / "llm-kg")
    assert document["figures"]["steps"] > 0
    refused_run = CliRunner().invoke(app, [*arguments, "--stage", "3"])
    assert refused_run.exit_code == 2


def test_without_the_packages_of_training_it_is_one_clear_line(
    synthetic_studies_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec

    from typer.testing import CliRunner

    from kgplatform.cli.train import app

    monkeypatch.setattr("kgplatform.cli.ml.find_spec", lambda name: None if name == "datasets" else find_spec(name))
    config_path = tmp_path / "s.yaml"
    config_path.write_text("{}", encoding="utf-8")
    completed = CliRunner().invoke(app, ["generator", "--config", str(config_path), "--out", str(tmp_path / "g")])
    assert isinstance(completed.exception, SettingsError)
    assert (completed.exception.message, completed.exception.hint) == (
        "this needs datasets, which is not installed",
        f"Install it: {install_command('generate')}",
    )
    assert not (tmp_path / "g").exists()
