"""Image encoders that learn what a graph states about its images."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

from kgp_models.images import build, checkpoint
from kgp_models.images.examples import ImageExamples, graph_examples, split_by_subject
from kgp_models.images.settings import ImageSettings
from kgp_models.library.result import SEED, AnyPath, TrainedModel
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.short import limit_epochs
from kgp_models.vqa.build import open_frozen_backbone
from kgplatform import training_folder
from kgplatform.datasets.knowledge import Knowledge, read_knowledge
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.radiograph import find_image
from kgplatform.staging import on_disk

logger = logging.getLogger(__name__)
TRAINER = "kgp train images"


def train_images(
    config: AnyPath,
    images: AnyPath,
    out: AnyPath,
    graph: Graph,
    *,
    seed: int = SEED,
    epochs: int | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedModel:
    """Train the image tower of a backbone on the concepts and stances of the graph's images, and test it.

    `config` is a YAML file such as those in ``benchmarks/images/settings/``, `images` the folder that the paths of the
    graph's images begin in. Images are split by patient (by study, where the patient is not known). Raises `InputError`
    where none of the images is there, or too few have a link.
    """
    config, images, out = Path(config), Path(images), Path(out)
    with on_disk(out):
        settings = limit_epochs(ImageSettings.read(config), epochs)
        training_folder.check_training_folder(out, TRAINER, checkpoint.ABOUT, "kgp predict image --model")
        knowledge = read_knowledge(graph)
        parts = split_by_subject(graph_examples(knowledge, _existing_paths(knowledge, images)), seed)
        training_folder.take(out, TRAINER)
        spec = str(TowerSpec.parse(settings.backbone).below(config.parent))
        backbone = open_frozen_backbone(spec)
        trained = build.train_image_model(settings, backbone, spec, parts, out / build.WORK, seed, progress)
        figures = part_figures(trained)
        checkpoint.save_image_model(
            out,
            trained.model,
            settings,
            data=_hashes(parts, knowledge, seed),
            figures={
                "best epoch": trained.trained.best_epoch,
                "seconds": round(trained.trained.seconds, 1),
                **{f"{part} {name}": figure for part, scores in figures.items() for name, figure in scores.items()},
            },
        )
        shutil.rmtree(out / build.WORK, ignore_errors=True)
    return TrainedModel(out, f"images on {backbone.kind}", len(trained.trained.history), figures)


def part_figures(trained: build.TrainedImages) -> dict[str, dict[str, float]]:
    """The figures of the validation and the test part, by part."""
    shares = build.training_shares(trained.outputs[build.TRAIN])
    links = list(trained.model.links)
    return {
        part: build.score_probabilities(
            trained.model.calibration.probabilities(outputs.logits).double().numpy(),
            outputs.targets.double().numpy(),
            shares,
            links,
            outputs.examples.subjects,
        ).as_dict()
        for part, outputs in trained.outputs.items()
        if part != build.TRAIN
    }


def _existing_paths(knowledge: Knowledge, images: Path) -> dict[str, Path]:
    """Where the graph's images lie, by id. Raises `InputError` where none is there."""
    candidates = {image.id: find_image(images, image.path) for image in knowledge.images if image.path}
    paths = {image_id: path for image_id, path in candidates.items() if path is not None and path.is_file()}
    if not paths:
        hint = "Give the folder that the image paths of the graph are relative to: --images DIR."
        raise InputError("none of the graph's images is here", hint, path=images)
    if missing_count := len(knowledge.images) - len(paths):
        logger.warning(f"{missing_count:,} of the graph's {len(knowledge.images):,} images have no file: left out")
    return paths


def _hashes(parts: Mapping[str, ImageExamples], knowledge: Knowledge, seed: int) -> dict[str, str]:
    sizes = ", ".join(f"{part} {len(examples.images):,}" for part, examples in parts.items())
    return {
        "images": f"{sizes}; split by subject, seed {seed}",
        "training images": f"sha256 {parts[build.TRAIN].sha256}",
        "graph": f"sha256 {knowledge.sha256}",
    }
