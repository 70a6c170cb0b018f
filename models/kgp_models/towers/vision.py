"""Frozen vision encoders behind one interface: a radiograph becomes one vector.

All are read from a folder on this machine; nothing is fetched, no code from a folder is run, pickled weights are read
without running what they name (``weights_only``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from kgp_models.generator.language import load_complete_model, silence_transformers
from kgp_models.towers.small_vision import SIZE, WIDTH, SmallVision
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.model_files import require_finite, require_model_folder
from kgplatform import radiograph
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.extras import import_problem
from kgplatform.suggest import did_you_mean
from kgplatform.trained_on import UNKNOWN, TrainedOn

MEDCLIP_WIDTH: Final = 512


@dataclass(frozen=True)
class Vision:
    """An encoder: `module` maps (B, C, size, size) to (B, width); pixels are scaled to [0, 1], then by mean and SD."""

    name: str
    module: nn.Module
    width: int
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    trained_on: TrainedOn = UNKNOWN  # before the training of a generator

    def pixels(self, path: Path, *, blank: bool = True) -> Tensor:
        """A radiograph as (C, size, size): the whole picture, padded to a square. Raises `InputError`, without `blank`
        also for an image that shows nothing.

        In numpy, as threads read ahead: a thread that has once used torch has its own threads for it, and as long as
        it lives, they take a language model on the same cores half its speed.
        """
        grey_image = radiograph.square(radiograph.read_radiograph(path, self.size, blank=blank), self.size)
        scaled_image = np.asarray(grey_image, dtype=np.float32) / np.float32(255)
        mean, deviation = (
            np.array(statistic, dtype=np.float32)[:, None, None] for statistic in (self.mean, self.deviation)
        )
        return torch.from_numpy((scaled_image[None] - mean) / deviation)

    @torch.inference_mode()
    def encode(self, pixels: Sequence[Tensor]) -> Tensor:
        """The vectors of radiographs that `pixels` read: (B, width), on the encoder's device."""
        pixel_batch = torch.stack(list(pixels)).to(next(self.module.parameters()).device)
        image_vectors: Tensor = self.module(pixel_batch).float()
        return image_vectors


def open_vision(spec: str) -> Vision:
    """The encoder of ``KIND:FOLDER``: small, clip (transformers), open-clip, medclip-vit, medclip-resnet or images (of
    `kgp train images`); or ``offline``, which comes with packages.

    Raises `UsageError` for another kind, `SettingsError` where a package is missing, and `InputError` where the folder
    holds none.
    """
    vision_kind, folder_name = TowerSpec.parse(spec)
    if vision_kind in _OF_BACKBONES:
        return _backbone_tower(spec, vision_kind)
    if vision_kind not in _KINDS:
        kinds = (*_KINDS, *_OF_BACKBONES)
        hint = did_you_mean(vision_kind, kinds, f"Encoders: {', '.join(kinds)} (KIND:FOLDER; offline has no folder).")
        raise UsageError(f"there is no vision encoder called {vision_kind}", hint)
    weights_folder = Path(folder_name or "")
    if not folder_name or not weights_folder.is_dir():
        raise InputError("the vision encoder's weights do not exist", f"Use {vision_kind}:FOLDER.", path=weights_folder)
    try:
        vision = _KINDS[vision_kind](require_model_folder(weights_folder))
    except ImportError as error:
        raise import_problem(error, "vision") from None
    except KgpError:
        raise
    except Exception:  # noqa: BLE001  pickle, safetensors, transformers and open_clip raise classes of their own
        raise InputError(
            f"there is no vision encoder of the kind {vision_kind} here", "Check the folder.", path=weights_folder
        ) from None
    require_finite(vision.module, weights_folder)
    vision.module.requires_grad_(False).eval()
    return vision


