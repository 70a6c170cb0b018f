"""A trained VQA model on disk: safetensors, a description, a model card.

vqa.json              form, backbone with its hash, settings, how concepts were found in questions, relations and
                      concepts it knows, hashes of data and files, figures
weights.safetensors   the method's weights, the base model's, and the evidence of the graph's images
README.md             the model card

The base model is trained in addition to each method, and answers where the graph says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.feature_cache import identity
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.model_files import save_tensors
from kgp_models.training.model_folder import TRAIN_AGAIN, CardText, Description, ModelFormat
from kgp_models.training.reference_vectors import ReferenceVectors
from kgp_models.vqa.base import Method, Sizes
from kgp_models.vqa.build import VQAInputs, VQAModel, build_method
from kgp_models.vqa.evidence import ImageEvidence
from kgp_models.vqa.graph_vectors import kind_words
from kgp_models.vqa.settings import VQASettings
from kgp_models.vqa.tower_features import encode_text_vectors
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.trained_on import TrainedOn

ABOUT: Final = "vqa.json"
WEIGHTS: Final = "weights.safetensors"
SHIPPED: Final = Path(__file__).parent / "shipped"  # the small model that comes with the package


def _card_text(description: Description) -> CardText:
    settings, data = description["settings"], description["data"]
    return CardText(
        f"Visual question answering: {settings['method']} on {settings['backbone']}",
        f"Trained by `kgp train vqa` after MedMKG's Table 4 (method {settings['method']}, graph {settings['graph']}). "
        "It answers closed\nquestions by yes or no. The base model, which is also here, answers where the graph has "
        "nothing on a question.",
        tuple(f"{name}: {entry}" for name, entry in data.items()),
        "An answer is a guess, to be checked against the image.",
    )


def _has_names(description: Description) -> bool:
    names = [*description["relations"], *description["concepts"], description["files"][WEIGHTS]]
    return all(isinstance(name, str) for name in names)


FORMAT: Final = ModelFormat(
    model="VQA model",
    trainer="kgp train vqa",
    description_name=ABOUT,
    version=2,
    entry_types={
        "backbone": str,
        "towers": str,
        "linking": dict,
        "settings": dict,
        "sizes": dict,
        "relations": list,
        "concepts": list,
        "data": dict,
        "figures": dict,
        "files": dict,
    },
    card_text=_card_text,
    is_complete=_has_names,
)


@dataclass(frozen=True, eq=False)
class Loaded:
    """A model ready to answer: `evidence` is of the concepts `cuis`; `mean_image` and `mean_region` stand for an image
    that cannot be read; in training concepts were found in questions by the platform's `own_words`, too, or not, and by
    names of a `lexicon` or not.
    """

    settings: VQASettings
    backbone: Backbone
    method: Method
    base: Method
    relations: Sequence[str]
    kinds: Tensor
    evidence: ImageEvidence
    cuis: Sequence[str]
    mean_image: Tensor
    mean_region: Tensor
    own_words: bool
    lexicon: bool
    trained_on: TrainedOn
    reference: ReferenceVectors | None = None  # of the training's images


def save_vqa_model(
    folder: Path,
    model: VQAModel,
    base: VQAModel,
    settings: VQASettings,
    *,
    inputs: VQAInputs,
    towers: Backbone,
    backbone: str,
    data: Mapping[str, str],
    figures: Mapping[str, Any],
) -> None:
    """Write a model into a folder, the description last. `backbone` says where its `towers` are (KIND:FOLDER)."""
    knowledge, evidence = model.training_data.knowledge, model.training_data.graph.evidence
    evidence_columns = evidence.informative.nonzero().squeeze(1)
    training_examples = model.training_data.parts["train"]
    used_rows = training_examples.image_rows.unique()  # type: ignore[no-untyped-call]
    saved_tensors = {
        **{f"method.{tensor_name}": tensor for tensor_name, tensor in model.method.state_dict().items()},
        **{f"base.{tensor_name}": tensor for tensor_name, tensor in base.method.state_dict().items()},
        "evidence.weights": evidence.weights[:, evidence_columns],
        "evidence.mean": evidence.mean,
        "evidence.scale": evidence.scale,
        "evidence.centre": evidence.centre[evidence_columns],
        "evidence.spread": evidence.spread[evidence_columns],
        "mean_image": training_examples.images.vectors[used_rows].mean(0),
        "mean_region": training_examples.images.regions[used_rows].float().mean((0, 1)),
    }
    half_tensors = {
        tensor_name: (
            tensor.half() if tensor.is_floating_point() and not tensor_name.startswith("evidence.") else tensor
        ).contiguous()
        for tensor_name, tensor in saved_tensors.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_tensors(half_tensors, folder / WEIGHTS)
    description: dict[str, Any] = {
        "backbone": str(TowerSpec.parse(backbone).relative_to(folder)),
        "towers": identity(towers),
        "settings": {**settings.as_dict(), "backbone": TowerSpec.parse(backbone).kind},
        "linking": {"own_words": inputs.own_words, "lexicon": bool(inputs.lexicon)},
        "sizes": asdict(model.sizes),
        "relations": list(knowledge.relation_names),
        "concepts": [knowledge.cuis[column] for column in evidence_columns.tolist()],
        "data": dict(data),
        "trained_on": provenance.document(inputs.trained_on(towers)),
        "figures": dict(figures),
    }
    training_vectors = training_examples.images.vectors[used_rows].float()
    description["reference"] = ReferenceVectors.from_training(training_vectors).save(folder)
    FORMAT.write(folder, description, [folder / WEIGHTS])


def load_vqa_model(folder: Path, backbone: str | None = None) -> Loaded:
    """Read a model, in evaluation; `backbone` says where its towers are, where they are not where they were.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved, and for another
    backbone than that of its training.
    """
    description = FORMAT.read(folder)
    settings = _settings(description["settings"], folder)
    towers = open_frozen_backbone(backbone or str(TowerSpec.parse(description["backbone"]).below(folder)))
    if identity(towers) != description["towers"]:
        hint = "Give that backbone: --backbone KIND:FOLDER."
        raise InputError("the backbone is not the one that the model was trained with", hint, path=folder)
    try:
        saved_tensors = {tensor_name: tensor.float() for tensor_name, tensor in load_file(folder / WEIGHTS).items()}
        kind_vectors = encode_text_vectors(towers, kind_words(description["relations"]))
        sizes = Sizes(**description["sizes"])
        method = build_method(settings, sizes, kind_vectors, torch.empty(0, 2, dtype=torch.int64))
        base_method = build_method(
            replace(settings, method="base"), sizes, kind_vectors, torch.empty(0, 2, dtype=torch.int64)
        )
        for module, name_prefix in ((method, "method."), (base_method, "base.")):
            module.load_state_dict(
                {
                    tensor_name.removeprefix(name_prefix): tensor
                    for tensor_name, tensor in saved_tensors.items()
                    if tensor_name.startswith(name_prefix)
                }
            )
        field_names = ("weights", "mean", "scale", "centre", "spread")
        weights, mean, scale, centre, spread = (saved_tensors[f"evidence.{field_name}"] for field_name in field_names)
        if weights.shape != (sizes.image, len(description["concepts"])):
            raise ValueError("other concepts")
        evidence = ImageEvidence(weights, mean, scale, centre, spread, torch.ones(weights.shape[1], dtype=torch.bool))
        mean_vectors = saved_tensors["mean_image"], saved_tensors["mean_region"]
    except (OSError, KeyError, TypeError, RuntimeError, ValueError, SafetensorError):
        raise InputError("the model's weights do not fit", TRAIN_AGAIN, path=folder / WEIGHTS) from None
    return Loaded(
        settings,
        towers,
        method.eval(),
        base_method.eval(),
        description["relations"],
        kind_vectors,
        evidence,
        description["concepts"],
        *mean_vectors,
        own_words=description["linking"].get("own_words") is True,
        lexicon=description["linking"].get("lexicon") is True,
        trained_on=provenance.read_trained_on(description),
        reference=ReferenceVectors.load(folder, description),
    )


def _settings(settings_document: object, folder: Path) -> VQASettings:
    try:
        return VQASettings.from_document(settings_document)
    except InputError as error:
        raise InputError(error.message, TRAIN_AGAIN, path=folder / ABOUT) from None
