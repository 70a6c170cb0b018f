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

from kgp_models.generator.language import quiet, whole
from kgp_models.generator.small_vision import SIZE, WIDTH, SmallVision
from kgp_models.model_files import require_finite, require_model_folder
from kgplatform import radiograph
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.suggest import did_you_mean

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

    def pixels(self, path: Path) -> Tensor:
        """A radiograph as (C, size, size): the whole picture, padded to a square. Raises `InputError`.

        In numpy, as threads read ahead: a thread that has once used torch has threads of its own for it, and as long as
        it lives, they take a language model on the same cores half its speed.
        """
        grey = radiograph.square(radiograph.read(path, draft=self.size), self.size)
        one = np.asarray(grey, dtype=np.float32) / np.float32(255)
        mean, deviation = (np.array(of, dtype=np.float32)[:, None, None] for of in (self.mean, self.deviation))
        return torch.from_numpy((one[None] - mean) / deviation)

    @torch.inference_mode()
    def encode(self, pixels: Sequence[Tensor]) -> Tensor:
        """The vectors of radiographs that `pixels` read: (B, width), on the encoder's device."""
        given = torch.stack(list(pixels)).to(next(self.module.parameters()).device)
        out: Tensor = self.module(given).float()
        return out


def open_vision(spec: str) -> Vision:
    """The encoder of ``KIND:FOLDER``: small, clip (transformers), open-clip, medclip-vit or medclip-resnet.

    Raises `UsageError` for another kind or a package that is missing, and `InputError` where the folder holds none.
    """
    kind, _, folder = spec.partition(":")
    if kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS, f"Encoders: {', '.join(_KINDS)} (KIND:FOLDER).")
        raise UsageError(f"there is no vision encoder called {kind}", hint)
    path = Path(folder)
    if not folder or not path.is_dir():
        raise InputError("the vision encoder's weights are not there", f"Say {kind}:FOLDER.", path=path)
    try:
        vision = _KINDS[kind](require_model_folder(path))
    except ImportError as error:
        raise UsageError(f"this encoder needs {error.name}", f"pip install {error.name}") from None
    except KgpError:
        raise
    except Exception:  # noqa: BLE001  pickle, safetensors, transformers and open_clip raise classes of their own
        raise InputError(
            f"there is no vision encoder of the kind {kind} here", "Check the folder.", path=path
        ) from None
    require_finite(vision.module, path)
    vision.module.requires_grad_(False).eval()
    return vision


def sha256(module: nn.Module) -> str:
    """A hash of the weights, by name; whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        plain = value.detach().cpu().contiguous().reshape(-1)  # a count of batches has no dimension
        digest.update(name.encode() + plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def small(module: SmallVision) -> Vision:
    """Our own encoder."""
    return Vision("small", module, WIDTH, SIZE, (0.5,), (0.5,))


def _small(folder: Path) -> Vision:
    from safetensors.torch import load_file

    module = SmallVision()
    weights = {name: value.float() for name, value in load_file(folder / "vision.safetensors").items()}
    module.load_state_dict({name: value.to(module.state_dict()[name].dtype) for name, value in weights.items()})
    return small(module)


class _Clip(nn.Module):
    """The image tower of a CLIP model in transformers' form, with its projection."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.model(pixel_values=pixels).image_embeds
        return out


def _clip(folder: Path) -> Vision:
    """CLIP, PubMedCLIP: Radford et al. 2021; in transformers' form."""
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    quiet()
    config: Any = CLIPVisionConfig.from_pretrained(folder, local_files_only=True)
    whole_model = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.projection_dim = int(whole_model.get("projection_dim", config.projection_dim))  # of both towers
    model = whole(CLIPVisionModelWithProjection, folder, config=config)
    described = folder / "preprocessor_config.json"
    given = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    mean = tuple(given.get("image_mean", (0.48145466, 0.4578275, 0.40821073)))
    deviation = tuple(given.get("image_std", (0.26862954, 0.26130258, 0.27577711)))
    return Vision("clip", _Clip(model), int(config.projection_dim), int(config.image_size), mean, deviation)


def _open_clip(folder: Path) -> Vision:
    """BiomedCLIP and others in open_clip's form (`open_clip_config.json` and weights)."""
    from kgp_models import open_clip_folder

    found = open_clip_folder.read(folder)
    width = int(found.described["model_cfg"]["embed_dim"])
    return Vision("open-clip", found.model.visual, width, found.size, found.mean, found.deviation)


class _MedClipViT(nn.Module):
    """MedCLIP's Swin transformer with its projection (Wang et al. 2022)."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model = model
        self.projection_head = nn.Linear(width, MEDCLIP_WIDTH, bias=False)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.projection_head(self.model(pixel_values=pixels).pooler_output)
        return out


_MEDCLIP_MEAN, _MEDCLIP_DEVIATION = 0.5862785803043838, 0.27950088968644304  # of the grey values it was trained on


def _medclip_weights(folder: Path) -> dict[str, Tensor]:
    """The image tower's weights in MedCLIP's release (`pytorch_model.bin`, whole model) or as safetensors."""
    safe = folder / "model.safetensors"
    if safe.is_file():
        from safetensors.torch import load_file

        weights = load_file(safe)
    else:
        weights = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    prefix = "vision_model."
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _medclip_vit(folder: Path) -> Vision:
    from transformers import SwinConfig, SwinModel

    described = folder / "config.json"
    config = SwinConfig.from_json_file(described) if described.is_file() else SwinConfig()  # swin-tiny, as released
    module = _MedClipViT(SwinModel(config), int(config.hidden_size))
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
        out: Tensor = self.model(pixels)
        return out


def _medclip_resnet(folder: Path) -> Vision:
    module = _MedClipResNet()
    _load(module, _medclip_weights(folder))
    mean, deviation = (_MEDCLIP_MEAN,) * 3, (_MEDCLIP_DEVIATION,) * 3
    return Vision("medclip-resnet", module, MEDCLIP_WIDTH, 224, mean, deviation)


def _load(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load weights; what older versions of transformers kept beside them (position indices) may be there or not."""
    missing, _ = module.load_state_dict(weights, strict=False)
    if any("relative_position_index" not in name for name in missing):
        raise ValueError("weights are missing")


_KINDS: Final[dict[str, Callable[[Path], Vision]]] = {
    "small": _small,
    "clip": _clip,
    "open-clip": _open_clip,
    "medclip-vit": _medclip_vit,
    "medclip-resnet": _medclip_resnet,
}
