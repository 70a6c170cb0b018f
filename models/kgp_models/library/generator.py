"""Generators of triplets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kgp_models.generator.checkpoint import ABOUT
from kgp_models.generator.settings import GeneratorSettings
from kgp_models.generator.train import Work, meaning, train_stages
from kgp_models.library.result import AnyPath, TrainedModel
from kgp_models.training.short import limit_epochs
from kgplatform import training_folder
from kgplatform.files import read_json
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.staging import on_disk


def train_generator(
    config: AnyPath,
    out: AnyPath,
    stages: Sequence[str] = ("1", "2"),
    *,
    data: Path | None = None,
    epochs: int | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedModel:
    """Train a generator of triplets (VLM-KG paper): stage 1, the language model on reports; stage 2, with images.

    `config` is a YAML file such as ``benchmarks/generation/settings/small.yaml``; `data`, the folder of studies in
    place of its ``data.path``. Raises `InputError` and `UsageError` as `train_links` does.
    """
    config, out = Path(config), Path(out)
    with on_disk(out):
        settings = limit_epochs(GeneratorSettings.read(config), epochs)
        if data is not None:
            settings = replace(settings, data=replace(settings.data, path=str(data.absolute())))
        work = Work(settings, out, config.parent, meaning(settings.data, config.parent), progress)
        training_folder.take(out, "kgp train generator")
        model_folder = train_stages(work, list(stages))
        card_path = model_folder / ABOUT
        figures = read_json(card_path)["figures"] if card_path.is_file() else {}
    return TrainedModel(model_folder, "generator", 0, {"test": figures})
