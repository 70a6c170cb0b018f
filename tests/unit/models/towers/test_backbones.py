"""Backbones from folders in the forms in which they are released: images, texts, tokens and training."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from kgp_models.retrieval.encode import BackboneEncoder, open_encoder  # noqa: E402
from kgp_models.towers.backbone import ALIKE, WIDTH  # noqa: E402
from kgp_models.towers.backbones import open_backbone  # noqa: E402
from kgplatform.errors import InputError  # noqa: E402
from tests.unit.models.towers import released_forms  # noqa: E402
from tests.unit.models.towers.backbone_folders import (  # noqa: E402
    DEVIATION,
    HUB,
    MEAN,
    biomedical,
    described,
    plain_open_clip,
    save_bert_tokenizer,
)
from tests.unit.models.towers.released_forms import ENDLESS, MAKERS, TEXTS, write_noise_image  # noqa: E402

pytestmark = pytest.mark.slow  # heavy libraries, and models of real size

no_network = released_forms.no_network
saved_backbones = released_forms.saved_backbones
form = released_forms.form


def content(folder: Path) -> dict[str, str]:
    return {file_path.name: hashlib.sha256(file_path.read_bytes()).hexdigest() for file_path in folder.iterdir()}


def as_the_library(name: str, folder: Path, model: Any, path: Path, size: int) -> tuple[Any, Any]:
    """Images' and texts' vectors, by the library's own reading of both."""
    with Image.open(path) as grey_image, torch.no_grad():
        if name == "clip":
            processor = transformers.AutoProcessor.from_pretrained(folder, local_files_only=True)
            inputs = processor(text=TEXTS, images=grey_image.convert("RGB"), return_tensors="pt", padding=True)
            outputs = model(**inputs)
            return outputs.image_embeds, outputs.text_embeds
        prepare = open_clip.image_transform(size, is_train=False, mean=MEAN, std=DEVIATION)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=77)
        pixels = prepare(grey_image)[None]
        return model.encode_image(pixels, normalize=True), model.encode_text(tokenizer(TEXTS), normalize=True)


