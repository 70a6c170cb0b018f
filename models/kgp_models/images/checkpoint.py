"""A trained image encoder on disk: safetensors, a description, a model card.

images.json              form, backbone, links, calibration, training data, settings, figures, hashes of the files
weights.safetensors      the image tower and the layer that tells links
projection.safetensors   from the tower's vectors to embeddings
reference.safetensors    vectors of training images, by which unlike images are recognised
README.md                the model card
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
from safetensors.torch import load_file
from torch import Tensor, nn

from kgp_models.images.calibrate import Calibration
from kgp_models.images.combine import Combination
from kgp_models.images.examples import Link
from kgp_models.images.model import ImageModel, LinkClassifier
from kgp_models.images.projection import projecting_head
from kgp_models.images.settings import ImageSettings
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.towers.backbone import WIDTH, Backbone, LinkLayer, Picture
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.model_files import require_finite, save_tensors
from kgp_models.training.model_folder import TRAIN_AGAIN, CardText, Description, ModelFormat
from kgp_models.training.reference_vectors import ReferenceVectors
from kgplatform import trained_on as provenance
from kgplatform.errors import InputError
from kgplatform.trained_on import TrainedOn

ABOUT: Final = "images.json"
WEIGHTS: Final = "weights.safetensors"
PROJECTION: Final = "projection.safetensors"


def _card_text(description: Description) -> CardText:
    stances = sorted({link[0] for link in description["links"]})
    reference = description.get("reference")
    unlike = (
        (f"an image is reported as unlike the training's above a distance of {reference['threshold']}",)
        if reference
        else ()
    )
    return CardText(
        f"Image encoder on {description['settings']['backbone']}",
        "Trained by `kgp train images` on what a graph states about its images; it gives vectors, and predicts links "
        "of images.",
        (
            f"links: {len(description['links']):,} ({', '.join(stances)})",
            *(f"{name}: {entry}" for name, entry in description["data"].items()),
            *unlike,
        ),
        "A predicted link is a guess, to be checked against the image.",
    )


def _is_complete(description: Description) -> bool:
    if len(description["shares"]) != len(description["links"]) or "combination" not in description:
        return False
    return all(len(link) == 3 and all(isinstance(text, str) for text in link) for link in description["links"])


FORMAT: Final = ModelFormat(
    model="image encoder",
    trainer="kgp train images",
    description_name=ABOUT,
    version=1,
    entry_types={
        "backbone": str,
        "width": int,
        "pixels": int,
        "links": list,
        "calibration": dict,
        "shares": list,
        "settings": dict,
        "files": dict,
        "data": dict,
        "figures": dict,
    },
    card_text=_card_text,
    is_complete=_is_complete,
)


def save_image_model(
    folder: Path,
    model: ImageModel,
    settings: ImageSettings,
    *,
    data: Mapping[str, str],
    figures: Mapping[str, Any],
    dtype: torch.dtype = torch.float16,
) -> None:
    """Write a model into a folder, the description last; `data` are hashes of what it was trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: (weight.to(dtype) if weight.is_floating_point() and weight.dim() > 1 else weight).contiguous()
        for name, weight in model.classifier.state_dict().items()
    }
    save_tensors(weights, folder / WEIGHTS)
    save_tensors({"projection": model.projection.contiguous()}, folder / PROJECTION)
    biases = model.calibration.biases
    backbone = TowerSpec.parse(model.backbone).relative_to(folder)
    description: dict[str, Any] = {
        "backbone": str(backbone),
        "width": model.classifier.layer.in_features,
        "pixels": model.picture.size,
        "links": [list(link) for link in model.links],
        "calibration": {
            "scale": model.calibration.scale,
            "biases": None if biases is None else [round(bias, 6) for bias in biases.tolist()],
        },
        "shares": [round(share, 6) for share in model.shares.tolist()],
        "combination": None if model.combination is None else model.combination.as_dict(),
        "settings": {**settings.as_dict(), "backbone": backbone.kind},
        "data": dict(data),
        "trained_on": provenance.document(model.trained_on),
        "figures": dict(figures),
    }
    if model.reference is not None:
        description["reference"] = model.reference.save(folder)
    FORMAT.write(folder, description, [folder / WEIGHTS, folder / PROJECTION])


