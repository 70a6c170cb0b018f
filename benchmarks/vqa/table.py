"""The tables of the VQA benchmark: ours with intervals, next to MedMKG's Table 4."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.table_text import BETTER, SAME, WORSE, describe_runs, header, interval, line, mark, spread
from kgp_models.vqa.settings import PLAIN
from kgplatform.datasets.pair_metrics import paired_bootstrap
from kgplatform.datasets.question_metrics import Answers

FIGURES = ("accuracy", "precision", "recall", "F1")
TITLES = {
    "base": "base model",
    "question-only": "question only",
    "image-only": "image only",
    **{name.lower(): name for name in ("KRISP", "MKBN", "K-PathVQA", "EKGRL", "MR-MKG")},
}
CONTROLS = {"empty": "empty graph", "shuffled": "shuffled graph", "no-stance": "without stance"}

# MedMKG's Table 4, in %: VQA-RAD, SLAKE, PathVQA, the columns of FIGURES each; base, then the methods in order.
PAPER: Mapping[str, tuple[str, ...]] = {
    "CLIP": (
        "64.94 62.71 62.71 62.71 65.07 62.09 74.86 67.88 81.89 88.37 76.54 82.03",
        "73.71 78.89 60.17 68.27 56.90 55.00 69.14 61.27 84.21 89.83 79.79 84.51",
        "70.12 70.87 61.86 66.06 70.14 73.47 61.71 67.08 84.68 89.35 81.33 85.15",
        "66.14 62.79 68.64 65.59 69.30 73.57 58.86 65.40 84.15 85.74 84.75 85.24",
        "67.73 65.04 67.80 66.39 70.70 71.01 68.57 69.77 84.77 86.38 85.24 85.81",
        "73.71 77.08 62.71 69.16 76.34 79.74 69.71 74.39 84.30 84.85 86.34 85.59",
    ),
    "PubMedCLIP": (
        "66.14 64.35 62.71 63.52 63.94 59.59 83.43 69.52 81.26 86.65 77.20 81.65",
        "76.10 76.85 70.34 73.45 75.77 79.47 68.57 73.62 84.41 88.13 82.21 85.07",
        "67.33 67.31 59.32 63.06 70.70 75.18 60.57 67.09 84.56 90.15 80.18 84.87",
        "72.51 76.34 60.17 67.30 68.17 67.03 69.71 68.35 83.76 87.62 81.44 84.42",
        "76.49 75.21 74.58 74.89 75.49 73.40 78.86 76.03 84.59 90.41 79.96 84.86",
        "78.88 76.86 78.81 77.82 77.75 78.57 75.43 76.97 84.18 86.07 84.36 85.21",
    ),
    "BioMedCLIP": (
        "66.93 61.74 77.97 68.91 70.14 70.18 68.57 69.36 84.56 94.03 76.27 84.22",
        "76.10 79.59 66.10 72.22 57.18 54.77 75.43 63.46 85.46 93.74 78.30 85.33",
        "68.53 64.66 72.88 68.53 67.89 75.63 51.43 61.22 85.78 88.32 84.91 86.58",
        "65.34 71.23 44.07 54.45 70.70 73.20 64.00 68.29 85.93 90.57 82.54 86.37",
        "75.70 71.76 79.66 75.50 86.20 89.38 81.71 85.37 85.46 89.66 82.60 85.98",
        "77.29 74.80 77.97 76.35 80.28 79.66 80.57 80.11 87.24 90.06 85.85 87.91",
    ),
    "MedCSPCLIP": (
        "68.13 61.59 85.59 71.63 66.20 83.95 38.86 53.12 77.72 73.37 92.24 81.73",
        "80.08 84.00 71.19 77.06 70.70 91.76 44.57 60.00 83.19 94.71 72.96 82.43",
        "69.72 65.44 75.42 70.08 67.32 75.21 50.29 60.27 85.37 86.17 86.84 86.51",
        "67.73 75.34 46.61 57.59 71.55 74.03 65.14 69.30 85.31 89.35 82.65 85.87",
        "76.10 73.39 77.12 75.21 69.30 78.95 51.43 62.28 84.92 92.75 78.19 84.85",
        "78.49 77.59 76.27 76.92 83.94 83.15 84.57 83.85 86.53 89.74 84.75 87.17",
    ),
}

UNSEEN = (
    " Its images are not available, so no method has visual evidence, an image is a "
    "node without image features, and MR-MKG's alignment has nothing to align, so its loss is 0."
)

_Run = Mapping[str, Any]


class Tested:
    """The test's questions, over all folds, and what each cell answered to them with each seed."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        about = document["about"]
        self.folds: Sequence[Mapping[str, Any]] = about["folds"]
        self.yes = _bits("".join(fold["yes"] for fold in self.folds))
        self.linked = _bits("".join(fold["linked"] for fold in self.folds))
        self.needs = np.array([need for fold in self.folds for need in fold["needs"]])
        self.topics = np.array([topic for fold in self.folds for topic in fold.get("topics", ())])
        self.images = np.array(
            [1_000_000 * fold_index + image for fold_index, fold in enumerate(self.folds) for image in fold["images"]]
        )
        self.runs: dict[str, dict[int, dict[int, _Run]]] = {}  # by cell, seed, fold
        for run_row in document["runs"]:
            self.runs.setdefault(run_row["cell"], {}).setdefault(run_row["seed"], {})[run_row["fold"]] = run_row
        self.cells = sorted((cell for cell in self.runs if self.seeds(cell)), key=_cell_position)

    def seeds(self, cell: str) -> list[int]:
        """The seeds with which a cell has run on every fold."""
        return sorted(seed for seed, folds in self.runs[cell].items() if len(folds) == len(self.folds))

    def answers(self, cell: str, seed: int) -> Answers:
        """Over all folds. What was not answered, as its image is damaged, counts as a wrong answer."""
        answer_characters = "".join(self.runs[cell][seed][fold]["answers"] for fold in range(len(self.folds)))
        predictions = [
            not is_yes if character == "?" else character == "1"
            for character, is_yes in zip(answer_characters, self.yes, strict=True)
        ]
        return Answers.checked(self.yes, np.array(predictions, dtype=np.float64))

    def majority(self) -> Answers:
        """The commoner answer of each fold's training."""
        predictions = [fold["train_yes"] * 2 >= fold["sizes"]["train"] for fold in self.folds for _ in fold["yes"]]
        return Answers.checked(self.yes, np.array(predictions, dtype=np.float64))

    def cell_runs(self, cell: str) -> list[_Run]:
        """A cell's runs with the seeds that have run on every fold."""
        return [run_row for seed in self.seeds(cell) for run_row in self.runs[cell][seed].values()]


