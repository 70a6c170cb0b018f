"""Trains and tests question answering with the graph's knowledge: MedMKG's Table 4, with baselines and controls.

    python -m benchmarks.vqa.run --data vqa_rad --backbone offline --methods all --seeds 3
    python -m benchmarks.vqa.run --data vqa_rad --backbone offline --protocol image-disjoint
    python -m benchmarks.vqa.run --data phantom --backbone small
    python -m benchmarks.vqa.run --data slake --folder DIR --backbone clip:FOLDER --settings code
    python -m benchmarks.vqa.run --data vqa_rad --backbone offline --table      # train nothing, write the tables again

A cell is a method with a graph: the base model and what it is without the image, or the question; the five methods with
the whole graph and with the controls: an empty graph, a shuffled one, and one without stances. Settings are in
`benchmarks/vqa/settings/SETTINGS/METHOD.yaml`: by default those of the backbone's name, `paper` for others.

Finished runs are in `benchmarks/vqa/results/vqa_DATA_BACKBONE_PROTOCOL.json` and are not done again; an interrupted one
goes on from its last epoch, in `build/vqa`. `--jobs` trainings run next to each other, a core each.

The graph is the released MedMKG, in a Neo4j of the benchmark's own, or with `--running` that in the running Neo4j.
`--data phantom` draws studies, builds their graph, and asks about others.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from benchmarks.harness.training_runs import (
    Cell,
    CellGraph,
    Results,
    backbone_identity,
    backbone_name,
    in_lanes,
    training_device,
)
from benchmarks.vqa import data as vqa_data
from benchmarks.vqa import table as vqa_table
from kgp_models.towers.spec import TowerSpec
from kgp_models.vqa import settings as vqa_settings
from kgplatform import plugins
from kgplatform.cli.output import note
from kgplatform.datasets import questions
from kgplatform.datasets.questions import QuestionSet
from kgplatform.errors import UsageError
from kgplatform.vqa.linking import QuestionTagger

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings"
RESULTS = FOLDER / "results"
BUILD = record.ROOT / "build" / "vqa"
METHODS = tuple(method for method in vqa_settings.METHODS if method not in vqa_settings.PLAIN)
GRAPHS: tuple[CellGraph, ...] = ("full", "empty", "shuffled", "no-stance")
FIRST_SEED = 42
FORMS = {
    "krisp": 2,
    "ekgrl": 2,
    "k-pathvqa": 2,
}  # of methods whose code was changed and gives other results; else 1


def vqa_cells(methods: str, controls: bool) -> Iterator[Cell]:
    """The cells asked for, the base model and its baselines among them. Raises `UsageError`."""
    method_names = METHODS if methods == "all" else methods.split(",")
    yield from (Cell(method_name) for method_name in vqa_settings.PLAIN)
    for method_name in method_names:
        if method_name not in METHODS:
            hint = f"Methods: all, {', '.join(METHODS)}; the base model and its baselines always run."
            raise UsageError(f"there is no method {method_name}", hint)
        yield from (Cell(method_name, graph) for graph in (GRAPHS if controls else GRAPHS[:1]))


def vqa_cell_settings(cell: Cell, backbone: str, folder: str | None, epochs: int | None) -> Any:
    """The settings of a cell, of a folder of `SETTINGS`, by default the backbone's."""
    tower = TowerSpec.parse(backbone)
    settings_name = folder or (tower.kind if (SETTINGS / tower.kind).is_dir() else "paper")
    if not (SETTINGS / settings_name).is_dir():
        raise UsageError(f"there are no settings {settings_name}", f"Settings: {', '.join(sorted(_names(SETTINGS)))}.")
    settings = vqa_settings.VQASettings.read(SETTINGS / settings_name / f"{cell.method}.yaml")
    settings = replace(settings, backbone=str(tower.below(Path.cwd())), graph=cell.graph)
    return settings if epochs is None else replace(settings, tuning=replace(settings.tuning, epochs=epochs))


