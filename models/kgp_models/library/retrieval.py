"""Models that find images by text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kgp_models.library.result import SEED, AnyPath, TrainedModel
from kgp_models.retrieval import build, checkpoint
from kgp_models.retrieval.settings import RetrievalSettings
from kgp_models.training.short import limit_epochs
from kgp_models.training.training_state import WORK
from kgplatform import training_folder
from kgplatform.datasets import pair_checks as checks
from kgplatform.datasets.graph_studies import graph_images
from kgplatform.datasets.knowledge import read_knowledge
from kgplatform.datasets.pairs import PairSet
from kgplatform.errors import UsageError
from kgplatform.graph import Graph
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.staging import on_disk


def train_retrieval(
    config: AnyPath,
    pairs: AnyPath,
    out: AnyPath,
    graph: Graph | None = None,
    *,
    images: Path | None = None,
    lexicon: Sequence[Path] = (),
    seed: int = SEED,
    epochs: int | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedModel:
    """Train a model that finds images by text, with the graph's knowledge (MedMKG §4.2), and test it both ways.

    `config` is a YAML file such as those in ``benchmarks/retrieval/settings/``, `pairs` a folder of `kgp pairs`,
    `images` the folder that the paths of the graph's images begin in; `lexicon` names concepts in addition to the
    graph. Raises `UsageError` where the settings' method needs a graph or its images, and `InputError`.
    """
    config, pairs, out = Path(config), Path(pairs), Path(out)
    with on_disk(out):
        settings = limit_epochs(RetrievalSettings.read(config), epochs)
        training_folder.check_training_folder(out, "kgp train retrieval", checkpoint.ABOUT, "kgp embed --model")
        pair_set = PairSet.read(pairs, require_images=True)
        knowledge = None
        if settings.method != "backbone":
            if images is None or graph is None:
                raise UsageError(f"{settings.method} reads the graph", "Give the folder of its images: --images DIR.")
            checks.refuse_graph_pairs(pair_set, graph_images(graph))
            knowledge = read_knowledge(graph)
        inputs = build.RetrievalInputs(pair_set.parts, knowledge, images, tuple(lexicon), out / WORK, progress)
        training_folder.take(out, "kgp train retrieval")
        model = build.train_retrieval_model(settings, inputs, out / WORK, seed, config.parent)
        build.save_tested_model(model, settings, out, pair_set, knowledge, seed, config.parent)
    test_figures = {direction: scores.as_dict() for direction, scores in model.test.items()}
    return TrainedModel(out, settings.method, model.tuned.epochs, test_figures)
