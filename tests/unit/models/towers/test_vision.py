"""Vision encoders from folders in the layouts in which they are released, and images as they receive them."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from kgp_models.towers.vision import MEDCLIP_WIDTH, Vision, open_vision, weights_sha256
from kgplatform import radiograph
from kgplatform.errors import InputError, UsageError
from tests.unit.models.towers.backbone_folders import biomedclip

pytestmark = pytest.mark.slow  # a model is trained first


@pytest.fixture
def random_radiograph_path(tmp_path: Path) -> Path:
    image_path = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (90, 60), dtype=np.uint8)).save(image_path)
    return image_path


def _checked_embeddings(vision: Vision, picture: Path) -> Any:
    pixel_tensor = vision.pixels(picture)
    assert pixel_tensor.shape == (len(vision.mean), vision.size, vision.size)
    embeddings = vision.encode([pixel_tensor, torch.zeros_like(pixel_tensor)])
    assert embeddings.shape == (2, vision.width)
    assert embeddings.isfinite().all()
    assert not torch.allclose(embeddings[0], embeddings[1])
    assert not any(weight.requires_grad for weight in vision.module.parameters())
    assert not vision.module.training
    return embeddings


def save_clip_vision(folder: Path) -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32, patch_size=16,
        projection_dim=24,
    )  # fmt: skip
    model: Any = transformers.CLIPVisionModelWithProjection(config)
    model.eval()
    model.save_pretrained(folder)
    return model


def _save_open_clip(folder: Path) -> Any:
    import open_clip

    folder.mkdir(exist_ok=True)
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 8, "vocab_size": 100, "width": 32, "heads": 2, "layers": 1},
    }
    preprocess = {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]}
    document = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(document), encoding="utf-8")
    model = open_clip.CLIP(**config)
    torch.save(model.state_dict(), folder / "open_clip_pytorch_model.bin")
    return model.eval()


def medclip_vit(folder: Path) -> dict[str, Any]:
    """As `MedCLIPModel.save` writes it: the whole model, of which the image tower has this prefix."""
    folder.mkdir(exist_ok=True)
    config = transformers.SwinConfig(
        image_size=224, embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=7, patch_size=16
    )
    config.save_pretrained(folder)
    tower = transformers.SwinModel(config)
    weights = {f"vision_model.model.{weight_name}": parameter for weight_name, parameter in tower.state_dict().items()}
    weights["vision_model.projection_head.weight"] = torch.randn(MEDCLIP_WIDTH, config.hidden_size)
    weights["text_model.model.embeddings.position_ids"] = torch.arange(4)
    weights["logit_scale"] = torch.tensor(1.0)
    torch.save(weights, folder / "pytorch_model.bin")
    return weights


def medclip_resnet(folder: Path) -> dict[str, Any]:
    from torchvision.models import resnet50

    folder.mkdir(exist_ok=True)
    tower = resnet50()
    tower.fc = torch.nn.Linear(tower.fc.in_features, MEDCLIP_WIDTH, bias=False)
    weights = {f"vision_model.model.{weight_name}": parameter for weight_name, parameter in tower.state_dict().items()}
    weights["logit_scale"] = torch.tensor(1.0)
    torch.save(weights, folder / "pytorch_model.bin")
    return weights


class TestLayouts:
    """Each kind as `KIND:FOLDER`."""

    def test_clip_of_transformers(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        model = save_clip_vision(tmp_path / "c")
        preprocessing = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5]}
        (tmp_path / "c" / "preprocessor_config.json").write_text(json.dumps(preprocessing), encoding="utf-8")
        vision_encoder = open_vision(f"clip:{tmp_path / 'c'}")
        assert (vision_encoder.width, vision_encoder.size, vision_encoder.mean) == (24, 32, (0.1, 0.2, 0.3))
        embeddings = _checked_embeddings(vision_encoder, random_radiograph_path)
        with torch.no_grad():
            expected_embeddings = model(pixel_values=vision_encoder.pixels(random_radiograph_path)[None]).image_embeds
        torch.testing.assert_close(embeddings[:1], expected_embeddings)

    def test_a_whole_clip_gives_its_image_tower(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        vision_config = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                         "image_size": 32, "patch_size": 16}  # fmt: skip
        text_config = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "vocab_size": 50}  # fmt: skip
        config = transformers.CLIPConfig(text_config=text_config, vision_config=vision_config, projection_dim=24)
        model: Any = transformers.CLIPModel(config)
        model.eval()
        model.save_pretrained(tmp_path / "c")
        vision_encoder = open_vision(f"clip:{tmp_path / 'c'}")
        embeddings = _checked_embeddings(vision_encoder, random_radiograph_path)
        with torch.no_grad():
            pooled_features = model.vision_model(
                pixel_values=vision_encoder.pixels(random_radiograph_path)[None]
            ).pooler_output
            torch.testing.assert_close(embeddings[:1], model.visual_projection(pooled_features))

    def test_open_clip(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        model = _save_open_clip(tmp_path / "c")
        vision_encoder = open_vision(f"open-clip:{tmp_path / 'c'}")
        assert (vision_encoder.width, vision_encoder.size, vision_encoder.deviation) == (24, 32, (0.2, 0.2, 0.2))
        with torch.no_grad():
            expected_embeddings = model.encode_image(vision_encoder.pixels(random_radiograph_path)[None])
        torch.testing.assert_close(_checked_embeddings(vision_encoder, random_radiograph_path)[:1], expected_embeddings)

    def test_biomedclip(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        """Its text tower names a model of the hub, which is not asked."""
        model = biomedclip(tmp_path / "c")
        vision_encoder = open_vision(f"open-clip:{tmp_path / 'c'}")
        assert (vision_encoder.width, vision_encoder.size) == (512, 224)
        with torch.no_grad():
            expected_embeddings = model.encode_image(vision_encoder.pixels(random_radiograph_path)[None])
        torch.testing.assert_close(_checked_embeddings(vision_encoder, random_radiograph_path)[:1], expected_embeddings)

    def test_medclips_swin(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        weights = medclip_vit(tmp_path / "m")
        vision_encoder = open_vision(f"medclip-vit:{tmp_path / 'm'}")
        assert (vision_encoder.width, vision_encoder.size) == (512, 224)
        _checked_embeddings(vision_encoder, random_radiograph_path)
        head_weight = dict(vision_encoder.module.named_parameters())["projection_head.weight"]
        assert head_weight.equal(weights["vision_model.projection_head.weight"])

    def test_medclips_resnet(self, tmp_path: Path, random_radiograph_path: Path) -> None:
        weights = medclip_resnet(tmp_path / "m")
        vision_encoder = open_vision(f"medclip-resnet:{tmp_path / 'm'}")
        _checked_embeddings(vision_encoder, random_radiograph_path)
        last_weight = dict(vision_encoder.module.named_parameters())["model.fc.weight"]
        assert last_weight.equal(weights["vision_model.model.fc.weight"])

    def test_a_clip_without_its_projection_is_none(self, tmp_path: Path) -> None:
        save_clip_vision(tmp_path / "c").vision_model.save_pretrained(tmp_path / "c")
        with pytest.raises(InputError, match="no vision encoder of the kind clip here"):
            open_vision(f"clip:{tmp_path / 'c'}")

    def test_weights_that_lack_something_are_none(self, tmp_path: Path) -> None:
        weights = medclip_vit(tmp_path / "m")
        del weights["vision_model.projection_head.weight"]
        torch.save(weights, tmp_path / "m" / "pytorch_model.bin")
        with pytest.raises(InputError, match="no vision encoder of the kind medclip-vit here"):
            open_vision(f"medclip-vit:{tmp_path / 'm'}")

    @pytest.mark.parametrize("maker", [_save_open_clip, biomedclip])
    def test_no_weights_are_made_up(self, tmp_path: Path, maker: Callable[[Path], Any]) -> None:
        maker(tmp_path / "c")
        (tmp_path / "c" / "open_clip_pytorch_model.bin").unlink()
        with pytest.raises(InputError, match="no vision encoder of the kind open-clip here"):
            open_vision(f"open-clip:{tmp_path / 'c'}")

    def test_our_own(self, tiny_generator_folder: Path, random_radiograph_path: Path) -> None:
        vision_encoder = open_vision(f"small:{tiny_generator_folder / 'vision'}")
        assert (vision_encoder.width, vision_encoder.size) == (512, 256)
        _checked_embeddings(vision_encoder, random_radiograph_path)
        assert weights_sha256(vision_encoder.module) == weights_sha256(
            open_vision(f"small:{tiny_generator_folder / 'vlm-kg'}").module
        )


class HostileVisionPickle:
    """Pickled, it would make a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> Any:
        return os.mkdir, (self.path,)


