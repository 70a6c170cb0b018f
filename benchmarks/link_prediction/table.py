"""Tables and plots of the link-prediction results: ours next to the paper's and the baselines'."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.harness.table_text import markdown_table
from kgp_models.link_prediction.settings import TrainingSettings

TASKS = ("head", "relation", "tail")
PAPER_COLUMNS = ("mr", "hits@3", "hits@5", "hits@10")  # the order of Table 2
COLUMNS = ("mr", "mrr", "hits@1", "hits@3", "hits@5", "hits@10")
GROUPS = (
    "cross",
    "intra",
    "POSITIVE",
    "NEGATIVE",
    "UNCERTAIN",
    "1-1",
    "1-N",
    "N-1",
    "N-N",
    "inverse known",
    "unseen entity",
)
BASELINES = ("frequency", "inverse-rule", "neighbours")


def write_link_table(path: Path, paper: Path) -> None:
    """Write PATH.md and PATH.svg from the results in `path`; the paper's rows are in the settings in `paper`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    runs = by_model(document["runs"])
    paper_rows = {
        settings_path.stem: TrainingSettings.read(settings_path).paper for settings_path in sorted(paper.glob("*.yaml"))
    }
    report_text = "\n\n".join(
        [
            _table_head(document),
            summary(runs, paper_rows),
            *(task_table(runs, paper_rows, task) for task in TASKS),
            *breakdowns(runs),
            _costs(runs),
        ]
    )
    path.with_suffix(".md").write_text(report_text + "\n", encoding="utf-8")
    _plot_hits(runs, paper_rows, document["split"]["kind"], path.with_suffix(".svg"))


def by_model(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each model with each kind of settings, best validation first, baselines at the end."""
    runs_by_label: dict[str, list[dict[str, Any]]] = defaultdict(list)
    kinds_by_model = defaultdict(set)
    for run in runs:
        kinds_by_model[run["model"]].add(run["settings"])
    for run in runs:
        has_several_kinds = len(kinds_by_model[run["model"]]) > 1
        runs_by_label[f"{run['model']} ({run['settings']})" if has_several_kinds else run["model"]].append(run)
    return dict(
        sorted(
            runs_by_label.items(),
            key=lambda label_and_runs: (label_and_runs[0] in BASELINES, -mean(label_and_runs[1], "tail", "hits@10")),
        )
    )


def values(runs: list[dict[str, Any]], task: str, metric: str, group: str | None = None) -> list[float]:
    """A filtered metric of each run, in a group of test triples if one is named."""
    metrics_by_run = [run["groups"].get(group) if group else run["filtered"] for run in runs]
    return [run_metrics[task][metric] for run_metrics in metrics_by_run if run_metrics]


def mean(runs: list[dict[str, Any]], task: str, metric: str) -> float:
    """A metric's mean over the runs."""
    return statistics.mean(values(runs, task, metric))


def _mean_text(numbers: list[float], metric: str) -> str:
    """Mean, and ± standard deviation where there are several runs."""
    if not numbers:
        return "–"
    digits = {"mr": 1, "mrr": 3}.get(metric, 2)
    spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.{digits}f}{spread}"


def _table_head(document: dict[str, Any]) -> str:
    """What was split how, and what leaks."""
    split = document["split"]
    contexts = [run["context"] for run in document["runs"]]
    machine = contexts[0]["machine"]
    devices = sorted({context["machine"]["device"] for context in contexts})
    return (
        f"# Link prediction, `{split['kind']}` split\n\n"
        f"Split seed {split['seed']}, {split['test']:,} test triples; {split['either']:,} of them have an edge between "
        f"the same two entities in training ({split['reversed']:,} in the other direction, {split['parallel']:,} in "
        f"the same direction); {split['triples_with_unseen']:,} have an entity that is not in training. Filtered "
        "realistic ranks; hits in percent; mean ± standard deviation where there are several seeds. Measured on "
        f"{', '.join(devices)}, {machine['cores']} cores, commits "
        f"{', '.join(sorted({context['commit'][:8] for context in contexts}))}."
    )


def summary(runs: dict[str, list[dict[str, Any]]], paper: dict[str, Any]) -> str:
    """Hits@10 of every model on the three tasks, with the paper's next to it, and on the cross-modality part."""
    header = ["Model", *TASKS, *(f"paper {task}" for task in TASKS), *(f"cross {task}" for task in TASKS)]
    table_rows = []
    for model_name, model_runs in runs.items():
        paper_row = paper.get(model_runs[0]["model"], {})
        table_rows.append(
            [
                model_name,
                *(_mean_text(values(model_runs, task, "hits@10"), "hits@10") for task in TASKS),
                *(f"{paper_row[task][3]:.2f}" if paper_row else "–" for task in TASKS),
                *(_mean_text(values(model_runs, task, "hits@10", "cross"), "hits@10") for task in TASKS),
            ]
        )
    return f"## Hits@10\n\n{markdown_table(header, table_rows)}"