def _names(folder: Path) -> Iterator[str]:
    return (subfolder.name for subfolder in folder.iterdir() if subfolder.is_dir())


@cache
def _opened(spec: str) -> Any:
    from kgp_models.retrieval.checkpoint import open_frozen_backbone

    return open_frozen_backbone(spec)


def _inputs(question_set: QuestionSet, data: vqa_data.VQAData, build: Path) -> Any:
    """What a training reads; what the frozen towers make of images and texts is cached for all of them."""
    from kgp_models.vqa import build as models

    return models.VQAInputs(
        question_set,
        data.knowledge,
        data.images,
        data.lexicon,
        own_words=data.own_words,
        cache=build / "features",
    )


def _run_cell(cell: Cell, seed: int, fold: int, settings: Any, data: vqa_data.VQAData, build: Path) -> dict[str, Any]:
    """Train and test a cell with a seed on a fold; in a separate process, with one core."""
    import torch

    from kgp_models.vqa import build as models

    torch.set_num_threads(1)
    question_set = data.folds[fold]
    inputs = _inputs(question_set, data, build)
    start_time = time.monotonic()
    features = models.encode_questions(_opened(settings.backbone), question_set.questions, inputs)
    folder = build / "runs" / f"{cell.name}-{seed}-{fold}-{vqa_run_hash(settings, data)}"
    model = models.fit(settings, inputs, features, folder, seed, "cuda" if torch.cuda.is_available() else "cpu")
    answer_by_id = dict(
        zip((question.id for question in model.questions), _bits(model.test.answered.tolist()), strict=True)
    )
    return {
        "epochs": model.trained.epochs,
        "best_epoch": model.trained.best_epoch,
        "validation": model.trained.history[model.trained.best_epoch - 1],
        "history": [round(epoch_row["valid loss"], 4) for epoch_row in model.trained.history],
        "training_seconds": round(model.trained.seconds, 1),
        "seconds": round(time.monotonic() - start_time, 1),
        "weights": sum(weight.numel() for weight in model.method.parameters()),
        "answers": "".join(
            answer_by_id.get(question.id, "?") for question in question_set.parts["test"]
        ),  # ? where the image is damaged
    }


def vqa_run_hash(settings: Any, data: vqa_data.VQAData) -> str:
    """What distinguishes runs, in 16 hexadecimal digits: settings, questions, and, for what reads it, the graph,
    whether its images are available, and the form of the method.
    """
    settings_document = {**settings.as_dict(), "backbone": backbone_identity(settings.backbone)}
    graph_identity: Any = ""
    if settings.method not in vqa_settings.PLAIN:
        graph_identity = [data.knowledge.sha256, data.images is not None, FORMS.get(settings.method, 1)]
    return hashlib.sha256(
        json.dumps([settings_document, data.sha256, graph_identity], sort_keys=True).encode()
    ).hexdigest()[:16]


def _describe_data(data: vqa_data.VQAData, backbone: str, protocol: str) -> dict[str, Any]:
    """What the results are of: questions, overlaps, graph, and of each fold the right answers."""
    tagger = QuestionTagger(data.knowledge, data.lexicon, own_words=data.own_words)
    return {
        "data": data.name,
        "backbone": backbone_name(backbone),
        "protocol": protocol,
        "questions": {"sha256": data.sha256},
        "folds": [_fold(fold, tagger) for fold in data.folds],
        "graph": {
            "sha256": data.knowledge.sha256,
            "images": len(data.knowledge.images),
            "at hand": data.images is not None,
            "concepts": len(data.knowledge.concepts),
            "stances": len(data.knowledge.stances),
            "relations": len(data.knowledge.relations),
        },
    }


