"""Image encoders that learn what a graph states about its images."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kgp_models.generator.read_studies import read_splits
from kgp_models.images import build, checkpoint
from kgp_models.images.examples import ImageExamples, graph_examples, split_by_study, split_by_subject
from kgp_models.images.predict import ImagePredictor, model_spec
from kgp_models.images.prediction import BY_NEIGHBOURS, PredictedImage, image_document
from kgp_models.images.reports import REPORT_TOKENS
from kgp_models.images.settings import ImageSettings
from kgp_models.images.studies import with_reports, with_study_images
from kgp_models.library.result import SEED, AnyPath, TrainedModel
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.retrieval.encode import BackboneEncoder, open_encoder
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.short import limit_epochs
from kgp_models.training.training_state import WORK
from kgplatform import predictions, queries, training_folder
from kgplatform.batches import Reject
from kgplatform.datasets.knowledge import Knowledge, read_anatomy, read_knowledge
from kgplatform.errors import InputError
from kgplatform.files import atomic_file
from kgplatform.generate.inputs import Input, inputs, loader_kind
from kgplatform.generate.new_images import NewImages
from kgplatform.generate.run import images_by_path
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.predictions import Prediction
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.radiograph import find_image
from kgplatform.staging import on_disk
from kgplatform.trained_on import (
    SYNTHETIC,
    TrainedOn,
    document,
    is_synthetic,
    training_data_kind,
    training_data_warnings,
    unlike_warning,
)
from kgplatform.wording import counted

logger = logging.getLogger(__name__)
TRAINER = "kgp train images"
AUC_BY_LINK = "auc_by_link.csv"  # in the model's folder


def train_images(
    config: AnyPath,
    images: AnyPath,
    out: AnyPath,
    graph: Graph,
    *,
    splits: AnyPath | None = None,
    every_image: bool = False,
    seed: int = SEED,
    epochs: int | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedModel:
    """Train the image tower of a backbone on the concepts and stances of the graph's images, and test it.

    `config` is a YAML file such as those in ``benchmarks/images/settings/``, `images` the folder that the paths of the
    graph's images begin in. Images are split by patient (by study, where the patient is not known), or as the file
    `splits` says: R2Gen's annotation.json, or a table with the columns study and split. With `every_image`, `images` is
    a data set, and the other images of the graph's studies, as lateral ones, are trained on, too; each has the links of
    its study's image. With `report_weight` in the settings, it is a data set with reports, which are a target, too.
    Raises `InputError` where none of the images is there, or too few have a link.
    """
    config, images, out = Path(config), Path(images), Path(out)
    with on_disk(out):
        settings = limit_epochs(ImageSettings.read(config), epochs)
        training_folder.check_training_folder(out, TRAINER, checkpoint.ABOUT, "kgp predict image --model")
        knowledge = read_knowledge(graph)
        left_out = frozenset() if settings.anatomy else read_anatomy(graph)
        examples = graph_examples(knowledge, _existing_paths(knowledge, images), left_out)
        has_reports = settings.report_weight > 0
        study_images = _study_images(images, with_reports=has_reports) if every_image or has_reports else []
        if has_reports:
            examples = with_reports(examples, study_images)
        if every_image:
            examples = with_study_images(examples, study_images)
        parts = (
            split_by_subject(examples, seed) if splits is None else split_by_study(examples, read_splits(Path(splits)))
        )
        training_folder.take(out, TRAINER)
        spec = str(TowerSpec.parse(settings.backbone).below(config.parent))
        backbone = open_frozen_backbone(spec, REPORT_TOKENS)
        trained = build.train_image_model(
            settings, backbone, spec, parts, out / WORK / "links", seed, _related(knowledge), progress
        )
        scores = part_scores(trained)
        figures = {part: part_score.as_dict() for part, part_score in scores.items()}
        checkpoint.save_image_model(
            out,
            trained.model,
            settings,
            data=_hashes(parts, knowledge, "by subject, seed " + str(seed) if splits is None else "as a file states"),
            figures={
                "best epoch": trained.trained.best_epoch,
                "seconds": round(trained.trained.seconds, 1),
                **{f"{part} {name}": figure for part, scores in figures.items() for name, figure in scores.items()},
            },
        )
        by_link = link_rows(scores)
        _write_table(out / AUC_BY_LINK, by_link)
        shutil.rmtree(out / WORK, ignore_errors=True)
    name = f"images on {backbone.kind}"
    return TrainedModel(out, name, len(trained.trained.history), figures, {"auc_by_link": by_link})


def link_rows(scores: Mapping[str, build.ImageScores]) -> list[dict[str, Any]]:
    """The AUC of each link with its interval, by part; the highest first."""
    return [
        {
            "part": part,
            "stance": link.stance,
            "cui": link.cui,
            "name": link.name,
            "auc": round(auc.value, 4),
            "low": round(auc.low, 4),
            "high": round(auc.high, 4),
        }
        for part, part_scores in scores.items()
        for link, auc in sorted(part_scores.auc_by_link.items(), key=lambda entry: (-entry[1].value, entry[0]))
    ]


def _write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with atomic_file(path) as partial_path, partial_path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("part", "stance", "cui", "name", "auc", "low", "high"))
        writer.writeheader()
        writer.writerows(rows)


def part_scores(trained: build.TrainedImages) -> dict[str, build.ImageScores]:
    """The scores of the validation and the test part, by part."""
    shares = build.training_shares(trained.outputs[build.TRAIN])
    links = list(trained.model.links)
    return {
        part: build.score_probabilities(
            trained.model.calibration.probabilities(outputs.logits).double().numpy(),
            outputs.targets.double().numpy(),
            shares,
            links,
            outputs.examples.subjects,
        )
        for part, outputs in trained.outputs.items()
        if part != build.TRAIN
    }


def _related(knowledge: Knowledge) -> list[tuple[str, str]]:
    """The pairs of concepts that a relation joins, by CUI."""
    return [(knowledge.cuis[head], knowledge.cuis[tail]) for head, _, tail in knowledge.relations.tolist()]


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


def _study_images(images: Path, *, with_reports: bool) -> Sequence[Input]:
    """All images of a data set's studies. Raises `InputError` where the folder is none."""
    if loader_kind(images) is None:
        hint = "Give the data set's folder (OpenI, MIMIC-CXR, IU X-ray), or leave out --every-image and report_weight."
        raise InputError("no data set that states the images of a study is here", hint, path=images)
    selected = inputs(images, ids_by_path={}, with_reports=with_reports, every_image=True)
    if selected.rejects:
        logger.warning(f"{counted(len(selected.rejects), 'rows')} of the data set cannot be read: left out")
    return selected.rows