def task_table(runs: dict[str, list[dict[str, Any]]], paper: dict[str, Any], task: str) -> str:
    """One task: every model's metrics, the raw Hits@10, and the difference from the paper in its four columns."""
    header = [
        "Model",
        "Seeds",
        "MR",
        "MRR",
        "H@1",
        "H@3",
        "H@5",
        "H@10",
        "raw H@10",
        "paper MR",
        "paper H@10",
        "Δ MR",
        "Δ H@3",
        "Δ H@5",
        "Δ H@10",
    ]
    table_rows = []
    for model_name, model_runs in runs.items():
        cells = [
            model_name,
            str(len(model_runs)),
            *(_mean_text(values(model_runs, task, metric), metric) for metric in COLUMNS),
        ]
        cells.append(_mean_text([run["raw"][task]["hits@10"] for run in model_runs], "hits@10"))
        paper_row = paper.get(model_runs[0]["model"], {}).get(task)
        if paper_row:
            differences = [
                mean(model_runs, task, metric) - figure for metric, figure in zip(PAPER_COLUMNS, paper_row, strict=True)
            ]
            cells += [
                f"{paper_row[0]:.1f}",
                f"{paper_row[3]:.2f}",
                f"{differences[0]:+.1f}",
                *(f"{difference:+.2f}" for difference in differences[1:]),
            ]
        else:
            cells += ["–"] * 6
        table_rows.append(cells)
    return f"## {task.capitalize()} prediction\n\n{markdown_table(header, table_rows)}"


def breakdowns(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Hits@10 by group of test triples, a table a task."""
    table_texts = []
    for task in TASKS:
        present_groups = [
            group for group in GROUPS if any(values(model_runs, task, "n", group) for model_runs in runs.values())
        ]
        group_sizes = {
            group: max(max(values(model_runs, task, "n", group), default=0) for model_runs in runs.values())
            for group in present_groups
        }
        header = ["Model", *(f"{group} ({group_sizes[group]:,.0f})" for group in present_groups)]
        table_rows = [
            [
                model_name,
                *(_mean_text(values(model_runs, task, "hits@10", group), "hits@10") for group in present_groups),
            ]
            for model_name, model_runs in runs.items()
        ]
        table_texts.append(
            f"## {task.capitalize()} prediction, Hits@10 by group (test triples)\n\n"
            f"{markdown_table(header, table_rows)}"
        )
    return table_texts


def _costs(runs: dict[str, list[dict[str, Any]]]) -> str:
    """What each model cost."""
    table_rows = [
        [
            model_name,
            model_runs[0]["settings"],
            f"{model_runs[0]['parameters']:,}",
            ", ".join(str(run["epochs"]) for run in model_runs),
            ", ".join(f"{run['training_seconds']:.0f}" for run in model_runs),
            f"{statistics.mean(run['evaluation_seconds'] for run in model_runs):.1f}",
        ]
        for model_name, model_runs in runs.items()
        if "epochs" in model_runs[0]
    ]
    header = ["Model", "Settings", "Parameters", "Epochs", "Training, s", "Evaluation of the test part, s"]
    total_seconds = sum(
        run["training_seconds"] for model_runs in runs.values() for run in model_runs if "epochs" in run
    )
    return (
        f"## Cost\n\nAll training together: {total_seconds / 60:.0f} minutes.\n\n{markdown_table(header, table_rows)}"
    )


def _plot_hits(runs: dict[str, list[dict[str, Any]]], paper: dict[str, Any], kind: str, path: Path) -> None:
    """Hits@10 a task, ours next to the paper's, with the inverse rule as a line."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "kgplatform"}):
        model_labels = [model_label for model_label in runs if model_label not in BASELINES]
        figure = Figure(figsize=(11, 0.32 * len(model_labels) + 1.5), layout="constrained")
        for axes, task in zip(figure.subplots(1, 3, sharey=True), TASKS, strict=True):
            positions = range(len(model_labels))
            axes.barh(
                [position - 0.2 for position in positions],
                [mean(runs[model_name], task, "hits@10") for model_name in model_labels],
                0.4,
                label="ours, filtered",
            )
            paper_rows = [paper.get(runs[model_name][0]["model"], {}).get(task) for model_name in model_labels]
            axes.barh(
                [position + 0.2 for position in positions],
                [paper_row[3] if paper_row else 0 for paper_row in paper_rows],
                0.4,
                label="paper, raw",
                color="#bbbbbb",
            )
            for baseline, line_style in zip(BASELINES, (":", "--", "-."), strict=True):
                if baseline in runs:
                    axes.axvline(
                        mean(runs[baseline], task, "hits@10"), linestyle=line_style, color="black", label=baseline
                    )
            axes.set_yticks(list(positions), model_labels)
            axes.set_xlabel(f"{task} Hits@10, %")
            axes.invert_yaxis()
        figure.axes[0].legend(loc="lower right", fontsize="small")
        figure.suptitle(f"Link prediction, {kind} split")
        figure.savefig(path, metadata={"Date": None})
