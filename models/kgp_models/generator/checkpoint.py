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

from kgp_models.generator import vision as vision_of
from kgp_models.generator.language import read_language
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.settings import SMALL, GeneratorSettings
from kgp_models.generator.vision import Vision
from kgp_models.model_files import check_files, save_whole, sha256_of
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
class Checkpoint:
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
        return provenance.read(self.about)


def save(
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
    was = next(model.parameters()).dtype
    model.to(dtype)
    try:
        model.language.save_pretrained(folder / LANGUAGE)
        tokenizer.save_pretrained(folder / LANGUAGE)
        if model.projector is not None:
            save_file(
                {name: value.contiguous() for name, value in model.projector.state_dict().items()}, folder / PROJECTOR
            )
    finally:
        model.to(was)
    if vision is not None and vision.name == SMALL:
        save_vision(vision, folder, dtype)
    found = [path for path in (folder / LANGUAGE).rglob("*") if path.is_file()]
    named = sorted([*found, *(path for path in (folder / PROJECTOR, folder / VISION) if path.is_file())])
    where = replace(
        settings.data, path=Path(settings.data.path).name or "."
    )  # a path of one machine says nothing on another
    about = {
        "form": FORM,
        "stage": stage,
        "settings": replace(settings, data=where).as_dict(),
        "vision": None if vision is None else {"name": vision.name, "sha256": vision_of.sha256(vision.module)},
        "data_sha256": data,
        "trained_on": provenance.document(trained_on),
        "figures": dict(figures),
        "files": {path.relative_to(folder).as_posix(): sha256_of(path) for path in named},
    }
    _describe(folder, about)


def add_figures(folder: Path, figures: Mapping[str, Any]) -> None:
    """Note what a saved generator reaches; its weights stay as they are."""
    about = _about(folder)
    _describe(folder, {**about, "figures": {**about["figures"], **figures}})


def _describe(folder: Path, about: Mapping[str, Any]) -> None:
    """Write the model card, and last the description, by which a generator is known to be whole."""
    (folder / "README.md").write_text(_card(about), encoding="utf-8")
    with replacing(folder / ABOUT) as staged:
        staged.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def save_vision(vision: Vision, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write our own encoder's weights."""
    weights = vision.module.state_dict()
    save_whole(
        {
            name: (value.to(dtype) if value.is_floating_point() else value).contiguous()
            for name, value in weights.items()
        },
        folder / VISION,
    )


def load(folder: Path, device: str = "cpu", vision: str | None = None) -> Checkpoint:
    """Read a generator; `vision` says where the encoder is, where it is not where it was at the training.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved.
    """
    about = _about(folder)
    check_files(folder, about["files"])
    settings = GeneratorSettings.of(about["settings"])
    language, tokenizer = read_language(folder / LANGUAGE)
    encoder = None if about["vision"] is None else _vision(folder, about, settings, vision)
    projector = None
    if encoder is not None:
        projector = Projector(encoder.width, language.config.hidden_size, settings.projector)
        try:
            projector.load_state_dict({name: value.float() for name, value in load_file(folder / PROJECTOR).items()})
        except (OSError, RuntimeError, ValueError, SafetensorError):
            raise InputError("the projector's weights do not fit", "Train it again.", path=folder / PROJECTOR) from None
        encoder.module.to(device)
    model = VLMKG(language, projector).to(device).eval()
    digest = hashlib.sha256(
        json.dumps([about["files"], about["vision"], settings.instruction], sort_keys=True).encode()
    )
    return Checkpoint(folder, model, tokenizer, encoder, settings, about["stage"], digest.hexdigest(), about)


def _vision(folder: Path, about: Mapping[str, Any], settings: GeneratorSettings, spec: str | None) -> Vision:
    if about["vision"]["name"] == SMALL:
        return vision_of.open_vision(f"small:{folder}")
    kind, _, place = settings.vision.partition(":")
    found = vision_of.open_vision(spec or f"{kind}:{folder / place}")  # a path that is relative is so to the generator
    if vision_of.sha256(found.module) != about["vision"]["sha256"]:
        hint = "Say by --vision KIND:FOLDER where the one is that it was trained with."
        raise InputError("the vision encoder is not the one of the training", hint, path=folder)
    return found


def _about(folder: Path) -> dict[str, Any]:
    path = folder / ABOUT
    try:
        about = read_json(path)
        old = about["form"] != FORM
        known = {"stage": str, "settings": dict, "data_sha256": str, "files": dict, "figures": dict}
        encoder = None if old else about["vision"]
        if not old and not all(isinstance(about[name], kind) for name, kind in known.items()):
            raise TypeError
        if encoder is not None and not all(isinstance(encoder[name], str) for name in ("name", "sha256")):
            raise TypeError
    except (InputError, KeyError, TypeError):
        hint = "Give a folder of `kgp train generator`."
        raise InputError("there is no generator here", hint, path=folder) from None
    if old:
        raise InputError("the generator is of another version", "Train it again.", path=path)
    return dict(about)


def _card(about: Mapping[str, Any]) -> str:
    """What a model card tells: what it is, what it was trained on, what it reaches, what it is not for."""
    figures = "\n".join(f"| {name} | {value} |" for name, value in about["figures"].items())
    settings = about["settings"]
    return f"""# {about["stage"]}: radiology triplets

A generator of RadGraph-style triplets (`suggestive_of`, `located_at`, `modify`), trained by `kgp train generator`
after the VLM-KG paper.

- language model: {settings["language_model"]}; vision encoder: {settings["vision"]}
- data: {settings["data"]["reports"]}, graphs {", ".join(settings["data"]["graphs"])}; sha256 {about["data_sha256"]}
- trained on: {provenance.listed(provenance.read(about))}
- instruction: {settings["instruction"]}

| figure | |
|---|---|
{figures}

Not for clinical use. What it writes is a guess, to be checked against report and image. A generator that was trained on
synthetic studies knows synthetic studies.
"""
