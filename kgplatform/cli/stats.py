"""`kgp stats`: the graph beside the paper's Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, table

_TITLES = {
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


def stats(
    top: Annotated[int, typer.Option(min=0, help="How many of the most connected concepts to show.")] = 10,
    plot: Annotated[
        Path | None, typer.Option(help="Write the semantic-type shares (Figure 2) to this PNG, SVG or PDF.")
    ] = None,
    digest: Annotated[bool, typer.Option("--digest", help="Also compute the digest of the whole graph.")] = False,
    as_json: Json = False,
) -> None:
    """Print the graph's statistics beside the paper's Table 1."""
    from kgplatform import stats as statistics
    from kgplatform.digest import digest as compute_digest
    from kgplatform.errors import KgpError
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        figures = statistics.overview(graph)
        hubs = statistics.hubs(graph, top)
        shares = statistics.semantic_types(graph)
        labels = statistics.labels(graph)
        value = str(compute_digest(graph)) if digest else None
    if plot:
        if not shares:
            raise KgpError("no concept has a semantic type, so there is nothing to plot", "Load an ontology first.")
        statistics.plot_semantic_types(shares, plot)
    if as_json:
        document = {**figures, "hubs": hubs, "semantic_types": shares, "labels": labels}
        emit_json(document if value is None else {**document, "digest": value})
        return
    paper = statistics.PAPER
    echo(table([{"": _TITLES[k], "this graph": figures[k], "paper": paper[k]} for k in _TITLES]))
    for title, rows in (("Most connected concepts", hubs), ("Semantic types", _beside(shares)), ("Nodes", labels)):
        if rows:
            echo(f"\n{title}\n{table(rows)}")
    if value:
        echo(f"\nDigest {value}")
    if plot:
        echo(f"\nFigure 2 is in {plot}")


def _beside(shares: list[dict[str, object]]) -> list[dict[str, object]]:
    from kgplatform.stats import PAPER_SEMANTIC_TYPES

    return [
        {**share, "paper": PAPER_SEMANTIC_TYPES[str(share["side"])].get(str(share["semantic_type"]))}
        for share in shares
    ]