def _hashes(parts: Mapping[str, ImageExamples], knowledge: Knowledge, split: str) -> dict[str, str]:
    sizes = ", ".join(f"{part} {len(examples.images):,}" for part, examples in parts.items())
    return {
        "images": f"{sizes}; split {split}",
        "training images": f"sha256 {parts[build.TRAIN].sha256}",
        "graph": f"sha256 {knowledge.sha256}",
    }


@dataclass(frozen=True)
class PredictedImages:
    """What new radiographs show, by image; `runs` are those that wrote them, None where nothing was written."""

    images: Sequence[PredictedImage]
    model: str
    trained_on: TrainedOn
    threshold: float | None  # of the distance to the training's images
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rejects: Sequence[Reject] = ()
    runs: tuple[str, ...] = ()
    written: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "model": self.model,
            "trained_on": document(self.trained_on),
            "distance_threshold": self.threshold,
            "images": [image_document(image) for image in self.images],
            "left_out": [{"path": str(reject.path), "reason": reject.reason} for reject in self.rejects],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
            "runs": list(self.runs),
            "written": self.written,
        }


def predict_images(
    model: AnyPath,
    graph: Graph,
    images: AnyPath,
    *,
    top: int = 10,
    least: float = 0.1,
    by_study: bool = False,
    write: bool = False,
    any_modality: bool = False,
    progress: SubjectProgress = silent_progress,
) -> PredictedImages:
    """What radiographs show that the graph has never seen: concepts with stance and calibrated probability, by an image
    encoder of `train_images` and the graph together.

    `images` is a radiograph, a folder or a data set; of each image the `top` likeliest links of probability `least` and
    more. Images of the graph with an embedding of the same model (`kgp embed --model images:FOLDER`) are compared with;
    without any, the encoder predicts alone, and a note says so. With `by_study` the images of a study are combined: by
    the study that the data set states, else all images of a folder. With `write` the links are put into the graph as
    predictions, with nodes for images that it does not have.

    Raises `InputError` where there is no image, and where a folder is no study.
    """
    folder = Path(model)
    trained = checkpoint.load_image_model(folder)
    encoder = open_encoder(model_spec(folder))
    if not isinstance(encoder, BackboneEncoder):
        raise InputError("this is no image encoder", "Give a folder of `kgp train images`.", path=folder)
    selected = inputs(
        Path(images),
        ids_by_path=images_by_path(graph),
        with_reports=False,
        any_modality=any_modality,
        every_image=by_study,
    )
    predictor = ImagePredictor(trained, encoder, graph)
    predicted = list(
        predictor.predict(selected.rows, top=top, least=least, by_study=by_study, progress=progress("images"))
    )
    readable = [image for image in predicted if image.problem is None]
    synthetic_count = sum(
        image.image.path is not None
        and (image.image.properties.get("dataset") in SYNTHETIC or is_synthetic(image.image.path))
        for image in readable
    )
    warnings = training_data_warnings(trained.trained_on, len(readable), synthetic_count)
    unlike_count = sum(image.is_unlike for image in readable)
    if unlike_count:
        warnings.append(unlike_warning(unlike_count, len(readable)))
    notes = (predictor.note,) if predictor.note else ()
    threshold = None if trained.reference is None else trained.reference.threshold
    result = PredictedImages(
        predicted, trained.name, trained.trained_on, threshold, notes, tuple(warnings), selected.rejects
    )
    return (
        _write(graph, result, predictor, {"top": top, "least": least, "by_study": by_study})
        if write and readable
        else result
    )