def load_image_model(folder: Path, base: str | None = None) -> ImageModel:
    """Read a model, in evaluation; `base` says where its backbone is, where it is not where it was.

    Raises `InputError` for a folder that holds none, or whose files are not those that were saved.
    """
    trained = read_tower(folder)
    description = trained.description
    backbone = trained.open_base(base)
    links = [Link(*link) for link in description["links"]]
    classifier = trained.load_classifier(backbone.image_tower)
    biases = description["calibration"].get("biases")
    calibration = Calibration(
        float(description["calibration"]["scale"]),
        None if biases is None else torch.tensor(biases, dtype=torch.float32),
    )
    digest = hashlib.sha256(
        json.dumps([description["files"], description["links"], description["calibration"]], sort_keys=True).encode()
    )
    return ImageModel(
        classifier.eval(),
        trained.picture(backbone),
        links,
        calibration,
        trained.base,
        torch.tensor(description["shares"], dtype=torch.float32),
        trained.load_projection(),
        Combination.from_dict(description["combination"]),
        ReferenceVectors.load(folder, description),
        trained.trained_on,
        digest.hexdigest(),
    )


@dataclass(frozen=True)
class StoredTower:
    """The image tower in a model's folder: `base` names the backbone whose tower it was (KIND or KIND:FOLDER)."""

    folder: Path
    description: Description

    @property
    def base(self) -> str:
        """The backbone whose image tower was trained."""
        return str(TowerSpec.parse(self.description["backbone"]).below(self.folder))

    @property
    def trained_on(self) -> TrainedOn:
        """The data sets of its training."""
        return provenance.read_trained_on(self.description)

    def open_base(self, base: str | None = None) -> Backbone:
        """The backbone as it was before the training; `base` says where it is, where it is not where it was."""
        return open_frozen_backbone(base or self.base)

    def picture(self, backbone: Backbone) -> Picture:
        """What the tower is given."""
        return replace(backbone.picture, size=int(self.description["pixels"]))

    def load_projection(self) -> Tensor:
        """From the tower's vectors to those of embeddings, (512, width). Raises `InputError`."""
        path = self.folder / PROJECTION
        try:
            projection = load_file(path)["projection"]
            if projection.shape != (WIDTH, int(self.description["width"])) or not projection.isfinite().all():
                raise ValueError("another projection")
        except (OSError, KeyError, ValueError, SafetensorError):
            raise InputError("a file of the model is missing or changed", TRAIN_AGAIN, path=path) from None
        return projection

    def load_classifier(self, tower: nn.Module) -> LinkClassifier:
        """The tower with the trained weights, and the layer that tells links. Raises `InputError`."""
        classifier = LinkClassifier(tower, int(self.description["width"]), len(self.description["links"]))
        _load_weights(classifier, self.folder)
        return classifier.eval()


def read_tower(folder: Path) -> StoredTower:
    """The tower in a folder, not loaded yet. Raises `InputError` for a folder that holds none."""
    return StoredTower(folder, FORMAT.read(folder))


def load_backbone(folder: Path) -> Backbone:
    """The backbone whose image tower was trained, with its trained weights and its projection as the head; the text
    tower is as it was.
    """
    trained = read_tower(folder)
    backbone = trained.open_base()
    backbone.picture = trained.picture(backbone)
    classifier = trained.load_classifier(backbone.image_tower)
    backbone.image_tower = classifier.tower
    projection = trained.load_projection()
    backbone.image_head = projecting_head(projection)
    backbone.trained_on = trained.trained_on
    reference = ReferenceVectors.load(folder, trained.description)
    backbone.reference = None if reference is None else reference.projected(projection)
    links = [(str(stance), str(cui), str(name)) for stance, cui, name in trained.description["links"]]
    shares = torch.tensor(trained.description["shares"], dtype=torch.float32)
    weight, bias = (parameter.detach().clone() for parameter in (classifier.layer.weight, classifier.layer.bias))
    backbone.link_layer = LinkLayer(links, shares, weight, bias)
    return backbone


def _load_weights(classifier: LinkClassifier, folder: Path) -> None:
    try:
        saved_weights = load_file(folder / WEIGHTS)
        model_weights = classifier.state_dict()
        if set(saved_weights) != set(model_weights):
            raise ValueError("other weights")
        classifier.load_state_dict(
            {name: weight.to(model_weights[name].dtype) for name, weight in saved_weights.items()}
        )
    except (OSError, RuntimeError, ValueError, SafetensorError):
        raise InputError("the model's weights do not fit", TRAIN_AGAIN, path=folder / WEIGHTS) from None
    require_finite(classifier, folder)
