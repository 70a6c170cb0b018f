"""A retrieval model from its settings: backbone, pairs, the graph's knowledge, training, test."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from kgp_models.generator.language import small_tokenizer
from kgp_models.retrieval import checkpoint
from kgp_models.retrieval.fashionklip import Alignment
from kgp_models.retrieval.inputs import (
    PairExamples,
    examples,
    frozen_image_features,
    image_embeddings,
    read_pictures,
    warn_truncated,
)
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.retrieval.train import RetrievalTrainingResult, evaluated, fine_tune, pretrain
from kgp_models.towers.backbone import Backbone
from kgp_models.towers.backbones import open_backbone
from kgp_models.towers.small_backbone import KIND as SMALL
from kgp_models.towers.small_backbone import small_backbone
from kgp_models.towers.spec import TowerSpec
from kgp_models.towers.stances import read_stances
from kgp_models.training.reference_vectors import SAMPLE, ReferenceVectors
from kgp_models.training.training_state import claim
from kgplatform import trained_on as provenance
from kgplatform.datasets.knowledge import POSITIVE, Knowledge
from kgplatform.datasets.mentions import find_mentions
from kgplatform.datasets.pair_metrics import RetrievalScores
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import PairSet
from kgplatform.errors import InputError, UsageError
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.radiograph import find_image
from kgplatform.trained_on import TrainingImage

logger = logging.getLogger(__name__)
NEW: Final = "new"  # a small backbone with random weights


@dataclass(frozen=True)
class RetrievalInputs:
    """What a training reads. `images` is the folder that the graph's paths begin in, `lexicon` names concepts in
    addition to the graph's names, `cache` keeps pictures that were read. The test's texts look among the images of the
    test, and with `among_valid` among those of the validation part, too.
    """

    parts: Mapping[str, Sequence[Pair]]
    knowledge: Knowledge | None = None
    images: Path | None = None
    lexicon: Sequence[Path] = ()
    cache: Path | None = None
    progress: SubjectProgress = silent_progress
    among_valid: bool = False


@dataclass(frozen=True)
class RetrievalModel:
    """A trained model: by `tuned` on pairs, by `pretrained` on the graph; `test` has its figures, both ways."""

    backbone: Backbone
    tokenizer: Any
    tuned: RetrievalTrainingResult
    pretrained: RetrievalTrainingResult | None
    test: Mapping[str, RetrievalScores]
    examples: PairExamples

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The test's figures in plain types."""
        return {direction: scores.as_dict() for direction, scores in self.test.items()}


def train_retrieval_model(
    settings: RetrievalSettings, inputs: RetrievalInputs, folder: Path, seed: int, base: Path, device: str = "cpu"
) -> RetrievalModel:
    """Train and test a model. `folder` keeps where the training is, so that it goes on; paths of the settings are
    relative to `base`.

    Raises `UsageError` for a method that needs the graph where none is given, and `InputError`.
    """
    claim(folder, _about(settings, inputs, seed, base))
    backbone, tokenizer = _initial_backbone(settings, [pair.text for pair in inputs.parts["train"]], seed, base)
    backbone.to(device)
    pair_examples = {
        part_name: examples(pairs, backbone, inputs.cache, inputs.progress(f"{part_name}, images"), part=part_name)
        for part_name, pairs in inputs.parts.items()
    }
    alignment = pretrained = None
    if settings.method != "backbone":
        knowledge, pictures = _training_graph(settings, inputs, backbone, seed)
        if settings.method == "fashionklip":
            mentioned_concepts = _mentioned(settings, inputs, knowledge, pair_examples["train"].texts)
            alignment = Alignment(knowledge, pictures, mentioned_concepts, settings.fashion)
        else:
            pretrained = pretrain(
                backbone,
                knowledge,
                pictures,
                pair_examples["train"],
                settings.knowledge,
                settings.tuning,
                folder / "graph",
                seed,
                inputs.progress("graph, steps"),
            )
    tuned = fine_tune(
        backbone,
        pair_examples["train"],
        pair_examples["valid"],
        settings.tuning,
        folder / "pairs",
        seed,
        alignment,
        settings.fashion.weight,
        inputs.progress("pairs, steps"),
    )
    backbone.reference = _reference(backbone, pair_examples)
    tested = pair_examples["test"]
    scores = evaluated(backbone, tested, pair_examples["valid"] if inputs.among_valid else None)
    return RetrievalModel(backbone, tokenizer, tuned, pretrained, scores, tested)


def _reference(backbone: Backbone, pair_examples: Mapping[str, PairExamples]) -> ReferenceVectors:
    """Vectors of training images, and from which distance on an image is unlike them."""
    training_images = pair_examples["train"].images
    rows = torch.linspace(0, len(training_images) - 1, min(SAMPLE, len(training_images))).long()
    held_out = image_embeddings(backbone, pair_examples["valid"].images)
    return ReferenceVectors.from_training(image_embeddings(backbone, training_images[rows]), held_out)


def _about(settings: RetrievalSettings, inputs: RetrievalInputs, seed: int, base: Path) -> dict[str, Any]:
    """What decides a training's result."""
    backbone_spec = TowerSpec.parse(settings.backbone)
    graph_hash = inputs.knowledge.sha256 if inputs.knowledge is not None and settings.method != "backbone" else ""
    return {
        "settings": settings.as_dict(),
        "backbone": f"{backbone_spec.kind} {(base / backbone_spec.folder).resolve() if backbone_spec.folder else ''}",
        "seed": seed,
        "pairs": {part_name: _pairs_sha256(part_pairs) for part_name, part_pairs in inputs.parts.items()},
        "graph": graph_hash,
    }