def _write(
    graph: Graph, result: PredictedImages, predictor: ImagePredictor, parameters: Mapping[str, Any]
) -> PredictedImages:
    """Put the links into the graph; concepts that it does not have are left out, with a note."""
    links = [(image.image, link, rank) for image in result.images for rank, link in enumerate(image.links, 1)]
    known = [
        Prediction(("Image", image.id), link.link.stance, ("Concept", link.link.cui), link.probability, rank)
        for image, link, rank in links
        if link.link.cui in predictor.known_cuis or link.by == BY_NEIGHBOURS
    ]
    notes = result.notes
    if unknown_count := len(links) - len(known):
        notes = (*notes, f"{counted(unknown_count, 'links')} to concepts that the graph does not have: not written")
    if not known:
        return replace(result, notes=notes)
    new_images = [image.image for image in result.images if image.links and image.image.properties]
    runs: list[str] = []
    if new_images:
        runs.append(ingest(graph, NewImages(new_images)).run)
    report = predictions.write_predictions(
        graph,
        known,
        model=predictor.model.name,
        checkpoint_sha256=predictor.model.sha256,
        parameters={
            **parameters,
            "uses_graph": predictor.uses_graph,
            "training_data": training_data_kind(result.trained_on),
        },
    )
    if result.warnings:
        graph.write(queries.get("runs/warn"), run=report.run, warnings=list(result.warnings))
    return replace(result, notes=notes, runs=(*runs, report.run), written=report.rows.written)
