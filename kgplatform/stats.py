"""The graph's statistics beside the paper's (MedMKG Table 1 and Figure 2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from kgplatform import queries
from kgplatform.errors import SettingsError
from kgplatform.files import figure_metadata, marked, replacing
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


def labels(graph: Graph) -> list[dict[str, Any]]:
    """Nodes by label."""
    return graph.read(queries.get("stats/labels"))


def plot_semantic_types(shares: list[dict[str, Any]], path: Path) -> None:
    """Figure 2 as a plot file (PNG, SVG or PDF by the suffix): a pie a side. Needs the extra ``plot``."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError("plots need matplotlib", "pip install 'kgplatform[plot]'") from None
    figure = Figure(figsize=(12, 5), layout="constrained")
    for axes, side in zip(figure.subplots(1, 2), ("head", "tail"), strict=True):
        of_side = [share for share in shares if share["side"] == side]
        axes.pie(
            [share["edges"] for share in of_side],
            labels=[f"{share['semantic_type']} {share['percent']:.1f} %" for share in of_side],
            colors=[mpl.colormaps["tab20"](i) for i in range(20)],
            startangle=90,
            counterclock=False,
            textprops={"fontsize": 8},
        )
        axes.set_title(f"Semantic types of {side}s")
    with replacing(path, marked) as staged:
        figure.savefig(staged, format=path.suffix[1:] or "png", dpi=150, metadata=figure_metadata(path))
