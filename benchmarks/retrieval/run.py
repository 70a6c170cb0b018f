"""Trains and tests retrieval with the graph's knowledge: MedMKG's Table 3, with controls and intervals.

    python -m benchmarks.retrieval.run --data phantom --backbone small --methods all --seeds 3
    python -m benchmarks.retrieval.run --data openi --backbone offline --protocol r2gen
    python -m benchmarks.retrieval.run --data PAIRS.parquet --images DIR --backbone clip:FOLDER --methods all --seeds 3
    python -m benchmarks.retrieval.run --table                      # train nothing, write the tables again

A cell is a method with a graph: the backbone fine-tuned on pairs; FashionKLIP and KnowledgeCLIP with the whole graph,
with the controls, an empty and a shuffled one, and with `--ablation` also with one without stances; and for an image
encoder (`images:FOLDER`) the backbone with a text tower that reads stances. Its settings are in
`benchmarks/retrieval/settings/SETTINGS/METHOD.yaml`: `small` and `offline` for these backbones (`offline` for image
encoders, too), `paper` for others.
A finished run is in `benchmarks/retrieval/results/retrieval_DATA_BACKBONE_PROTOCOL.json` and is not done again; an
interrupted one goes on from its last epoch, in `build/retrieval`. `--jobs` trainings run next to each other, a core
each.

`--data openi` reads `openi_xray` and `iu_xray` in KGP_DATA_DIR; the graph is that of the training part's reports.
`--data phantom` draws the studies, builds their graph in a Neo4j of the benchmark's own, and pairs other studies. Your
own pairs are made with `kgp pairs`; the graph is then that in the running Neo4j.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.harness import record
from benchmarks.harness.training_runs import Cell, CellGraph, Results, backbone_identity, backbone_name, in_lanes
from benchmarks.retrieval import data as retrieval_data
from benchmarks.retrieval import table as retrieval_table
from kgp_models.towers.spec import TowerSpec
from kgplatform.cli.output import note
from kgplatform.datasets import pair_checks as checks
from kgplatform.datasets import pair_metrics as metrics
from kgplatform.datasets import pairs
from kgplatform.errors import UsageError
from kgplatform.progress import silent_progress
from kgplatform.settings import Settings

FOLDER = Path(__file__).parent
SETTINGS = FOLDER / "settings"
RESULTS = FOLDER / "results"
BUILD = record.ROOT / "build" / "retrieval"
METHODS = ("backbone", "fashionklip", "knowledgeclip")
STANCES = "stances"  # the backbone with a text tower that reads stances, of an image encoder alone
CONTROLS: tuple[CellGraph, ...] = ("empty", "shuffled")
ABLATION: tuple[CellGraph, ...] = ("no-stance",)
FIRST_SEED = 42


def retrieval_cells(
    methods: str, controls: bool, ablation: bool = False, *, reads_stances: bool = False
) -> Iterator[Cell]:
    """The cells asked for; with `reads_stances`, all of them are one more. Raises `UsageError`."""
    graphs: tuple[CellGraph, ...] = ("full", *(CONTROLS if controls else ()), *(ABLATION if ablation else ()))
    known_methods = (*METHODS, STANCES) if reads_stances else METHODS
    for method_name in known_methods if methods == "all" else methods.split(","):
        if method_name not in known_methods:
            raise UsageError(f"there is no method {method_name}", f"Methods: all, {', '.join(known_methods)}.")
        for graph in graphs if method_name not in ("backbone", STANCES) else graphs[:1]:
            yield Cell(method_name, graph)


def retrieval_cell_settings(cell: Cell, backbone: str, epochs: int | None) -> Any:
    """The settings of a cell, of the folder for the backbone."""
    from kgp_models.retrieval.settings import RetrievalSettings

    kind = TowerSpec.parse(backbone).kind
    folder = {"images": "offline"}.get(kind, kind)  # a trained image tower has frozen features, as the offline one
    folder = folder if (SETTINGS / folder).is_dir() else "paper"
    cell_settings = RetrievalSettings.read(SETTINGS / folder / f"{cell.method}.yaml")
    backbone_spec = str(TowerSpec.parse(backbone).below(Path.cwd()))
    cell_settings = replace(cell_settings, backbone=backbone_spec, graph=cell.graph)
    return (
        cell_settings if epochs is None else replace(cell_settings, tuning=replace(cell_settings.tuning, epochs=epochs))
    )


def _run_cell(
    cell: Cell, seed: int, backbone: str, epochs: int | None, data: retrieval_data.RetrievalData, build: Path
) -> Any:
    """Train and test a cell with a seed; in a separate process, with one core."""
    import torch

    from kgp_models.retrieval import build as models

    torch.set_num_threads(1)
    settings = retrieval_cell_settings(cell, backbone, epochs)
    inputs = models.RetrievalInputs(
        data.pairs.parts,
        data.knowledge,
        data.images,
        data.lexicon,
        build / "pictures",
        silent_progress,
        data.among_valid,
    )
    start_time = time.monotonic()
    folder = build / "runs" / f"{cell.name}-{seed}-{retrieval_run_hash(settings, data)}"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = models.train_retrieval_model(settings, inputs, folder, seed, FOLDER, device)
    tuned, pretrained = model.tuned, model.pretrained
    return {
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "validation": tuned.best,
        "history": tuned.history,
        "pretraining": [] if pretrained is None else pretrained.history,
        "training_seconds": round(tuned.seconds + (0.0 if pretrained is None else pretrained.seconds), 1),
        "seconds": round(time.monotonic() - start_time, 1),
        "test": model.figures,
        "queries": {
            figure_name: _rounded(model.test["text_to_image"].at(figure_name))
            for figure_name in retrieval_table.COMPARED
        },
        "subjects": subjects(model.examples.pairs, model.examples.groups.tolist()),
    }


def subjects(tested: Any, groups: list[int]) -> list[int]:
    """The subject of each query, as numbers, for the bootstrap: queries of one subject are not drawn one at a time."""
    subject_numbers: dict[str, int] = {}
    subject_by_group: dict[int, int] = {}
    for pair, group in zip(tested, groups, strict=True):
        subject_by_group.setdefault(group, subject_numbers.setdefault(pair.subject or pair.study, len(subject_numbers)))
    return [subject_by_group[group] for group in range(len(subject_by_group))]


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]


def retrieval_run_hash(settings: Any, data: retrieval_data.RetrievalData) -> str:
    """What distinguishes runs, in 16 hexadecimal digits: settings, pairs, graph. With an empty graph both methods are
    the backbone's training, to the last bit (a test holds it), and are not done again.
    """
    settings_document = {**settings.as_dict(), "backbone": backbone_identity(settings.backbone)}
    if not settings.stances:
        settings_document.pop("stances")  # so that runs from before the setting stay
    is_plain = settings.method == "backbone" or settings.graph == "empty"
    if is_plain:
        settings_document = {**settings_document, "method": "backbone", "graph": "", "fashion": {}, "knowledge": {}}
    graph_sha256 = "" if is_plain else data.knowledge.sha256
    among = ["valid"] if data.among_valid else []
    identity_text = json.dumps([settings_document, data.pairs.sha256, graph_sha256, *among], sort_keys=True)
    return hashlib.sha256(identity_text.encode()).hexdigest()[:16]


def _describe_data(data: retrieval_data.RetrievalData, backbone: str, protocol: str) -> dict[str, Any]:
    """What the results are of: pairs, overlaps, graph; and what is reached by chance."""
    test_pairs = data.pairs.parts["test"]
    groups = pairs.pair_groups(test_pairs)
    first_index = {int(group): pair_index for pair_index, group in reversed(list(enumerate(groups)))}
    test_texts = [test_pairs[first_index[group]].wording for group in range(len(first_index))]
    training_counts: dict[str, int] = {}
    for pair in data.pairs.parts["train"]:
        training_counts[pair.wording] = training_counts.get(pair.wording, 0) + 1
    text_groups = list(range(len(test_texts)))
    popularity_scores = metrics.popularity(
        [training_counts.get(report_text, 0) for report_text in test_texts], groups, text_groups
    )
    others = data.pairs.parts["valid"] if data.among_valid else []
    chance_scores = {
        "text_to_image": metrics.chance(text_groups, pairs.gallery_groups(test_pairs, others)),
        "image_to_text": metrics.chance(groups, text_groups),
    }
    return {
        "data": data.name,
        "backbone": backbone_name(backbone),
        "protocol": protocol,
        "further images": len(others),
        "pairs": {
            "sha256": data.pairs.sha256,
            "sizes": {part_name: len(part_pairs) for part_name, part_pairs in data.pairs.parts.items()},
            "in_training": {part_name: checks.pair_overlaps(data.pairs, part_name) for part_name in ("valid", "test")},
        },
        "graph": {
            "sha256": data.knowledge.sha256,
            "images": len(data.knowledge.images),
            "concepts": len(data.knowledge.concepts),
            "stances": len(data.knowledge.stances),
            "relations": len(data.knowledge.relations),
        },
        "chance": {direction: scores.as_dict() for direction, scores in chance_scores.items()},
        "popularity": {"image_to_text": popularity_scores.as_dict()},
    }


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run what is missing, then write the table."""
    data_kind = Path(arguments.data).stem
    if data_kind == "phantom" and tuple(arguments.studies) != retrieval_data.STUDIES:
        data_kind = "phantom-{}-{}".format(*arguments.studies)
    result_name = f"retrieval_{data_kind}_{backbone_name(arguments.backbone)}_{arguments.protocol}"
    results_path = arguments.results / f"{result_name}.json"
    if not arguments.table:
        reads_stances = TowerSpec.parse(arguments.backbone).kind == "images"
        requested_cells = list(
            retrieval_cells(arguments.methods, arguments.controls, arguments.ablation, reads_stances=reads_stances)
        )
        build_folder = arguments.build / data_kind
        data = (
            retrieval_data.phantom_retrieval_data(build_folder, arguments.protocol, *arguments.studies)
            if arguments.data == "phantom"
            else retrieval_data.openi_retrieval_data(build_folder, _data_folder(), arguments.protocol)
            if arguments.data == "openi"
            else retrieval_data.running_retrieval_data(
                Path(arguments.data), arguments.images, arguments.lexicon, arguments.protocol
            )
        )
        results = Results(results_path, _describe_data(data, arguments.backbone, arguments.protocol), "pairs")
        start_time = time.monotonic()
        _run_all(requested_cells, arguments, data, build_folder, results)
        note(f"all runs are done; {time.monotonic() - start_time:.0f} s this time")
    if not results_path.exists():
        raise UsageError(f"there are no results {results_path.name}", "Leave out --table.")
    retrieval_table.write_retrieval_table(results_path)


