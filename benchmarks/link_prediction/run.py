"""Trains and ranks link-prediction models on the graph: MedMKG's Table 2, and what it should have been.

    python -m benchmarks.link_prediction.run --models all --split paper
    python -m benchmarks.link_prediction.run --models complex-n3,tucker --split leakage-free --seeds 42,43,44
    python -m benchmarks.link_prediction.run --table                       # only write tables and plots again

The graph is read from the running Neo4j, or from `--export DIR`. On the `paper` split the 17 models have the paper's
settings (`benchmarks/link_prediction/settings/paper`), elsewhere those that `tuning.py` found
(`tuned/leakage-free`); models that the paper lacks have tuned ones always. A finished run is in
`benchmarks/link_prediction/results/link_prediction_SPLIT.json` and is not done again; an interrupted one goes on from
its checkpoint in `build/link_prediction`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

import kgplatform
from benchmarks.harness import record
from benchmarks.link_prediction import table as link_prediction_table
from kgp_models.link_prediction import checkpoint, pool_checkpoint
from kgp_models.link_prediction.baselines import BASELINES
from kgp_models.link_prediction.breakdown import triple_groups
from kgp_models.link_prediction.evaluate import Evaluation, TrueTriples, evaluate
from kgp_models.link_prediction.pool import Pool
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.train import train_link_model
from kgplatform.cli.output import note, progress
from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import UsageError
from kgplatform.export.triples import Triples
from kgplatform.progress import Progress

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings"
RESULTS = FOLDER / "results"
BUILD = record.ROOT / "build" / "link_prediction"
POOLED = ("complex-n3", "conve")  # with the baselines


def _model_settings(model: str, split: str, kind: str | None) -> tuple[str, TrainingSettings]:
    """The settings of a model for a split: the paper's or the tuned ones, and which they are."""
    tuned_on = split if (SETTINGS / "tuned" / split).exists() else "leakage-free"
    settings_folders = {"paper": SETTINGS / "paper", "tuned": SETTINGS / "tuned" / tuned_on}
    for settings_kind in [kind] if kind else sorted(settings_folders, reverse=split != "paper"):
        settings_path = settings_folders[settings_kind] / f"{model}.yaml"
        if settings_path.exists():
            return settings_kind, TrainingSettings.read(settings_path)
    raise UsageError(
        f"there are no settings for {model}", f"Models: {', '.join((*BASELINES, *every_model(), 'pool'))}."
    )


def every_model() -> list[str]:
    """All trained models that have settings."""
    return sorted(
        {
            settings_path.stem
            for subfolder in ("paper", "tuned/*")
            for settings_path in SETTINGS.glob(f"{subfolder}/*.yaml")
        }
    )


def result(evaluation: Evaluation, split: Split) -> dict[str, Any]:
    """The metrics of an evaluation, filtered and raw, and filtered ones by group."""
    group_metrics = {
        group_name: {task: task_metrics.as_dict() for task, task_metrics in evaluation.metrics(row_indices).items()}
        for group_name, row_indices in triple_groups(split).items()
    }
    return {
        "filtered": {task: task_metrics.as_dict() for task, task_metrics in evaluation.metrics().items()},
        "raw": {task: task_metrics.as_dict() for task, task_metrics in evaluation.raw_metrics().items()},
        "groups": group_metrics,
    }


