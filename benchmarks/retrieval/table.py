"""The table of the retrieval benchmark: ours with intervals, next to MedMKG's Table 3."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness.table_text import BETTER, SAME, WORSE, describe_runs, header, interval, line, mark, spread
from kgplatform.datasets.pair_metrics import KS, paired_bootstrap

COMPARED = ("R@10", "R@100", "P@10", "RR")  # figures that are kept query by query
PAPER_COLUMNS = ("P@10", "P@20", "P@100", "R@10", "R@20", "R@100")
TITLES = {
    "backbone": "backbone, fine-tuned",
    "fashionklip": "+ FashionKLIP",
    "knowledgeclip": "+ KnowledgeCLIP",
    "stances": "+ stances of the text",
}
CONTROLS = {"empty": "empty graph", "shuffled": "shuffled graph", "no-stance": "without stance"}

# MedMKG's Table 3, in %: OpenI, then MIMIC-CXR, the columns of PAPER_COLUMNS each.
PAPER: Mapping[str, tuple[str, str, str]] = {
    "CLIP": (
        "1.17 1.00 0.56 11.10 19.24 53.48 1.11 0.98 0.58 11.11 19.52 58.26",
        "1.29 1.16 0.63 12.64 22.75 60.46 1.19 0.99 0.56 11.91 19.82 56.06",
        "2.63 1.99 0.79 25.56 38.83 76.16 2.33 1.73 0.74 23.32 34.53 74.37",
    ),
    "PubMedCLIP": (
        "1.17 0.98 0.51 10.81 18.47 48.46 0.69 0.65 0.43 6.91 13.01 42.79",
        "1.54 1.21 0.70 15.10 23.38 67.73 0.73 0.72 0.49 7.31 14.41 49.20",
        "1.49 1.17 0.61 14.33 22.61 59.41 1.26 1.13 0.60 12.61 22.62 59.96",
    ),
    "BioMedCLIP": (
        "1.04 0.79 0.42 9.90 15.10 40.45 2.02 1.59 0.66 20.12 31.63 65.77",
        "1.46 1.15 0.60 14.33 22.47 58.22 2.02 1.49 0.68 20.12 29.63 67.77",
        "1.26 0.95 0.49 12.50 18.61 47.54 2.64 1.94 0.71 26.33 38.74 70.77",
    ),
    "MedCSPCLIP": (
        "1.60 1.10 0.54 15.73 21.35 52.14 3.77 2.59 0.82 37.69 51.65 81.58",
        "1.81 1.36 0.60 17.84 26.54 57.65 4.02 2.69 0.85 40.19 53.75 84.98",
        "1.90 1.40 0.62 18.61 27.18 59.55 4.95 3.14 0.89 49.50 62.66 88.99",
    ),
}


def write_retrieval_table(path: Path) -> None:
    """Write PATH.md from the results in `path`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    runs_by_cell: dict[str, list[dict[str, Any]]] = {}
    for result_row in document["runs"]:
        runs_by_cell.setdefault(result_row["cell"], []).append(result_row)
    ordered_cells = dict(sorted(runs_by_cell.items(), key=lambda cell_and_runs: _cell_position(cell_and_runs[0])))
    report_parts = [
        _table_head(document),
        _main_table(document, ordered_cells),
        _differences(ordered_cells),
        *(full_table(document, ordered_cells, direction) for direction in ("text_to_image", "image_to_text")),
        _costs(ordered_cells),
        retrieval_paper_table(),
    ]
    path.with_suffix(".md").write_text("\n\n".join(report_parts) + "\n", encoding="utf-8")


def _cell_position(cell: str) -> tuple[int, int]:
    method, _, graph = cell.partition("-")
    return list(TITLES).index(method), 0 if not graph else 1 + list(CONTROLS).index(graph)


def _cell_title(cell: str) -> str:
    """A row's name."""
    method, _, graph = cell.partition("-")
    return TITLES[method] + (f", {CONTROLS[graph]}" if graph else "")


def _table_head(document: Mapping[str, Any]) -> str:
    """What the results are of."""
    about = document["about"]
    sizes, shared_counts = about["pairs"]["sizes"], about["pairs"]["in_training"]["test"]
    graph = about["graph"]
    query_figures = about["chance"]["text_to_image"]
    return (
        f"# Retrieval on {about['data']}, backbone {about['backbone']}, protocol {about['protocol']}\n\n"
        f"Pairs: {sizes['train']:,} train, {sizes['valid']:,} valid, {sizes['test']:,} test "
        f"({query_figures['queries']:,} distinct texts, {query_figures['relevant']:.2f} images each). Of the test "
        "images, "
        f"{shared_counts['report']:,} have their report in training, {shared_counts['subject']:,} their subject, "
        f"{shared_counts['text']:,} "
        f"a report with the same words.{_further_images(about)}\n\n"
        f"Graph: {graph['images']:,} images, {graph['concepts']:,} concepts, {graph['stances']:,} stances, "
        f"{graph['relations']:,} relations between concepts; none of its studies or subjects is among the pairs.\n\n"
        f"{describe_runs(document['runs'])} Written by `python -m benchmarks.retrieval.run`."
    )


def _further_images(about: Mapping[str, Any]) -> str:
    count = about.get("further images", 0)
    return f" The test's texts look among the {count:,} images of the validation part, too." if count else ""


