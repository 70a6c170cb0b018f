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

from kgp_models.generator import vision as vision_of
from kgp_models.generator.checkpoint import load, save
from kgp_models.generator.generate import Decoding, Generator
from kgp_models.generator.language import open_language, read_language, small_tokenizer
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgplatform.errors import InputError
from kgplatform.generate.backend import Asked
from kgplatform.trained_on import of_names
from tests import generators
from tests.unit.test_generator_vision import Ran, clip

pytestmark = pytest.mark.slow  # a model is trained first


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny / "vlm-kg", tmp_path / "g")
    return tmp_path / "g"


def test_what_is_saved_is_loaded(tiny: Path, tmp_path: Path) -> None:
    one = load(tiny / "vlm-kg")
    assert (one.stage, one.settings) == ("VLM-KG", generators.settings())
    assert one.name == f"VLM-KG {one.sha256[:8]}"
    assert one.vision is not None
    assert "/" not in one.about["settings"]["data"]["path"], "a place of one machine"
    assert not one.model.training
    save(
        tmp_path / "g", one.model, one.tokenizer, one.settings, one.stage, one.vision,
        data=one.about["data_sha256"], figures=one.about["figures"], trained_on=one.trained_on,
    )  # fmt: skip
    assert one.trained_on == of_names(["Phantom"]), "the training states its data"
    two = load(tmp_path / "g")
    weights = two.model.state_dict()
    assert all(value.equal(weights[name]) for name, value in one.model.state_dict().items())
    assert (two.sha256, two.about) == (one.sha256, one.about)
    assert next(one.model.parameters()).dtype == torch.float32, "saving in 16 bits leaves the model as it was"


def test_the_tokenizer_reads_as_the_one_that_was_trained(tiny: Path, tmp_path: Path) -> None:
    trained = small_tokenizer(["small left effusion located_at"], 300)
    one = load(tiny / "llm-kg")
    save(tmp_path / "g", one.model, trained, one.settings, one.stage, None, data="", figures={})
    text = "Small EFFUSION, located_at; ünknown <end>\n"
    loaded = load(tmp_path / "g").tokenizer
    assert loaded(text)["input_ids"] == trained(text)["input_ids"]
    assert (len(loaded), loaded.pad_token_id, loaded.eos_token_id) == (len(trained), 0, 1)
    assert len(one.tokenizer) == one.model.language.config.vocab_size
    assert one.tokenizer("SMALL")["input_ids"] == one.tokenizer("small")["input_ids"]


def test_llm_kg_has_no_image(tiny: Path) -> None:
    one = load(tiny / "llm-kg")
    assert (one.stage, one.vision, one.model.projector) == ("LLM-KG", None, None)


def test_all_that_decides_a_reply_is_in_the_hash(tiny: Path, tmp_path: Path) -> None:
    one = load(tiny / "llm-kg")
    hashes = {one.sha256, load(tiny / "vlm-kg").sha256}
    asked = replace(one.settings, instruction="Say it.")
    save(tmp_path / "a", one.model, one.tokenizer, asked, one.stage, None, data="", figures={})
    hashes.add(load(tmp_path / "a").sha256)
    with torch.no_grad():
        one.model.language.lm_head.weight[0] += 1
    save(tmp_path / "b", one.model, one.tokenizer, one.settings, one.stage, None, data="", figures={})
    hashes.add(load(tmp_path / "b").sha256)
    assert len(hashes) == 4