def _bits(text: str) -> NDArray[np.bool_]:
    return np.array([character == "1" for character in text], dtype=np.bool_)


def method_and_graph(cell: str) -> tuple[str, str]:
    """What a cell's name is made of; no graph for the whole one."""
    graph = next((graph for graph in CONTROLS if cell.endswith(f"-{graph}")), "")
    return cell.removesuffix(f"-{graph}"), graph


def _cell_position(cell: str) -> tuple[int, int]:
    method, graph = method_and_graph(cell)
    return list(TITLES).index(method), 0 if not graph else 1 + list(CONTROLS).index(graph)


def _cell_title(cell: str) -> str:
    """A row's name."""
    method, graph = method_and_graph(cell)
    return TITLES[method] + (f", {CONTROLS[graph]}" if graph else "")


def write_vqa_table(path: Path) -> None:
    """Write PATH.md from the results in `path`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    tested = Tested(document)
    report_parts = [
        _table_head(document, tested),
        _main_table(tested),
        _differences(tested),
        _groups(tested),
        topics(tested),
    ]
    report_parts += [_costs(tested), vqa_paper_table()]
    path.with_suffix(".md").write_text(
        "\n\n".join(report_part for report_part in report_parts if report_part) + "\n", encoding="utf-8"
    )


def _table_head(document: Mapping[str, Any], tested: Tested) -> str:
    """What the results are of."""
    about, graph, folds = document["about"], document["about"]["graph"], tested.folds
    sizes = {
        part_name: sum(fold["sizes"][part_name] for fold in folds) / len(folds)
        for part_name in ("train", "valid", "test")
    }
    shared_counts = {
        overlap_kind: sum(fold["in_training"][overlap_kind] for fold in folds)
        for overlap_kind in ("image", "question", "both")
    }
    folds_text = f" in each of {len(folds)} folds, on average" if len(folds) > 1 else ""
    return (
        f"# VQA on {about['data']}, backbone {about['backbone']}, protocol {about['protocol']}\n\n"
        f"Closed questions: {sizes['train']:,.0f} train, {sizes['valid']:,.0f} valid, {sizes['test']:,.0f} "
        f"test{folds_text}. Of {len(tested.yes):,} test questions {int(tested.yes.sum()):,} are answered by yes; "
        f"{shared_counts['image']:,} have their image in training, {shared_counts['question']:,} a question with the "
        "same words, "
        f"{shared_counts['both']:,} both in one; {int(tested.linked.sum()):,} name a concept of the graph.\n\n"
        f"Graph: {graph['images']:,} images{'' if graph['at hand'] else ' (not available)'}, {graph['concepts']:,} "
        f"concepts, {graph['stances']:,} stances, {graph['relations']:,} relations between concepts."
        f"{'' if graph['at hand'] else UNSEEN}\n\n"
        f"{describe_runs([run_row for cell in tested.cells for run_row in tested.cell_runs(cell)])} "
        "Written by `python -m benchmarks.vqa.run`."
    )


def _main_table(tested: Tested) -> str:
    """The paper's figures: mean ± SD over the seeds, marked against the base model; and the trivial baselines."""
    table_lines = ["## Answers, %", "", *header(FIGURES)]
    majority_figures = tested.majority().figures()
    table_lines.append(
        line(
            "most common answer in training", [f"{100 * majority_figures[figure_name]:.2f}" for figure_name in FIGURES]
        )
    )
    base_figures = (
        [tested.answers("base", seed).figures() for seed in tested.seeds("base")] if "base" in tested.cells else []
    )
    for cell in tested.cells:
        cell_figures = [tested.answers(cell, seed).figures() for seed in tested.seeds(cell)]
        row_cells = []
        for figure_name in FIGURES:
            values = [seed_figures[figure_name] for seed_figures in cell_figures]
            mark_text = (
                mark(
                    statistics.mean(values)
                    - statistics.mean(seed_figures[figure_name] for seed_figures in base_figures)
                )
                if base_figures
                else ""
            )
            row_cells.append(f"{spread(values)} {'' if cell == 'base' else mark_text}".strip())
        table_lines.append(line(_cell_title(cell), row_cells))
    table_lines += [
        "",
        f"{BETTER} above and {WORSE} below the base model's mean. Mean ± SD over the seeds; positive is yes.",
    ]
    return "\n".join(table_lines)