class TestFolderWithoutVisionEncoder:
    """A folder that holds no encoder is one clear line, and nothing of it is run."""

    @pytest.mark.parametrize("kind", ["medclip-vit", "medclip-resnet"])
    @pytest.mark.parametrize("is_archive", [True, False])
    def test_pickles_never_run(self, tmp_path: Path, kind: str, is_archive: bool) -> None:
        canary_path = tmp_path / "ran"
        content = {"vision_model.model.x": HostileVisionPickle(canary_path)}
        weights_path = tmp_path / "pytorch_model.bin"
        if is_archive:
            torch.save(content, weights_path)
        else:
            weights_path.write_bytes(pickle.dumps(content))
        with pytest.raises(InputError, match="no vision encoder"):
            open_vision(f"{kind}:{tmp_path}")
        assert not canary_path.exists()

    @pytest.mark.parametrize("kind", ["clip", "open-clip"])
    def test_pickles_of_others_never_run(self, tmp_path: Path, kind: str) -> None:
        canary_path = tmp_path / "ran"
        model_folder = tmp_path / "c"
        (save_clip_vision if kind == "clip" else _save_open_clip)(model_folder)
        (model_folder / "model.safetensors").unlink(missing_ok=True)
        for file_name in ("pytorch_model.bin", "open_clip_pytorch_model.bin"):
            torch.save({"x": HostileVisionPickle(canary_path)}, model_folder / file_name)
        with pytest.raises(InputError, match="no vision encoder"):
            open_vision(f"{kind}:{model_folder}")
        assert not canary_path.exists()

    @pytest.mark.parametrize("kind", ["small", "clip", "open-clip", "medclip-vit", "medclip-resnet"])
    def test_empty_and_damaged_folders(self, tmp_path: Path, kind: str) -> None:
        with pytest.raises(InputError, match="no vision encoder"):
            open_vision(f"{kind}:{tmp_path}")
        for file_name in ("config.json", "open_clip_config.json", "preprocessor_config.json"):
            (tmp_path / file_name).write_text("[]", encoding="utf-8")
        for file_name in (
            "pytorch_model.bin",
            "vision.safetensors",
            "open_clip_pytorch_model.bin",
            "model.safetensors",
        ):
            (tmp_path / file_name).write_bytes(b"\x08\0\0\0\0\0\0\0{}garbage")
        with pytest.raises(InputError, match="no vision encoder"):
            open_vision(f"{kind}:{tmp_path}")

    def test_other_names(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="no vision encoder called dino"):
            open_vision("dino:x")
        for encoder_spec in ("clip", "clip:", f"clip:{tmp_path / 'missing'}"):
            with pytest.raises(InputError, match="weights do not exist"):
                open_vision(encoder_spec)


class TestPixels:
    """The whole picture, in the middle of a black square."""

    @pytest.mark.parametrize("size", [(90, 60), (60, 90), (7, 7), (500, 1), (32, 32)])
    def test_the_whole_picture_is_seen(self, size: tuple[int, int]) -> None:
        square_pixels = np.array(radiograph.square(Image.new("L", size, 255), 32))
        assert square_pixels.shape == (32, 32)
        is_lit = square_pixels > 0
        lit_columns, lit_rows = is_lit.any(0).sum(), is_lit.any(1).sum()
        assert max(lit_columns, lit_rows) == 32
        assert abs(lit_columns / lit_rows - size[0] / size[1]) <= max(size) / min(size) * 0.05 or 1 in (
            lit_columns,
            lit_rows,
        )

    def test_an_unreadable_picture_is_told_without_its_content(
        self, tiny_generator_folder: Path, tmp_path: Path
    ) -> None:
        vision_encoder = open_vision(f"small:{tiny_generator_folder / 'vision'}")
        (tmp_path / "x.png").write_bytes(b"zebrafinch")
        with pytest.raises(InputError) as raised:
            vision_encoder.pixels(tmp_path / "x.png")
        assert "zebrafinch" not in str(raised.value)
