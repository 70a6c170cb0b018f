"""The graph's statistics next to the paper's (MedMKG Table 1 and Figure 2)."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kgplatform import queries
from kgplatform.digest import digest as compute_digest
from kgplatform.errors import KgpError, UsageError
from kgplatform.extras import missing
from kgplatform.files import figure_metadata, has_program_mark, replacing
from kgplatform.graph import Graph

# MedMKG Table 1; stances and conflicts are recomputed from the released files, the paper does not print them.
PAPER: Final[dict[str, float]] = {
    "edges": 35387,
    "concepts": 3149,
    "images": 4868,
    "relations": 262,
    "cross_edges": 20705,
    "intra_edges": 14682,
    "positive": 12509,
    "negative": 2089,
    "uncertain": 6107,
    "conflicts": 68,
    "image_concept_ratio": 1.55,
    "edges_per_image": 4.25,
    "edges_per_concept": 11.24,
}

TITLES: Final = {
    "edges": "Edges",
    "concepts": "Concepts",
    "images": "Images",
    "relations": "Relations",
    "cross_edges": "Cross-modality edges",
    "intra_edges": "Intra-modality edges",
    "positive": "  POSITIVE",
    "negative": "  NEGATIVE",
    "uncertain": "  UNCERTAIN",
    "conflicts": "Pairs with several stances",
    "image_concept_ratio": "Image : concept",
    "edges_per_image": "Edges an image",
    "edges_per_concept": "Edges a concept",
}
"""The figures as `kgp stats` titles them."""

SIDES: Final = ("head", "tail")
SUFFIXES: Final = (".png", ".svg", ".pdf")
LABEL_WIDTH: Final = 30  # characters of a line of a bar's label
COMPARABLE: Final = 50.0  # percent of heads (tails) with a known type from which shares are compared with the paper's

# MedMKG appendix, figure 5: percent of edges by semantic type of the head and of the tail.
PAPER_SEMANTIC_TYPES: Final[dict[str, dict[str, float]]] = {
    "head": {
        "Disease or Syndrome": 20.8,
        "Finding": 13.3,
        "Body Part, Organ, or Organ Component": 12.0,
        "Therapeutic or Preventive Procedure": 9.4,
        "Pathologic Function": 5.8,
        "Body Location or Region": 5.7,
        "Neoplastic Process": 4.9,
        "Injury or Poisoning": 3.7,
        "Diagnostic Procedure": 3.5,
        "Medical Device": 3.3,
        "Others": 17.7,
    },
    "tail": {
        "Finding": 18.3,
        "Disease or Syndrome": 14.1,
        "Body Part, Organ, or Organ Component": 8.8,
        "Therapeutic or Preventive Procedure": 7.8,
        "Spatial Concept": 4.7,
        "Pathologic Function": 4.3,
        "Body Location or Region": 4.2,
        "Medical Device": 3.8,
        "Neoplastic Process": 3.3,
        "Diagnostic Procedure": 2.6,
        "Others": 28.0,
    },
}


@dataclass(frozen=True)
class GraphStats:
    """A graph's counts and ratios (`figures`), its most connected concepts, shares of semantic types, of how many edges
    the types are known, nodes by label, and its digest where that was asked for.
    """

    figures: dict[str, Any]
    hubs: list[dict[str, Any]]
    shares: list[dict[str, Any]]
    coverage: list[dict[str, Any]]
    labels: list[dict[str, Any]]
    digest: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """All figures by name, those of `figures` first."""
        document = {**self.figures, "hubs": self.hubs, "semantic_types": self.shares, "labels": self.labels}
        document["semantic_type_coverage"] = self.coverage
        return document if self.digest is None else {**document, "digest": self.digest}

    def plot(self, path: Path) -> None:
        """Write Figure 2 to a file. Raises `KgpError` where no concept has a semantic type, and as
        `plot_semantic_types`.
        """
        if not self.shares:
            hint = "Load them with a lexicon that has them: `kgp construct run --lexicon` (see docs/construct.md)."
            raise KgpError("no concept has a semantic type, so there is nothing to plot", hint)
        plot_semantic_types(self.shares, self.coverage, path)


def collect_stats(graph: Graph, top: int = 10, *, with_digest: bool = False) -> GraphStats:
    """The graph's statistics, with its `top` most connected concepts, and its digest if asked for."""
    return GraphStats(
        overview(graph),
        hubs(graph, top),
        semantic_types(graph),
        type_coverage(graph),
        labels(graph),
        str(compute_digest(graph)) if with_digest else None,
    )


