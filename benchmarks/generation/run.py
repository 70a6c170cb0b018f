"""Trains the generator's rows and scores what they write: the VLM-KG paper's Tables 1-4, and reports with gaps.

    kgp phantom build studies/ --studies 5000 --workers 2
    python -m benchmarks.generation.run --data studies/ --trained generator/       # all
    python -m benchmarks.generation.run --data studies/ --tables 4 --limit 100 --results some/
    python -m benchmarks.generation.run --data studies/ --test-graphs test.json    # reports alone, in RadGraph's form
    python -m benchmarks.generation.run --data MIMIC-CXR/ --base benchmarks/generation/settings/paper-mimic.yaml

A row is a file of `benchmarks/generation/settings` (`rows.py`). What is finished in `--out` is not done again: the
vision encoder and stage 1 are trained once for all rows that share them, replies are kept by what was asked.
`--trained` is a folder of `kgp train generator`, whose parts are taken where data and settings are the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.generation import figure
from benchmarks.generation import rows as generation_rows
from benchmarks.generation import table as generation_table
from benchmarks.generation.bench import DICTIONARY, FREQUENT, Bench, Case
from benchmarks.generation.scores import score_case
from benchmarks.harness import record
from kgp_models.generator.read_studies import graph_records
from kgp_models.generator.records import Sentence, Study, require_apart
from kgplatform.cli.output import note
from kgplatform.errors import UsageError
from kgplatform.triplets.metrics import bootstrap_difference

RESULTS: Final = Path(__file__).parent / "results"
BUILD: Final = record.ROOT / "build" / "generation"
DOCS: Final = record.ROOT / "docs"
SHARES: Final = (0.0, 0.25, 0.5, 0.75, 1.0)  # of a report's sentences are left out; 1: the image alone
REFERENCE: Final = "reference"
BLIND: Final = "vlm-kg-blind"
TRIPLETS_IN_FIGURE: Final = range(5, 13)  # triplets of the study that is drawn
ABREAST: Final = 3  # graphs side by side in the figure


def _with_and_without_text(*systems: str) -> list[Case]:
    return [Case(system, share) for share in (0.0, 1.0) for system in systems]


_IU: Final = ("vlm-kg-iu", "vlm-kg-iu-128-64", "vlm-kg-iu-64-128", "vlm-kg-iu-128-128")
_TOKENS: Final = (25, 50, 100, 200, 256, 300)
TABLES: Final[Mapping[str, Sequence[Case]]] = {
    "1": [
        *map(Case, (DICTIONARY, FREQUENT, "llm-kg-iu", "vlm-kg-iu", "llm-kg", "vlm-kg")),
        *(Case(system, 1.0) for system in (FREQUENT, "vlm-kg-iu", "vlm-kg")),
    ],
    "2": _with_and_without_text("vlm-kg-frozen", "vlm-kg-lora", "vlm-kg"),
    "3": _with_and_without_text(*_IU),
    "4": [*(Case(f"llm-kg-{tokens}") for tokens in _TOKENS), Case("llm-kg")],
    "curve": [Case(system, share) for system in (DICTIONARY, "llm-kg", BLIND, "vlm-kg") for share in SHARES],
}
BASELINES: Final = {  # the systems whose F1 is subtracted from that of the others
    "1": (FREQUENT, DICTIONARY, "llm-kg"),
    "2": ("vlm-kg",),
    "3": ("vlm-kg-iu",),
    "4": ("llm-kg",),
    "curve": ("llm-kg", BLIND),
}


def run_table(bench: Bench, name: str) -> list[dict[str, Any]]:
    """The rows of a table: every case with its scores, and its F1 minus that of the table's baseline."""
    table_rows, counts_by_case = [], {}
    for case in filter(bench.knows, TABLES[name]):
        outcome = bench.predicted(case)
        table_row: dict[str, Any] = {"system": case.system, "share": case.share, "against": {}}
        for reference, triplets in bench.references(case).items():
            scored = score_case(outcome["triplets"], triplets, bench.key, bench.seed)
            table_row["against"][reference] = scored.document
            counts_by_case[case, reference] = scored.counts
        table_row |= {
            figure_name: outcome[figure_name]
            for figure_name in ("tokens", "longest", "cut", "left_out", "problems", "seconds")
            if figure_name in outcome
        }
        table_row |= _about(bench, case)
        table_rows.append(table_row)
        note(f"table {name}: {case}: F1 {table_row['against']['reference']['interval']['value']:.3f}")
    for table_row in table_rows:
        case = Case(table_row["system"], table_row["share"])
        table_row["minus"] = {
            baseline: bootstrap_difference(counts_by_case[case, REFERENCE], baseline_counts, bench.seed).as_dict()
            for baseline in BASELINES[name]
            if baseline != case.system
            and (baseline_counts := counts_by_case.get((Case(baseline, case.share), REFERENCE))) is not None
        }
    return table_rows


