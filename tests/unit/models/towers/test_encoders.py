"""Encoders of texts and images from folders, and studies chosen by one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from kgp_models.retrieval.encode import BackboneEncoder, TextEncoder, open_encoder  # noqa: E402
from kgp_models.towers.backbone import WIDTH, Picture  # noqa: E402
from kgp_models.towers.backbones import open_backbone, open_text  # noqa: E402
from kgplatform.construct.select import build_encoder  # noqa: E402
from kgplatform.errors import InputError, UsageError  # noqa: E402
from kgplatform.search.encoder import Encoder  # noqa: E402
from tests.unit.models.towers import released_forms  # noqa: E402
from tests.unit.models.towers.backbone_folders import (  # noqa: E402
    MEAN,
    bert,
    emptied,
    save_bert_tokenizer,
)
from tests.unit.models.towers.released_forms import LACKS, TEXTS, write_noise_image  # noqa: E402

pytestmark = pytest.mark.slow  # heavy libraries, and models of real size

no_network = released_forms.no_network
saved_backbones = released_forms.saved_backbones
form = released_forms.form


class TestEncoders:
    """What the rest of the platform sees of a backbone."""

    def test_images(self, form: tuple[str, Path, Any], tmp_path: Path) -> None:
        backbone_kind, model_folder, _ = form
        image_paths = [write_noise_image(tmp_path / f"{seed}.png", 60, seed) for seed in range(5)]
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        encoder: Encoder = BackboneEncoder(backbone, batch=2)
        vectors = encoder.images(image_paths)
        assert vectors.shape == (5, WIDTH)
        assert vectors.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(encoder.images(image_paths[::-1])[::-1], vectors, atol=1e-5)
        assert encoder.images([]).shape == encoder.texts([]).shape == (0, WIDTH)
        assert encoder.sees
        assert encoder.name == f"{backbone_kind}-{encoder.sha256[:8]}"
        (tmp_path / "3.png").write_bytes(b"zebrafinch")
        with pytest.raises(InputError, match=r"3\.png") as refusal:
            encoder.images(image_paths)
        assert "zebrafinch" not in str(refusal.value)
        with pytest.raises(InputError, match=r"missing\.png: no such file"):
            encoder.images([tmp_path / "missing.png"])

    def test_training_goes_on(self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path) -> None:
        backbone_kind, model_folder, _ = saved_backbones["clip"]
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        backbone.train()
        backbone.image_tower.eval()  # as someone may train texts alone
        training_flags = [submodule.training for submodule in backbone.modules()]
        encoder = BackboneEncoder(backbone)
        encoder.texts(TEXTS)
        with pytest.raises(InputError):
            encoder.images([tmp_path / "missing.png"])
        assert [submodule.training for submodule in backbone.modules()] == training_flags
        torch.autograd.backward(backbone.embed_texts(backbone.tokens(TEXTS)).sum())

    def test_the_hash_tells_what_decides(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        backbone_kind, model_folder, _ = saved_backbones["clip"]
        backbone = open_backbone(f"{backbone_kind}:{model_folder}")
        encoder = BackboneEncoder(backbone)
        hashes = {encoder.sha256, open_encoder(f"{backbone_kind}:{model_folder}").sha256}
        assert len(hashes) == 1
        backbone.picture = Picture(32, MEAN, MEAN)
        hashes.add(encoder.sha256)
        backbone.kind = "mine"
        hashes.add(encoder.sha256)
        next(backbone.text_tower.parameters()).data[0] += 1
        hashes.add(encoder.sha256)
        assert len(hashes) == 4

    def test_texts_alone(self, tmp_path: Path) -> None:
        model = transformers.BertModel(bert(tmp_path, save_bert_tokenizer(tmp_path)), add_pooling_layer=False).eval()
        model.save_pretrained(tmp_path)
        encoder: Encoder = TextEncoder(open_text(f"transformer:{tmp_path}"), batch=2)
        vectors = encoder.texts(TEXTS)
        assert (vectors.shape, encoder.width, encoder.sees) == ((3, 16), 16, False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
        with torch.no_grad():
            mean_hidden = model(**tokenizer(TEXTS[0], return_tensors="pt")).last_hidden_state.mean(1)[0].numpy()
        np.testing.assert_allclose(vectors[0], mean_hidden / np.linalg.norm(mean_hidden), atol=1e-5)
        assert encoder.name == f"transformer-{encoder.sha256[:8]}"
        assert encoder.name == open_encoder(f"transformer:{tmp_path}").name
        with pytest.raises(UsageError, match="encodes texts only"):
            encoder.images([tmp_path / "x.png"])


class TestStudyChoice:
    """The same towers as encoders of ``kgp construct select``, which reads more than the first 77 tokens."""

    def test_biomedclips_text_tower(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        _, model_folder, model = saved_backbones["biomedclip"]
        vectors = build_encoder(f"open-clip:{model_folder}")(TEXTS)
        tokenizer = open_clip.get_tokenizer(f"local-dir:{model_folder}", context_length=256)
        with torch.no_grad():
            np.testing.assert_allclose(vectors, model.encode_text(tokenizer(TEXTS)).numpy(), atol=1e-5)

    @pytest.mark.parametrize("kind", ["open-clip", "transformer"])
    def test_long_texts(self, saved_backbones: dict[str, tuple[str, Path, Any]], kind: str, tmp_path: Path) -> None:
        model_folder = saved_backbones["biomedclip"][1]
        if kind == "transformer":
            model_folder = tmp_path
            transformers.BertModel(
                bert(model_folder, save_bert_tokenizer(model_folder)), add_pooling_layer=False
            ).save_pretrained(model_folder)
        encode = build_encoder(f"{kind}:{model_folder}")
        long_text = "effusion " * 100
        first_vector, second_vector, endless_vector = encode(
            [long_text, long_text + "heart", long_text + "heart " * 300]
        )
        assert not np.allclose(first_vector, second_vector)
        assert np.isfinite(endless_vector).all()

    @pytest.mark.parametrize("lack", LACKS)
    @pytest.mark.parametrize("kind", ["open-clip", "transformer"])
    def test_lacks(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], kind: str, lack: str, tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones["biomedclip"][1], tmp_path / "c")
        if kind == "transformer":
            model = transformers.BertModel(
                bert(tmp_path / "c", save_bert_tokenizer(tmp_path / "c")), add_pooling_layer=False
            )
            model.save_pretrained(tmp_path / "c")
            (tmp_path / "c" / "open_clip_pytorch_model.bin").unlink()
        emptied(tmp_path / "c", lack)
        with pytest.raises(InputError, match=f"no backbone of the kind {kind} here"):
            build_encoder(f"{kind}:{tmp_path / 'c'}")
