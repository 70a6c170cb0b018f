"""Tables in Markdown: figures in %, means and spreads, marks for what is better and worse."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

BETTER, WORSE, SAME = "🟩", "🟥", "⬜"


def header(columns: Sequence[str], first: str = "") -> list[str]:
    """The two lines that begin a table."""
    return [f"| {' | '.join([first, *columns])} |", f"|---|{'---:|' * len(columns)}"]


def line(name: str, values: Sequence[str]) -> str:
    """A row."""
    return f"| {' | '.join([name, *values])} |"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left."""
    rule = ["---", *["---:"] * (len(columns) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [columns, rule, *rows])


def spread(values: Sequence[float]) -> str:
    """Shares as mean ± SD in %."""
    deviation = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f}{deviation}"


def mark(difference: float) -> str:
    """By the sign of a difference of means."""
    return SAME if abs(difference) < 1e-12 else BETTER if difference > 0 else WORSE


def interval(low: float, value: float, high: float) -> str:
    """A difference in points, its interval, and whether that is above, below or around 0."""
    sign_mark = BETTER if low > 0 else WORSE if high < 0 else SAME
    return f"{100 * value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] {sign_mark}"


def describe_runs(runs: Sequence[Mapping[str, Any]]) -> str:
    """Of runs: their seeds, every commit (a + where files differed from it) and the machines, as sentences."""
    contexts = [run_row["context"] for run_row in runs]
    seeds = ", ".join(str(seed) for seed in sorted({run_row["seed"] for run_row in runs}))
    commits: dict[str, None] = {}
    for context in sorted(contexts, key=lambda context: str(context["date"])):
        commits[context["commit"][:10] + ("+" if context["dirty"] else "")] = None
    machines = sorted(
        {f"{run_context['machine']['cores']} cores, {run_context['machine']['device']}" for run_context in contexts}
    )
    return f"Seeds: {seeds}. Commits, + with changes: {', '.join(commits)}; {'; '.join(machines)}."
