"""Link-prediction models: trained, and asked for new links."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from kgp_models.library.result import SEED, AnyPath, TrainedModel
from kgp_models.link_prediction import pool_checkpoint
from kgp_models.link_prediction import predict as prediction
from kgp_models.link_prediction.evaluate import TrueTriples, evaluate
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.train import train_link_model
from kgp_models.training.short import limit_epochs
from kgplatform import predictions, training_folder
from kgplatform.datasets.splits import Split
from kgplatform.errors import KgpError
from kgplatform.export.read import read_triples
from kgplatform.export.triples import Triples
from kgplatform.graph import Graph
from kgplatform.ingest import LoadReport
from kgplatform.predictions import Prediction
from kgplatform.progress import SubjectProgress, silent_progress
from kgplatform.staging import on_disk

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PredictedLinks:
    """Predicted links, best first, with the names of the entities; `report` of the run that wrote them, None where they
    were not written.
    """

    links: Sequence[Prediction]
    names: Mapping[tuple[str, str], str]
    report: LoadReport | None = None

    def rows(self) -> list[dict[str, Any]]:
        """A row for each link: rank, score, head, head_name, tail, tail_name."""
        return [
            {
                "rank": link.rank,
                "score": link.score,
                "head": link.head[1],
                "head_name": self.names.get(link.head, ""),
                "tail": link.tail[1],
                "tail_name": self.names.get(link.tail, ""),
            }
            for link in self.links
        ]

    def frame(self) -> pd.DataFrame:
        """The rows as a pandas frame."""
        return pd.DataFrame(self.rows())


@dataclass(frozen=True)
class TrainedLinks(TrainedModel):
    """A trained link-prediction model; `best_epoch` had the best validation rank, and its weights are the model's."""

    best_epoch: int = 0
    seconds: float = 0.0

    def predict(self, graph: Graph, relation: str, top: int = 20, **options: Any) -> pd.DataFrame:
        """The `top` likeliest links of a relation that the graph does not have, as a frame; see `predict_links`."""
        return predict_links(self.folder, graph, relation, top, **options).frame()


def train_links(
    settings: AnyPath,
    export: AnyPath,
    split: AnyPath,
    out: AnyPath,
    *,
    seed: int = SEED,
    epochs: int | None = None,
    tensorboard: Path | None = None,
    progress: SubjectProgress = silent_progress,
) -> TrainedLinks:
    """Train a link-prediction model on an export of the graph and a split of it, and rank the split's test part.

    `settings` is a YAML file such as ``benchmarks/link_prediction/settings/paper/transe.yaml``; `epochs`, a limit for a
    first try. Raises `InputError` for settings or files that are not usable, and `UsageError` where `out` holds
    something else.
    """
    settings, export, split, out = Path(settings), Path(export), Path(split), Path(out)
    with on_disk(out):
        training_settings = limit_epochs(TrainingSettings.read(settings), epochs)
        parts = Split.read(split, Triples.read(export))
        training_folder.take(out, "kgp train links")
        trained = train_link_model(
            training_settings,
            parts,
            seed=seed,
            folder=out,
            tensorboard=tensorboard,
            progress=progress("epochs"),
        )
        logger.info(f"{trained.epochs} epochs in {trained.seconds:.0f} s; the best was {trained.best_epoch}")
        true_triples = TrueTriples(parts.triples.ids, parts.triples.num_entities, parts.triples.num_relations)
        metrics = evaluate(trained.scorer, parts.test, true_triples, progress=progress("triples ranked")).metrics()
    test_figures = {task: task_metrics.as_dict() for task, task_metrics in metrics.items()}
    return TrainedLinks(
        out,
        training_settings.model,
        trained.epochs,
        test_figures,
        best_epoch=trained.best_epoch,
        seconds=trained.seconds,
    )


def predict_links(
    model: AnyPath,
    graph: Graph,
    relation: str,
    top: int = 20,
    *,
    head: str | None = None,
    tail: str | None = None,
    write: bool = False,
    progress: SubjectProgress = silent_progress,
) -> PredictedLinks:
    """The `top` likeliest links of a relation that the graph does not have, by a trained model or a pool in a folder;
    with `write` they are put into the graph as predictions.

    Raises `KgpError` where there is nothing to predict, and as `kgp_models.link_prediction.predict.predict_triples`
    does.
    """
    model = Path(model)
    trained = pool_checkpoint.load_any(model)
    triples = read_triples(graph)
    links = prediction.predict_triples(
        trained, triples, relation, top, head=head, tail=tail, progress=progress("entities scored")
    )
    if not links:
        raise KgpError(
            "there is nothing to predict: the graph has every link that this relation could make",
            "Give another --relation, --head or --tail.",
        )
    report = None
    if write:
        parameters = {"relation": relation, "top": top, "head": head, "tail": tail}
        report = predictions.write_predictions(
            graph, links, model=trained.name, checkpoint_sha256=trained.sha256, parameters=parameters
        )
    return PredictedLinks(links, {(node.kind, node.key): node.name for node in triples.nodes}, report)
