"""Tries settings of the link-prediction models and keeps, of each, those that rank the validation part best.

    python -m benchmarks.link_prediction.tuning [--models transe,…] [--export DIR]

What is tried is in `settings/link_prediction/trials/SPLIT.yaml`. The measure is the filtered MRR of heads, relations
and tails, one mean over the three; the test part is not looked at. A model's best settings are written to
`settings/link_prediction/tuned/SPLIT/MODEL.yaml`, all trials to `results/link_prediction_tuning_SPLIT.{json,md}`.
Trials are kept in `build/link_prediction`, where `run.py` finds the trained models again; one that was
done is not done again, and one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.harness import record
from benchmarks.harness.table_text import markdown_table
from benchmarks.link_prediction import run as link_prediction
from benchmarks.link_prediction.table import TASKS
from kgp_models.link_prediction.evaluate import TrueTriples, evaluate
from kgp_models.link_prediction.settings import TrainingSettings
from kgp_models.link_prediction.train import train_link_model
from kgplatform.cli.output import note
from kgplatform.datasets import splits
from kgplatform.datasets.splits import Split
from kgplatform.errors import InputError, KgpError, UsageError
from kgplatform.files import read_json

TRIAL = "trial.json"
SEED = 42


def trials(folder: Path, split: str) -> dict[str, list[TrainingSettings]]:
    """What to try of each model: its settings in the paper (if it is there), changed by a start and by the trial."""
    document = yaml.safe_load((folder / "trials" / f"{split}.yaml").read_text(encoding="utf-8"))
    settings_by_model = {}
    for model, changes in document["models"].items():
        paper_path = folder / "paper" / f"{model}.yaml"
        base_settings = TrainingSettings.read(paper_path).as_dict() if paper_path.exists() else {"model": model}
        base_settings.pop("paper", None)
        settings_by_model[model] = [_changed(base_settings, document["starts"], change) for change in changes]
    return settings_by_model


def _changed(base_settings: dict[str, Any], starts: dict[str, Any], change: dict[str, Any]) -> TrainingSettings:
    start_settings = starts[change["start"]]
    trial_changes = {setting_name: value for setting_name, value in change.items() if setting_name != "start"}
    arguments = {
        **base_settings.get("arguments", {}),
        **start_settings.get("arguments", {}),
        **trial_changes.get("arguments", {}),
    }
    return TrainingSettings.from_document({**base_settings, **start_settings, **trial_changes, "arguments": arguments})


def trial_folder(build: Path, split: Split, settings: TrainingSettings) -> Path:
    """Where a trial is kept; the benchmark looks for the tuned model there."""
    folder_name = f"{settings.model}-{SEED}-{link_prediction.settings_hash(settings)}"
    return build / split.kind / "tuned" / folder_name


def _run_trial(settings: TrainingSettings, split: Split, true_triples: TrueTriples, folder: Path) -> dict[str, Any]:
    """Train once and rank the validation part, unless that was done before."""
    if (folder / TRIAL).exists():
        return dict(read_json(folder / TRIAL))
    try:
        trained = train_link_model(
            settings, split, seed=SEED, folder=folder, progress=link_prediction.epoch_progress(settings.model)
        )
    except InputError:
        raise
    except KgpError as error:  # it diverged
        outcome: dict[str, Any] = {"failed": error.message, "mrr": -1.0}
    else:
        metrics_by_task = evaluate(trained.scorer, split.valid, true_triples).metrics()
        outcome = {
            "mrr": float(np.mean([task_metrics.mrr for task_metrics in metrics_by_task.values()])),
            "validation": {task: task_metrics.as_dict() for task, task_metrics in metrics_by_task.items()},
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "training_seconds": round(trained.seconds, 1),
        }
    outcome |= {"settings": settings.as_dict(), "context": record.context(SEED, link_prediction.device_name())}
    record.store(folder / TRIAL, outcome)
    return outcome


def _print_trial(outcome: dict[str, Any], base: dict[str, Any]) -> None:
    """One line on a trial."""
    model_name = outcome["settings"]["model"]
    if "failed" in outcome:
        note(f"{model_name}: {outcome['failed']}  {changes(outcome, base)}")
    else:
        hits_text = ", ".join(f"{task} {outcome['validation'][task]['hits@10']:.1f}" for task in TASKS)
        note(
            f"{model_name}: MRR {outcome['mrr']:.4f}, Hits@10 {hits_text}; best epoch {outcome['best_epoch']} of "
            f"{outcome['epochs']}, {outcome['training_seconds']:.0f} s  {changes(outcome, base)}"
        )


def changes(outcome: dict[str, Any], base: dict[str, Any]) -> str:
    """The settings that are not the defaults, on one line."""
    plain_base = _plain(base)
    settings = {
        setting_name: value
        for setting_name, value in _plain(outcome["settings"]).items()
        if value != plain_base[setting_name] and setting_name != "model"
    }
    return ", ".join(f"{setting_name} {value}" for setting_name, value in settings.items())


def write_best(outcomes: list[dict[str, Any]], split: Split, folder: Path) -> None:
    """Write the settings of the best trial, with what they were chosen among."""
    best_outcome = max(outcomes, key=lambda outcome: outcome["mrr"])
    settings = {
        setting_name: setting for setting_name, setting in best_outcome["settings"].items() if setting_name != "paper"
    }
    settings_text = (
        f"# The best of {len(outcomes)} trials by the mean filtered MRR on the validation part of `{split.kind}` "
        f"({best_outcome['mrr']:.4f});\n# by benchmarks/link_prediction/tuning.py, all trials in "
        f"results/link_prediction_tuning_{split.kind}.md.\n"
    )
    settings_text += yaml.safe_dump(_plain(settings), sort_keys=False, default_flow_style=None, width=120)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{settings['model']}.yaml").write_text(settings_text, encoding="utf-8")


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _write_trials(by_model: dict[str, list[dict[str, Any]]], split: Split, results: Path) -> None:
    """Write all trials, as JSON and as a table a model."""
    results.mkdir(exist_ok=True)
    split_description = {"kind": split.kind, "seed": split.seed, "sha256": split.sha256, "valid": len(split.valid)}
    record.store(
        results / f"link_prediction_tuning_{split.kind}.json", {"split": split_description, "models": by_model}
    )
    base_settings = TrainingSettings.from_document({"model": ""}).as_dict()
    report_parts = [
        f"# Trials on the validation part of `{split.kind}`\n\nMean filtered MRR of heads, relations and tails, and "
        f"Hits@10 in percent, over {len(split.valid):,} validation triples, seed {SEED}; the best of each model first."
    ]
    for model, outcomes in by_model.items():
        header = ["MRR", *(f"{task} Hits@10" for task in TASKS), "Epochs (best)", "Seconds", "Settings"]
        report_parts.append(f"## {model}\n\n{markdown_table(header, list(_rows(outcomes, base_settings)))}")
    (results / f"link_prediction_tuning_{split.kind}.md").write_text("\n\n".join(report_parts) + "\n", encoding="utf-8")


def _rows(outcomes: list[dict[str, Any]], base_settings: dict[str, Any]) -> Iterator[list[str]]:
    for outcome in sorted(outcomes, key=lambda outcome: -outcome["mrr"]):
        if "failed" in outcome:
            yield ["–", "–", "–", "–", outcome["failed"], "–", changes(outcome, base_settings)]
            continue
        yield [
            f"{outcome['mrr']:.4f}",
            *(f"{outcome['validation'][task]['hits@10']:.1f}" for task in TASKS),
            f"{outcome['epochs']} ({outcome['best_epoch']})",
            f"{outcome['training_seconds']:.0f}",
            changes(outcome, base_settings),
        ]


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run the trials that are missing, then write what was found about the models that are complete."""
    trials_by_model = trials(arguments.settings, arguments.split)
    model_names = list(trials_by_model) if arguments.models == "all" else arguments.models.split(",")
    if unknown_names := sorted(set(model_names) - set(trials_by_model)):
        raise UsageError(
            f"there are no trials for {', '.join(unknown_names)}", f"Models: {', '.join(trials_by_model)}."
        )
    split = splits.make(arguments.split, link_prediction.read_graph(arguments.export), splits.SEED)
    true_triples = TrueTriples(split.triples.ids, split.triples.num_entities, split.triples.num_relations)
    base_settings = TrainingSettings.from_document({"model": ""}).as_dict()
    for model_name in model_names:
        for settings in trials_by_model[model_name]:
            _print_trial(
                _run_trial(settings, split, true_triples, trial_folder(arguments.build, split, settings)),
                base_settings,
            )
    complete_outcomes = {}
    for model_name, model_trials in trials_by_model.items():
        trial_paths = [trial_folder(arguments.build, split, settings) / TRIAL for settings in model_trials]
        if all(trial_path.exists() for trial_path in trial_paths):
            complete_outcomes[model_name] = [read_json(trial_path) for trial_path in trial_paths]
            write_best(complete_outcomes[model_name], split, arguments.settings / "tuned" / split.kind)
    _write_trials(complete_outcomes, split, arguments.results)
    note(f"{len(complete_outcomes)} of {len(trials_by_model)} models are complete; the others are unchanged")


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="all", help="all, or names with commas between them: run only these")
    parser.add_argument("--split", default="leakage-free", choices=list(splits.KINDS))
    parser.add_argument("--export", type=Path, help="an export (`kgp export`), instead of the graph in Neo4j")
    parser.add_argument(
        "--settings", type=Path, default=link_prediction.SETTINGS, help="the folder with paper, trials and tuned"
    )
    parser.add_argument("--results", type=Path, default=link_prediction.RESULTS, help="where the results are stored")
    parser.add_argument("--build", type=Path, default=link_prediction.BUILD, help="for the trained models")
    arguments = parser.parse_args()
    return record.exit_code(lambda: _run_benchmark(arguments))


if __name__ == "__main__":
    sys.exit(main())