def _about(bench: Bench, case: Case) -> dict[str, Any]:
    """What a row is, next to its scores."""
    if case.system in (DICTIONARY, FREQUENT):
        triplet_texts = (
            [" ".join(triplet) for triplet in bench.frequent(case.share)] if case.system == FREQUENT else None
        )
        return {"name": case.system, "paper": {}, **({"says": triplet_texts} if triplet_texts is not None else {})}
    system_row = bench.row(case.system)
    return {
        "name": system_row.name,
        "paper": dict(system_row.paper) if not case.share else {},
        "projector": asdict(system_row.settings.projector) if system_row.stage == "2" else None,
        "max_new_tokens": system_row.max_new_tokens,
        "cost": bench.cost(system_row),
    }


def run_graphs(bench: Bench, path: Path, labeler: int) -> dict[str, Any]:
    """Reports alone, of a file in RadGraph's form: the systems that need no image."""
    records = graph_records(path, labeler)
    if not records:
        raise UsageError(f"{path.name} has no graph", "Give a file in RadGraph's form; see --labeler.")
    require_apart(
        bench.training,
        [
            Study(graph_record.id, None, (Sentence(graph_record.report, graph_record.triplets),))
            for graph_record in records
        ],
    )
    references = [graph_record.triplets for graph_record in records]
    systems = {}
    for case in filter(bench.knows, (Case(DICTIONARY), Case(FREQUENT), Case("llm-kg-iu"), Case("llm-kg"))):
        if case.system == DICTIONARY:
            predicted_triplets = [bench.dictionary.triplets(graph_record.report) for graph_record in records]
        elif case.system == FREQUENT:
            predicted_triplets = [bench.frequent(0.0)] * len(records)
        else:
            predicted_triplets = bench.replies(bench.row(case.system), records, f"{case.system}-{path.stem}")[
                "triplets"
            ]
        score_document = score_case(predicted_triplets, references, bench.key, bench.seed).document
        systems[case.system] = {**_about(bench, case), "against": {REFERENCE: score_document}}
        note(f"{path.name}: {case.system}: F1 {score_document['interval']['value']:.3f}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"sha256": sha256, "reports": len(records), "labeler": labeler, "systems": systems}


def _draw_study_graphs(bench: Bench, folder: Path) -> dict[str, Any] | None:
    """The graphs of one study next to each other, as HTML and PNG: the first with as many triplets as
    `TRIPLETS_IN_FIGURE`.
    """
    study_index = next(
        (
            index
            for index, test_study in enumerate(bench.test)
            if len(set(test_study.record().triplets)) in TRIPLETS_IN_FIGURE
        ),
        None,
    )
    cases = [*map(Case, (DICTIONARY, "llm-kg", "vlm-kg")), Case("vlm-kg", 1.0)]
    cases_by_title = {_title(bench, case): case for case in filter(bench.knows, cases)}
    if study_index is None or not cases_by_title or bench.data.drawn is None:
        return None  # reports that are not synthetic are not published
    study = bench.test[study_index]
    systems = {
        case_title: bench.predicted(case)["triplets"][study_index] for case_title, case in cases_by_title.items()
    }
    panels = figure.compare(study.record().triplets, systems, bench.key)
    title = f"Study {study.id}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "generation.html").write_text(figure.to_html(title, panels), encoding="utf-8")
    png_images = [
        figure.to_png(title, panels[first_panel : first_panel + ABREAST])
        for first_panel in range(0, len(panels), ABREAST)
    ]
    generation_table.stacked(png_images).save(folder / "generation.png", optimize=True)
    return {"study": study.id, "report": study.record().report, "systems": list(systems)}


def _title(bench: Bench, case: Case) -> str:
    system_name = case.system if case.system == DICTIONARY else bench.row(case.system).name
    return f"{system_name}, image alone" if case.share else system_name


# The run


class _Results:
    """The tables in one JSON file, which is whole after each of them. Those of other data are thrown away."""

    def __init__(self, path: Path, bench: Bench) -> None:
        self.path = path
        self.data = {
            "sha256": bench.sha256,
            "training": len(bench.training),
            "test": len(bench.test),
            "base": bench.base.name,
            "beams": bench.arguments.beams,
            "seed": bench.seed,
        }
        self.document: dict[str, Any] = {"data": self.data, "tables": {}, "graphs": {}, "pictures": {}}
        if path.is_file():
            stored_document = json.loads(path.read_text(encoding="utf-8"))
            if stored_document["data"] == self.data:
                self.document = stored_document
            else:
                note(f"{path.name} is from other data or settings and is started again")

    def add(self, part: str, name: str, outcome: Any, seed: int) -> None:
        """Add or replace a table, with commit, versions and machine."""
        import torch

        device_name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        context = record.context(seed, device_name)
        context["versions"] |= {package: version(package) for package in ("transformers", "trl", "peft", "tokenizers")}
        self.document[part][name] = {"context": context, "rows": outcome}
        record.store(self.path, self.document, indent=1)


def _run_benchmark(arguments: argparse.Namespace) -> None:
    """Run the tables that are asked for, then write them down."""
    results_path = arguments.results / "generation.json"
    image_folder = DOCS / "images" if arguments.results == RESULTS else arguments.results
    if not arguments.table:
        table_names = list(_tables(arguments))
        bench = Bench(arguments)
        results = _Results(results_path, bench)
        note(f"{len(bench.training):,} studies to train on, {len(bench.test):,} to test")
        for table_name in table_names:
            results.add("tables", table_name, run_table(bench, table_name), bench.seed)
        for graphs_path in arguments.test_graphs or ():
            results.add("graphs", graphs_path.name, run_graphs(bench, graphs_path, arguments.labeler), bench.seed)
        if {"1", "curve"} & set(table_names) and (drawing := _draw_study_graphs(bench, image_folder)) is not None:
            results.add("pictures", "side by side", drawing, bench.seed)
    generation_table.write_generation_table(results_path, image_folder)


def _tables(arguments: argparse.Namespace) -> Iterator[str]:
    """The tables by name. Raises `UsageError` for one that is missing, before the first hour."""
    row_names = {*generation_rows.generation_row_paths(), DICTIONARY, FREQUENT}
    if arguments.models != "all" and (unknown_names := set(arguments.models.split(",")) - row_names):
        raise UsageError(f"there is no row {sorted(unknown_names)[0]}", f"Rows: {', '.join(sorted(row_names))}.")
    for table_name in filter(None, arguments.tables.split(",")):
        if table_name not in TABLES:
            raise UsageError(f"there is no table {table_name}", f"Tables: {', '.join(TABLES)}.")
        yield table_name


def main() -> int:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="the folder of studies")
    parser.add_argument("--out", type=Path, default=BUILD, help="for trainings and replies")
    parser.add_argument("--tables", default=",".join(TABLES), help="with commas between them; may be empty")
    parser.add_argument("--models", default="all", help="all, or rows with commas between them")
    parser.add_argument("--base", type=Path, help="settings instead of small.yaml, such as paper-mimic.yaml")
    parser.add_argument("--trained", type=Path, help="a folder of `kgp train generator`, whose parts may be used")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--beams", type=int, default=4)
    parser.add_argument("--test", default="test", help="the split that is tested")
    parser.add_argument("--limit", type=int, help="at most this many test studies")
    parser.add_argument("--test-graphs", type=Path, action="append", help="reports in RadGraph's form; may be repeated")
    parser.add_argument("--labeler", type=int, default=1, help="the labeler, where the file has graphs of several")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the results are stored")
    parser.add_argument("--table", action="store_true", help="do not train, only write tables and plots again")
    arguments = parser.parse_args()
    if arguments.data is None and not arguments.table:
        parser.error("--data is needed")
    is_partial = arguments.limit is not None or arguments.models != "all"
    if is_partial and arguments.results == RESULTS:
        parser.error("results for part of the studies or rows would replace the stored results: give --results")
    return record.exit_code(lambda: _run_benchmark(arguments))


if __name__ == "__main__":
    sys.exit(main())
