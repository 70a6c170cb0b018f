"""A trained VQA model on disk: safetensors, a description, a model card.

vqa.json              form, backbone with its hash, settings, how concepts were found in questions, relations and
                      concepts it knows, hashes of data and files, figures
weights.safetensors   the method's weights, the base model's, and the evidence of the graph's images
README.md             the model card

The base model is trained beside each method, and answers where the graph says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from kgp_models.model_files import check_files, relative, save_whole, sha256_of
from kgp_models.retrieval.backbone import Backbone
from kgp_models.vqa.base import Method, Sizes
from kgp_models.vqa.build import Inputs, Model, method_of, opened
from kgp_models.vqa.inputs import Evidence, kind_words, vectors_of
from kgp_models.vqa.kept import identity
from kgp_models.vqa.settings import VQASettings
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.files import read_json
from kgplatform.trained_on import TrainedOn

FORM: Final = 2
ABOUT: Final = "vqa.json"
WEIGHTS: Final = "weights.safetensors"
SHIPPED: Final = Path(__file__).parent / "shipped"  # the small model that comes with the package


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
    evidence: Evidence
    cuis: Sequence[str]
    mean_image: Tensor
    mean_region: Tensor
    own_words: bool
    lexicon: bool
    trained_on: TrainedOn


def save(
    folder: Path,
    model: Model,
    base: Model,
    settings: VQASettings,
    *,
    inputs: Inputs,
    towers: Backbone,
    backbone: str,
    data: Mapping[str, str],
    figures: Mapping[str, Any],
) -> None:
    """Write a model into a folder, the description last. `backbone` says where its `towers` are (KIND:FOLDER)."""
    knowledge, evidence = model.given.knowledge, model.given.graph.evidence
    told = evidence.told.nonzero().squeeze(1)
    train = model.given.parts["train"]
    seen = train.image_rows.unique()  # type: ignore[no-untyped-call]
    kept = {
        **{f"method.{name}": value for name, value in model.method.state_dict().items()},
        **{f"base.{name}": value for name, value in base.method.state_dict().items()},
        "evidence.weights": evidence.weights[:, told],
        "evidence.mean": evidence.mean,
        "evidence.scale": evidence.scale,
        "evidence.centre": evidence.centre[told],
        "evidence.spread": evidence.spread[told],
        "mean_image": train.images.vectors[seen].mean(0),
        "mean_region": train.images.regions[seen].float().mean((0, 1)),
    }
    halves = {
        name: (value.half() if value.is_floating_point() and not name.startswith("evidence.") else value).contiguous()
        for name, value in kept.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_whole(halves, folder / WEIGHTS)
    about = {
        "form": FORM,
        "backbone": relative(backbone, folder),
        "towers": identity(towers),
        "settings": {**settings.as_dict(), "backbone": backbone.partition(":")[0]},
        "linking": {"own_words": inputs.own_words, "lexicon": bool(inputs.lexicon)},
        "sizes": asdict(model.sizes),
        "relations": list(knowledge.relation_names),
        "concepts": [knowledge.cuis[place] for place in told.tolist()],
        "data": dict(data),
        "trained_on": provenance.document(inputs.trained_on(towers)),
        "figures": dict(figures),
        "files": {WEIGHTS: sha256_of(folder / WEIGHTS)},
    }
    (folder / "README.md").write_text(_card(about), encoding="utf-8")
    staged = folder / f"{ABOUT}.part"
    staged.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    staged.replace(folder / ABOUT)


def load(folder: Path, backbone: str | None = None) -> Loaded:
    """Read a model, in evaluation; `backbone` says where its towers are, where they are not where they were.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved, and for another
    backbone than that of its training.
    """
    about = _about(folder)
    check_files(folder, about["files"])
    settings = _settings(about["settings"], folder)
    kind, colon, place = about["backbone"].partition(":")
    towers = opened(backbone or (f"{kind}:{folder / place}" if colon else kind))
    if identity(towers) != about["towers"]:
        hint = "Say where that one is: --backbone KIND:FOLDER."
        raise InputError("the backbone is not the one that the model was trained with", hint, path=folder)
    try:
        found = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
        kinds = vectors_of(towers, kind_words(about["relations"]))
        sizes = Sizes(**about["sizes"])
        method = method_of(settings, sizes, kinds, torch.empty(0, 2, dtype=torch.int64))
        base = method_of(replace(settings, method="base"), sizes, kinds, torch.empty(0, 2, dtype=torch.int64))
        for part, name in ((method, "method."), (base, "base.")):
            part.load_state_dict({key.removeprefix(name): of for key, of in found.items() if key.startswith(name)})
        named = ("weights", "mean", "scale", "centre", "spread")
        weights, mean, scale, centre, spread = (found[f"evidence.{name}"] for name in named)
        if weights.shape != (sizes.image, len(about["concepts"])):
            raise ValueError("other concepts")
        evidence = Evidence(weights, mean, scale, centre, spread, torch.ones(weights.shape[1], dtype=torch.bool))
        means = found["mean_image"], found["mean_region"]
    except (OSError, KeyError, TypeError, RuntimeError, ValueError, SafetensorError):
        raise InputError("the model's weights do not fit", "Train it again.", path=folder / WEIGHTS) from None
    return Loaded(
        settings,
        towers,
        method.eval(),
        base.eval(),
        about["relations"],
        kinds,
        evidence,
        about["concepts"],
        *means,
        own_words=about["linking"].get("own_words") is True,
        lexicon=about["linking"].get("lexicon") is True,
        trained_on=provenance.read(about),
    )


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = read_json(folder / ABOUT)
        old = about["form"] != FORM
        if not old:
            _check_types(about)
    except (InputError, KeyError, TypeError):
        raise InputError("there is no VQA model here", "Give a folder of `kgp train vqa`.", path=folder) from None
    if old:
        raise InputError("the model is of another version", "Train it again.", path=folder / ABOUT)
    return dict(about)


def _check_types(about: Mapping[str, Any]) -> None:
    """Raise `KeyError` or `TypeError` where the description lacks something, or it is of another type."""
    types = {
        "backbone": str,
        "towers": str,
        "linking": dict,
        "settings": dict,
        "sizes": dict,
        "relations": list,
        "concepts": list,
        "files": dict,
    }
    names = [*about["relations"], *about["concepts"], about["files"][WEIGHTS]]
    if not all(isinstance(about[name], kind) for name, kind in types.items()):
        raise TypeError
    if not all(isinstance(name, str) for name in names):
        raise TypeError


def _settings(document: object, folder: Path) -> VQASettings:
    try:
        return VQASettings.of(document)
    except InputError as error:
        raise InputError(error.message, "Train it again.", path=folder / ABOUT) from None


def _card(about: Mapping[str, Any]) -> str:
    """What a model card tells: what it is, what it was trained on, what it reaches, what it is not for."""
    settings = about["settings"]
    figures = "\n".join(f"| {name} | {value} |" for name, value in about["figures"].items())
    data = "\n".join(f"- {name}: {value}" for name, value in about["data"].items())
    return f"""# Visual question answering: {settings["method"]} on {settings["backbone"]}

Trained by `kgp train vqa` after MedMKG's Table 4 (method {settings["method"]}). Answers
closed questions, by yes or no; the base model beside it answers where the graph says nothing.

{data}
- trained on: {provenance.listed(provenance.read(about))}

| figure | |
|---|---|
{figures}

Not for clinical use. An answer is a guess, to be checked against the image. A model that was trained on synthetic
studies knows synthetic studies.
"""
