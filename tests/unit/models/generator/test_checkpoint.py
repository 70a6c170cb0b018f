"""A generator on disk: what is saved is loaded, and what was damaged or is something else is one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from kgp_models.generator.checkpoint import IMAGE_ALONE, load_generator, save_generator
from kgp_models.generator.decoding import Decoding
from kgp_models.generator.generate import Generator
from kgp_models.generator.language import open_language, read_language, small_tokenizer
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.towers import vision as vision_of
from kgplatform.errors import InputError
from kgplatform.generate.backend import GenerationRequest
from tests import generators
from tests.unit.models.towers.test_vision import HostileVisionPickle, save_clip_vision

pytestmark = pytest.mark.slow  # a model is trained first


@pytest.fixture
def copied_generator_folder(tiny_generator_folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny_generator_folder / "vlm-kg", tmp_path / "g")
    return tmp_path / "g"


def test_what_is_saved_is_loaded(tiny_generator_folder: Path, tmp_path: Path) -> None:
    checkpoint = load_generator(tiny_generator_folder / "vlm-kg")
    assert (checkpoint.stage, checkpoint.settings) == ("VLM-KG", generators.tiny_generator_settings())
    assert checkpoint.name == f"VLM-KG {checkpoint.sha256[:8]}"
    assert checkpoint.vision is not None
    assert "/" not in checkpoint.about["settings"]["data"]["path"], "a place of one machine"
    assert not checkpoint.model.training
    save_generator(
        tmp_path / "g", checkpoint.model, checkpoint.tokenizer, checkpoint.settings, checkpoint.stage,
        checkpoint.vision, data=checkpoint.about["data_sha256"], figures=checkpoint.about["figures"],
        trained_on=checkpoint.trained_on, base_model=checkpoint.about["base_model"],
        reference=checkpoint.reference, classifier=checkpoint.classifier,
    )  # fmt: skip
    [data_set] = checkpoint.trained_on
    assert (data_set.name, data_set.synthetic, data_set.licence) == ("Phantom", True, "Apache-2.0")
    assert data_set.images is not None
    assert data_set.subjects is not None
    assert data_set.sha256 is not None
    reloaded = load_generator(tmp_path / "g")
    reloaded_weights = reloaded.model.state_dict()
    assert all(
        weight.equal(reloaded_weights[weight_name]) for weight_name, weight in checkpoint.model.state_dict().items()
    )
    assert reloaded.sha256 == checkpoint.sha256
    about = {name: entry for name, entry in checkpoint.about.items() if name != IMAGE_ALONE}  # of the validation
    assert reloaded.about == about
    assert next(checkpoint.model.parameters()).dtype == torch.float32, "saving in 16 bits leaves the model as it was"


def test_no_path_of_this_machine_is_saved(tiny_generator_folder: Path, tmp_path: Path) -> None:
    checkpoint = load_generator(tiny_generator_folder / "llm-kg")
    data = replace(checkpoint.settings.data, path="/data/private/studies", splits="/data/private/splits.csv")
    settings = replace(checkpoint.settings, data=data, language_model="/data/private/Qwen")
    save_generator(
        tmp_path / "g", checkpoint.model, checkpoint.tokenizer, settings, "LLM-KG", None, data="", figures={}
    )
    for name in ("generator.json", "README.md"):
        assert "/data/private" not in (tmp_path / "g" / name).read_text(encoding="utf-8")
    saved = load_generator(tmp_path / "g").settings
    assert (saved.data.path, saved.data.splits, saved.language_model) == ("studies", "splits.csv", "Qwen")


def test_the_tokenizer_reads_as_the_one_that_was_trained(tiny_generator_folder: Path, tmp_path: Path) -> None:
    trained_tokenizer = small_tokenizer(["small left effusion located_at"], 300)
    checkpoint = load_generator(tiny_generator_folder / "llm-kg")
    save_generator(
        tmp_path / "g",
        checkpoint.model,
        trained_tokenizer,
        checkpoint.settings,
        checkpoint.stage,
        None,
        data="",
        figures={},
    )
    sample_text = "Small EFFUSION, located_at; ünknown <end>\n"
    loaded_tokenizer = load_generator(tmp_path / "g").tokenizer
    assert loaded_tokenizer(sample_text)["input_ids"] == trained_tokenizer(sample_text)["input_ids"]
    assert (len(loaded_tokenizer), loaded_tokenizer.pad_token_id, loaded_tokenizer.eos_token_id) == (
        len(trained_tokenizer),
        0,
        1,
    )
    assert len(checkpoint.tokenizer) == checkpoint.model.language.config.vocab_size
    assert checkpoint.tokenizer("SMALL")["input_ids"] == checkpoint.tokenizer("small")["input_ids"]


def test_llm_kg_has_no_image(tiny_generator_folder: Path) -> None:
    checkpoint = load_generator(tiny_generator_folder / "llm-kg")
    assert (checkpoint.stage, checkpoint.vision, checkpoint.model.projector) == ("LLM-KG", None, None)


def test_all_that_decides_a_reply_is_in_the_hash(tiny_generator_folder: Path, tmp_path: Path) -> None:
    checkpoint = load_generator(tiny_generator_folder / "llm-kg")
    hashes = {checkpoint.sha256, load_generator(tiny_generator_folder / "vlm-kg").sha256}
    changed_settings = replace(checkpoint.settings, instruction="Say it.")
    save_generator(
        tmp_path / "a",
        checkpoint.model,
        checkpoint.tokenizer,
        changed_settings,
        checkpoint.stage,
        None,
        data="",
        figures={},
    )
    hashes.add(load_generator(tmp_path / "a").sha256)
    with torch.no_grad():
        checkpoint.model.language.lm_head.weight[0] += 1
    save_generator(
        tmp_path / "b",
        checkpoint.model,
        checkpoint.tokenizer,
        checkpoint.settings,
        checkpoint.stage,
        None,
        data="",
        figures={},
    )
    hashes.add(load_generator(tmp_path / "b").sha256)
    assert len(hashes) == 4


FILES = [
    "generator.json", "language/config.json", "language/model.safetensors", "language/tokenizer.json",
    "language/tokenizer_config.json", "projector.safetensors", "vision.safetensors", "classifier.safetensors",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "one byte", "a folder"])
def test_a_damaged_file_is_one_clear_line(copied_generator_folder: Path, name: str, damage: str) -> None:
    file_path = copied_generator_folder / name
    content = file_path.read_bytes()
    file_path.unlink()
    if damage == "empty":
        file_path.touch()
    elif damage == "one byte":
        file_path.write_bytes(content[:-2] + b"\x00" + content[-1:])
    elif damage == "a folder":
        file_path.mkdir()
    with pytest.raises(InputError) as raised:
        load_generator(copied_generator_folder)
    assert str(copied_generator_folder) in raised.value.message
    assert "\n" not in raised.value.message
    assert raised.value.hint


def _changed(about: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**about, **values}


@pytest.mark.parametrize(
    "change",
    [
        lambda about: _changed(about, form=2),
        lambda about: _changed(about, files={"../../etc/passwd": "0"}),
        lambda about: _changed(about, files={"/etc/passwd": "0"}),
        lambda about: _changed(about, files=[1]),
        lambda about: _changed(about, settings={"layers": 1}),
        lambda about: _changed(about, settings=None),
        lambda about: _changed(about, stage=1),
        lambda about: _changed(about, vision=3),
        lambda about: _changed(about, vision={}),
        lambda about: _changed(about, vision={"name": "clip", "sha256": "0"}),
        lambda about: {field_name: content for field_name, content in about.items() if field_name != "vision"},
        lambda about: _changed(about, triplet_classifier={}),
        lambda about: _changed(
            about, triplet_classifier={**about["triplet_classifier"], "triplets": [["a", "located_at", "b"]]}
        ),
        lambda about: _changed(
            about, triplet_classifier={**about["triplet_classifier"], "triplets": [["a", "near", "b"]]}
        ),
        lambda about: [],
        lambda about: 3,
        lambda about: _changed(about, settings={**about["settings"], "projector": {"clip_length": 9}}),
        lambda about: _changed(about, settings={**about["settings"], "projector": {"heads": 5}}),
    ],
)
def test_a_description_that_does_not_fit_is_one_clear_line(
    copied_generator_folder: Path, change: Callable[[Any], Any]
) -> None:
    description_path = copied_generator_folder / "generator.json"
    description_path.write_text(
        json.dumps(change(json.loads(description_path.read_text(encoding="utf-8")))), encoding="utf-8"
    )
    with pytest.raises(InputError):
        load_generator(copied_generator_folder)


def test_a_vision_encoder_of_others_stays_where_it_is_and_may_move(tiny_generator_folder: Path, tmp_path: Path) -> None:
    save_clip_vision(tmp_path / "clip")
    checkpoint = load_generator(tiny_generator_folder / "vlm-kg")
    encoder = vision_of.open_vision(f"clip:{tmp_path / 'clip'}")
    settings = replace(checkpoint.settings, vision=f"clip:{tmp_path / 'clip'}")
    model = VLMKG(checkpoint.model.language, Projector(encoder.width, 32, settings.projector))
    save_generator(tmp_path / "g", model, checkpoint.tokenizer, settings, "VLM-KG", encoder, data="", figures={})
    assert not (tmp_path / "g" / "vision.safetensors").exists()
    saved_checkpoint = load_generator(tmp_path / "g")
    shutil.move(tmp_path / "clip", tmp_path / "moved")
    with pytest.raises(InputError, match="weights do not exist"):
        load_generator(tmp_path / "g")
    assert load_generator(tmp_path / "g", vision=f"clip:{tmp_path / 'moved'}").sha256 == saved_checkpoint.sha256
    save_clip_vision(tmp_path / "other")
    with pytest.raises(InputError, match="not the one of the training"):
        load_generator(tmp_path / "g", vision=f"clip:{tmp_path / 'other'}")


# a language model of others


def qwen(folder: Path, **sizes: int) -> None:
    """A folder as Qwen1.5-0.5B is released: bfloat16 weights and configuration, here with a small tokenizer."""
    released_sizes: dict[str, Any] = {
        "hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16, "num_key_value_heads": 16,
        "vocab_size": 151_936, "num_hidden_layers": 24, "max_position_embeddings": 32_768, "max_window_layers": 21,
    }  # fmt: skip
    qwen_config = transformers.Qwen2Config(**{**released_sizes, **sizes}, tie_word_embeddings=True, dtype="bfloat16")
    with torch.device("meta"):
        model: Any = transformers.Qwen2ForCausalLM(qwen_config)  # its `to` is typed as a plain function
    model.to_empty(device="cpu").to(torch.bfloat16)
    random_generator = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=random_generator, dtype=torch.bfloat16) * 0.02
    model.tie_weights()
    model.save_pretrained(folder)
    small_tokenizer(["small effusion located_at"], 300).save_pretrained(folder)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"num_hidden_layers": 1, "vocab_size": 2_000}, id="real widths"),
        pytest.param({}, id="real shape", marks=pytest.mark.long),
    ],
)
def test_qwens_layout_becomes_a_generator(
    synthetic_studies_folder: Path, tiny_generator_folder: Path, tmp_path: Path, sizes: dict[str, int]
) -> None:
    qwen(tmp_path / "qwen", **sizes)
    settings = generators.tiny_generator_settings(language_model="qwen")
    language, tokenizer = open_language(settings, tmp_path, ())
    assert language.config.hidden_size == 1024
    assert next(language.parameters()).dtype == torch.float32
    encoder = vision_of.open_vision(f"small:{tiny_generator_folder / 'vision'}")
    model = VLMKG(language, Projector(512, 1024, settings.projector)).eval()
    image_path = next(synthetic_studies_folder.rglob("*.png"))
    save_generator(
        tmp_path / "g", model, tokenizer, settings, "VLM-KG", encoder, data="", figures={}, dtype=torch.bfloat16
    )
    generator = Generator(load_generator(tmp_path / "g"), Decoding(beams=2, max_new_tokens=3, batch=2))
    [[reply]] = generator.replies(iter([GenerationRequest("I1", image_path, "Small effusion .")]))
    assert (reply.problem, reply.tokens) == (None, 3)


def test_a_folder_that_is_no_language_model_is_one_clear_line(tiny_generator_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights do not exist"):
        read_language(tmp_path / "missing")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path)
    shutil.copytree(tiny_generator_folder / "llm-kg" / "language", tmp_path / "l")
    (tmp_path / "l" / "model.safetensors").unlink()
    canary_path = tmp_path / "ran"
    torch.save({"model.norm.weight": HostileVisionPickle(canary_path)}, tmp_path / "l" / "pytorch_model.bin")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")
    assert not canary_path.exists()


def test_weights_that_are_missing_are_not_made_up(tiny_generator_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny_generator_folder / "llm-kg" / "language", tmp_path / "l")
    tensors = load_file(tmp_path / "l" / "model.safetensors")
    tensors.pop("model.norm.weight")
    save_file(tensors, tmp_path / "l" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")


def test_code_in_a_folder_is_never_run(tiny_generator_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_generator_folder / "llm-kg" / "language", tmp_path / "l")
    config_path = tmp_path / "l" / "config.json"
    config_document = json.loads(config_path.read_text(encoding="utf-8"))
    config_document |= {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"},
    }
    config_path.write_text(json.dumps(config_document), encoding="utf-8")
    (tmp_path / "l" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")
    assert not (tmp_path / "ran").exists()