class _Results:
    """The runs on one split, in one JSON file that is whole after each run."""

    def __init__(self, path: Path, split: Split) -> None:
        self.path = path
        self.document: dict[str, Any] = {"split": {"kind": split.kind, "seed": split.seed}, "runs": []}
        self.document["split"] |= {"sha256": split.sha256, **splits.leak(split).as_dict()}
        if path.exists():
            stored_document = json.loads(path.read_text(encoding="utf-8"))
            if stored_document["split"]["sha256"] == split.sha256:
                self.document = stored_document
            else:
                note(f"{path.name} is from another split and is started again")

    def has(self, identity: dict[str, Any]) -> bool:
        """Whether this very run is there."""
        return any(
            all(run.get(field_name) == value for field_name, value in identity.items()) for run in self.document["runs"]
        )

    def add(self, identity: dict[str, Any], outcome: dict[str, Any]) -> None:
        """Add a run, in place of one of the same model, settings kind and seed."""
        run_identity = {field_name: identity[field_name] for field_name in ("model", "settings", "seed")}
        retained_runs = [
            run
            for run in self.document["runs"]
            if any(run.get(field_name) != field_value for field_name, field_value in run_identity.items())
        ]
        retained_runs.append({**identity, **outcome, "context": record.context(identity["seed"], device_name())})
        self.document["runs"] = sorted(retained_runs, key=lambda run: (run["model"], run["settings"], run["seed"] or 0))
        record.store(self.path, self.document, indent=1)


def device_name() -> str:
    """The device that models are trained on."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def trained_model(
    model: str, split: Split, seed: int, arguments: argparse.Namespace
) -> tuple[dict[str, Any], TrainingSettings, Path]:
    """What names a run of a model, its settings, and the folder of its checkpoint."""
    settings_kind, settings = _model_settings(model, split.kind, arguments.settings)
    document = settings.as_dict() | ({"epochs": arguments.epochs} if arguments.epochs else {})
    settings = TrainingSettings.from_document(document)
    sha256 = settings_hash(settings)
    identity = {"model": model, "settings": settings_kind, "seed": seed, "settings_sha256": sha256}
    return identity, settings, arguments.build / split.kind / settings_kind / f"{model}-{seed}-{sha256}"


def settings_hash(settings: TrainingSettings) -> str:
    """What distinguishes settings, in 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


def run_model(
    model: str, split: Split, seed: int, arguments: argparse.Namespace, results: _Results, true_triples: TrueTriples
) -> None:
    """Train and rank one model with one seed, unless that is done already."""
    identity, settings, folder = trained_model(model, split, seed, arguments)
    if results.has(identity):
        return note(f"{model} seed {seed}: done before")
    note(f"{model} seed {seed}: training with the {identity['settings']} settings")
    device_kind = "cuda" if torch.cuda.is_available() else "cpu"
    trained = train_link_model(
        settings, split, seed=seed, folder=folder, device=device_kind, progress=epoch_progress(model)
    )
    start_time = time.perf_counter()
    evaluation = evaluate(trained.scorer, split.test, true_triples, device=device_kind)
    outcome = {
        "epochs": trained.epochs,
        "best_epoch": trained.best_epoch,
        "validation_mrr": trained.best_mrr,
        "parameters": sum(parameter.numel() for parameter in trained.model.parameters()),
        "training_seconds": round(trained.seconds, 1),
        "evaluation_seconds": round(time.perf_counter() - start_time, 2),
        **result(evaluation, split),
    }
    results.add(identity, outcome)
    _print_result(model, evaluation, trained.epochs, trained.seconds)


def run_pool(
    split: Split, seed: int, arguments: argparse.Namespace, results: _Results, true_triples: TrueTriples
) -> None:
    """Rank the pool of `POOLED` and the baselines, trained first where they are not."""
    folders = {}
    for model in POOLED:
        _, settings, folders[model] = trained_model(model, split, seed, arguments)
        if not (folders[model] / checkpoint.ABOUT).exists():
            note(f"{model} seed {seed}: training for the pool")
            train_link_model(settings, split, seed=seed, folder=folders[model], progress=epoch_progress(model))
    start_time = time.perf_counter()
    pool = Pool(
        split, {model: checkpoint.load_link_checkpoint(folder).scorer for model, folder in folders.items()}
    ).fit(split)
    fitted_time = time.perf_counter()
    pool_checkpoint.save_pool(arguments.build / split.kind / "tuned" / f"pool-{seed}", pool, split, folders)
    evaluation = evaluate(pool, split.test, true_triples)
    seconds = {"fitting_seconds": fitted_time - start_time, "evaluation_seconds": time.perf_counter() - fitted_time}
    weights = {
        task: dict(zip(pool.names, task_weights.T.tolist(), strict=True)) for task, task_weights in pool.weights.items()
    }
    member_hashes = {model: checkpoint.load_link_checkpoint(folder).sha256 for model, folder in folders.items()}
    identity = {"model": "pool", "settings": "tuned", "seed": seed, "settings_sha256": None}
    results.add(identity, {"members": member_hashes, "weights": weights, **seconds, **result(evaluation, split)})
    _print_result("pool", evaluation, 0, fitted_time - start_time)