def compared(cells: Sequence[str]) -> list[tuple[str, str]]:
    """Each method with the base model, and with its controls; the baselines with the base model."""
    cell_pairs = [(cell, "base") for cell in cells if cell != "base"]
    cell_pairs += [(method_and_graph(cell)[0], cell) for cell in cells if method_and_graph(cell)[1]]
    return [cell_pair for cell_pair in cell_pairs if set(cell_pair) <= set(cells)]


def _differences(tested: Tested) -> str:
    """Differences in accuracy: paired bootstrap over images, of all questions, and of those that name a concept."""
    has_unlinked = 0 < tested.linked.sum() < len(tested.linked)
    columns = ["all questions", *(["those that name a concept"] if has_unlinked else [])]
    table_lines = ["## Differences in accuracy, points, with 95 % intervals", "", *header(columns, "A minus B")]
    all_questions = np.ones(len(tested.yes), dtype=np.bool_)
    for first_cell, second_cell in compared(tested.cells):
        intervals = [
            accuracy_difference(tested, first_cell, second_cell, question_mask)
            for question_mask in ([all_questions, tested.linked] if has_unlinked else [all_questions])
        ]
        table_lines.append(line(f"{_cell_title(first_cell)}, minus {_cell_title(second_cell)}", intervals))
    table_lines += [
        "",
        "Paired bootstrap of 10,000 samples over the test's images, of each question's mean over the seeds that both "
        f"have. {BETTER} the interval is above 0, {WORSE} below, {SAME} it contains 0.",
    ]
    return "\n".join(table_lines)


def accuracy_difference(tested: Tested, first: str, second: str, chosen: NDArray[np.bool_]) -> str:
    """The difference of two cells' accuracy on some questions, with its interval."""
    seeds = sorted({*tested.seeds(first)} & {*tested.seeds(second)})
    correct, other_correct = (
        np.array([tested.answers(cell, seed).correct[chosen] for seed in seeds]) for cell in (first, second)
    )
    difference = paired_bootstrap(correct, other_correct, clusters=tested.images[chosen])
    return interval(difference.low, difference.value, difference.high)