def _data_folder() -> Path:
    """The folder of data sets. Raises `UsageError` where it is not set."""
    folder = Settings.from_env().data_dir
    if folder is None:
        raise UsageError("where is OpenI?", "Set KGP_DATA_DIR to the folder of openi_xray and iu_xray.")
    return folder


def _run_all(
    requested_cells: list[Cell],
    arguments: argparse.Namespace,
    data: retrieval_data.RetrievalData,
    build: Path,
    results: Results,
) -> None:
    cells_by_run: dict[tuple[str, int], list[Cell]] = {}  # by hash and seed: what one training answers
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for cell in requested_cells:
            sha256 = retrieval_run_hash(retrieval_cell_settings(cell, arguments.backbone, arguments.epochs), data)
            if results.has(cell.name, seed, sha256):
                note(f"{cell.name} seed {seed}: done before")
            elif (earlier_outcome := results.outcome(seed, sha256)) is not None:
                results.add(cell.name, seed, sha256, earlier_outcome)
            else:
                cells_by_run.setdefault((sha256, seed), []).append(cell)
    pending_runs = [(seed, sha256, run_cells) for (sha256, seed), run_cells in cells_by_run.items()]
    calls = [
        (run_cells[0], seed, arguments.backbone, arguments.epochs, data, build) for seed, _, run_cells in pending_runs
    ]
    for run_count, (call_index, outcome) in enumerate(in_lanes(arguments.jobs, _run_cell, calls), 1):
        seed, sha256, run_cells = pending_runs[call_index]
        for cell in run_cells:
            results.add(cell.name, seed, sha256, outcome)
        text_figures, cell_names = outcome["test"]["text_to_image"], ", ".join(cell.name for cell in run_cells)
        note(
            f"{run_count}/{len(cells_by_run)} {cell_names} seed {seed}: {outcome['epochs']} epochs, "
            f"{outcome['seconds']:.0f} s; "
            f"R@10 {100 * text_figures['R@10']:.2f}, R@100 {100 * text_figures['R@100']:.2f}"
        )


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom", help="phantom, openi, or a file of `kgp pairs`")
    parser.add_argument("--backbone", default="small", help="small, offline, images:FOLDER, clip:FOLDER …")
    parser.add_argument("--methods", default="all", help="all, or names with commas between them")
    parser.add_argument("--seeds", type=int, default=3, help=f"how many, from {FIRST_SEED}")
    parser.add_argument("--protocol", default="subject", choices=[*sorted(pairs.PROTOCOLS), retrieval_data.R2GEN])
    parser.add_argument("--controls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--ablation", action="store_true", help="also the graph without stances")
    parser.add_argument("--epochs", type=int, help="at most this many, instead of the number in the settings")
    parser.add_argument("--images", type=Path, help="the folder that the image paths of the graph are relative to")
    parser.add_argument("--lexicon", type=Path, action="append", default=[], help="names of concepts; may be repeated")
    parser.add_argument(
        "--studies",
        type=int,
        nargs=2,
        metavar=("GRAPH", "PAIRS"),
        default=retrieval_data.STUDIES,
        help="how many synthetic studies the graph has, and how many are paired; other sizes have separate results",
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings at the same time")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are stored")
    parser.add_argument("--build", type=Path, default=BUILD, help="for data, images and checkpoints")
    parser.add_argument("--table", action="store_true", help="do not train, only write the table again")
    arguments = parser.parse_args()
    return record.exit_code(lambda: _run_benchmark(arguments))


if __name__ == "__main__":
    sys.exit(main())
