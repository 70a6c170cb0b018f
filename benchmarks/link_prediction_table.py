"""Tables and plots of the link-prediction results: ours beside the paper's and the baselines'."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

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


def write(path: Path, paper: Path) -> None:
    """Write PATH.md and PATH.svg from the results in `path`; the paper's rows are in the settings in `paper`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    runs = by_model(document["runs"])
    rows = {file.stem: TrainingSettings.read(file).paper for file in sorted(paper.glob("*.yaml"))}
    text = "\n\n".join(
        [
            head(document),
            summary(runs, rows),
            *(task_table(runs, rows, task) for task in TASKS),
            *breakdowns(runs),
            costs(runs),
        ]
    )
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    plot(runs, rows, document["split"]["kind"], path.with_suffix(".svg"))


def by_model(runs: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The runs of each model with each kind of settings, best validation first, baselines at the end."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    kinds = defaultdict(set)
    for run in runs:
        kinds[run["model"]].add(run["settings"])
    for run in runs:
        several = len(kinds[run["model"]]) > 1
        found[f"{run['model']} ({run['settings']})" if several else run["model"]].append(run)
    return dict(sorted(found.items(), key=lambda item: (item[0] in BASELINES, -mean(item[1], "tail", "hits@10"))))


def values(runs: list[dict[str, Any]], task: str, metric: str, group: str | None = None) -> list[float]:
    """A filtered metric of each run, in a group of test triples if one is named."""
    parts = [run["groups"].get(group) if group else run["filtered"] for run in runs]
    return [part[task][metric] for part in parts if part]


def mean(runs: list[dict[str, Any]], task: str, metric: str) -> float:
    """A metric's mean over the runs."""
    return statistics.mean(values(runs, task, metric))


def shown(numbers: list[float], metric: str) -> str:
    """Mean, and ± standard deviation where there are several runs."""
    if not numbers:
        return "–"
    digits = {"mr": 1, "mrr": 3}.get(metric, 2)
    spread = f" ± {statistics.stdev(numbers):.{digits}f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.{digits}f}{spread}"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, the first column to the left."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def head(document: dict[str, Any]) -> str:
    """What was split how, and what leaks."""
    split = document["split"]
    contexts = [run["context"] for run in document["runs"]]
    machine = contexts[0]["machine"]
    devices = sorted({context["machine"]["device"] for context in contexts})
    return (
        f"# Link prediction, `{split['kind']}` split\n\n"
        f"Split seed {split['seed']}, {split['test']:,} test triples; {split['either']:,} of them have an edge between "
        f"the same two entities in training ({split['reversed']:,} the other way round, {split['parallel']:,} the same "
        f"way); {split['triples_with_unseen']:,} name an entity that training has not. Filtered realistic ranks; hits "
        f"in percent; mean ± standard deviation where there are several seeds. Measured on {', '.join(devices)}, "
        f"{machine['cores']} cores, commits {', '.join(sorted({context['commit'][:8] for context in contexts}))}."
    )


def summary(runs: dict[str, list[dict[str, Any]]], paper: dict[str, Any]) -> str:
    """Hits@10 of every model on the three tasks, with the paper's beside it, and on the cross-modality part."""
    header = ["Model", *TASKS, *(f"paper {task}" for task in TASKS), *(f"cross {task}" for task in TASKS)]
    rows = []
    for name, found in runs.items():
        row = paper.get(found[0]["model"], {})
        rows.append(
            [
                name,
                *(shown(values(found, task, "hits@10"), "hits@10") for task in TASKS),
                *(f"{row[task][3]:.2f}" if row else "–" for task in TASKS),
                *(shown(values(found, task, "hits@10", "cross"), "hits@10") for task in TASKS),
            ]
        )
    return f"## Hits@10\n\n{table(header, rows)}"


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
    rows = []
    for name, found in runs.items():
        cells = [name, str(len(found)), *(shown(values(found, task, metric), metric) for metric in COLUMNS)]
        cells.append(shown([run["raw"][task]["hits@10"] for run in found], "hits@10"))
        row = paper.get(found[0]["model"], {}).get(task)
        if row:
            differences = [
                mean(found, task, metric) - figure for metric, figure in zip(PAPER_COLUMNS, row, strict=True)
            ]
            cells += [
                f"{row[0]:.1f}",
                f"{row[3]:.2f}",
                f"{differences[0]:+.1f}",
                *(f"{d:+.2f}" for d in differences[1:]),
            ]
        else:
            cells += ["–"] * 6
        rows.append(cells)
    return f"## {task.capitalize()} prediction\n\n{table(header, rows)}"


def breakdowns(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Hits@10 by group of test triples, a table a task."""
    texts = []
    for task in TASKS:
        present = [group for group in GROUPS if any(values(found, task, "n", group) for found in runs.values())]
        sizes = {
            group: max(max(values(found, task, "n", group), default=0) for found in runs.values()) for group in present
        }
        header = ["Model", *(f"{group} ({sizes[group]:,.0f})" for group in present)]
        rows = [
            [name, *(shown(values(found, task, "hits@10", group), "hits@10") for group in present)]
            for name, found in runs.items()
        ]
        texts.append(f"## {task.capitalize()} prediction, Hits@10 by group (test triples)\n\n{table(header, rows)}")
    return texts


def costs(runs: dict[str, list[dict[str, Any]]]) -> str:
    """What each model cost."""
    rows = [
        [
            name,
            found[0]["settings"],
            f"{found[0]['parameters']:,}",
            ", ".join(str(run["epochs"]) for run in found),
            ", ".join(f"{run['training_seconds']:.0f}" for run in found),
            f"{statistics.mean(run['evaluation_seconds'] for run in found):.1f}",
        ]
        for name, found in runs.items()
        if "epochs" in found[0]
    ]
    header = ["Model", "Settings", "Parameters", "Epochs", "Training, s", "Evaluation of the test part, s"]
    total = sum(run["training_seconds"] for found in runs.values() for run in found if "epochs" in run)
    return f"## Cost\n\nAll training together: {total / 60:.0f} minutes.\n\n{table(header, rows)}"


def plot(runs: dict[str, list[dict[str, Any]]], paper: dict[str, Any], kind: str, path: Path) -> None:
    """Hits@10 a task, ours beside the paper's, with the inverse rule as a line."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "kgplatform"}):
        models = [name for name in runs if name not in BASELINES]
        figure = Figure(figsize=(11, 0.32 * len(models) + 1.5), layout="constrained")
        for axes, task in zip(figure.subplots(1, 3, sharey=True), TASKS, strict=True):
            places = range(len(models))
            axes.barh(
                [p - 0.2 for p in places], [mean(runs[m], task, "hits@10") for m in models], 0.4, label="ours, filtered"
            )
            rows = [paper.get(runs[m][0]["model"], {}).get(task) for m in models]
            axes.barh(
                [p + 0.2 for p in places],
                [row[3] if row else 0 for row in rows],
                0.4,
                label="paper, raw",
                color="#bbbbbb",
            )
            for baseline, style in zip(BASELINES, (":", "--", "-."), strict=True):
                if baseline in runs:
                    axes.axvline(mean(runs[baseline], task, "hits@10"), linestyle=style, color="black", label=baseline)
            axes.set_yticks(list(places), models)
            axes.set_xlabel(f"{task} Hits@10, %")
            axes.invert_yaxis()
        figure.axes[0].legend(loc="lower right", fontsize="small")
        figure.suptitle(f"Link prediction, {kind} split")
        figure.savefig(path, metadata={"Date": None})
