"""Both stages of the training on real, small studies: killed and resumed, finished, frozen, LoRA, other folders."""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file

from kgp_models.generator.checkpoint import load_generator
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.train import Work, train_stages
from kgplatform.errors import InputError
from tests import generators
from tests.generators import WEIGHTS
from tests.progress_records import ProgressRecord
from tests.unit.models.generator import untrained_generators
from tests.unit.models.towers.test_vision import save_clip_vision

pytestmark = pytest.mark.slow  # a model is trained first


begun = untrained_generators.begun


def test_both_stages_end_as_generators_without_what_they_needed_on_the_way(tiny_generator_folder: Path) -> None:
    for folder_name, stage in (("llm-kg", "LLM-KG"), ("vlm-kg", "VLM-KG")):
        description = json.loads((tiny_generator_folder / folder_name / "generator.json").read_text(encoding="utf-8"))
        assert description["stage"] == stage
        assert description["figures"]["steps"] > 4
        assert 0 < description["figures"]["loss"] < 10
        assert description["settings"] == json.loads(json.dumps(generators.tiny_generator_settings().as_dict()))
        assert len(description["data_sha256"]) == 64
        assert stage in (tiny_generator_folder / folder_name / "README.md").read_text(encoding="utf-8")
        assert not (tiny_generator_folder / folder_name / "work").exists()
    assert all((tiny_generator_folder / weights_name).is_file() for weights_name in WEIGHTS)
    assert not list(tiny_generator_folder.rglob("*.state"))


