"""`kgp stats`: the graph next to the paper's Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table

if TYPE_CHECKING:
    from kgplatform.stats import GraphStats


def stats(
    top: Annotated[int, typer.Option(min=0, help="How many of the most connected concepts to show.")] = 10,
    plot: Annotated[
        Path | None, typer.Option(help="Write the semantic-type shares (Figure 2) to this PNG, SVG or PDF.")
    ] = None,
    digest: Annotated[bool, typer.Option("--digest", help="Also compute the digest of the whole graph.")] = False,
    as_json: Json = False,
) -> None:
    """Print the graph's statistics next to the paper's Table 1."""
    from kgplatform import stats as statistics
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        graph_stats = statistics.collect_stats(graph, top, with_digest=digest)
    if plot:
        graph_stats.plot(plot)
    if as_json:
        emit_json(graph_stats.as_dict())
        return
    _print(graph_stats)
    if plot:
        echo(f"\nFigure 2 is in {plot}")


def _print(graph_stats: GraphStats) -> None:
    from kgplatform import stats as statistics

    figures, paper_figures, coverage = graph_stats.figures, statistics.PAPER, graph_stats.coverage
    echo(
        format_table(
            [
                {"": title, "this graph": figures[name], "paper": paper_figures[name]}
                for name, title in statistics.TITLES.items()
            ]
        )
    )
    comparable = statistics.comparable(coverage)
    types_title = f"Semantic types, {'; '.join(map(statistics.coverage_sentence, coverage))}"
    if not all(comparable.values()):
        types_title += "\n(without the paper's shares where less than half of the types are known)"
    for table_title, table_rows in (
        ("Most connected concepts", graph_stats.hubs),
        (types_title, _with_comparable(graph_stats.shares, comparable)),
        ("Nodes", graph_stats.labels),
    ):
        if table_rows:
            echo(f"\n{table_title}\n{format_table(table_rows)}")
    if not graph_stats.labels:
        echo("\nthe graph is empty: load something first, such as `kgp ingest medmkg`")
    if graph_stats.digest:
        echo(f"\nDigest {graph_stats.digest}")


def _with_comparable(shares: list[dict[str, Any]], comparable: dict[str, bool]) -> list[dict[str, Any]]:
    """The shares next to the paper's, of the sides that can be compared with it."""
    from kgplatform.stats import PAPER_SEMANTIC_TYPES

    if not any(comparable.values()):
        return shares
    paper_shares = {side: PAPER_SEMANTIC_TYPES[side] if comparable[side] else {} for side in comparable}
    return [{**share, "paper": paper_shares[share["side"]].get(share["semantic_type"])} for share in shares]