def _pairs_sha256(pairs: Sequence[Pair]) -> str:
    digest = hashlib.sha256()
    for pair in pairs:
        digest.update(f"{pair.image}\0{pair.text_sha256}\0".encode())
    return digest.hexdigest()


def _initial_backbone(settings: RetrievalSettings, texts: Sequence[str], seed: int, base: Path) -> tuple[Backbone, Any]:
    """The backbone of the settings before its training, and the small one's tokenizer."""
    spec = settings.backbone
    if spec == NEW:
        tokenizer = small_tokenizer(texts, settings.small.vocabulary)
        return small_backbone(tokenizer, settings.small, seed, frozen=settings.frozen), tokenizer
    if spec == SMALL or (base / spec).is_dir():
        backbone, tokenizer = checkpoint.load_with_tokenizer(checkpoint.SHIPPED if spec == SMALL else base / spec)
        if settings.frozen:
            raise UsageError("a model that was trained as a whole is not frozen", "Leave out frozen.")
        return backbone.train(), tokenizer
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # of heads
        backbone = open_backbone(str(TowerSpec.parse(spec).below(base)), frozen=settings.frozen)
        if settings.stances:
            read_stances(backbone)
        return backbone, None


def _training_graph(
    settings: RetrievalSettings, inputs: RetrievalInputs, backbone: Backbone, seed: int
) -> tuple[Knowledge, Tensor]:
    """The graph as the settings want it, of the images that can be read, and their pictures (or features).

    Raises `UsageError` where there is no graph, and `InputError` where none of its images is there.
    """
    if inputs.knowledge is None or inputs.images is None:
        raise UsageError(f"{settings.method} reads the graph", "Give the folder of its images: --images DIR.")
    knowledge = inputs.knowledge
    candidate_paths = {image.id: find_image(inputs.images, image.path) for image in knowledge.images}
    existing_paths = {
        image: image_path
        for image, image_path in candidate_paths.items()
        if image_path is not None and image_path.is_file()
    }
    if not existing_paths:
        raise InputError(
            "none of the graph's images is here", "The image paths are relative to that folder.", path=inputs.images
        )
    if len(existing_paths) < len(knowledge.images):
        logger.warning(
            f"{len(knowledge.images) - len(existing_paths):,} of the graph's images have no file, and are left out"
        )
    knowledge = knowledge.select_images(lambda image: image.id in existing_paths)
    warn_truncated(backbone, knowledge.concepts, "concept names")
    listed_paths = [existing_paths[image.id] for image in knowledge.images]
    loaded_images = read_pictures(listed_paths, backbone.picture, inputs.cache, inputs.progress("graph, images"))
    retained_ids = {knowledge.images[image_number].id for image_number in loaded_images.readable}
    knowledge = knowledge.select_images(lambda image: image.id in retained_ids)
    image_values = loaded_images.values
    if backbone.frozen:
        readable_paths = [listed_paths[number] for number in loaded_images.readable]
        image_values = frozen_image_features(backbone, readable_paths, image_values, inputs.cache)
    return varied_graph(knowledge, settings.graph, seed), image_values


def varied_graph(knowledge: Knowledge, graph: str, seed: int) -> Knowledge:
    """The graph, or one of its controls."""
    if graph == "empty":
        return knowledge.without_edges()
    if graph == "shuffled":
        return knowledge.shuffled(seed)
    return knowledge.without_stance() if graph == "no-stance" else knowledge


def _mentioned(
    settings: RetrievalSettings, inputs: RetrievalInputs, knowledge: Knowledge, texts: Sequence[str]
) -> list[list[int]]:
    """The concepts that each report says are there; without stances, all that it speaks of."""
    mentions_by_text = find_mentions(texts, knowledge, inputs.lexicon)
    any_stance = settings.graph == "no-stance"
    return [
        sorted({concept for concept, stance in text_mentions if any_stance or stance == POSITIVE})
        for text_mentions in mentions_by_text
    ]


def save_tested_model(
    model: RetrievalModel,
    settings: RetrievalSettings,
    folder: Path,
    pairs: PairSet,
    knowledge: Knowledge | None,
    seed: int,
    base: Path,
) -> None:
    """Write the trained model into a folder, with hashes of what it was trained on and the test's figures."""
    backbone_spec = TowerSpec.parse(settings.backbone).below(base)
    data_hashes = {"pairs": f"{pairs.kind}, protocol {pairs.protocol}, sha256 {pairs.sha256}", "seed": str(seed)}
    if knowledge is not None:
        data_hashes["graph"] = f"sha256 {knowledge.sha256}"
    pair_sources = provenance.from_images(
        TrainingImage(pair.dataset, pair.image, pair.subject) for pair in pairs.parts["train"]
    )
    graph_sources = knowledge.image_sources() if knowledge is not None else ()
    model.backbone.trained_on = provenance.merge_trained_on(model.backbone.trained_on, pair_sources, graph_sources)
    figures = {"epochs": model.tuned.epochs, "validation recall": round(model.tuned.best, 4)}
    for direction, scores in model.test.items():
        mean_scores = scores.means()
        figures |= {
            f"test {direction.replace('_', ' ')} {metric_name}": round(mean_scores[metric_name], 4)
            for metric_name in ("R@1", "R@10", "R@100")
        }
    checkpoint.save_retrieval_model(
        folder,
        model.backbone,
        settings,
        base=model.backbone.kind if backbone_spec.folder is None else str(backbone_spec),
        tokenizer=model.tokenizer,
        data=data_hashes,
        figures=figures,
    )