def overview(graph: Graph) -> dict[str, Any]:
    """Table 1 for this graph: counts, and the three ratios (None where the divisor is 0)."""
    [record] = graph.read(queries.get("stats/overview"))
    return record


def hubs(graph: Graph, limit: int = 10) -> list[dict[str, Any]]:
    """The most connected concepts."""
    return graph.read(queries.get("stats/hubs"), limit=limit)


def semantic_types(graph: Graph, limit: int = 10) -> list[dict[str, Any]]:
    """Shares of semantic types at heads and tails; empty where no types are known."""
    return graph.read(queries.get("stats/semantic_types"), limit=limit)


def type_coverage(graph: Graph) -> list[dict[str, Any]]:
    """For heads and tails, of how many edges (`typed` of `edges`, `percent`) the concept's types are known."""
    return graph.read(queries.get("stats/type_coverage"))


def comparable(coverage: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
    """By side, whether enough types are known to put the shares next to the paper's."""
    return {record["side"]: (record["percent"] or 0.0) >= COMPARABLE for record in coverage}


def labels(graph: Graph) -> list[dict[str, Any]]:
    """Nodes by label."""
    return graph.read(queries.get("stats/labels"))


def plot_semantic_types(shares: Sequence[Mapping[str, Any]], coverage: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Figure 2 as a plot file (PNG, SVG or PDF by the suffix): bars for heads and for tails, each with how many of them
    have a known type. Needs the extra ``plot``. Raises `UsageError` for another suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing("matplotlib", "plot") from None
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path} is not the name of a plot file", f"Use one of the endings {', '.join(SUFFIXES)}.")
    coverage_by_side = {record["side"]: record for record in coverage}
    labels_by_side = {side: [_wrapped(record) for record in shares if record["side"] == side] for side in SIDES}
    line_count = max(sum(label.count("\n") + 2 for label in side_labels) for side_labels in labels_by_side.values())
    figure = Figure(figsize=(12, 1.8 + 0.16 * line_count), layout="constrained")
    for axes, side in zip(figure.subplots(1, 2), SIDES, strict=True):
        percents = [record["percent"] for record in shares if record["side"] == side]
        bars = axes.barh(range(len(percents)), percents, color="tab:blue")
        axes.bar_label(bars, [f"{percent:.1f} %" for percent in percents], padding=3, fontsize=8)
        axes.set_yticks(
            range(len(percents)), labels_by_side[side], fontsize=8, parse_math=False
        )  # "$" is only a character
        axes.invert_yaxis()
        axes.set_xlim(0, 1.2 * max(percents, default=1.0))
        axes.set_xlabel(f"percent of the known types of {side}s", fontsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(f"Semantic types of {side}s\n{coverage_sentence(coverage_by_side[side])}", fontsize=10)
    with replacing(path, has_program_mark) as staged_path:
        figure.savefig(staged_path, format=path.suffix[1:].lower(), dpi=150, metadata=figure_metadata(path))


def coverage_sentence(row: Mapping[str, Any]) -> str:
    """How many heads or tails have a known type, in words."""
    share_text = f" ({row['percent']:.1f} %)" if row["edges"] else ""
    return f"known for {row['typed']:,} of {row['edges']:,} {row['side']}s{share_text}"


def _wrapped(record: Mapping[str, Any]) -> str:
    """The type's name in at most three lines; a character that is not printable would make the SVG invalid."""
    type_name = "".join(character if character.isprintable() else "�" for character in str(record["semantic_type"]))
    return "\n".join(textwrap.wrap(type_name, LABEL_WIDTH, max_lines=3, placeholder=" …"))
