"""A trained generator on disk: safetensors, a tokenizer, a description, a model card.

generator.json          form, stage, settings, data hash, figures, hashes of the files
language/               the language model and its tokenizer, in transformers' form
projector.safetensors   stage 2 only
classifier.safetensors  what tells triplets of an image's vector, where there was a validation part
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

from kgp_models.generator.classifier import ENTRY as CLASSIFIER
from kgp_models.generator.classifier import TripletClassifier
from kgp_models.generator.decoding import Search
from kgp_models.generator.language import read_language
from kgp_models.generator.model import VLMKG
from kgp_models.generator.projector import Projector
from kgp_models.generator.settings import SMALL, GeneratorSettings
from kgp_models.towers import vision as vision_of
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.vision import Vision
from kgp_models.training.model_files import save_tensors
from kgp_models.training.model_folder import CardText, Description, ModelFormat
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.trained_on import TrainedOn

ABOUT: Final = "generator.json"
PROJECTOR: Final = "projector.safetensors"
VISION: Final = "vision.safetensors"
LANGUAGE: Final = "language"
IMAGE_ALONE: Final = "image alone"  # the search for images without a report, where it is another
SHIPPED: Final = Path(__file__).parent / "shipped"  # the small checkpoint that comes with the package


def _card_text(description: Description) -> CardText:
    settings = description["settings"]
    data = settings["data"]
    has_graphs = data.get("targets", "graphs") == "graphs"
    targets = f"graphs {', '.join(data['graphs'])}" if has_graphs else f"targets {data['targets']}"
    base = description.get("base_model")  # older descriptions have none
    language = Path(settings["language_model"]).name if base is None else f"{base['name']} (licence: {base['licence']})"
    return CardText(
        f"{description['stage']}: radiology triplets",
        "A generator of RadGraph-style triplets (`suggestive_of`, `located_at`, `modify`), trained by `kgp train "
        "generator`\nafter the VLM-KG paper.",
        (
            f"language model: {language}; vision encoder: {_vision_name(description)}",
            f"data: {data['reports']}, {targets}; sha256 {description['data_sha256']}",
            f"instruction: {settings['instruction']}",
        ),
        "A triplet is a guess, to be checked against report and image.",
    )


def _vision_name(description: Description) -> str:
    """The kind of the encoder, and the name of its folder: where it is on this machine is nobody's concern; none of
    LLM-KG, which reads reports alone.
    """
    if description["vision"] is None:
        return "none"
    spec = TowerSpec.parse(description["settings"]["vision"])
    return spec.kind if spec.folder is None else f"{spec.kind}:{Path(spec.folder).name}"


def _names_vision(description: Description) -> bool:
    vision = description["vision"]
    return vision is None or all(isinstance(vision[name], str) for name in ("name", "sha256"))


FORMAT: Final = ModelFormat(
    model="generator",
    trainer="kgp train generator",
    description_name=ABOUT,
    version=1,
    entry_types={"stage": str, "settings": dict, "data_sha256": str, "files": dict, "figures": dict},
    card_text=_card_text,
    is_complete=_names_vision,
)


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
    reference: ReferenceVectors | None = None  # of the training's images
    classifier: TripletClassifier | None = None  # of images alone

    @property
    def name(self) -> str:
        """What results are marked with."""
        return f"{self.stage} {self.sha256[:8]}"

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        return provenance.read_trained_on(self.about)

    def search(self, has_report: bool) -> Search:
        """The search that was best on the validation part, for studies with a report or for images alone; the most
        probable reply where none was compared.
        """
        return Search.read(self.about if has_report else self.about.get(IMAGE_ALONE, self.about))


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
    base_model: Mapping[str, str] | None = None,
    trained_on: TrainedOn = (),
    reference: ReferenceVectors | None = None,
    classifier: TripletClassifier | None = None,
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
    splits = settings.data.splits  # a path of one machine means nothing on another
    data_settings = replace(
        settings.data,
        path=Path(settings.data.path).name or ".",
        splits=None if splits is None else Path(splits).name,
    )
    saved_settings = replace(settings, data=data_settings, language_model=Path(settings.language_model).name)
    description = {
        "stage": stage,
        "settings": saved_settings.as_dict(),
        "vision": None if vision is None else {"name": vision.name, "sha256": vision_of.weights_sha256(vision.module)},
        "data_sha256": data,
        **({} if base_model is None else {"base_model": dict(base_model)}),
        "trained_on": provenance.document(trained_on),
        "figures": dict(figures),
    }
    if reference is not None:
        description["reference"] = reference.save(folder)
    if classifier is not None:
        description[CLASSIFIER] = classifier.save(folder)
    FORMAT.write(folder, description, all_files)


def add_figures(folder: Path, figures: Mapping[str, Any], search: Search, image_search: Search) -> None:
    """Note what a saved generator reaches, and with which search, for reports and for images alone; its weights stay
    unchanged.
    """
    description = {**FORMAT.read(folder, check_hashes=False), **search.document()}
    if image_search != search:
        description[IMAGE_ALONE] = image_search.document()
    FORMAT.rewrite(folder, {**description, "figures": {**description["figures"], **figures}})


def save_vision(vision: Vision, folder: Path, dtype: torch.dtype = torch.float16) -> None:
    """Write our own encoder's weights."""
    weights = vision.module.state_dict()
    save_tensors(
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
    description = FORMAT.read(folder)
    settings = GeneratorSettings.from_document(description["settings"])
    language, tokenizer = read_language(folder / LANGUAGE)
    encoder = None if description["vision"] is None else _vision(folder, description, settings, vision)
    projector = None
    if encoder is not None:
        projector = Projector(encoder.width, language.config.hidden_size, settings.projector)
        try:
            projector.load_weights(
                {parameter_name: tensor.float() for parameter_name, tensor in load_file(folder / PROJECTOR).items()}
            )
        except (OSError, RuntimeError, ValueError, SafetensorError):
            raise InputError("the projector's weights do not fit", "Train it again.", path=folder / PROJECTOR) from None
        encoder.module.to(device)
    model = VLMKG(language, projector).to(device).eval()
    classifier = None if encoder is None else TripletClassifier.load(folder, description)
    parts = [description["files"], description["vision"], settings.instruction]
    if classifier is not None:
        parts.append(description[CLASSIFIER])
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    return GeneratorCheckpoint(
        folder,
        model,
        tokenizer,
        encoder,
        settings,
        description["stage"],
        digest.hexdigest(),
        description,
        None if encoder is None else ReferenceVectors.load(folder, description),
        classifier,
    )


def _vision(folder: Path, description: Mapping[str, Any], settings: GeneratorSettings, spec: str | None) -> Vision:
    if description["vision"]["name"] == SMALL:
        return vision_of.open_vision(f"small:{folder}")
    saved_spec = TowerSpec.parse(settings.vision).below(folder)  # a relative path is relative to the generator
    encoder = vision_of.open_vision(spec or str(saved_spec))
    if vision_of.weights_sha256(encoder.module) != description["vision"]["sha256"]:
        hint = "Give the encoder that it was trained with: --vision KIND:FOLDER."
        raise InputError("the vision encoder is not the one of the training", hint, path=folder)
    return encoder
