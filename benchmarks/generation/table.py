"""Tables and plots of the generator's results: ours next to the paper's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from benchmarks.harness.table_text import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCE: Final = "reference"
FULL_REPORT: Final = "whole report"
TITLES: Final = {
    "1": "Table 1: systems",
    "2": "Table 2: what is trained in stage 2",
    "3": "Table 3: lengths of the learned constant (n) and of the image's positions (k)",
    "4": "Table 4: the longest reply",
    "curve": "Reports with gaps",
}
# Rows that the paper has and we have not: its tables' other systems.
ONLY_PAPER: Final = {"1": {"DyGIE++ (the paper's; not run here)": ([24.57, 24.22, 23.81, 23.35], 56.49)}}


def write_generation_table(path: Path, pictures: Path) -> None:
    """Write PATH.md, and into `pictures` the plot, of the results in `path`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    tables = document["tables"]
    text_parts = [_head(document)]
    for table_name in (table_name for table_name in TITLES if table_name in tables):
        text_parts += _table(table_name, tables[table_name]["rows"])
        if table_name == "curve":
            pictures.mkdir(parents=True, exist_ok=True)
            _plot_f1(tables[table_name]["rows"], pictures / "generation-curve.svg")
    for table_name, graph_results in document["graphs"].items():
        text_parts += _graphs(table_name, graph_results["rows"])
    page_text = "\n\n".join(text_parts) + "\n"
    path.with_suffix(".md").write_text(f"# Generation\n\n{page_text}", encoding="utf-8")


def _head(document: Mapping[str, Any]) -> str:
    data_settings = document["data"]
    contexts = [
        table_result["context"]
        for result_kind in ("tables", "graphs")
        for table_result in document[result_kind].values()
    ]
    machine_text = ""
    if contexts:
        machine = contexts[0]["machine"]
        commits = ", ".join(sorted({table_result["commit"][:10] for table_result in contexts}))
        machine_text = (
            f" Seed {contexts[0]['seed']}; {machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
            f"commit {commits}, {contexts[-1]['date'][:10]}."
        )
    return (
        f"{data_settings['training']:,} studies to train on, {data_settings['test']:,} to test (sha256 "
        f"`{data_settings['sha256']['test'][:12]}`), "
        f"settings `{data_settings['base']}`, {data_settings['beams']} beams.{machine_text}"
    )


def _table(table_name: str, result_rows: list[dict[str, Any]]) -> list[str]:
    """A table's title and its parts: scores as text, as sets, and what it cost."""
    text_parts = [f"### {TITLES[table_name]}"]
    for share in sorted({result_row["share"] for result_row in result_rows}) if table_name != "curve" else [None]:
        share_rows = [result_row for result_row in result_rows if share is None or result_row["share"] == share]
        if share is not None:
            input_label = "Report and image" if not share else "Image alone"
            text_parts.append(
                f"**{'The report' if table_name == '4' else input_label}**, as text ×100, then as sets of triplets"
            )
        text_table, set_table = _texts(table_name, share_rows, share), _sets(table_name, share_rows, share)
        text_parts += [set_table] if table_name == "curve" else [text_table, set_table]
    if table_name != "curve" and (
        cost_rows := [result_row for result_row in result_rows if "cost" in result_row and not result_row["share"]]
    ):
        text_parts.append(_costs(cost_rows))
    return text_parts


def _label(table_name: str, result_row: Mapping[str, Any]) -> str:
    """The system; with its sizes where the table is about them."""
    sizes = result_row.get("projector")
    if table_name == "3" and sizes:
        paper_row = result_row["paper"]
        paper_label = (
            f" (the paper's {paper_row['prefix_length']} / {paper_row['clip_length']})"
            if "clip_length" in paper_row
            else ""
        )
        return f"n / k = {sizes['prefix_length']} / {sizes['clip_length']}{paper_label}"
    if table_name == "4":
        return f"{result_row['max_new_tokens']} tokens"
    if table_name == "curve":
        return f"{result_row['name']}, {result_row['share']:.0%} left out"
    return str(result_row["name"])