def _fold(fold: QuestionSet, tagger: QuestionTagger) -> dict[str, Any]:
    """Strings with a character for each test question: the right answer, whether it names a concept of the graph."""
    test_questions = fold.parts["test"]
    image_numbers = {
        image_id: image_number
        for image_number, image_id in enumerate(dict.fromkeys(question.image for question in test_questions))
    }
    is_synthetic = any(question.needs for question in test_questions)
    return {
        "sizes": {part_name: len(part_questions) for part_name, part_questions in fold.parts.items()},
        "train_yes": sum(question.yes is True for question in fold.parts["train"]),
        "yes": _bits([question.yes is True for question in test_questions]),
        "linked": _bits([bool(tagger.concepts(question.text)) for question in test_questions]),
        "images": [image_numbers[question.image] for question in test_questions],
        "needs": [question.needs for question in test_questions] if is_synthetic else [],
        "topics": [question.topic for question in test_questions] if is_synthetic else [],
        "in_training": questions.question_overlaps(fold, "test"),
    }


def _bits(values: Sequence[bool]) -> str:
    return "".join("01"[value] for value in values)


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run what is missing, then write the table."""
    backbone_kind, data_name = backbone_name(arguments.backbone), arguments.data
    phantom_sizes = (*arguments.studies, arguments.questions)
    if data_name == "phantom" and arguments.folder is None and phantom_sizes != (*vqa_data.STUDIES, vqa_data.QUESTIONS):
        data_name = "phantom-{}-{}-{}".format(*phantom_sizes)
    settings_suffix = "" if arguments.settings is None else f"_{arguments.settings}"
    results_path = arguments.results / f"vqa_{data_name}_{backbone_kind}_{arguments.protocol}{settings_suffix}.json"
    if not arguments.table:
        requested_cells = list(vqa_cells(arguments.methods, arguments.controls))
        for cell in requested_cells:
            settings = vqa_cell_settings(cell, arguments.backbone, arguments.settings, arguments.epochs)
        _opened(settings.backbone)  # errors are reported before the data are made
        build_folder = arguments.build / data_name
        data = _data(arguments, build_folder)
        results = Results(results_path, _describe_data(data, arguments.backbone, arguments.protocol), "questions")
        start_time = time.monotonic()
        _run_all(requested_cells, arguments, data, build_folder, results)
        note(f"all runs are done; {time.monotonic() - start_time:.0f} s this time")
    if not results_path.exists():
        raise UsageError(f"there are no results {results_path.name}", "Leave out --table.")
    vqa_table.write_vqa_table(results_path)


def _data(arguments: argparse.Namespace, build_folder: Path) -> vqa_data.VQAData:
    source_options = arguments.data, arguments.folder, arguments.images
    if arguments.data == "phantom" and arguments.folder is None:
        graph_studies, question_studies = arguments.studies
        return vqa_data.phantom_vqa_data(
            build_folder,
            arguments.protocol,
            arguments.folds,
            graph_study_count=graph_studies,
            question_study_count=question_studies,
            count=arguments.questions,
        )
    if arguments.running:
        if arguments.folder is None:
            raise UsageError("where are the questions?", "Give it with --folder DIR.")
        return vqa_data.running_vqa_data(*source_options, arguments.graph_images, arguments.protocol, arguments.folds)
    return vqa_data.released_vqa_data(
        *source_options, arguments.medmkg, arguments.protocol, arguments.folds, build_folder
    )


def _run_all(
    requested_cells: list[Cell], arguments: argparse.Namespace, data: vqa_data.VQAData, build: Path, results: Results
) -> None:
    pending_runs = []
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for fold in range(len(data.folds)):
            for cell in requested_cells:
                settings = vqa_cell_settings(cell, arguments.backbone, arguments.settings, arguments.epochs)
                if not results.has(cell.name, seed, vqa_run_hash(settings, data), fold):
                    results.leave_out(cell.name, seed, fold)
                    pending_runs.append((cell, seed, fold, settings))
    note(f"{len(pending_runs):,} runs to do on {training_device()}")
    _prepare(pending_runs, data, build)
    calls = [(*pending_run, data, build) for pending_run in pending_runs]
    for run_count, (run_index, outcome) in enumerate(in_lanes(arguments.jobs, _run_cell, calls), 1):
        cell, seed, fold, settings = pending_runs[run_index]
        results.add(cell.name, seed, vqa_run_hash(settings, data), outcome, fold)
        correct_answers = results.document["about"]["folds"][fold]["yes"]
        correct_share = sum(map(str.__eq__, outcome["answers"], correct_answers)) / len(correct_answers)
        note(
            f"{run_count}/{len(pending_runs)} {cell.name} seed {seed} fold {fold}: {outcome['epochs']} epochs, "
            f"{outcome['seconds']:.0f} s; {100 * correct_share:.2f} % right"
        )


def _prepare(pending_runs: Sequence[tuple[Cell, int, int, Any]], data: vqa_data.VQAData, build: Path) -> None:
    """Run the frozen towers once, so that the lanes need not."""
    if not pending_runs:
        return
    from kgp_models.vqa import build as models

    settings, question_set = pending_runs[0][3], data.folds[0]
    inputs = _inputs(question_set, data, build)
    start_time = time.monotonic()
    features = models.encode_questions(_opened(settings.backbone), question_set.questions, inputs)
    models.prepared(replace(settings, method="krisp", graph="full"), inputs, features, FIRST_SEED)
    note(f"embedded in {time.monotonic() - start_time:.0f} s, or read from {build / 'features'}")


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(argument: str) -> int:
        if int(argument) < minimum:
            raise argparse.ArgumentTypeError(f"{argument} is less than {minimum}")
        return int(argument)

    return number


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="vqa_rad", choices=plugins.registered_names("questions"))
    parser.add_argument("--folder", type=Path, help="where the questions are; else in KGP_DATA_DIR")
    parser.add_argument(
        "--images", type=Path, help="where their images are, if they are not where the release has them"
    )
    parser.add_argument("--medmkg", type=Path, help="the folder of the released graph; else in KGP_DATA_DIR")
    parser.add_argument("--running", action="store_true", help="ask the graph in the running Neo4j")
    parser.add_argument(
        "--graph-images", type=Path, help="with --running: the folder that the paths of its images are relative to"
    )
    parser.add_argument("--backbone", default="offline", help="small, offline, clip:FOLDER or open-clip:FOLDER")
    parser.add_argument("--settings", help="a folder of benchmarks/vqa/settings, such as paper or code")
    parser.add_argument("--methods", default="all", help="all, or names with commas between them")
    parser.add_argument("--seeds", type=_at_least(1), default=3, help=f"how many, from {FIRST_SEED}")
    parser.add_argument("--protocol", default="official", choices=questions.PROTOCOLS)
    parser.add_argument("--folds", type=_at_least(2), default=questions.FOLDS, help="of image-disjoint")
    parser.add_argument("--controls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--epochs", type=_at_least(1), help="at most this many, instead of the number in the settings")
    parser.add_argument(
        "--studies",
        type=_at_least(1),
        nargs=2,
        metavar=("GRAPH", "ASKED"),
        default=vqa_data.STUDIES,
        help="of phantom: how many synthetic studies the graph has, and how many the questions are about",
    )
    parser.add_argument(
        "--questions",
        type=_at_least(1),
        default=vqa_data.QUESTIONS,
        help="of phantom; other sizes have separate results",
    )
    parser.add_argument("--jobs", type=_at_least(1), default=2, help="trainings at the same time")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are stored")
    parser.add_argument("--build", type=Path, default=BUILD, help="for data, features and checkpoints")
    parser.add_argument("--table", action="store_true", help="do not train, only write the table again")
    arguments = parser.parse_args()
    return record.exit_code(lambda: _run_benchmark(arguments))


if __name__ == "__main__":
    sys.exit(main())
