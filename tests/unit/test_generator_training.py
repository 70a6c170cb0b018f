"""Both stages of the training on real, small studies: killed and resumed, finished, frozen, LoRA, other folders."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from kgp_models.generator.checkpoint import load
from kgp_models.generator.encoded import encoded
from kgp_models.generator.generate import Generator
from kgp_models.generator.model import VLMKG
from kgp_models.generator.train import Work, train
from kgp_models.generator.validate import validated
from kgp_models.generator.vision import open_vision
from kgplatform.errors import InputError, SettingsError
from kgplatform.interrupt import Stopped
from tests import generators
from tests.interrupts import interrupted_at
from tests.unit.test_generator_vision import clip

pytestmark = pytest.mark.slow  # a model is trained first

WEIGHTS = ("vision/vision.safetensors", "llm-kg/language/model.safetensors", "vlm-kg/projector.safetensors",
           "vlm-kg/language/model.safetensors", "vlm-kg/vision.safetensors")  # fmt: skip


class Killed(Exception):
    """In place of a kill."""


def killed_at(part: str, step: int) -> Callable[[str], Callable[[int, int | None], None]]:
    def progress(what: str) -> Callable[[int, int | None], None]:
        def tell(done: int, total: int | None) -> None:
            if what.startswith(part) and done == step:
                raise Killed

        return tell

    return progress


@pytest.fixture
def begun(tiny: Path, tmp_path: Path) -> Path:
    """A folder in which vision encoder and stage 1 are trained, for other settings of stage 2."""
    for part in ("vision", "llm-kg"):
        shutil.copytree(tiny / part, tmp_path / part)
    return tmp_path


def test_both_stages_end_as_generators_without_what_they_needed_on_the_way(tiny: Path) -> None:
    for part, stage in (("llm-kg", "LLM-KG"), ("vlm-kg", "VLM-KG")):
        about = json.loads((tiny / part / "generator.json").read_text(encoding="utf-8"))
        assert about["stage"] == stage
        assert about["figures"]["steps"] > 4
        assert 0 < about["figures"]["loss"] < 10
        assert about["settings"] == json.loads(json.dumps(generators.settings().as_dict()))
        assert len(about["data_sha256"]) == 64
        assert stage in (tiny / part / "README.md").read_text(encoding="utf-8")
        assert not (tiny / part / "work").exists()
    assert all((tiny / name).is_file() for name in WEIGHTS)
    assert not list(tiny.rglob("*.state"))


@pytest.mark.parametrize(
    ("part", "step", "stages"),
    [("vision, steps", 5, ["vision"]), ("LLM-KG, steps", 3, ["1"]), ("VLM-KG, steps", 10, ["1", "2"])],
)
def test_a_training_that_was_killed_goes_on_to_the_same_weights(
    invented: Path, tiny: Path, tmp_path: Path, part: str, step: int, stages: list[str]
) -> None:
    work = generators.work(invented, tmp_path)
    with pytest.raises(Killed):
        train(replace(work, progress=killed_at(part, step)), stages)
    kept = [*tmp_path.rglob("work/checkpoint-*"), *tmp_path.rglob("vision.state")]
    assert kept, "something was saved before the kill"
    if (last := kept[-1]).is_dir():  # and the next was cut short
        cut = shutil.copytree(last, last.with_name("checkpoint-99"))
        state = (cut / "trainer_state.json").read_bytes()
        (cut / "trainer_state.json").write_bytes(state[: len(state) // 2])
    seen: list[int] = []
    told: list[str] = []
    resumed = replace(work, progress=lambda what: lambda done, total: seen.append(done) if what == part else None)
    train(replace(resumed, told=told.append), stages)
    assert seen[0] > 1, "it did not begin anew"
    for name in WEIGHTS:
        if (tmp_path / name).is_file():
            ours, whole = load_file(tmp_path / name), load_file(tiny / name)
            assert all(torch.equal(ours[key], whole[key]) for key in whole), name
    assert (tmp_path / {"vision": WEIGHTS[0], "1": WEIGHTS[1], "2": WEIGHTS[2]}[stages[-1]]).is_file()
    assert [line for line in told if f" goes on at step {seen[0]} of " in line], told
    if stages != ["vision"]:  # its figures are those of all sessions
        about, whole_about = (
            json.loads((folder / {"1": "llm-kg", "2": "vlm-kg"}[stages[-1]] / "generator.json").read_text("utf-8"))
            for folder in (tmp_path, tiny)
        )
        assert about["figures"]["loss"] == whole_about["figures"]["loss"]
        assert about["figures"]["seconds"] > 0


def test_a_validation_that_is_interrupted_is_done_again(invented: Path, tiny: Path, tmp_path: Path) -> None:
    work = generators.work(invented, tmp_path)
    with pytest.raises(Killed):
        train(replace(work, progress=killed_at("LLM-KG, validation", len(work.validation(work.studies())))), ["1"])
    before = (tmp_path / WEIGHTS[1]).read_bytes()
    assert "validation F1, report" not in json.loads((tmp_path / "llm-kg/generator.json").read_text())["figures"]
    train(work, ["1"])
    ours, whole = (json.loads((at / "llm-kg/generator.json").read_text())["figures"] for at in (tmp_path, tiny))
    assert {**ours, "seconds": 0} == {**whole, "seconds": 0}
    assert (tmp_path / WEIGHTS[1]).read_bytes() == before
    assert not (tmp_path / "llm-kg/work").exists()


@pytest.mark.parametrize("stopped", [False, True])
def test_encoding_images_goes_on_where_it_was(
    invented: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    monkeypatch.setattr("kgp_models.generator.encoded.ENCODED_AT_A_TIME", 4)
    monkeypatch.setattr("kgplatform.interrupt.SECONDS", 0.0)
    monkeypatch.setattr("kgplatform.interrupt.SHARE", 0)
    vision = open_vision(f"small:{tiny / 'vision'}")
    work = generators.work(invented, tmp_path)
    studies = [study for study in work.studies() if study.image is not None]
    wanted = encoded(vision, studies, tmp_path / "whole", work)
    ends = interrupted_at(8) if stopped else killed_at("images", 8)("images")
    with pytest.raises(Stopped if stopped else Killed, match="stopped after 8 of" if stopped else None):
        encoded(vision, studies, tmp_path / "cut", replace(work, progress=lambda what: ends))
    seen: list[int] = []
    goes_on = replace(work, progress=lambda what: lambda done, total: seen.append(done))
    kept, vectors = encoded(vision, studies, tmp_path / "cut", goes_on)
    assert seen[0] == (12 if stopped else 8)
    assert kept == wanted[0]
    assert torch.equal(vectors, wanted[1])


@pytest.mark.parametrize(
    ("part", "step", "stages"),
    [("vision, steps", 5, ["vision"]), ("LLM-KG, steps", 3, ["1"])],
)
def test_a_training_that_is_interrupted_loses_no_step(
    invented: Path, tiny: Path, tmp_path: Path, part: str, step: int, stages: list[str]
) -> None:
    work = generators.work(invented, tmp_path)
    seen: list[int] = []
    with pytest.raises(Stopped, match=rf"after step {step} of \d+, saved in {tmp_path}"):
        train(replace(work, progress=lambda what: interrupted_at(step if what == part else -1)), stages)
    train(replace(work, progress=lambda what: lambda done, total: seen.append(done) if what == part else None), stages)
    assert seen[0] == step + 1
    ours, whole = (load_file(folder / WEIGHTS[part.startswith("LLM")]) for folder in (tmp_path, tiny))
    assert all(torch.equal(ours[key], whole[key]) for key in whole)


def test_a_training_killed_outright_goes_on_by_the_same_command(invented: Path, tiny: Path, tmp_path: Path) -> None:
    """SIGKILL to `kgp train generator` as soon as stage 1 has saved where it is."""
    config = tmp_path / "s.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(generators.settings().as_dict()))), encoding="utf-8")
    kgp = Path(sys.executable).with_name("kgp")
    command = [kgp, "train", "generator", "--config", config, "--data", invented, "--out", tmp_path / "g",
               "--stage", "1"]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    work, deadline = tmp_path / "g" / "llm-kg" / "work", time.monotonic() + 120
    while not list(work.glob("checkpoint-*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was killed on its way"
    again = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    ours, whole = (load_file(folder / WEIGHTS[1]) for folder in (tmp_path / "g", tiny))
    assert all(torch.equal(ours[key], whole[key]) for key in whole)


def test_an_encoder_named_relative_to_the_settings_is_found_from_anywhere(
    invented: Path, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip(tmp_path / "settings" / "clip")
    data = {"path": os.path.relpath(invented, tmp_path / "settings")}
    made = generators.settings(data=data, vision="clip:clip")
    train(Work(made, begun, tmp_path / "settings"), ["2"])
    monkeypatch.chdir(tmp_path / "settings")
    assert load(begun / "vlm-kg").vision is not None
    monkeypatch.chdir(begun)
    assert load(Path("vlm-kg")).vision is not None
    shutil.move(begun / "vlm-kg", tmp_path / "elsewhere" / "vlm-kg")
    with pytest.raises(InputError, match="weights are not there"):
        load(tmp_path / "elsewhere" / "vlm-kg")


def test_what_is_finished_is_not_trained_again(invented: Path, tiny: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in tiny.rglob("*") if path.is_file()}
    told: list[str] = []
    work = replace(generators.work(invented, tiny), told=told.append)
    assert train(work, ["vision", "1", "2"]) == tiny / "vlm-kg"
    assert {path: path.stat().st_mtime_ns for path in tiny.rglob("*") if path.is_file()} == before
    assert all(line.endswith("trained already") for line in told)


def test_a_folder_of_another_training_is_refused(invented: Path, tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another training, of other data or settings"):
        train(generators.work(invented, tiny, seed=43), ["1"])
    other = generators.work(invented, tiny, data={"train": "test"})
    with pytest.raises(InputError, match="another training"):
        train(other, ["1"])
    with pytest.raises(InputError, match="no study of the split"):
        train(generators.work(invented, tmp_path, data={"train": "nobody"}), ["1"])


def test_stage_2_without_stage_1_and_without_images_are_one_clear_error(invented: Path, begun: Path) -> None:
    work = generators.work(invented, begun, data={"images": "elsewhere"})
    with pytest.raises(InputError, match="no study of the training has an image that can be read"):
        train(work, ["2"])
    shutil.rmtree(begun / "llm-kg")
    (begun / "training.json").unlink()
    with pytest.raises(InputError, match="llm-kg: there is no generator here"):
        train(generators.work(invented, begun), ["2"])


def test_an_image_that_cannot_be_read_is_told_and_left_out(invented: Path, tmp_path: Path) -> None:
    data = shutil.copytree(invented, tmp_path / "data")
    work = generators.work(data, tmp_path / "g")
    bad, *_ = [study.image for study in work.studies() if study.image is not None]
    assert bad is not None
    bad.write_bytes(b"zebrafinch")
    told: list[str] = []
    train(replace(work, told=told.append), ["1", "2"])
    first = f"1 of {len(work.studies())} images cannot be read, the first of them {bad}: "
    assert sum(line.startswith(first) and line.endswith("; they are left out") for line in told) == 2, told
    assert "zebrafinch" not in str(told)
    assert load(tmp_path / "g" / "vlm-kg").stage == "VLM-KG"


def test_a_vision_training_does_not_go_on_with_other_images(invented: Path, tmp_path: Path) -> None:
    data = shutil.copytree(invented, tmp_path / "data")
    work = generators.work(data, tmp_path / "g")
    with pytest.raises(Killed):
        train(replace(work, progress=killed_at("vision, steps", 5)), ["vision"])
    gone = next(study.image for study in work.studies() if study.image is not None)
    gone.write_bytes(b"")
    with pytest.raises(InputError, match="other images can be read than when this training began"):
        train(work, ["vision"])


def test_the_model_card_says_what_is_reached_on_studies_held_out(invented: Path, tiny: Path) -> None:
    """The figures again, of the generator that was saved."""
    work = generators.work(invented, tiny)
    images = {
        "llm-kg": ["validation F1, report"],
        "vlm-kg": ["validation F1, report and image", "validation F1, image alone"],
    }
    for part, names in images.items():
        made = load(tiny / part)
        again = validated(Generator(made), work.validation(work.studies()), work.same, lambda done, total: None)
        assert list(again) == ["validation studies", *names]
        assert again["validation studies"] == len(work.validation(work.studies()))
        figures = made.about["figures"]
        assert {name: figures[name] for name in again} == pytest.approx(again, abs=0.05)  # half precision on disk
        card = (tiny / part / "README.md").read_text(encoding="utf-8")
        assert f"| {names[-1]} | {figures[names[-1]]} |" in card
    assert validated(Generator(made), [], work.same, lambda done, total: None) == {}


def test_images_of_which_most_cannot_be_read_stop_a_training(invented: Path, tmp_path: Path) -> None:
    data = shutil.copytree(invented, tmp_path / "data")
    for path in data.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(InputError, match="images cannot be read, the first of them"):
        train(generators.work(data, tmp_path / "g"), ["vision"])


def test_a_validation_part_that_is_in_the_training_counts_for_nothing(invented: Path, begun: Path) -> None:
    told: list[str] = []
    work = replace(generators.work(invented, begun, data={"validation": "train"}), told=told.append)
    assert work.validation(work.studies()) == []
    assert told[-1].endswith(" studies of the validation are in the training, too, and count for nothing")
    apart = generators.work(invented, begun)
    assert apart.validation(apart.studies())


def test_data_without_a_validation_part_are_trained_on_too(invented: Path, begun: Path) -> None:
    told: list[str] = []
    work = generators.work(invented, begun, data={"validation": "nobody"})
    train(replace(work, told=told.append), ["2"])
    assert [line for line in told if line.startswith("no validation: ") and "the split 'nobody'" in line]
    assert "validation" not in str(load(begun / "vlm-kg").about["figures"])


def test_two_processes_train_one_generator(invented: Path, tiny: Path, tmp_path: Path) -> None:
    """As `accelerate launch` has it on two GPUs, on processors: it calls torchrun."""
    config = tmp_path / "s.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(generators.settings().as_dict()))), encoding="utf-8")
    here = Path(sys.executable).parent
    launch = [here / "torchrun", "--standalone", "--nproc_per_node", "2", here / "kgp"]
    command = [*launch, "train", "generator", "--config", config, "--data", invented, "--out", tmp_path / "g"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("VLM-KG: ") == 1, "one of them tells"
    for part in ("llm-kg", "vlm-kg"):
        ours, alone = (load(folder / part).about["figures"]["steps"] for folder in (tmp_path / "g", tiny))
        assert ours < 0.7 * alone, "each has half of the records"
    assert not list(tmp_path.rglob("work"))


def test_frozen_only_the_projector_learns(invented: Path, begun: Path) -> None:
    train(generators.work(invented, begun, visual={"tune": "projector"}), ["2"])
    before, after = (begun / part / "language" / "model.safetensors" for part in ("llm-kg", "vlm-kg"))
    assert before.read_bytes() == after.read_bytes()
    about = json.loads((begun / "vlm-kg" / "generator.json").read_text(encoding="utf-8"))
    assert about["stage"] == "VLM-KG*"


def test_lora_trains_and_is_merged(invented: Path, begun: Path) -> None:
    train(generators.work(invented, begun, visual={"tune": "lora", "lora_rank": 2}), ["2"])
    before, after = (load_file(begun / part / "language" / "model.safetensors") for part in ("llm-kg", "vlm-kg"))
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all("_proj." in name for name in changed)
    assert json.loads((begun / "vlm-kg" / "generator.json").read_text("utf-8"))["stage"] == "VLM-KG LoRA"


def test_gradient_checkpointing_saves_memory_not_results(
    invented: Path, tiny: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    enable = VLMKG.activation_checkpointing_enable

    def noted(self: VLMKG, **options: Any) -> None:
        asked.append(options)
        enable(self, **options)

    monkeypatch.setattr(VLMKG, "activation_checkpointing_enable", noted)
    train(generators.work(invented, begun, visual={"gradient_checkpointing": True}), ["2"])
    assert asked
    ours, whole = (load_file(folder / WEIGHTS[3]) for folder in (begun, tiny))
    for name, value in whole.items():
        torch.testing.assert_close(ours[name].float(), value.float(), atol=2e-3, rtol=0)


def test_mixed_precision_trains(invented: Path, begun: Path) -> None:
    train(generators.work(invented, begun, dtype="bfloat16"), ["2"])
    assert all(value.isfinite().all() for value in load_file(begun / WEIGHTS[2]).values())


def test_it_learns(invented: Path, tiny: Path, tmp_path: Path) -> None:
    train(generators.work(invented, tmp_path, language={"epochs": 20, "learning_rate": 1e-2}), ["1"])
    few, many = (json.loads((folder / "llm-kg" / "generator.json").read_text("utf-8")) for folder in (tiny, tmp_path))
    assert many["figures"]["loss"] < 0.7 * few["figures"]["loss"]


def test_the_command_trains_and_says_where(invented: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from kgplatform.cli.commands import app

    config = tmp_path / "s.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(generators.settings().as_dict()))), encoding="utf-8")
    arguments = ["train", "generator", "--config", str(config), "--data", str(invented), "--out", str(tmp_path / "g")]
    done = CliRunner().invoke(app, [*arguments, "--stage", "1", "--json"])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["model"] == str(tmp_path / "g" / "llm-kg")
    assert document["figures"]["steps"] > 0
    wrong = CliRunner().invoke(app, [*arguments, "--stage", "3"])
    assert wrong.exit_code == 2


def test_work_knows_its_device(tmp_path: Path) -> None:
    work = Work(generators.settings(), tmp_path, tmp_path)
    assert work.device in ("cpu", "cuda")
    assert work.bfloat16 == (work.device == "cuda")


def test_without_the_packages_of_training_it_is_one_clear_line(
    invented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from kgplatform.cli import ml
    from kgplatform.cli.train import app

    there = ml.find_spec
    monkeypatch.setattr(ml, "find_spec", lambda name: None if name == "datasets" else there(name))
    config = tmp_path / "s.yaml"
    config.write_text("{}", encoding="utf-8")
    done = CliRunner().invoke(app, ["generator", "--config", str(config), "--out", str(tmp_path / "g")])
    assert isinstance(done.exception, SettingsError)
    assert (done.exception.message, done.exception.hint) == (
        "this needs datasets",
        "pip install 'kgplatform[generate]'",
    )
    assert not (tmp_path / "g").exists()