def _texts(table_name: str, result_rows: list[dict[str, Any]], share: float | None) -> str:
    """BLEU and ROUGE-L next to the paper's, with the parts of BLEU that explain it."""
    header = ["", "BLEU-1", "-2", "-3", "-4", "ROUGE-L", "brevity penalty", "length ratio", "BLEU-4, mean of documents"]
    header += ["paper: BLEU-1", "-2", "-3", "-4", "ROUGE-L"]
    table_rows = []
    for result_row in result_rows:
        scores = result_row["against"][REFERENCE]
        bleu_scores, paper_row = scores["bleu"], result_row["paper"]
        paper_figures = [*paper_row["bleu"], paper_row["rouge_l"]] if "bleu" in paper_row else []
        table_rows.append(
            [
                _label(table_name, result_row),
                *(f"{figure:.2f}" for figure in (*bleu_scores["corpus"], scores["rouge_l"]["f"])),
                f"{bleu_scores['brevity_penalty']:.3f}",
                "–" if bleu_scores["length_ratio"] is None else f"{bleu_scores['length_ratio']:.3f}",
                f"{bleu_scores['sentences'][3]:.2f}",
                *([f"{figure:.2f}" for figure in paper_figures] or ["–"] * 5),
            ]
        )
    if not share:
        for system, (bleu_scores, rouge_score) in ONLY_PAPER.get(table_name, {}).items():
            table_rows.insert(0, [system, *["–"] * 8, *(f"{figure:.2f}" for figure in (*bleu_scores, rouge_score))])
    return markdown_table(header, table_rows)


def _sets(table_name: str, result_rows: list[dict[str, Any]], share: float | None) -> str:
    """Triplets, entities and graphs; the F1 against the whole report where some of it is left out."""
    other_systems = list(dict.fromkeys(system for result_row in result_rows for system in result_row["minus"]))
    header = ["", "P", "R", "F1 (95 %)", "F1, exact words", "entity F1"]
    header += [
        "RadGraph-F1: simple",
        "partial",
        "complete",
        *(f"F1 minus {_name(other_system, result_rows)}" for other_system in other_systems),
    ]
    has_whole_report = share is None or share > 0
    header += ["F1 against the whole report"] if has_whole_report else []
    header += ["replies cut"] if table_name == "4" else []
    table_rows = []
    for result_row in result_rows:
        scores = result_row["against"][REFERENCE]
        normalised_scores, graph_scores = scores["triplets"]["normalised"], scores["radgraph_f1"]["normalised"]
        cells = [
            _label(table_name, result_row),
            f"{normalised_scores['precision']:.3f}",
            f"{normalised_scores['recall']:.3f}",
        ]
        cells.append(_interval(scores["interval"]))
        cells += [f"{scores['triplets']['exact']['f1']:.3f}", f"{scores['entities']['f1']:.3f}"]
        cells += [f"{graph_scores[level]:.3f}" for level in ("simple", "partial", "complete")]
        cells += [
            _interval(result_row["minus"][other_system], "+") if other_system in result_row["minus"] else "–"
            for other_system in other_systems
        ]
        if has_whole_report:
            cells.append(
                _interval(result_row["against"][FULL_REPORT]["interval"])
                if FULL_REPORT in result_row["against"]
                else "the same"
            )
        if table_name == "4":
            cells.append(str(result_row["cut"]))
        table_rows.append(cells)
    return markdown_table(header, table_rows)


def _name(system: str, result_rows: Iterable[Mapping[str, Any]]) -> str:
    return next((str(result_row["name"]) for result_row in result_rows if result_row["system"] == system), system)


def _interval(interval: Mapping[str, float], sign_format: str = "") -> str:
    return (
        f"{interval['value']:{sign_format}.3f} ({interval['low']:{sign_format}.3f} to "
        f"{interval['high']:{sign_format}.3f})"
    )


