"""The end of a training's stage: its checkpoint, the figures of its validation, and whether it is done already."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState

from kgp_models.generator import checkpoint
from kgp_models.generator.checkpoint import GeneratorCheckpoint
from kgp_models.generator.language import base_model
from kgp_models.generator.records import Study, repeated_reports
from kgp_models.generator.validate import validate
from kgplatform import trained_on

if TYPE_CHECKING:
    from kgp_models.generator.train import Work

logger = logging.getLogger(__name__)


def finish_stage(
    work: Work,
    training_studies: Sequence[Study],
    stage_checkpoint: GeneratorCheckpoint,
    figures: dict[str, Any],
    record_summary: str,
) -> None:
    """Save a stage, then look at what it reaches, with the weights as they were saved, and note that."""
    if PartialState().is_main_process:
        _save(stage_checkpoint, figures)
        validation_figures = _validate(work, training_studies, stage_checkpoint)
        figures_text = "".join(f", {figure_name} {figure}" for figure_name, figure in validation_figures.items())
        logger.info(
            f"{stage_checkpoint.stage}: {record_summary}, {figures['seconds']:.0f} s, "
            f"loss {figures['loss']}{figures_text}"
        )
    PartialState().wait_for_everyone()


def is_stage_trained(work: Work, training_studies: Sequence[Study], stage_folder: Path, stage_label: str) -> bool:
    """Whether the stage is trained. Where it was interrupted in its validation, that is done again."""
    if not (stage_folder / checkpoint.ABOUT).is_file():
        return False
    if (stage_folder / "work").exists() and PartialState().is_main_process:
        _validate(work, training_studies, checkpoint.load_generator(stage_folder))
    PartialState().wait_for_everyone()
    logger.info(f"{stage_label}: trained already")
    return True


def _validate(
    work: Work, training_studies: Sequence[Study], stage_checkpoint: GeneratorCheckpoint
) -> Mapping[str, Any]:
    """Look at what a saved stage reaches, and add it to its figures. Once its folder `work` is gone, it is done."""
    stage_checkpoint.model.to(work.device).eval()
    if stage_checkpoint.vision is not None:
        stage_checkpoint.vision.module.to(work.device)
    report_progress = work.progress(f"{stage_checkpoint.stage}, validation")
    validation_studies = work.validation(training_studies)
    validation = validate(
        stage_checkpoint,
        work.settings.decoding,
        validation_studies,
        repeated_reports(training_studies, validation_studies),
        work.same,
        report_progress,
    )
    checkpoint.add_figures(stage_checkpoint.folder, validation.figures, validation.search, validation.image_search)
    shutil.rmtree(stage_checkpoint.folder / "work", ignore_errors=True)
    return validation.figures


def stage_description(
    work: Work, training_studies: Sequence[Study], data_hash: str, before: trained_on.TrainedOn = ()
) -> dict[str, Any]:
    """What it was trained on; `before` are the data of the vision encoder. Those of the language model are no images:
    its entry is `base_model`.
    """
    stated_sources = trained_on.from_images(
        trained_on.TrainingImage(study.dataset, study.id, study.subject) for study in training_studies
    )
    return {
        "data_sha256": data_hash,
        "base_model": base_model(work.settings, work.base),
        "trained_on": trained_on.document(trained_on.merge_trained_on(stated_sources, before)),
    }


def _save(stage_checkpoint: GeneratorCheckpoint, figures: Mapping[str, Any]) -> None:
    data_hash = stage_checkpoint.about["data_sha256"]
    model_parts = (
        stage_checkpoint.folder,
        stage_checkpoint.model,
        stage_checkpoint.tokenizer,
        stage_checkpoint.settings,
        stage_checkpoint.stage,
        stage_checkpoint.vision,
    )
    checkpoint.save_generator(
        *model_parts,
        data=data_hash,
        base_model=stage_checkpoint.about["base_model"],
        trained_on=stage_checkpoint.trained_on,
        reference=stage_checkpoint.reference,
        classifier=stage_checkpoint.classifier,
        figures=figures,
    )