def _main_table(document: Mapping[str, Any], by_cell: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The paper's columns: mean ± SD over the seeds, marked against the backbone."""
    table_lines = ["## Images found by text, %", "", *header(PAPER_COLUMNS)]
    chance = document["about"]["chance"]["text_to_image"]
    table_lines.append(line("by chance", [f"{100 * chance[column_name]:.2f}" for column_name in PAPER_COLUMNS]))
    backbone_runs = by_cell.get("backbone", [])
    for cell, runs in by_cell.items():
        row_cells = []
        for column_name in PAPER_COLUMNS:
            values = [run_row["test"]["text_to_image"][column_name] for run_row in runs]
            backbone_values = [run_row["test"]["text_to_image"][column_name] for run_row in backbone_runs]
            mark_text = (
                ""
                if cell == "backbone" or not backbone_values
                else mark(statistics.mean(values) - statistics.mean(backbone_values))
            )
            row_cells.append(f"{spread(values)} {mark_text}".strip())
        table_lines.append(line(_cell_title(cell), row_cells))
    table_lines += ["", f"{BETTER} above and {WORSE} below the fine-tuned backbone's mean. Mean ± SD over the seeds."]
    return "\n".join(table_lines)


def _differences(by_cell: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Each method against the backbone, and against its controls: paired bootstrap over subjects."""
    cell_pairs = [(cell, "backbone") for cell in by_cell if cell != "backbone"]
    cell_pairs += [(cell.partition("-")[0], cell) for cell in by_cell if "-" in cell]
    table_lines = ["## Differences in points, with 95 % intervals", "", *header(COMPARED, "A minus B")]
    for first_cell, second_cell in cell_pairs:
        if first_cell in by_cell and second_cell in by_cell:
            intervals = [
                interval(*_difference_interval(by_cell[first_cell], by_cell[second_cell], figure_name))
                for figure_name in COMPARED
            ]
            table_lines.append(line(f"{_cell_title(first_cell)}, minus {_cell_title(second_cell)}", intervals))
    table_lines += [
        "",
        "Paired bootstrap of 10,000 samples over the test's subjects, of each query's mean over the seeds that both "
        f"have. {BETTER} the interval is above 0, {WORSE} below, {SAME} it contains 0. RR is the first relevant "
        "image's reciprocal rank.",
    ]
    return "\n".join(table_lines)


def _difference_interval(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]], name: str
) -> tuple[float, float, float]:
    """Low end, value and high end of a difference, over the seeds that both have."""
    seeds = sorted({run_row["seed"] for run_row in first} & {run_row["seed"] for run_row in second})
    values, other_values = (
        np.array([next(run_row for run_row in cell_runs if run_row["seed"] == seed)["queries"][name] for seed in seeds])
        for cell_runs in (first, second)
    )
    difference = paired_bootstrap(values, other_values, clusters=first[0]["subjects"])
    return difference.low, difference.value, difference.high


def full_table(document: Mapping[str, Any], by_cell: Mapping[str, Sequence[Mapping[str, Any]]], direction: str) -> str:
    """Every figure of a direction."""
    column_names = [f"{figure}@{cutoff}" for figure in "PR" for cutoff in KS] + ["MRR", "median rank"]
    table_lines = [f"## All figures, {direction.replace('_', ' ')}, %", "", *header(column_names)]
    about = document["about"]
    baseline_figures = {"by chance": about["chance"][direction]}
    if direction in about["popularity"]:
        baseline_figures["most frequent in training first"] = about["popularity"][direction]
    for baseline_name, figures in baseline_figures.items():
        table_lines.append(line(baseline_name, [_format_values(column, [figures[column]]) for column in column_names]))
    for cell, runs in by_cell.items():
        table_lines.append(
            line(
                _cell_title(cell),
                [
                    _format_values(column, [run_row["test"][direction][column] for run_row in runs])
                    for column in column_names
                ],
            )
        )
    return "\n".join(table_lines)


def _costs(by_cell: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Epochs and time."""
    table_lines = ["## Training", "", *header(("epochs", "best epoch", "validation recall, %", "seconds, one core"))]
    for cell, runs in by_cell.items():
        table_lines.append(
            line(
                _cell_title(cell),
                [
                    ", ".join(str(run_row["epochs"]) for run_row in runs),
                    ", ".join(str(run_row["best_epoch"]) for run_row in runs),
                    spread([run_row["validation"] for run_row in runs]),
                    f"{statistics.mean(run_row['training_seconds'] for run_row in runs):,.0f}",
                ],
            )
        )
    return "\n".join(table_lines)


def retrieval_paper_table() -> str:
    """MedMKG's Table 3, marked as its own is."""
    columns = [
        f"{dataset_name} {backbone_name}" for dataset_name in ("OpenI", "MIMIC") for backbone_name in PAPER_COLUMNS
    ]
    table_lines = ["## The paper's Table 3, %", "", *header(columns)]
    for backbone_name, method_rows in PAPER.items():
        backbone_values = [float(value) for value in method_rows[0].split()]
        for method, figures_text in zip((backbone_name, "+ FashionKLIP", "+ KnowledgeCLIP"), method_rows, strict=True):
            values = [float(value) for value in figures_text.split()]
            marks = [
                mark(value - backbone_value) if method != backbone_name else ""
                for value, backbone_value in zip(values, backbone_values, strict=True)
            ]
            row_cells = [f"{value:.2f} {mark}".strip() for value, mark in zip(values, marks, strict=True)]
            table_lines.append(line(method, row_cells))
    table_lines += [
        "",
        "One run each, without intervals; OpenI was split by image, so most test reports were in training. The numbers "
        "are for other data and other backbones than ours, so only their direction can be compared.",
    ]
    return "\n".join(table_lines)


def _format_values(column: str, values: Sequence[float]) -> str:
    if column != "median rank":
        return spread(values)
    return f"{statistics.mean(values):.1f}"