def run_baselines(names: list[str], split: Split, results: _Results, true_triples: TrueTriples) -> None:
    """Rank the baselines, which take seconds and are always done."""
    for baseline_name, make_baseline in BASELINES.items():
        if baseline_name in names:
            start_time = time.perf_counter()
            evaluation = evaluate(make_baseline(split), split.test, true_triples)
            seconds = time.perf_counter() - start_time
            identity = {"model": baseline_name, "settings": "none", "seed": None, "settings_sha256": None}
            results.add(identity, {"evaluation_seconds": round(seconds, 2), **result(evaluation, split)})
            _print_result(baseline_name, evaluation, 0, seconds)


def _print_result(model: str, evaluation: Evaluation, epochs: int, seconds: float) -> None:
    """One line on the result."""
    hits_text = ", ".join(f"{task} {task_metrics.hits[10]:.2f}" for task, task_metrics in evaluation.metrics().items())
    note(f"{model}: {epochs} epochs in {seconds:.0f} s; filtered Hits@10 {hits_text}")


def epoch_progress(model: str) -> Progress:
    """A reporter of a model's epochs on stderr."""
    return progress(f"{model}, epoch")


def read_graph(folder: Path | None) -> Triples:
    """The exported graph, or the one in Neo4j."""
    if folder is not None:
        return Triples.read(folder)
    with kgplatform.open() as graph:
        return graph.triples()


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run what is missing, then write the tables."""
    if not arguments.table:
        split = splits.make(arguments.split, read_graph(arguments.export), arguments.split_seed)
        all_names = [*BASELINES, *every_model(), "pool"]
        model_names = all_names if arguments.models == "all" else arguments.models.split(",")
        for model_name in set(model_names) - {*BASELINES, "pool"}:
            _model_settings(model_name, split.kind, arguments.settings)  # reports a wrong name at the start
        results = _Results(arguments.results / f"link_prediction_{split.kind}.json", split)
        true_triples = TrueTriples(split.triples.ids, split.triples.num_entities, split.triples.num_relations)
        run_baselines(model_names, split, results, true_triples)
        for seed in map(int, arguments.seeds.split(",")):
            for model_name in model_names:
                if model_name == "pool":
                    run_pool(split, seed, arguments, results, true_triples)
                elif model_name not in BASELINES:
                    run_model(model_name, split, seed, arguments, results, true_triples)
    for split_kind in splits.KINDS:
        if (results_path := arguments.results / f"link_prediction_{split_kind}.json").exists():
            link_prediction_table.write_link_table(results_path, SETTINGS / "paper")


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all", help="all, or names with commas between them")
    parser.add_argument("--split", default="paper", choices=list(splits.KINDS))
    parser.add_argument("--split-seed", type=int, default=splits.SEED)
    parser.add_argument("--seeds", default="42", help="training seeds, with commas between them")
    parser.add_argument(
        "--settings", choices=("paper", "tuned"), help="whose settings, instead of the split's usual ones"
    )
    parser.add_argument("--epochs", type=int, help="at most this many, instead of the number in the settings")
    parser.add_argument("--export", type=Path, help="an export (`kgp export`), instead of the graph in Neo4j")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are stored")
    parser.add_argument("--build", type=Path, default=BUILD, help="for checkpoints")
    parser.add_argument("--table", action="store_true", help="do not train, only write tables and plots again")
    arguments = parser.parse_args()
    return record.exit_code(lambda: _run_benchmark(arguments))


if __name__ == "__main__":
    sys.exit(main())
