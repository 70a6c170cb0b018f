"""Tables and plots of the generator's results: ours beside the paper's."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REFERENCE: Final = "reference"
WHOLE: Final = "whole report"
MARKS: Final = ("<!-- generation -->", "<!-- /generation -->")
TITLES: Final = {
    "1": "Table 1: systems",
    "2": "Table 2: what is trained in stage 2",
    "3": "Table 3: lengths of the learned constant (n) and of the image's positions (k)",
    "4": "Table 4: the longest reply",
    "curve": "Reports with gaps",
}
# Rows that the paper has and we have not: its tables' other systems.
ONLY_PAPER: Final = {"1": {"DyGIE++ (the paper's; not run here)": ([24.57, 24.22, 23.81, 23.35], 56.49)}}


def write(path: Path, pictures: Path, page: Path | None) -> None:
    """Write PATH.md and the plot of the results in `path`, and show them between the marks of a docs page."""
    document = json.loads(path.read_text(encoding="utf-8"))
    tables = document["tables"]
    parts = [_head(document)]
    for name in (name for name in TITLES if name in tables):
        parts += _table(name, tables[name]["rows"])
        if name == "curve":
            pictures.mkdir(parents=True, exist_ok=True)
            plot(tables[name]["rows"], pictures / "generation-curve.svg")
    for name, graphs in document["graphs"].items():
        parts += _graphs(name, graphs["rows"])
    text = "\n\n".join(parts) + "\n"
    path.with_suffix(".md").write_text(f"# Generation\n\n{text}", encoding="utf-8")
    if page is not None:
        shown = _pictures(text, pictures, page) + _side_by_side(document["pictures"], pictures, page)
        page.write_text(between(page.read_text(encoding="utf-8"), shown), encoding="utf-8")


def between(page: str, text: str, marks: tuple[str, str] = MARKS) -> str:
    """The page with the text between these marks. Raises `ValueError` where it has none."""
    begin, end = marks
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"the page has no {begin} … {end}")
    return f"{before}{begin}\n{text}{end}{after}"


def _pictures(text: str, pictures: Path, page: Path) -> str:
    """The text with the plot under its title."""
    title = f"### {TITLES['curve']}\n\n"
    plotted = (pictures / "generation-curve.svg").relative_to(page.parent).as_posix()
    alt = "Triplet F1 by the share of sentences that are left out"
    return text.replace(title, f"{title}![{alt}]({plotted})\n\n")


def _side_by_side(drawn: Mapping[str, Any], pictures: Path, page: Path) -> str:
    if "side by side" not in drawn:
        return ""
    name = (pictures / "generation").relative_to(page.parent).as_posix()
    study = drawn["side by side"]["rows"]
    return (
        f"\n### One study\n\n![The graphs of a study beside each other]({name}.png)\n\n"
        "The paper's Figure 2: the first test study with 5 to 12 triplets, the reference and what each system says. "
        f"Black is right, red is wrong, grey and dashed is missing. [As HTML]({name}.html).\n\n> {study['report']}\n"
    )


def table(header: list[str], rows: Iterable[list[str]]) -> str:
    """A Markdown table, the first column to the left."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *rows])


def _head(document: Mapping[str, Any]) -> str:
    data = document["data"]
    contexts = [one["context"] for part in ("tables", "graphs") for one in document[part].values()]
    told = ""
    if contexts:
        machine = contexts[0]["machine"]
        commits = ", ".join(sorted({one["commit"][:10] for one in contexts}))
        told = (
            f" Seed {contexts[0]['seed']}; {machine['device']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
            f"commit {commits}, {contexts[-1]['date'][:10]}."
        )
    return (
        f"{data['training']:,} studies to train on, {data['test']:,} to test (sha256 `{data['sha256']['test'][:12]}`), "
        f"settings `{data['base']}`, {data['beams']} beams.{told}"
    )