def _costs(result_rows: list[dict[str, Any]]) -> str:
    """What the last stage of each row cost, and how fast it answered; a row's earlier stages are those of others."""
    header = ["", "parameters", "last stage, s", "its loss", "on", "replies, s", "tokens"]
    return markdown_table(
        header,
        (
            [
                result_row["name"],
                f"{result_row['cost']['parameters']:,}",
                f"{result_row['cost']['seconds']:,.0f}",
                str(result_row["cost"]["loss"]),
                str(result_row["cost"].get("device", "–")),
                f"{result_row['seconds']:,.0f}" if "seconds" in result_row else "–",
                f"{result_row['tokens']:,}" if "tokens" in result_row else "–",
            ]
            for result_row in result_rows
        ),
    )


def _graphs(file_name: str, graph_results: Mapping[str, Any]) -> list[str]:
    result_rows = [
        {"system": system, "share": 0.0, "minus": {}, **system_result}
        for system, system_result in graph_results["systems"].items()
    ]
    description = f"{graph_results['reports']:,} reports, labeler {graph_results['labeler']}; without images."
    return [f"### Reports of {file_name}", description, _texts("", result_rows, 0.0), _sets("", result_rows, 0.0)]


def stacked(pictures: Sequence[bytes]) -> Image.Image:
    """Pictures under each other, in few colours, so that the file is small."""
    images = [Image.open(io.BytesIO(image)).convert("RGB") for image in pictures]
    stacked_image = Image.new(
        "RGB", (max(image.width for image in images), sum(image.height for image in images)), "white"
    )
    top_offset = 0
    for image in images:
        stacked_image.paste(image, (0, top_offset))
        top_offset += image.height
    return stacked_image.quantize(64)


PANEL_TITLES: Final = {REFERENCE: "against the sentences left and the image", FULL_REPORT: "against the whole report"}
# A line a system: marker, its size, line style and width. Lines of some systems coincide: the wide one shows both.
LINES: Final = (("o", 7, "-", 2.0), ("s", 11, "-", 5.0), ("x", 8, "--", 1.8), ("D", 7, "-", 2.0), ("^", 7, "-.", 2.0))


def _plot_f1(rows: list[dict[str, Any]], path: Path) -> None:
    """F1 by the share of sentences left out, with its interval: against the sentences left and the image, and
    against the whole report; a line a system.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "kgplatform", "font.size": 12}):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, reference in zip(panels, (REFERENCE, FULL_REPORT), strict=True):
            for system_index, system_name in enumerate(dict.fromkeys(result_row["name"] for result_row in rows)):
                _line(
                    axes,
                    system_index,
                    [result_row for result_row in rows if result_row["name"] == system_name],
                    reference,
                )
            axes.set_title(PANEL_TITLES[reference])
            axes.set_xlabel("sentences of the report left out, %")
            axes.set_ylim(0, 1)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("triplet F1, entities by concept")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(path, metadata={"Date": None})


def _line(axes: Axes, system_index: int, result_rows: list[dict[str, Any]], reference: str) -> None:
    """A system's F1 against one reference. Of a whole report there is one reference alone."""
    result_rows = sorted(result_rows, key=lambda result_row: float(result_row["share"]))
    shares = [100 * result_row["share"] for result_row in result_rows]
    f1_intervals = [
        result_row["against"].get(reference, result_row["against"][REFERENCE])["interval"] for result_row in result_rows
    ]
    marker, marker_size, line_style, line_width = LINES[system_index % len(LINES)]
    axes.plot(
        shares,
        [interval["value"] for interval in f1_intervals],
        color=f"C{system_index}",
        label=result_rows[0]["name"],
        alpha=0.8,
        marker=marker,
        markersize=marker_size,
        linestyle=line_style,
        linewidth=line_width,
    )
    axes.fill_between(
        shares,
        [interval["low"] for interval in f1_intervals],
        [interval["high"] for interval in f1_intervals],
        color=f"C{system_index}",
        alpha=0.12,
        linewidth=0,
    )
