"""A trained link-prediction model on disk: safetensors, id maps that say what each row means, a description, a card.

checkpoint.json      form, settings, hashes of graph, split and weights, how the training went
model.safetensors    the best weights
entities.tsv …       the id maps, as `Triples` without triples
README.md            the model card
work/                while it is trained: where the training is
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from kgp_models.link_prediction import zoo
from kgp_models.link_prediction.scoring import Scorer
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.training.model_files import check_files, read_weights, regular_file_sha256, save_tensors
from kgp_models.training.model_folder import TRAIN_AGAIN, CardText, Description, ModelFormat
from kgplatform.errors import InputError
from kgplatform.export.triples import Triples

ABOUT: Final = "checkpoint.json"
WEIGHTS: Final = "model.safetensors"


def _card_text(description: Description) -> CardText:
    split = description["split"]
    return CardText(
        f"Link prediction: {description['settings']['model']}",
        "Trained by `kgp train links` on the triples of a graph. It ranks links that the graph does not have.",
        (
            f"graph: sha256 {description['graph']}",
            f"split: {split['kind']}, seed {split['seed']}, sha256 {split['sha256']}",
            f"seed: {description['seed']}",
            f"epochs: {description['epochs']}; the best was {description['best_epoch']}, with a validation MRR of "
            f"{description['best_mrr']:.4f}",
        ),
        "A predicted link is a guess, to be checked by an expert.",
    )


FORMAT: Final = ModelFormat(
    model="link-prediction model",
    trainer="kgp train links",
    description_name=ABOUT,
    version=1,
    entry_types={
        "settings": dict,
        "weights": str,
        "names": str,
        "graph": str,
        "split": dict,
        "seed": int,
        "epochs": int,
    },
    card_text=_card_text,
)


@dataclass(frozen=True)
class LinkCheckpoint:
    """A trained model with its id maps: `graph` has the entities and relations, and no triples."""

    settings: TrainingSettings
    model: zoo.Model
    scorer: Scorer
    graph: Triples
    about: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What predictions name as their model."""
        return self.settings.model

    @property
    def sha256(self) -> str:
        """The hash of the weights."""
        return str(self.about["weights"])


def save_link_checkpoint(
    folder: Path, settings: TrainingSettings, model: zoo.Model, graph: Triples, about: Mapping[str, Any]
) -> None:
    """Write a finished model; what was there before stays until the new one is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    id_maps = graph.without_triples()
    id_maps.write(folder)
    save_tensors(copy_weights(model), folder / WEIGHTS)
    description = {
        **about,
        "settings": settings.as_dict(),
        "weights": regular_file_sha256(folder / WEIGHTS),
        "names": id_maps.sha256,
    }
    FORMAT.write(folder, description, [folder / WEIGHTS])


def load_link_checkpoint(folder: Path) -> LinkCheckpoint:
    """Read what `save_link_checkpoint` wrote.

    Raises `InputError` for a damaged checkpoint, or id maps that are not its own.
    """
    description = FORMAT.read(folder)
    check_files(folder, {WEIGHTS: description["weights"]})  # an older description has no list of files
    graph = Triples.read(folder)
    if description["names"] != graph.sha256:
        raise InputError("its id maps belong to another model", TRAIN_AGAIN, path=folder)
    settings = TrainingSettings.from_document(description["settings"])
    model, scorer = zoo.build_link_model(settings, graph.num_entities, graph.num_relations, seed=0)
    try:
        model.load_state_dict(read_weights(folder / WEIGHTS))
    except RuntimeError:
        raise InputError("the model's weights do not fit", TRAIN_AGAIN, path=folder / WEIGHTS) from None
    model.eval()
    return LinkCheckpoint(settings, model, scorer, graph, description)


def copy_weights(model: zoo.Model) -> dict[str, Tensor]:
    """The weights at present, on the CPU, each in separate memory (a model may hold one under two names)."""
    return {
        weight_name: weight.detach().cpu().clone().contiguous() for weight_name, weight in model.state_dict().items()
    }