FILES = [
    "generator.json", "language/config.json", "language/model.safetensors", "language/tokenizer.json",
    "language/tokenizer_config.json", "projector.safetensors", "vision.safetensors",
]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["gone", "empty", "one byte", "a folder"])
def test_a_damaged_file_is_one_clear_line(copy: Path, name: str, damage: str) -> None:
    path = copy / name
    content = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "one byte":
        path.write_bytes(content[:-2] + b"\x00" + content[-1:])
    elif damage == "a folder":
        path.mkdir()
    with pytest.raises(InputError) as refused:
        load(copy)
    assert str(copy) in refused.value.message
    assert "\n" not in refused.value.message
    assert refused.value.hint


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
        lambda about: {name: value for name, value in about.items() if name != "vision"},
        lambda about: [],
        lambda about: 3,
        lambda about: _changed(about, settings={**about["settings"], "projector": {"clip_length": 9}}),
        lambda about: _changed(about, settings={**about["settings"], "projector": {"heads": 5}}),
    ],
)
def test_a_description_that_does_not_fit_is_one_clear_line(copy: Path, change: Callable[[Any], Any]) -> None:
    path = copy / "generator.json"
    path.write_text(json.dumps(change(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")
    with pytest.raises(InputError):
        load(copy)


def test_a_vision_encoder_of_others_stays_where_it_is_and_may_move(tiny: Path, tmp_path: Path) -> None:
    clip(tmp_path / "clip")
    one = load(tiny / "vlm-kg")
    encoder = vision_of.open_vision(f"clip:{tmp_path / 'clip'}")
    settings = replace(one.settings, vision=f"clip:{tmp_path / 'clip'}")
    model = VLMKG(one.model.language, Projector(encoder.width, 32, settings.projector))
    save(tmp_path / "g", model, one.tokenizer, settings, "VLM-KG", encoder, data="", figures={})
    assert not (tmp_path / "g" / "vision.safetensors").exists()
    first = load(tmp_path / "g")
    shutil.move(tmp_path / "clip", tmp_path / "moved")
    with pytest.raises(InputError, match="weights are not there"):
        load(tmp_path / "g")
    assert load(tmp_path / "g", vision=f"clip:{tmp_path / 'moved'}").sha256 == first.sha256
    clip(tmp_path / "other")
    with pytest.raises(InputError, match="not the one of the training"):
        load(tmp_path / "g", vision=f"clip:{tmp_path / 'other'}")


# a language model of others


def qwen(folder: Path, **sizes: int) -> None:
    """A folder as Qwen1.5-0.5B is released: bfloat16 weights and configuration, here with a small tokenizer."""
    shape = {
        "hidden_size": 1024, "intermediate_size": 2816, "num_attention_heads": 16, "num_key_value_heads": 16,
        "vocab_size": 151_936, "num_hidden_layers": 24, "max_position_embeddings": 32_768, "max_window_layers": 21,
    }  # fmt: skip
    config = transformers.Qwen2Config(**{**shape, **sizes}, tie_word_embeddings=True, dtype="bfloat16")
    with torch.device("meta"):
        model = transformers.Qwen2ForCausalLM(config)
    model.to_empty(device="cpu").to(torch.bfloat16)
    rng = torch.Generator().manual_seed(1)
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=rng, dtype=torch.bfloat16) * 0.02
    model.tie_weights()
    model.save_pretrained(folder)
    small_tokenizer(["small effusion located_at"], 300).save_pretrained(folder)


@pytest.mark.parametrize(
    "sizes",
    [
        pytest.param({"num_hidden_layers": 1, "vocab_size": 2_000}, id="real widths"),
        pytest.param({}, id="real shape", marks=pytest.mark.slow),
    ],
)
def test_qwens_layout_becomes_a_generator(invented: Path, tiny: Path, tmp_path: Path, sizes: dict[str, int]) -> None:
    qwen(tmp_path / "qwen", **sizes)
    settings = generators.settings(language_model="qwen")
    language, tokenizer = open_language(settings, tmp_path, ())
    assert language.config.hidden_size == 1024
    assert next(language.parameters()).dtype == torch.float32
    encoder = vision_of.open_vision(f"small:{tiny / 'vision'}")
    model = VLMKG(language, Projector(512, 1024, settings.projector)).eval()
    path = next(invented.rglob("*.png"))
    save(tmp_path / "g", model, tokenizer, settings, "VLM-KG", encoder, data="", figures={}, dtype=torch.bfloat16)
    generator = Generator(load(tmp_path / "g"), Decoding(beams=2, max_new_tokens=3, batch=2))
    [[reply]] = generator.replies(iter([Asked("I1", path, "Small effusion .")]))
    assert (reply.problem, reply.tokens) == (None, 3)


def test_a_folder_that_is_no_language_model_is_one_clear_line(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weights are not there"):
        read_language(tmp_path / "missing")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path)
    shutil.copytree(tiny / "llm-kg" / "language", tmp_path / "l")
    (tmp_path / "l" / "model.safetensors").unlink()
    canary = tmp_path / "ran"
    torch.save({"model.norm.weight": Ran(canary)}, tmp_path / "l" / "pytorch_model.bin")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")
    assert not canary.exists()


def test_weights_that_are_missing_are_not_made_up(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(tiny / "llm-kg" / "language", tmp_path / "l")
    weights = load_file(tmp_path / "l" / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, tmp_path / "l" / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")


def test_code_in_a_folder_is_never_run(tiny: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny / "llm-kg" / "language", tmp_path / "l")
    path = tmp_path / "l" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModelForCausalLM": "mine.Model"}}
    path.write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "l" / "mine.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n", encoding="utf-8")
    with pytest.raises(InputError, match="no causal language model here"):
        read_language(tmp_path / "l")
    assert not (tmp_path / "ran").exists()
