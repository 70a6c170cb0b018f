"""A training that was killed or interrupted goes on to the same weights."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from kgp_models.generator.encoded import encoded
from kgp_models.generator.train import train_stages
from kgp_models.towers.vision import open_vision
from kgplatform.errors import InputError
from kgplatform.interrupt import Stopped
from kgplatform.progress import Progress, SubjectProgress
from tests import generators
from tests.generators import WEIGHTS
from tests.interrupts import interrupted_at

pytestmark = pytest.mark.slow  # a model is trained first


class _SimulatedKill(Exception):
    """In place of a kill."""


def killed_at(part: str, step: int) -> SubjectProgress:
    def progress(activity: str) -> Progress:
        def tell(done: int, total: int | None, **_: object) -> None:
            if activity.startswith(part) and done == step:
                raise _SimulatedKill

        return tell

    return progress


@pytest.mark.parametrize(
    ("part", "step", "stages"),
    [("vision, steps", 5, ["vision"]), ("LLM-KG, steps", 3, ["1"]), ("VLM-KG, steps", 10, ["1", "2"])],
)
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    synthetic_studies_folder: Path,
    tiny_generator_folder: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    part: str,
    step: int,
    stages: list[str],
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path)
    with pytest.raises(_SimulatedKill):
        train_stages(replace(work, progress=killed_at(part, step)), stages)
    saved_states = [*tmp_path.rglob("work/checkpoint-*"), *tmp_path.rglob("vision.state")]
    assert saved_states, "something was saved before the kill"
    if (last_state := saved_states[-1]).is_dir():  # and the next was cut short
        partial_checkpoint = shutil.copytree(last_state, last_state.with_name("checkpoint-99"))
        trainer_state = (partial_checkpoint / "trainer_state.json").read_bytes()
        (partial_checkpoint / "trainer_state.json").write_bytes(trainer_state[: len(trainer_state) // 2])
    steps: list[int] = []
    resumed_work = replace(
        work, progress=lambda activity: lambda done, total, **_: steps.append(done) if activity == part else None
    )
    caplog.set_level(logging.INFO, "kgp_models")
    train_stages(resumed_work, stages)
    assert steps[0] > 1, "it did not begin anew"
    for weights_name in WEIGHTS:
        if (tmp_path / weights_name).is_file():
            resumed_tensors, full_tensors = (
                load_file(tmp_path / weights_name),
                load_file(tiny_generator_folder / weights_name),
            )
            assert all(
                torch.equal(resumed_tensors[tensor_name], full_tensors[tensor_name]) for tensor_name in full_tensors
            ), weights_name
    assert (tmp_path / {"vision": WEIGHTS[0], "1": WEIGHTS[1], "2": WEIGHTS[2]}[stages[-1]]).is_file()
    assert [message for message in caplog.messages if f" goes on at step {steps[0]} of " in message], caplog.messages
    if stages != ["vision"]:  # its figures are those of all sessions
        description, full_description = (
            json.loads((folder / {"1": "llm-kg", "2": "vlm-kg"}[stages[-1]] / "generator.json").read_text("utf-8"))
            for folder in (tmp_path, tiny_generator_folder)
        )
        assert description["figures"]["loss"] == full_description["figures"]["loss"]
        assert description["figures"]["seconds"] > 0


def test_a_validation_that_is_interrupted_is_done_again(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path)
    with pytest.raises(_SimulatedKill):
        train_stages(
            replace(work, progress=killed_at("LLM-KG, validation", len(work.validation(work.studies())))), ["1"]
        )
    earlier_weights = (tmp_path / WEIGHTS[1]).read_bytes()
    assert "validation F1, report" not in json.loads((tmp_path / "llm-kg/generator.json").read_text())["figures"]
    train_stages(work, ["1"])
    resumed_figures, full_figures = (
        json.loads((folder / "llm-kg/generator.json").read_text())["figures"]
        for folder in (tmp_path, tiny_generator_folder)
    )
    assert {**resumed_figures, "seconds": 0} == {**full_figures, "seconds": 0}
    assert (tmp_path / WEIGHTS[1]).read_bytes() == earlier_weights
    assert not (tmp_path / "llm-kg/work").exists()


@pytest.mark.parametrize("stopped", [False, True])
def test_encoding_images_goes_on_where_it_was(
    synthetic_studies_folder: Path,
    tiny_generator_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped: bool,
) -> None:
    monkeypatch.setattr("kgp_models.generator.encoded.ENCODED_AT_A_TIME", 4)
    monkeypatch.setattr("kgplatform.interrupt.SECONDS", 0.0)
    monkeypatch.setattr("kgplatform.interrupt.SHARE", 0)
    vision_encoder = open_vision(f"small:{tiny_generator_folder / 'vision'}")
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path)
    studies = [study for study in work.studies() if study.image is not None]
    expected_result = encoded(vision_encoder, studies, tmp_path / "whole", work)
    ending_progress = interrupted_at(8) if stopped else killed_at("images", 8)("images")
    with pytest.raises(Stopped if stopped else _SimulatedKill, match="stopped after 8 of" if stopped else None):
        encoded(vision_encoder, studies, tmp_path / "cut", replace(work, progress=lambda activity: ending_progress))
    steps: list[int] = []
    resumed_work = replace(work, progress=lambda activity: lambda done, total, **_: steps.append(done))
    encoded_studies, vectors = encoded(vision_encoder, studies, tmp_path / "cut", resumed_work)
    assert steps[0] == (12 if stopped else 8)
    assert encoded_studies == expected_result[0]
    assert torch.equal(vectors, expected_result[1])


@pytest.mark.parametrize(
    ("part", "step", "stages"),
    [("vision, steps", 5, ["vision"]), ("LLM-KG, steps", 3, ["1"])],
)
def test_an_interrupted_generator_training_loses_no_step(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path, part: str, step: int, stages: list[str]
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path)
    steps: list[int] = []
    with pytest.raises(Stopped, match=rf"after step {step} of \d+, saved in {tmp_path}"):
        train_stages(replace(work, progress=lambda activity: interrupted_at(step if activity == part else -1)), stages)
    train_stages(
        replace(
            work, progress=lambda activity: lambda done, total, **_: steps.append(done) if activity == part else None
        ),
        stages,
    )
    assert steps[0] == step + 1
    resumed_tensors, full_tensors = (
        load_file(folder / WEIGHTS[part.startswith("LLM")]) for folder in (tmp_path, tiny_generator_folder)
    )
    assert all(torch.equal(resumed_tensors[tensor_name], full_tensors[tensor_name]) for tensor_name in full_tensors)


def test_a_vision_training_does_not_go_on_with_other_images(synthetic_studies_folder: Path, tmp_path: Path) -> None:
    data_folder = shutil.copytree(synthetic_studies_folder, tmp_path / "data")
    work = generators.tiny_generator_training(data_folder, tmp_path / "g")
    with pytest.raises(_SimulatedKill):
        train_stages(replace(work, progress=killed_at("vision, steps", 5)), ["vision"])
    missing_image = next(study.image for study in work.studies() if study.image is not None)
    missing_image.write_bytes(b"")
    with pytest.raises(InputError, match="the images that can be read are not those of the start of this training"):
        train_stages(work, ["vision"])