class TestForms:
    """Each as ``KIND:FOLDER``: the vectors are those of the library, from file and words on."""

    @pytest.mark.parametrize("name", list(MAKERS))
    def test_vectors_are_the_librarys(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], name: str, tmp_path: Path
    ) -> None:
        backbone_kind, model_folder, model = saved_backbones[name]
        original = content(model_folder)
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        assert (backbone.picture.mean, backbone.picture.deviation) == (MEAN, DEVIATION)
        image_path = write_noise_image(tmp_path / "x.png", backbone.picture.size)
        with torch.no_grad():
            image_vectors = backbone.embed_images(backbone.picture.read(image_path)[None])
            text_vectors = backbone.embed_texts(backbone.tokens(TEXTS))
        assert image_vectors.shape == (1, WIDTH)
        expected = as_the_library(name, model_folder, model, image_path, backbone.picture.size)
        torch.testing.assert_close((image_vectors, text_vectors), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(backbone.scale.detach(), model.logit_scale.exp().detach())
        assert content(model_folder) == original

    def test_pubmedclips_files(self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path) -> None:
        """Pickled weights, and the tokenizer as vocabulary and merges."""
        _, model_folder, model = saved_backbones["clip"]
        shutil.copytree(model_folder, tmp_path / "c")
        (tmp_path / "c" / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "c" / "pytorch_model.bin")
        tokenizer_model = json.loads((tmp_path / "c" / "tokenizer.json").read_text(encoding="utf-8"))["model"]
        (tmp_path / "c" / "tokenizer.json").unlink()
        (tmp_path / "c" / "vocab.json").write_text(json.dumps(tokenizer_model["vocab"]), encoding="utf-8")
        merges = "\n".join(" ".join(merge_pair) for merge_pair in tokenizer_model["merges"])
        (tmp_path / "c" / "merges.txt").write_text(f"#version: 0.2\n{merges}\n", encoding="utf-8")
        backbone = open_backbone(f"clip:{tmp_path / 'c'}")
        original = open_backbone(f"clip:{model_folder}")
        assert backbone.tokens(TEXTS)["input_ids"].equal(original.tokens(TEXTS)["input_ids"])
        assert BackboneEncoder(backbone).sha256 == BackboneEncoder(original).sha256
        (tmp_path / "c" / "merges.txt").unlink()
        with pytest.raises(InputError, match="no backbone of the kind clip here"):
            open_backbone(f"clip:{tmp_path / 'c'}")

    def test_both_forms_read_clips_words_alike(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        clip_backbone, open_clip_backbone = (
            open_backbone(f"{backbone_kind}:{model_folder}")
            for backbone_kind, model_folder, _ in (
                saved_backbones["clip"],
                saved_backbones["open-clip"],
            )
        )
        clip_tokens = clip_backbone.tokens(TEXTS)
        open_clip_tokens = open_clip_backbone.tokens(TEXTS)["input_ids"][:, : clip_tokens["input_ids"].shape[1]]
        assert clip_tokens["input_ids"].mul(clip_tokens["attention_mask"]).equal(open_clip_tokens)

    def test_biomedclip_as_released(self, tmp_path: Path) -> None:
        """It comes without the text tower's config.json: a BERT-base. Weights are zeros here, to be quick."""
        save_bert_tokenizer(tmp_path)
        config = biomedical(HUB)
        described(tmp_path, config)
        bert_base = tmp_path / "bert"
        transformers.BertConfig().save_pretrained(bert_base)
        config["text_cfg"].update(hf_model_name=str(bert_base), hf_model_pretrained=False)
        with torch.device("meta"):
            model = open_clip.CustomTextCLIP(**config)
        weights = {
            weight_name: torch.tensor(0.0).expand(weight.shape) for weight_name, weight in model.state_dict().items()
        }
        weights["logit_scale"] = torch.tensor(4.0)
        torch.save(weights, tmp_path / "open_clip_pytorch_model.bin")
        backbone = open_backbone(f"open-clip:{tmp_path}", frozen=True)
        bert_tower: Any = backbone.text_tower
        assert bert_tower.model.config.num_attention_heads == 12
        assert backbone.log_scale.item() == 4.0

    def test_another_text_tower_needs_its_config(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones["biomedclip"][1], tmp_path / "c")
        (tmp_path / "c" / "config.json").unlink()
        with pytest.raises(InputError, match="no backbone of the kind open-clip here") as refusal:
            open_backbone(f"open-clip:{tmp_path / 'c'}")
        assert "config.json of a text tower" in refusal.value.hint

    def test_other_widths_get_a_head(self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path) -> None:
        shutil.copytree(saved_backbones["clip"][1], tmp_path / "c")
        config = transformers.CLIPConfig.from_pretrained(tmp_path / "c", projection_dim=24)
        transformers.CLIPModel(config).save_pretrained(tmp_path / "c")
        backbone = open_backbone(f"clip:{tmp_path / 'c'}")
        assert backbone.text_features(backbone.tokens(["effusion"])).shape == (1, 24)
        assert backbone.embed_texts(backbone.tokens(["effusion"])).shape == (1, WIDTH)


class TestTokens:
    """Texts are cut after 77 tokens, or after as many as the model reads."""

    def test_77(self, form: tuple[str, Path, Any]) -> None:
        backbone_kind, model_folder, _ = form
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        token_inputs = backbone.tokens([ENDLESS, "X"])
        assert token_inputs["input_ids"].shape == (2, 77)
        with torch.no_grad():
            endless_vector, longer_vector = (
                backbone.embed_texts(backbone.tokens([long_text])) for long_text in (ENDLESS, ENDLESS + "fracture")
            )
        assert endless_vector.equal(longer_vector)

    def test_longer_texts_are_read_in_parts(self, form: tuple[str, Path, Any]) -> None:
        backbone_kind, model_folder, _ = form
        encoder = open_encoder(f"{backbone_kind}:{model_folder}")
        assert encoder.reading("fracture").parts == ("fracture",)
        assert len(encoder.reading(ENDLESS).parts) > 1
        endless_vector, longer_vector = encoder.texts([ENDLESS, ENDLESS + " fracture" * 20])
        assert not (endless_vector == longer_vector).all()

    def test_fewer(self, tmp_path: Path) -> None:
        plain_open_clip(tmp_path, 16)
        assert open_backbone(f"open-clip:{tmp_path}").tokens([ENDLESS])["input_ids"].shape == (1, 16)

    def test_padding_changes_nothing(self, form: tuple[str, Path, Any]) -> None:
        backbone_kind, model_folder, _ = form
        encoder = open_encoder(f"{backbone_kind}:{model_folder}")
        single_vectors = np.concatenate([encoder.texts([single_text]) for single_text in TEXTS])
        np.testing.assert_allclose(encoder.texts(TEXTS), single_vectors, atol=1e-5)

    def test_many_texts_go_by_like_length_and_come_back_in_order(self, form: tuple[str, Path, Any]) -> None:
        backbone_kind, model_folder, _ = form
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        texts = ["effusion " * (1 + 7 * position % 23) for position in range(2 * ALIKE + 3)]
        with torch.no_grad():
            single_vectors = torch.cat([backbone.embed_texts(backbone.tokens([single_text])) for single_text in texts])
            torch.testing.assert_close(
                backbone.embed_texts(backbone.tokens(texts)), single_vectors, atol=1e-5, rtol=1e-4
            )


class TestTraining:
    """A backbone is trained whole, or its heads alone."""

    def test_frozen_towers(self, form: tuple[str, Path, Any], tmp_path: Path) -> None:
        backbone_kind, model_folder, _ = form
        backbone = open_backbone(f"{backbone_kind}:{model_folder}", frozen=True)
        towers = (backbone.image_tower, backbone.text_tower)
        assert not any(submodule.training for tower in towers for submodule in tower.modules())
        backbone.train()
        assert not any(submodule.training for tower in towers for submodule in tower.modules())
        pixels = backbone.picture.read(write_noise_image(tmp_path / "x.png", 50))[None]
        tokens = backbone.tokens(["effusion"])
        image_vectors, text_vectors = backbone.embed_images(pixels), backbone.embed_texts(tokens)
        torch.autograd.backward((image_vectors * text_vectors).sum())
        assert all(weight.grad is None for tower in towers for weight in tower.parameters())
        assert all(
            weight.grad is not None
            for head in (backbone.image_head, backbone.text_head)
            for weight in head.parameters()
        )
        torch.testing.assert_close(backbone.embed_images(backbone.image_features(pixels)), image_vectors)
        torch.testing.assert_close(backbone.embed_texts(backbone.text_features(tokens)), text_vectors)

    def test_a_frozen_backbone_starts_as_it_was_released(self, form: tuple[str, Path, Any]) -> None:
        backbone_kind, model_folder, _ = form
        frozen_backbone, whole_backbone = (
            open_backbone(f"{backbone_kind}:{model_folder}", frozen=is_frozen) for is_frozen in (True, False)
        )
        token_inputs = frozen_backbone.tokens(TEXTS)
        torch.testing.assert_close(frozen_backbone.embed_texts(token_inputs), whole_backbone.embed_texts(token_inputs))

    def test_whole(self, form: tuple[str, Path, Any], tmp_path: Path) -> None:
        backbone_kind, model_folder, _ = form
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        assert not backbone.training
        backbone.train()
        pixels = backbone.picture.read(write_noise_image(tmp_path / "x.png", 50))[None]
        cosine = backbone.embed_images(pixels) @ backbone.embed_texts(backbone.tokens(["effusion"])).T
        torch.autograd.backward((backbone.scale * cosine).sum())
        for tower in (backbone.image_tower, backbone.text_tower):
            assert sum(float(weight.grad.abs().sum()) for weight in tower.parameters() if weight.grad is not None) > 0
        assert backbone.log_scale.grad is not None
