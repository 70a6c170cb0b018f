"""Trains and tests retrieval with the graph's knowledge: MedMKG's Table 3, with controls and intervals.

    python benchmarks/retrieval.py --data phantom --backbone small --methods all --seeds 3
    python benchmarks/retrieval.py --data PAIRS.parquet --images DIR --backbone clip:FOLDER --methods all --seeds 3
    python benchmarks/retrieval.py --table                      # train nothing, write the tables again

A cell is a method with a graph: the backbone fine-tuned on pairs; FashionKLIP and KnowledgeCLIP with the whole graph,
with the controls, an empty and a shuffled one, and with `--ablation` also with one without stances. Its settings are in
`benchmarks/settings/retrieval/SETTINGS/METHOD.yaml`: `small` and `offline` for these backbones, `paper` for others.
A finished run is in `benchmarks/results/retrieval_DATA_BACKBONE_PROTOCOL.json` and is not done again; an interrupted
one goes on from its last epoch, in `build/retrieval`. `--jobs` trainings run beside each other, a core each.

`--data phantom` draws the studies, builds their graph in a Neo4j of the benchmark's own, and pairs other studies. Pairs
of one's own are made by `kgp pairs`; the graph is then that in the running Neo4j.
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

import record
import retrieval_data
import retrieval_table
from training_runs import Cell, Results, backbone_name, backbone_of, in_lanes

from kgplatform.cli.output import note
from kgplatform.errors import UsageError
from kgplatform.retrieval import checks, metrics, pairs

HERE = Path(__file__).parent
SETTINGS = HERE / "settings" / "retrieval"
BUILD = HERE.parent / "build" / "retrieval"
METHODS = ("backbone", "fashionklip", "knowledgeclip")
CONTROLS = ("empty", "shuffled")
ABLATION = ("no-stance",)
FIRST_SEED = 42


def cells(methods: str, controls: bool, ablation: bool = False) -> Iterator[Cell]:
    """The cells asked for. Raises `UsageError`."""
    graphs = ("full", *(CONTROLS if controls else ()), *(ABLATION if ablation else ()))
    names = METHODS if methods == "all" else methods.split(",")
    for name in names:
        if name not in METHODS:
            raise UsageError(f"there is no method {name}", f"Methods: all, {', '.join(METHODS)}.")
        for graph in graphs if name != "backbone" else ("full",):
            yield Cell(name, graph)


def settings_of(cell: Cell, backbone: str, epochs: int | None) -> Any:
    """The settings of a cell, of the folder for the backbone."""
    from kgp_models.retrieval.settings import RetrievalSettings

    folder = backbone if (SETTINGS / backbone).is_dir() else "paper"
    found = RetrievalSettings.read(SETTINGS / folder / f"{cell.method}.yaml")
    kind, colon, place = backbone.partition(":")
    spec = f"{kind}:{Path(place).absolute()}" if colon else kind
    found = replace(found, backbone=spec, graph=cell.graph)
    return found if epochs is None else replace(found, tuning=replace(found.tuning, epochs=epochs))


def run(cell: Cell, seed: int, backbone: str, epochs: int | None, data: retrieval_data.Data, build: Path) -> Any:
    """Train and test a cell with a seed; in a process of its own, with one core."""
    import torch

    from kgp_models.retrieval import build as models

    torch.set_num_threads(1)
    settings = settings_of(cell, backbone, epochs)
    inputs = models.Inputs(
        data.pairs.parts, data.knowledge, data.images, data.lexicon, build / "pictures", note, models.quiet
    )
    started = time.monotonic()
    folder = build / "runs" / f"{cell.name}-{seed}-{hashed(settings, data)}"
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = models.train(settings, inputs, folder, seed, HERE, device)
    tuned, pretrained = model.tuned, model.pretrained
    return {
        "epochs": tuned.epochs,
        "best_epoch": tuned.best_epoch,
        "validation": tuned.best,
        "history": tuned.history,
        "pretraining": [] if pretrained is None else pretrained.history,
        "training_seconds": round(tuned.seconds + (0.0 if pretrained is None else pretrained.seconds), 1),
        "seconds": round(time.monotonic() - started, 1),
        "test": model.figures,
        "queries": {name: _rounded(model.test["text_to_image"].at(name)) for name in retrieval_table.COMPARED},
        "subjects": subjects(model.examples.pairs, model.examples.groups.tolist()),
    }


def subjects(tested: Any, groups: list[int]) -> list[int]:
    """The subject of each query, as numbers, for the bootstrap: queries of one subject are not drawn one by one."""
    numbers: dict[str, int] = {}
    first: dict[int, int] = {}
    for pair, group in zip(tested, groups, strict=True):
        first.setdefault(group, numbers.setdefault(pair.subject or pair.study, len(numbers)))
    return [first[group] for group in range(len(first))]


def _rounded(values: Any) -> list[float]:
    return [round(float(value), 5) for value in values]


def hashed(settings: Any, data: retrieval_data.Data) -> str:
    """What tells runs apart, in 16 hexadecimal digits: settings, pairs, graph. With an empty graph both methods are the
    backbone's training, to the last bit (a test holds it), and are not done again.
    """
    about = {**settings.as_dict(), "backbone": backbone_of(settings.backbone)}
    plain = settings.method == "backbone" or settings.graph == "empty"
    if plain:
        about = {**about, "method": "backbone", "graph": "", "fashion": {}, "knowledge": {}}
    known = "" if plain else data.knowledge.sha256
    said = json.dumps([about, data.pairs.sha256, known], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def about_of(data: retrieval_data.Data, backbone: str, protocol: str) -> dict[str, Any]:
    """What the results are of: pairs, overlaps, graph; and what is reached by chance."""
    test = data.pairs.parts["test"]
    groups = pairs.groups(test)
    first = {int(group): place for place, group in reversed(list(enumerate(groups)))}
    texts = [test[first[group]].wording for group in range(len(first))]
    seen: dict[str, int] = {}
    for pair in data.pairs.parts["train"]:
        seen[pair.wording] = seen.get(pair.wording, 0) + 1
    each = list(range(len(texts)))
    popular = metrics.popularity([seen.get(text, 0) for text in texts], groups, each)
    chance = {"text_to_image": metrics.chance(each, groups), "image_to_text": metrics.chance(groups, each)}
    return {
        "data": data.name,
        "backbone": backbone_name(backbone),
        "protocol": protocol,
        "pairs": {
            "sha256": data.pairs.sha256,
            "sizes": {part: len(of) for part, of in data.pairs.parts.items()},
            "in_training": {part: checks.overlaps(data.pairs, part) for part in ("valid", "test")},
        },
        "graph": {
            "sha256": data.knowledge.sha256,
            "images": len(data.knowledge.images),
            "concepts": len(data.knowledge.concepts),
            "stances": len(data.knowledge.stances),
            "relations": len(data.knowledge.relations),
        },
        "chance": {way: scores.as_dict() for way, scores in chance.items()},
        "popularity": {"image_to_text": popular.as_dict()},
    }


def work(arguments: argparse.Namespace) -> None:
    """Run what is missing, then write the table."""
    kind = Path(arguments.data).stem
    if kind == "phantom" and tuple(arguments.studies) != retrieval_data.STUDIES:
        kind = "phantom-{}-{}".format(*arguments.studies)
    name = f"retrieval_{kind}_{backbone_name(arguments.backbone)}_{arguments.protocol}"
    path = arguments.results / f"{name}.json"
    if not arguments.table:
        wanted = list(cells(arguments.methods, arguments.controls, arguments.ablation))
        build = arguments.build / kind
        data = (
            retrieval_data.phantom(build, arguments.protocol, *arguments.studies)
            if arguments.data == "phantom"
            else retrieval_data.own(Path(arguments.data), arguments.images, arguments.lexicon, arguments.protocol)
        )
        results = Results(path, about_of(data, arguments.backbone, arguments.protocol), "pairs")
        started = time.monotonic()
        _run_all(wanted, arguments, data, build, results)
        note(f"all runs are done; {time.monotonic() - started:.0f} s this time")
    if not path.exists():
        raise UsageError(f"there are no results {path.name}", "Leave out --table.")
    retrieval_table.write(path)


def _run_all(
    wanted: list[Cell], arguments: argparse.Namespace, data: retrieval_data.Data, build: Path, results: Results
) -> None:
    todo: dict[tuple[str, int], list[Cell]] = {}  # by hash and seed: what one training answers
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
        for cell in wanted:
            sha256 = hashed(settings_of(cell, arguments.backbone, arguments.epochs), data)
            if results.has(cell.name, seed, sha256):
                note(f"{cell.name} seed {seed}: done before")
            elif (same := results.of(seed, sha256)) is not None:
                results.add(cell.name, seed, sha256, same)
            else:
                todo.setdefault((sha256, seed), []).append(cell)
    same = [(seed, sha256, those) for (sha256, seed), those in todo.items()]
    calls = [(those[0], seed, arguments.backbone, arguments.epochs, data, build) for seed, _, those in same]
    for count, (place, outcome) in enumerate(in_lanes(arguments.jobs, run, calls), 1):
        seed, sha256, those = same[place]
        for cell in those:
            results.add(cell.name, seed, sha256, outcome)
        found, names = outcome["test"]["text_to_image"], ", ".join(cell.name for cell in those)
        note(
            f"{count}/{len(todo)} {names} seed {seed}: {outcome['epochs']} epochs, {outcome['seconds']:.0f} s; "
            f"R@10 {100 * found['R@10']:.2f}, R@100 {100 * found['R@100']:.2f}"
        )


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="phantom", help="phantom, or a file of `kgp pairs`")
    parser.add_argument("--backbone", default="small", help="small, offline, clip:FOLDER or open-clip:FOLDER")
    parser.add_argument("--methods", default="all", help="all, or names with commas between them")
    parser.add_argument("--seeds", type=int, default=3, help=f"how many, from {FIRST_SEED}")
    parser.add_argument("--protocol", default="subject", choices=sorted(pairs.PROTOCOLS))
    parser.add_argument("--controls", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--ablation", action="store_true", help="also the graph without stances")
    parser.add_argument("--epochs", type=int, help="at most so many, instead of what the settings say")
    parser.add_argument("--images", type=Path, help="the folder that the paths of the graph's images begin in")
    parser.add_argument("--lexicon", type=Path, action="append", default=[], help="names of concepts; again for more")
    parser.add_argument(
        "--studies",
        type=int,
        nargs=2,
        metavar=("GRAPH", "PAIRS"),
        default=retrieval_data.STUDIES,
        help="how many invented studies the graph is of, and how many are paired; results of another size lie apart",
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings beside each other")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="where the results are kept")
    parser.add_argument("--build", type=Path, default=BUILD, help="for data, pictures and checkpoints")
    parser.add_argument("--table", action="store_true", help="train nothing, write the table again")
    arguments = parser.parse_args()
    return record.exit_code(lambda: work(arguments))


if __name__ == "__main__":
    sys.exit(main())