def weights_sha256(module: nn.Module) -> str:
    """A hash of the weights, by name; regardless of their file."""
    digest = hashlib.sha256()
    for weight_name, weight in sorted(module.state_dict().items()):
        flat_weight = weight.detach().cpu().contiguous().reshape(-1)  # a count of batches has no dimension
        digest.update(weight_name.encode() + flat_weight.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def small(module: SmallVision) -> Vision:
    """Our own encoder, which is trained with its generator, on the same images."""
    return Vision("small", module, WIDTH, SIZE, (0.5,), (0.5,), trained_on=())


def _small(folder: Path) -> Vision:
    from safetensors.torch import load_file

    module = SmallVision()
    weights = {weight_name: weight.float() for weight_name, weight in load_file(folder / "vision.safetensors").items()}
    module.load_state_dict(
        {weight_name: weight.to(module.state_dict()[weight_name].dtype) for weight_name, weight in weights.items()}
    )
    return small(module)


class _Clip(nn.Module):
    """The image tower of a CLIP model in transformers' form, with its projection."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        image_vectors: Tensor = self.model(pixel_values=pixels).image_embeds
        return image_vectors


def _clip(folder: Path) -> Vision:
    """CLIP, PubMedCLIP: Radford et al. 2021; in transformers' form."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    silence_transformers()
    vision_config: Any = CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
    model_document = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    vision_config.projection_dim = int(
        model_document.get("projection_dim", vision_config.projection_dim)
    )  # of both towers
    vision_model = load_complete_model(CLIPVisionModelWithProjection, folder, config=vision_config)
    preprocessor_path = folder / "preprocessor_config.json"
    preprocessor = json.loads(preprocessor_path.read_text(encoding="utf-8")) if preprocessor_path.is_file() else {}
    mean = tuple(preprocessor.get("image_mean", (0.48145466, 0.4578275, 0.40821073)))
    deviation = tuple(preprocessor.get("image_std", (0.26862954, 0.26130258, 0.27577711)))
    return Vision(
        "clip", _Clip(vision_model), int(vision_config.projection_dim), int(vision_config.image_size), mean, deviation
    )


def _open_clip(folder: Path) -> Vision:
    """BiomedCLIP and others in open_clip's form (`open_clip_config.json` and weights)."""
    from kgp_models.towers import open_clip_folder

    clip_contents = open_clip_folder.read_open_clip(folder)
    vector_width = int(clip_contents.described["model_cfg"]["embed_dim"])
    return Vision(
        "open-clip",
        clip_contents.model.visual,
        vector_width,
        clip_contents.size,
        clip_contents.mean,
        clip_contents.deviation,
    )


class _MedClipViT(nn.Module):
    """MedCLIP's Swin transformer with its projection (Wang et al. 2022)."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model = model
        self.projection_head = nn.Linear(width, MEDCLIP_WIDTH, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        image_vectors: Tensor = self.projection_head(self.model(pixel_values=pixels).pooler_output)
        return image_vectors


_MEDCLIP_MEAN, _MEDCLIP_DEVIATION = 0.5862785803043838, 0.27950088968644304  # of the grey values it was trained on


def _medclip_weights(folder: Path) -> dict[str, Tensor]:
    """The image tower's weights in MedCLIP's release (`pytorch_model.bin`, whole model) or as safetensors."""
    safetensors_path = folder / "model.safetensors"
    if safetensors_path.is_file():
        from safetensors.torch import load_file

        weights = load_file(safetensors_path)
    else:
        weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    tower_prefix = "vision_model."
    return {
        weight_name.removeprefix(tower_prefix): weight
        for weight_name, weight in weights.items()
        if weight_name.startswith(tower_prefix)
    }


def _medclip_vit(folder: Path) -> Vision:
    from transformers import SwinConfig, SwinModel

    config_path = folder / "config.json"
    swin_config = (
        SwinConfig.from_json_file(config_path) if config_path.is_file() else SwinConfig()
    )  # swin-tiny, as released
    module = _MedClipViT(SwinModel(swin_config), int(swin_config.hidden_size))
    _load(module, _medclip_weights(folder))
    mean, deviation = (_MEDCLIP_MEAN,) * 3, (_MEDCLIP_DEVIATION,) * 3
    return Vision("medclip-vit", module, MEDCLIP_WIDTH, 224, mean, deviation)


class _MedClipResNet(nn.Module):
    """MedCLIP's ResNet-50, whose last layer is the projection."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import resnet50

        self.model = resnet50()
        self.model.fc = nn.Linear(self.model.fc.in_features, MEDCLIP_WIDTH, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        image_vectors: Tensor = self.model(pixels)
        return image_vectors


def _medclip_resnet(folder: Path) -> Vision:
    module = _MedClipResNet()
    _load(module, _medclip_weights(folder))
    mean, deviation = (_MEDCLIP_MEAN,) * 3, (_MEDCLIP_DEVIATION,) * 3
    return Vision("medclip-resnet", module, MEDCLIP_WIDTH, 224, mean, deviation)


def _load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights; what older versions of transformers kept next to them (position indices) may be there or not."""
    missing_names, _ = module.load_state_dict(weights, strict=False)
    if any("relative_position_index" not in weight_name for weight_name in missing_names):
        raise ValueError("weights are missing")


def _backbone_tower(spec: str, kind: str) -> Vision:
    """The image tower of a backbone that is opened as a whole."""
    from kgp_models.towers.backbones import open_backbone

    backbone = open_backbone(spec, frozen=True)
    width = backbone.image_head.in_features
    assert isinstance(width, int)  # noqa: S101  of a linear head: frozen backbones have one
    picture = backbone.picture
    size, mean, deviation = picture.size, picture.mean, picture.deviation
    return Vision(kind, backbone.image_tower, width, size, mean, deviation, backbone.trained_on)


_OF_BACKBONES: Final = ("images", "offline")
_KINDS: Final[dict[str, Callable[[Path], Vision]]] = {
    "small": _small,
    "clip": _clip,
    "open-clip": _open_clip,
    "medclip-vit": _medclip_vit,
    "medclip-resnet": _medclip_resnet,
}