def _groups(tested: Tested) -> str:
    """By what the questions need: accuracy, and differences from the base model and the shuffled graph."""
    needs = sorted(set(tested.needs.tolist()))
    if not needs:
        return ""
    table_lines = ["## Accuracy by what a question needs, %", "", *header(needs)]
    for cell in tested.cells:
        correct_by_seed = [tested.answers(cell, seed).correct for seed in tested.seeds(cell)]
        table_lines.append(
            line(
                _cell_title(cell),
                [
                    spread([float(is_correct[tested.needs == need].mean()) for is_correct in correct_by_seed])
                    for need in needs
                ],
            )
        )
    table_lines += ["", *header(needs, "A minus B, points")]
    for first_cell, second_cell in compared(tested.cells):
        intervals = [accuracy_difference(tested, first_cell, second_cell, tested.needs == need) for need in needs]
        table_lines.append(line(f"{_cell_title(first_cell)}, minus {_cell_title(second_cell)}", intervals))
    return "\n".join(table_lines)


def topics(tested: Tested) -> str:
    """Of synthetic questions, by kind: how many are answered right."""
    if not len(tested.needs) or not len(tested.topics):
        return ""
    question_kinds = np.array([f"{topic} ({need})" for topic, need in zip(tested.topics, tested.needs, strict=True)])
    sorted_kinds = sorted(set(question_kinds.tolist()))
    table_lines = ["## Accuracy by kind of question, %", "", *header(sorted_kinds)]
    for cell in tested.cells:
        correct_by_seed = [tested.answers(cell, seed).correct for seed in tested.seeds(cell)]
        table_lines.append(
            line(
                _cell_title(cell),
                [
                    spread(
                        [float(is_correct[question_kinds == question_kind].mean()) for is_correct in correct_by_seed]
                    )
                    for question_kind in sorted_kinds
                ],
            )
        )
    return "\n".join(table_lines)


def _costs(tested: Tested) -> str:
    """Epochs, weights and time."""
    table_lines = [
        "## Training",
        "",
        *header(("epochs", "validation accuracy, %", "trained weights", "seconds, one core")),
    ]
    for cell in tested.cells:
        runs = tested.cell_runs(cell)
        table_lines.append(
            line(
                _cell_title(cell),
                [
                    f"{statistics.mean(run_row['epochs'] for run_row in runs):.1f}",
                    spread([run_row["validation"]["valid accuracy"] for run_row in runs]),
                    f"{runs[0]['weights']:,}",
                    f"{statistics.mean(run_row['training_seconds'] for run_row in runs):,.0f}",
                ],
            )
        )
    return "\n".join(table_lines)


def vqa_paper_table() -> str:
    """MedMKG's Table 4, marked as its own is."""
    columns = [
        f"{dataset_name} {backbone_name}"
        for dataset_name in ("VQA-RAD", "SLAKE", "PathVQA")
        for backbone_name in ("Acc", "Prec", "Rec", "F1")
    ]
    table_lines = ["## The paper's Table 4, %", "", *header(columns)]
    methods = [f"+ {TITLES[backbone_name]}" for backbone_name in TITLES if backbone_name not in PLAIN]
    for backbone_name, method_rows in PAPER.items():
        backbone_values = [float(value) for value in method_rows[0].split()]
        for method, figures_text in zip((backbone_name, *methods), method_rows, strict=True):
            values = [float(value) for value in figures_text.split()]
            marks = [
                mark(value - backbone_value) if method != backbone_name else ""
                for value, backbone_value in zip(values, backbone_values, strict=True)
            ]
            table_lines.append(
                line(
                    method,
                    [f"{figure:.2f} {sign_mark}".strip() for figure, sign_mark in zip(values, marks, strict=True)],
                )
            )
    table_lines += [
        "",
        "One run each, without intervals, on the official parts: nearly all of VQA-RAD's test questions have their "
        "image in training. 95 % half-widths are about 5.4, 4.5 and 1.2 points. The backbones differ from ours, "
        "so only the direction can be compared.",
    ]
    return "\n".join(table_lines)