def test_an_encoder_named_relative_to_the_settings_is_found_from_anywhere(
    synthetic_studies_folder: Path, begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_clip_vision(tmp_path / "settings" / "clip")
    data_settings = {"path": os.path.relpath(synthetic_studies_folder, tmp_path / "settings")}
    generator_settings = generators.tiny_generator_settings(data=data_settings, vision="clip:clip")
    train_stages(Work(generator_settings, begun, tmp_path / "settings"), ["2"])
    monkeypatch.chdir(tmp_path / "settings")
    assert load_generator(begun / "vlm-kg").vision is not None
    monkeypatch.chdir(begun)
    assert load_generator(Path("vlm-kg")).vision is not None
    shutil.move(begun / "vlm-kg", tmp_path / "elsewhere" / "vlm-kg")
    with pytest.raises(InputError, match="weights do not exist"):
        load_generator(tmp_path / "elsewhere" / "vlm-kg")


def test_what_is_finished_is_not_trained_again(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kgp_models")
    modified_times = {
        file_path: file_path.stat().st_mtime_ns for file_path in tiny_generator_folder.rglob("*") if file_path.is_file()
    }
    work = generators.tiny_generator_training(synthetic_studies_folder, tiny_generator_folder)
    assert train_stages(work, ["vision", "1", "2"]) == tiny_generator_folder / "vlm-kg"
    assert {
        file_path: file_path.stat().st_mtime_ns for file_path in tiny_generator_folder.rglob("*") if file_path.is_file()
    } == modified_times
    assert set(caplog.messages) == {f"{part}: trained already" for part in ("vision encoder", "LLM-KG", "VLM-KG")}


def test_progress_has_the_loss_of_each_stage(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    """And the weights are those of a training that nobody looks at."""
    records: dict[str, ProgressRecord] = {}
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path)
    work = replace(work, progress=lambda subject: records.setdefault(subject, ProgressRecord()))
    train_stages(work, ["1", "2"])
    stage_losses = {
        stage: json.loads((tmp_path / folder / "generator.json").read_text())["figures"]["loss"]
        for stage, folder in (("LLM-KG", "llm-kg"), ("VLM-KG", "vlm-kg"))
    }
    for subject in ("vision, steps", "LLM-KG, steps", "VLM-KG, steps"):
        assert records[subject].has_losses(), subject
        assert records[subject].done == list(range(1, len(records[subject].done) + 1))
    for stage, mean_loss in stage_losses.items():
        last_loss = records[f"{stage}, steps"].losses[-1]
        assert last_loss is not None
        assert 0.3 * mean_loss < last_loss < 1.5 * mean_loss, "it is that of a step, not of a batch of several"
    assert not records["images encoded"].has_losses()
    for weights_name in WEIGHTS:
        assert (tmp_path / weights_name).read_bytes() == (tiny_generator_folder / weights_name).read_bytes()


def test_a_folder_of_another_training_is_refused(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="an unfinished training with other settings or data"):
        train_stages(
            generators.tiny_generator_training(synthetic_studies_folder, tiny_generator_folder, seed=43), ["1"]
        )
    other_work = generators.tiny_generator_training(
        synthetic_studies_folder, tiny_generator_folder, data={"train": "test"}
    )
    with pytest.raises(InputError, match="an unfinished training with other settings or data"):
        train_stages(other_work, ["1"])


def test_settings_of_a_part_that_has_not_begun_may_change_and_those_of_a_finished_one_not(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("training.json", "vision", "llm-kg"):
        source = tiny_generator_folder / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, begun / name)
    changed = generators.tiny_generator_training(synthetic_studies_folder, begun, projector={"prefix_length": 3})
    train_stages(changed, ["2"])
    assert load_generator(begun / "vlm-kg").settings.projector.prefix_length == 3
    again = generators.tiny_generator_training(synthetic_studies_folder, begun, projector={"prefix_length": 5})
    with pytest.raises(InputError, match="other settings"):
        train_stages(again, ["2"])


def test_a_wrong_vision_encoder_is_an_error_before_the_first_step(
    synthetic_studies_folder: Path, tmp_path: Path
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, tmp_path / "out", vision="clip:nowhere")
    with pytest.raises(InputError, match="weights do not exist"):
        train_stages(work, ["1", "2"])
    assert not list((tmp_path / "out").rglob("*.safetensors"))


def test_a_stage_1_of_other_data_is_refused(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_generator_folder / "llm-kg", tmp_path / "llm-kg")
    (tmp_path / "llm-kg" / "training.json").unlink()
    other_data = generators.tiny_generator_training(synthetic_studies_folder, tmp_path, data={"train": "test"})
    with pytest.raises(InputError, match="stage 1 was trained on other data"):
        train_stages(other_data, ["2"])
    with pytest.raises(InputError, match="no study of the split"):
        train_stages(
            generators.tiny_generator_training(synthetic_studies_folder, tmp_path, data={"train": "nobody"}), ["1"]
        )


def test_stage_2_without_stage_1_and_without_images_are_one_clear_error(
    synthetic_studies_folder: Path, begun: Path
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, begun, data={"images": "elsewhere"})
    with pytest.raises(InputError, match="no study of the training has an image file"):
        train_stages(work, ["2"])
    shutil.rmtree(begun / "llm-kg")
    (begun / "training.json").unlink()
    with pytest.raises(InputError, match="llm-kg: there is no generator here"):
        train_stages(generators.tiny_generator_training(synthetic_studies_folder, begun), ["2"])


def test_an_image_that_cannot_be_read_is_told_and_left_out(
    synthetic_studies_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data_folder = shutil.copytree(synthetic_studies_folder, tmp_path / "data")
    work = generators.tiny_generator_training(data_folder, tmp_path / "g")
    bad_image, *_ = [study.image for study in work.studies() if study.image is not None]
    assert bad_image is not None
    bad_image.write_bytes(b"zebrafinch")
    train_stages(work, ["1", "2"])
    messages = caplog.messages
    expected_start = f"1 of {len(work.studies())} images cannot be read, the first of them {bad_image}: "
    assert (
        sum(message.startswith(expected_start) and message.endswith("; they are left out") for message in messages) == 2
    ), messages
    assert "zebrafinch" not in str(messages)
    assert load_generator(tmp_path / "g" / "vlm-kg").stage == "VLM-KG"


def test_lora_trains_stage_1_too_and_is_merged(synthetic_studies_folder: Path, tmp_path: Path) -> None:
    tune = {"tune": "lora", "lora_rank": 2}
    train_stages(generators.tiny_generator_training(synthetic_studies_folder, tmp_path, language=tune), ["1"])
    generator = load_generator(tmp_path / "llm-kg")
    assert not any("lora" in name for name, _ in generator.model.named_parameters())
    assert generator.about["base_model"]["name"] == "none: trained from random weights"


def test_bfloat16_without_the_processors_instructions_is_warned_of(
    synthetic_studies_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kgp_models.generator.train.has_fast_bfloat16", lambda: False)
    train_stages(generators.tiny_generator_training(synthetic_studies_folder, tmp_path, dtype="bfloat16"), ["1"])
    assert any("no instructions for bfloat16" in message for message in caplog.messages)


def test_images_of_which_most_cannot_be_read_stop_a_training(synthetic_studies_folder: Path, tmp_path: Path) -> None:
    data_folder = shutil.copytree(synthetic_studies_folder, tmp_path / "data")
    for image_path in data_folder.rglob("*.png"):
        image_path.write_bytes(b"")
    with pytest.raises(InputError, match="images cannot be read, the first of them"):
        train_stages(generators.tiny_generator_training(data_folder, tmp_path / "g"), ["vision"])


def test_a_validation_part_that_is_in_the_training_counts_for_nothing(
    synthetic_studies_folder: Path, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, begun, data={"validation": "train"})
    assert work.validation(work.studies()) == []
    assert caplog.messages[-1].endswith(" studies of the validation part are also in training, and are ignored")
    separate_work = generators.tiny_generator_training(synthetic_studies_folder, begun)
    assert separate_work.validation(separate_work.studies())


def test_data_without_a_validation_part_are_trained_on_too(
    synthetic_studies_folder: Path, begun: Path, caplog: pytest.LogCaptureFixture
) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, begun, data={"validation": "nobody"})
    train_stages(work, ["2"])
    assert [
        message
        for message in caplog.messages
        if message.startswith("no validation: ") and "the split 'nobody'" in message
    ]
    assert "validation" not in str(load_generator(begun / "vlm-kg").about["figures"])


def test_the_projector_has_its_own_learning_rate(synthetic_studies_folder: Path, begun: Path) -> None:
    work = generators.tiny_generator_training(synthetic_studies_folder, begun, visual={"projector_rate": 1e-9})
    train_stages(work, ["2"])
    trained = load_generator(begun / "vlm-kg").model
    torch.manual_seed(work.settings.seed)
    assert trained.projector is not None
    initial = Projector(len(trained.projector.mean), trained.projector.width, work.settings.projector)
    assert torch.allclose(trained.projector.spread.weight, initial.spread.weight, atol=1e-3)  # half precision
    before = load_file(begun / "llm-kg" / "language" / "model.safetensors")
    after = load_file(begun / "vlm-kg" / "language" / "model.safetensors")
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert float(trained.projector.deviation.std()) > 0  # of the training's vectors


def test_frozen_only_the_projector_learns(synthetic_studies_folder: Path, begun: Path) -> None:
    train_stages(
        generators.tiny_generator_training(synthetic_studies_folder, begun, visual={"tune": "projector"}), ["2"]
    )
    stage_1_weights, stage_2_weights = (
        begun / folder_name / "language" / "model.safetensors" for folder_name in ("llm-kg", "vlm-kg")
    )
    assert stage_1_weights.read_bytes() == stage_2_weights.read_bytes()
    description = json.loads((begun / "vlm-kg" / "generator.json").read_text(encoding="utf-8"))
    assert description["stage"] == "VLM-KG*"


def test_lora_trains_and_is_merged(synthetic_studies_folder: Path, begun: Path) -> None:
    train_stages(
        generators.tiny_generator_training(synthetic_studies_folder, begun, visual={"tune": "lora", "lora_rank": 2}),
        ["2"],
    )
    stage_1_weights, stage_2_weights = (
        load_file(begun / folder_name / "language" / "model.safetensors") for folder_name in ("llm-kg", "vlm-kg")
    )
    assert stage_1_weights.keys() == stage_2_weights.keys()
    changed_names = {
        tensor_name
        for tensor_name in stage_1_weights
        if not stage_1_weights[tensor_name].equal(stage_2_weights[tensor_name])
    }
    assert changed_names
    assert all("_proj." in tensor_name for tensor_name in changed_names)
    assert json.loads((begun / "vlm-kg" / "generator.json").read_text("utf-8"))["stage"] == "VLM-KG LoRA"


def test_gradient_checkpointing_saves_memory_not_results(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, begun: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call_options: list[Any] = []
    original_enable = VLMKG.activation_checkpointing_enable

    def noted(self: VLMKG, **options: Any) -> None:
        call_options.append(options)
        original_enable(self, **options)

    monkeypatch.setattr(VLMKG, "activation_checkpointing_enable", noted)
    train_stages(
        generators.tiny_generator_training(synthetic_studies_folder, begun, visual={"gradient_checkpointing": True}),
        ["2"],
    )
    assert call_options
    resumed_tensors, full_tensors = (load_file(folder / WEIGHTS[3]) for folder in (begun, tiny_generator_folder))
    for tensor_name, tensor in full_tensors.items():
        torch.testing.assert_close(resumed_tensors[tensor_name].float(), tensor.float(), atol=2e-3, rtol=0)


def test_mixed_precision_trains(synthetic_studies_folder: Path, begun: Path) -> None:
    train_stages(generators.tiny_generator_training(synthetic_studies_folder, begun, dtype="bfloat16"), ["2"])
    assert all(tensor.isfinite().all() for tensor in load_file(begun / WEIGHTS[2]).values())


def test_it_learns(synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path) -> None:
    train_stages(
        generators.tiny_generator_training(
            synthetic_studies_folder, tmp_path, language={"epochs": 20, "learning_rate": 1e-2}
        ),
        ["1"],
    )
    few_epochs, many_epochs = (
        json.loads((folder / "llm-kg" / "generator.json").read_text("utf-8"))
        for folder in (tiny_generator_folder, tmp_path)
    )
    assert many_epochs["figures"]["loss"] < 0.7 * few_epochs["figures"]["loss"]


def test_work_knows_its_device(tmp_path: Path) -> None:
    work = Work(generators.tiny_generator_settings(), tmp_path, tmp_path)
    assert work.device in ("cpu", "cuda")
    assert work.bfloat16 == (work.device == "cuda")


@pytest.mark.parametrize(
    ("dtype", "language_model", "is_faster", "expected"),
    [
        ("auto", "smollm2", True, True),
        ("auto", "smollm2", False, False),
        ("auto", "small", True, False),
        ("float32", "smollm2", True, False),
        ("bfloat16", "small", False, True),
    ],
)
def test_a_pretrained_language_model_is_trained_in_bfloat16_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    dtype: Literal["auto", "float32", "bfloat16"],
    language_model: str,
    is_faster: bool,
    expected: bool,
) -> None:
    monkeypatch.setattr(Work, "device", "cpu")
    monkeypatch.setattr("kgp_models.generator.train.is_bfloat16_faster", lambda device: is_faster)
    settings = replace(generators.tiny_generator_settings(), dtype=dtype, language_model=language_model)
    assert Work(settings, tmp_path, tmp_path).bfloat16 is expected
