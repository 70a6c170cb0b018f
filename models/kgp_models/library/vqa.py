"""Models that answer questions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kgp_models.library.result import SEED, AnyPath, TrainedModel
from kgp_models.retrieval.checkpoint import open_frozen_backbone
from kgp_models.towers.spec import TowerSpec
from kgp_models.training.short import limit_epochs
from kgp_models.training.training_state import WORK
from kgp_models.vqa import build, checkpoint
from kgp_models.vqa.settings import PLAIN, VQASettings
from kgplatform import training_folder
from kgplatform.datasets import question_checks as checks
from kgplatform.datasets import questions
from kgplatform.datasets.knowledge import read_knowledge
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.staging import on_disk

logger = logging.getLogger(__name__)


def train_vqa(
    config: AnyPath,
    data: str,
    folder: AnyPath,
    out: AnyPath,
    graph: Graph,
    *,
    images: Path | None = None,
    graph_images: Path | None = None,
    lexicon: Sequence[Path] = (),
    own_words: bool = True,
    seed: int = SEED,
    epochs: int | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedModel:
    """Train a model that answers closed questions about images, with the graph's knowledge (MedMKG §4.3), and test it.

    `config` is a YAML file such as those in ``benchmarks/vqa/settings/``; `data` names a data set of the plug-in group
    ``kgplatform.questions``, which is in `folder`; its images are in `images`, if not there. `graph_images` is the
    folder that the paths of the graph's images begin in. Raises `UsageError` and `InputError`.
    """
    config, folder, out = Path(config), Path(folder), Path(out)
    with on_disk(out):
        settings = limit_epochs(VQASettings.read(config), epochs)
        if settings.graph != "full":
            hint = "`python -m benchmarks.vqa.run` trains controls. Leave it out."
            raise UsageError(f"graph: {settings.graph} is a control", hint)
        training_folder.check_training_folder(out, "kgp train vqa", checkpoint.ABOUT, "kgp ask --model")
        all_questions, rejects = questions.read_questions(data, folder, images, progress=progress("questions"))
        if rejects:
            logger.warning(questions.left_out(rejects))
        if difference_note := questions.unlike_release(data, all_questions):
            logger.warning(difference_note)
        question_set = questions.official(all_questions)
        knowledge = read_knowledge(graph)
        checks.refuse_graph_questions(question_set, knowledge.images, graph_images)
        features_folder = out / WORK / "features"
        inputs = build.VQAInputs(
            question_set, knowledge, graph_images, tuple(lexicon), own_words, features_folder, progress
        )
        training_folder.take(out, "kgp train vqa")
        model, figures = _fit_and_save(settings, inputs, config.parent, out, data, seed)
    return TrainedModel(out, settings.method, model.trained.epochs, figures)


def _fit_and_save(
    settings: VQASettings, inputs: build.VQAInputs, base_folder: Path, out: Path, data: str, seed: int
) -> tuple[build.VQAModel, dict[str, dict[str, float]]]:
    """Train the base model and the method, and write both into a folder; the method's model, and their figures."""
    backbone_spec = str(TowerSpec.parse(settings.backbone).below(base_folder))
    features = build.encode_questions(open_frozen_backbone(backbone_spec), inputs.questions.questions, inputs)
    base_model = build.fit(replace(settings, method="base"), inputs, features, out / WORK / "base", seed)
    model = build.fit(settings, inputs, features, out / WORK / "method", seed)
    figures = {"base model": base_model.test.as_dict()}
    if settings.method != "base":
        figures[settings.method] = model.test.as_dict()
    if settings.method not in PLAIN:
        figures["as kgp ask answers"] = model.with_base(base_model).as_dict()
    checkpoint.save_vqa_model(
        out,
        model,
        base_model,
        settings,
        inputs=inputs,
        towers=features.backbone,
        backbone=backbone_spec,
        data={
            "questions": f"{data}, {inputs.questions.protocol}, sha256 {inputs.questions.sha256}",
            "graph": f"sha256 {inputs.knowledge.sha256}",
            "seed": str(seed),
        },
        figures={
            f"test {figure_name}, {model_label}": round(model_figures[figure_name], 4)
            for model_label, model_figures in figures.items()
            for figure_name in model_figures
        },
    )
    return model, figures
