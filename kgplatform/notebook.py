"""How a notebook shows a graph: its counts, and a drawing of what is around its most connected concept."""

from __future__ import annotations

from html import escape
from typing import Final

from kgplatform import stats
from kgplatform.graph import Graph
from kgplatform.vqa import drawing, live
from kgplatform.vqa.live import SubgraphNode

COUNTS: Final = 10  # of the titles of `kgp stats`: those that are counts
EDGES: Final = 12  # of the drawing


def graph_html(graph: Graph) -> str:
    """The counts of `kgp stats` as a table, and the drawing as an SVG image in the page."""
    figures = stats.overview(graph)
    counts = "".join(
        f"<tr><th style='text-align:left'>{escape(title.strip())}</th><td>{figures[name]:,}</td></tr>"
        for name, title in list(stats.TITLES.items())[:COUNTS]
    )
    return f"<table>{counts}</table>{_drawing(graph)}"


def _drawing(graph: Graph) -> str:
    hubs = stats.hubs(graph, 1)
    if not hubs:
        return "<p>The graph has no concepts: load something first.</p>"
    hub = SubgraphNode(hubs[0]["cui"], hubs[0]["concept"] or hubs[0]["cui"])
    (edges,) = live.subgraphs(graph, [[hub.key]], cap=EDGES)
    return drawing.draw_subgraph(f"Around {hub.name}", [hub], edges)