def _table(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """A table's title and its parts: scores as text, as sets, and what it cost."""
    parts = [f"### {TITLES[name]}"]
    for share in sorted({row["share"] for row in rows}) if name != "curve" else [None]:
        chosen = [row for row in rows if share is None or row["share"] == share]
        if share is not None:
            kind = "Report and image" if not share else "Image alone"
            parts.append(f"**{'The report' if name == '4' else kind}**, as text ×100, then as sets of triplets")
        texts, sets = _texts(name, chosen, share), _sets(name, chosen, share)
        parts += [sets] if name == "curve" else [texts, sets]
    if name != "curve" and (costs := [row for row in rows if "cost" in row and not row["share"]]):
        parts.append(_costs(costs))
    return parts


def _label(name: str, row: Mapping[str, Any]) -> str:
    """The system; with its sizes where the table is about them."""
    sizes = row.get("projector")
    if name == "3" and sizes:
        paper = row["paper"]
        theirs = f" (the paper's {paper['prefix_length']} / {paper['clip_length']})" if "clip_length" in paper else ""
        return f"n / k = {sizes['prefix_length']} / {sizes['clip_length']}{theirs}"
    if name == "4":
        return f"{row['max_new_tokens']} tokens"
    if name == "curve":
        return f"{row['name']}, {row['share']:.0%} left out"
    return str(row["name"])


def _texts(name: str, rows: list[dict[str, Any]], share: float | None) -> str:
    """BLEU and ROUGE-L beside the paper's, with the parts of BLEU that explain it."""
    header = ["", "BLEU-1", "-2", "-3", "-4", "ROUGE-L", "brevity penalty", "length ratio", "BLEU-4, mean of documents"]
    header += ["paper: BLEU-1", "-2", "-3", "-4", "ROUGE-L"]
    found = []
    for row in rows:
        scores = row["against"][REFERENCE]
        bleu, paper = scores["bleu"], row["paper"]
        theirs = [*paper["bleu"], paper["rouge_l"]] if "bleu" in paper else []
        found.append(
            [
                _label(name, row),
                *(f"{one:.2f}" for one in (*bleu["corpus"], scores["rouge_l"]["f"])),
                f"{bleu['brevity_penalty']:.3f}",
                "–" if bleu["length_ratio"] is None else f"{bleu['length_ratio']:.3f}",
                f"{bleu['sentences'][3]:.2f}",
                *([f"{one:.2f}" for one in theirs] or ["–"] * 5),
            ]
        )
    if not share:
        for system, (bleu, rouge) in ONLY_PAPER.get(name, {}).items():
            found.insert(0, [system, *["–"] * 8, *(f"{one:.2f}" for one in (*bleu, rouge))])
    return table(header, found)


def _sets(name: str, rows: list[dict[str, Any]], share: float | None) -> str:
    """Triplets, entities and graphs; the F1 against the whole report where some of it is left out."""
    others = list(dict.fromkeys(system for row in rows for system in row["minus"]))
    header = ["", "P", "R", "F1 (95 %)", "F1, exact words", "entity F1"]
    header += ["RadGraph-F1: simple", "partial", "complete", *(f"F1 minus {_name(one, rows)}" for one in others)]
    whole = share is None or share > 0
    header += ["F1 against the whole report"] if whole else []
    header += ["replies cut"] if name == "4" else []
    found = []
    for row in rows:
        scores = row["against"][REFERENCE]
        normalised, graph = scores["triplets"]["normalised"], scores["radgraph_f1"]["normalised"]
        cells = [_label(name, row), f"{normalised['precision']:.3f}", f"{normalised['recall']:.3f}"]
        cells.append(_interval(scores["interval"]))
        cells += [f"{scores['triplets']['exact']['f1']:.3f}", f"{scores['entities']['f1']:.3f}"]
        cells += [f"{graph[level]:.3f}" for level in ("simple", "partial", "complete")]
        cells += [_interval(row["minus"][one], "+") if one in row["minus"] else "–" for one in others]
        if whole:
            cells.append(_interval(row["against"][WHOLE]["interval"]) if WHOLE in row["against"] else "the same")
        if name == "4":
            cells.append(str(row["cut"]))
        found.append(cells)
    return table(header, found)


def _name(system: str, rows: Iterable[Mapping[str, Any]]) -> str:
    return next((str(row["name"]) for row in rows if row["system"] == system), system)


def _interval(found: Mapping[str, float], sign: str = "") -> str:
    return f"{found['value']:{sign}.3f} ({found['low']:{sign}.3f} to {found['high']:{sign}.3f})"


def _costs(rows: list[dict[str, Any]]) -> str:
    """What the last stage of each row cost, and how fast it answered; a row's earlier stages are those of others."""
    header = ["", "parameters", "last stage, s", "its loss", "on", "replies, s", "tokens"]
    return table(
        header,
        (
            [
                row["name"],
                f"{row['cost']['parameters']:,}",
                f"{row['cost']['seconds']:,.0f}",
                str(row["cost"]["loss"]),
                str(row["cost"].get("device", "–")),
                f"{row['seconds']:,.0f}" if "seconds" in row else "–",
                f"{row['tokens']:,}" if "tokens" in row else "–",
            ]
            for row in rows
        ),
    )


def _graphs(name: str, graphs: Mapping[str, Any]) -> list[str]:
    rows = [{"system": key, "share": 0.0, "minus": {}, **row} for key, row in graphs["systems"].items()]
    told = f"{graphs['reports']:,} reports, labeler {graphs['labeler']}; without images."
    return [f"### Reports of {name}", told, _texts("", rows, 0.0), _sets("", rows, 0.0)]


def stacked(pictures: Sequence[bytes]) -> Image.Image:
    """Pictures under each other, in few colours, so that the file is small."""
    parts = [Image.open(io.BytesIO(one)).convert("RGB") for one in pictures]
    whole = Image.new("RGB", (max(one.width for one in parts), sum(one.height for one in parts)), "white")
    top = 0
    for one in parts:
        whole.paste(one, (0, top))
        top += one.height
    return whole.quantize(64)


TITLE_OF: Final = {REFERENCE: "against the sentences left and the image", WHOLE: "against the whole report"}
# A line a system: marker, its size, line style and width. Lines of some systems coincide: the wide one shows both.
LINES: Final = (("o", 7, "-", 2.0), ("s", 11, "-", 5.0), ("x", 8, "--", 1.8), ("D", 7, "-", 2.0), ("^", 7, "-.", 2.0))


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """F1 by the share of sentences left out, with its interval: against the sentences left and the image, and
    against the whole report; a line a system.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "kgplatform", "font.size": 12}):
        figure = Figure(figsize=(11, 5.4), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, reference in zip(panels, (REFERENCE, WHOLE), strict=True):
            for number, name in enumerate(dict.fromkeys(row["name"] for row in rows)):
                _line(axes, number, [row for row in rows if row["name"] == name], reference)
            axes.set_title(TITLE_OF[reference])
            axes.set_xlabel("sentences of the report left out, %")
            axes.set_ylim(0, 1)
            axes.grid(alpha=0.3)
        panels[0].set_ylabel("triplet F1, entities by concept")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        figure.savefig(path, metadata={"Date": None})


def _line(axes: Axes, number: int, rows: list[dict[str, Any]], reference: str) -> None:
    """A system's F1 against one reference. Of a whole report there is one reference alone."""
    rows = sorted(rows, key=lambda row: float(row["share"]))
    shares = [100 * row["share"] for row in rows]
    f1 = [row["against"].get(reference, row["against"][REFERENCE])["interval"] for row in rows]
    marker, size, style, width = LINES[number % len(LINES)]
    shape = {"marker": marker, "markersize": size, "linestyle": style, "linewidth": width}
    axes.plot(shares, [one["value"] for one in f1], color=f"C{number}", label=rows[0]["name"], alpha=0.8, **shape)
    axes.fill_between(
        shares, [one["low"] for one in f1], [one["high"] for one in f1], color=f"C{number}", alpha=0.12, linewidth=0
    )
