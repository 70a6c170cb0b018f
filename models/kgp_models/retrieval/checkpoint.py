"""A trained retrieval model on disk: safetensors, a description, a model card.

retrieval.json        form, backbone, settings, hashes of data and files, figures
weights.safetensors   both towers and heads; of a backbone whose towers are frozen, the heads
tokenizer/            of the small backbone; others have theirs where their towers are
README.md             the model card
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from kgp_models.generator.language import read_tokenizer
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.towers.backbone import MAX_TOKENS, Backbone
from kgp_models.towers.backbones import KINDS, open_backbone
from kgp_models.towers.small_backbone import KIND as SMALL
from kgp_models.towers.small_backbone import small_backbone
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.stances import StanceText, read_stances
from kgp_models.training.model_files import save_tensors
from kgp_models.training.model_folder import TRAIN_AGAIN, CardText, Description, ModelFormat
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError, UsageError
from kgplatform.suggest import did_you_mean

logger = logging.getLogger(__name__)
ABOUT: Final = "retrieval.json"
WEIGHTS: Final = "weights.safetensors"
TOKENIZER: Final = "tokenizer"
SHIPPED: Final = Path(__file__).parent / "shipped"  # the small backbone that comes with the package
TRAINED: Final = "model"  # the kind of a backbone in a folder of `kgp train retrieval`
_TOWERS: Final = ("image_tower.", "text_tower.")


def _card_text(description: Description) -> CardText:
    settings, data = description["settings"], description["data"]
    return CardText(
        f"Image-text retrieval: {settings['method']} on {settings['backbone']}",
        f"Trained by `kgp train retrieval` after MedMKG's Table 3 (method {settings['method']}, graph "
        f"{settings['graph']}).",
        tuple(f"{name}: {entry}" for name, entry in data.items()),
        "A retrieved image is a guess, to be checked against image and report.",
    )


FORMAT: Final = ModelFormat(
    model="retrieval model",
    trainer="kgp train retrieval",
    description_name=ABOUT,
    version=1,
    entry_types={"backbone": str, "settings": dict, "files": dict, "data": dict, "figures": dict},
    card_text=_card_text,
)


def save_retrieval_model(
    folder: Path,
    backbone: Backbone,
    settings: RetrievalSettings,
    *,
    base: str,
    tokenizer: Any,
    data: Mapping[str, str],
    figures: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a model into a folder, the description last. `base` says where towers that are not ours are (KIND:FOLDER);
    `tokenizer` is the small backbone's; `data` are hashes of what it was trained on.
    """
    saved_weights = {
        weight_name: (weight.to(dtype) if weight.is_floating_point() and weight.dim() else weight).contiguous()
        for weight_name, weight in backbone.state_dict().items()
        if not (backbone.frozen and weight_name.startswith(_TOWERS))
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(saved_weights, folder / WEIGHTS)
    if backbone.kind == SMALL:
        tokenizer.save_pretrained(folder / TOKENIZER)
    saved_files = (
        [folder / WEIGHTS, *sorted((folder / TOKENIZER).glob("*"))] if backbone.kind == SMALL else [folder / WEIGHTS]
    )
    description: dict[str, Any] = {
        "backbone": str(TowerSpec.parse(base).relative_to(folder)),
        "settings": {**settings.as_dict(), "backbone": backbone.kind},
        "data": dict(data),
        "trained_on": provenance.document(backbone.trained_on),
        "figures": dict(figures),
    }
    if isinstance(backbone.text_tower, StanceText):
        description["reading"] = backbone.text_tower.reading
    if backbone.reference is not None:
        description["reference"] = backbone.reference.save(folder)
    FORMAT.write(folder, description, saved_files)


def load_retrieval_model(folder: Path, base: str | None = None) -> Backbone:
    """Read a model, in evaluation; `base` says where its towers are, where they are not where they were.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved.
    """
    backbone, _ = load_with_tokenizer(folder, base)
    return backbone


def load_with_tokenizer(folder: Path, base: str | None = None) -> tuple[Backbone, Any]:
    """As `load_retrieval_model`, with the small backbone's tokenizer, which a training goes on with; None of others."""
    description = FORMAT.read(folder)
    settings = RetrievalSettings.from_document(description["settings"])
    tokenizer = None
    if description["backbone"] == SMALL:
        tokenizer = read_tokenizer(folder / TOKENIZER)
        backbone = small_backbone(tokenizer, settings.small, 0, frozen=settings.frozen)
    else:
        # A relative path starts in the model's folder.
        tower_spec = TowerSpec.parse(description["backbone"]).below(folder)
        backbone = open_backbone(base or str(tower_spec), frozen=settings.frozen)
        if settings.stances:
            _read_stances(backbone, description)
    try:
        saved_weights = load_file(folder / WEIGHTS)
        model_weights = backbone.state_dict()
        tower_weights = {
            weight_name for weight_name in model_weights if backbone.frozen and weight_name.startswith(_TOWERS)
        }
        if set(saved_weights) != set(model_weights) - tower_weights:
            raise ValueError("other weights")
        backbone.load_state_dict(
            {
                **model_weights,
                **{
                    weight_name: weight.to(model_weights[weight_name].dtype)
                    for weight_name, weight in saved_weights.items()
                },
            }
        )
    except (OSError, RuntimeError, ValueError, SafetensorError):
        raise InputError("the model's weights do not fit", TRAIN_AGAIN, path=folder / WEIGHTS) from None
    backbone.trained_on = provenance.read_trained_on(description)
    backbone.reference = ReferenceVectors.load(folder, description)
    return backbone.eval(), tokenizer


def _read_stances(backbone: Backbone, description: Description) -> None:
    """Let the text tower read stances; where construction reads texts otherwise than in the training, that is said."""
    if description.get("reading") != read_stances(backbone):
        logger.warning("stances in texts are read otherwise than when the model was trained: train it again")


def open_frozen_backbone(spec: str, token_limit: int = MAX_TOKENS) -> Backbone:
    """The frozen backbone: small, offline, KIND:FOLDER as `open_backbone` has them, or model:FOLDER, of `kgp train
    retrieval`, which reads as many tokens as in its training. Raises as `open_backbone` does.
    """
    backbone_kind, folder_name = TowerSpec.parse(spec)
    if backbone_kind not in (SMALL, TRAINED, *KINDS):
        backbone_kinds = (SMALL, TRAINED, *KINDS)
        raise UsageError(
            f"there is no such backbone: {backbone_kind}",
            did_you_mean(backbone_kind, backbone_kinds, f"Backbones: {', '.join(backbone_kinds)}."),
        )
    if backbone_kind == SMALL and folder_name is not None:
        raise UsageError("small has no folder", "Use small.")
    if backbone_kind in (SMALL, TRAINED):
        backbone = load_retrieval_model(SHIPPED if backbone_kind == SMALL else Path(folder_name or ""))
        backbone.requires_grad_(False)
        return backbone.eval()
    return open_backbone(spec, frozen=True, token_limit=token_limit)
