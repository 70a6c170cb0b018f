"""A trained generator on disk: safetensors, a tokenizer, a description, a model card.

generator.json          form, stage, settings, data hash, figures, hashes of the files
language/               the language model and its tokenizer, in transformers' form
projector.safetensors   stage 2 only
vision.safetensors      our own encoder; another one is named in generator.json and stays where it is
README.md               the model card
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from kgp_models.generator.language import read_language
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.settings import SMALL, GeneratorSettings
from kgp_models.towers import vision as vision_of
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.vision import Vision
from kgp_models.training.model_files import check_files, save_whole, sha256_of
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.files import read_json, replacing
from kgplatform.trained_on import TrainedOn

FORM: Final = 1
ABOUT: Final = "generator.json"
PROJECTOR: Final = "projector.safetensors"
VISION: Final = "vision.safetensors"
LANGUAGE: Final = "language"
SHIPPED: Final = Path(__file__).parent / "shipped"  # the small checkpoint that comes with the package


@dataclass(frozen=True)
class GeneratorCheckpoint:
    """A generator ready for use. `vision` is None for LLM-KG; `sha256` is of all that decides what it says."""

    folder: Path
    model: VLMKG
    tokenizer: Any
    vision: Vision | None
    settings: GeneratorSettings
    stage: str
    sha256: str
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What results are marked with."""
        return f"{self.stage} {self.sha256[:8]}"

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        return provenance.read_trained_on(self.about)


def save_generator(
    folder: Path,
    model: VLMKG,
    tokenizer: Any,
    settings: GeneratorSettings,
    stage: str,
    vision: Vision | None,
    *,
    data: str,
    figures: Mapping[str, Any],
    trained_on: TrainedOn = (),
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a generator into a folder; `dtype` is that of the weights on disk. Weights of a vision encoder that is not
    ours are not copied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    previous_dtype = next(model.parameters()).dtype
    model.to(dtype)
    try:
        model.language.save_pretrained(folder / LANGUAGE)
        tokenizer.save_pretrained(folder / LANGUAGE)
        if model.projector is not None:
            save_file(
                {
                    parameter_name: tensor.contiguous()
                    for parameter_name, tensor in model.projector.state_dict().items()
                },
                folder / PROJECTOR,
            )
    finally:
        model.to(previous_dtype)
    if vision is not None and vision.name == SMALL:
        save_vision(vision, folder, dtype)
    language_files = [file_path for file_path in (folder / LANGUAGE).rglob("*") if file_path.is_file()]
    all_files = sorted(
        [*language_files, *(file_path for file_path in (folder / PROJECTOR, folder / VISION) if file_path.is_file())]
    )
    data_settings = replace(
        settings.data, path=Path(settings.data.path).name or "."
    )  # a path of one machine says nothing on another
    description = {
        "form": FORM,
        "stage": stage,
        "settings": replace(settings, data=data_settings).as_dict(),
        "vision": None if vision is None else {"name": vision.name, "sha256": vision_of.weights_sha256(vision.module)},
        "data_sha256": data,
        "trained_on": provenance.document(trained_on),
        "figures": dict(figures),
        "files": {file_path.relative_to(folder).as_posix(): sha256_of(file_path) for file_path in all_files},
    }
    _describe(folder, description)


def add_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Note what a saved generator reaches; its weights stay unchanged."""
    description = _about(folder)
    _describe(folder, {**description, "figures": {**description["figures"], **figures}})


def _describe(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the model card, and last the description, by which a generator is known to be whole."""
    (folder / "README.md").write_text(_card(description), encoding="utf-8")
    with replacing(folder / ABOUT) as staged_path:
        staged_path.write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def save_vision(vision: Vision, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write our own encoder's weights."""
    weights = vision.module.state_dict()
    save_whole(
        {
            parameter_name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).contiguous()
            for parameter_name, tensor in weights.items()
        },
        folder / VISION,
    )


def load_generator(folder: Path, device: str = "cpu", vision: str | None = None) -> GeneratorCheckpoint:
    """Read a generator; `vision` says where the encoder is, where it is not where it was at the training.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved.
    """
    description = _about(folder)
    check_files(folder, description["files"])
    settings = GeneratorSettings.of(description["settings"])
    language, tokenizer = read_language(folder / LANGUAGE)
    encoder = None if description["vision"] is None else _vision(folder, description, settings, vision)
    projector = None
    if encoder is not None:
        projector = Projector(encoder.width, language.config.hidden_size, settings.projector)
        try:
            projector.load_state_dict(
                {parameter_name: tensor.float() for parameter_name, tensor in load_file(folder / PROJECTOR).items()}
            )
        except (OSError, RuntimeError, ValueError, SafetensorError):
            raise InputError("the projector's weights do not fit", "Train it again.", path=folder / PROJECTOR) from None
        encoder.module.to(device)
    model = VLMKG(language, projector).to(device).eval()
    digest = hashlib.sha256(
        json.dumps([description["files"], description["vision"], settings.instruction], sort_keys=True).encode()
    )
    return GeneratorCheckpoint(
        folder, model, tokenizer, encoder, settings, description["stage"], digest.hexdigest(), description
    )


def _vision(folder: Path, description: Mapping[str, Any], settings: GeneratorSettings, spec: str | None) -> Vision:
    if description["vision"]["name"] == SMALL:
        return vision_of.open_vision(f"small:{folder}")
    saved_spec = TowerSpec.parse(settings.vision).below(folder)  # a path that is relative is so to the generator
    encoder = vision_of.open_vision(spec or str(saved_spec))
    if vision_of.weights_sha256(encoder.module) != description["vision"]["sha256"]:
        hint = "Say by --vision KIND:FOLDER where the one is that it was trained with."
        raise InputError("the vision encoder is not the one of the training", hint, path=folder)
    return encoder


def _about(folder: Path) -> dict[str, Any]:
    description_path = folder / ABOUT
    try:
        description = read_json(description_path)
        is_outdated = description["form"] != FORM
        expected_types = {"stage": str, "settings": dict, "data_sha256": str, "files": dict, "figures": dict}
        encoder = None if is_outdated else description["vision"]
        if not is_outdated and not all(
            isinstance(description[field_name], field_type) for field_name, field_type in expected_types.items()
        ):
            raise TypeError
        if encoder is not None and not all(isinstance(encoder[field_name], str) for field_name in ("name", "sha256")):
            raise TypeError
    except (InputError, KeyError, TypeError):
        hint = "Give a folder of `kgp train generator`."
        raise InputError("there is no generator here", hint, path=folder) from None
    if is_outdated:
        raise InputError("the generator is of another version", "Train it again.", path=description_path)
    return dict(description)


def _card(about: Mapping[str, Any]) -> str:
    """What a model card states: what it is, what it was trained on, what it reaches, what it is not for."""
    figures = "\n".join(f"| {figure_name} | {figure} |" for figure_name, figure in about["figures"].items())
    settings = about["settings"]
    return f"""# {about["stage"]}: radiology triplets

A generator of RadGraph-style triplets (`suggestive_of`, `located_at`, `modify`), trained by `kgp train generator`
after the VLM-KG paper.

- language model: {settings["language_model"]}; vision encoder: {settings["vision"]}
- data: {settings["data"]["reports"]}, graphs {", ".join(settings["data"]["graphs"])}; sha256 {about["data_sha256"]}
- trained on: {provenance.listed(provenance.read_trained_on(about))}
- instruction: {settings["instruction"]}

| figure | |
|---|---|
{figures}

Not for clinical use. What it writes is a guess, to be checked against report and image. A generator that was trained on
synthetic studies knows synthetic studies.
"""
