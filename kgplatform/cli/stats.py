"""`kgp stats`: the graph next to the paper's Table 1."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table


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
    from kgplatform.digest import digest as compute_digest
    from kgplatform.errors import KgpError

    with open_graph() as graph:
        figures = statistics.overview(graph)
        hubs = statistics.hubs(graph, top)
        shares = statistics.semantic_types(graph)
        coverage = statistics.type_coverage(graph)
        labels = statistics.labels(graph)
        digest_text = str(compute_digest(graph)) if digest else None
    if plot:
        if not shares:
            hint = "They come with a lexicon that has them: `kgp construct run --lexicon` (see docs/construct.md)."
            raise KgpError("no concept has a semantic type, so there is nothing to plot", hint)
        statistics.plot_semantic_types(shares, coverage, plot)
    if as_json:
        document = {**figures, "hubs": hubs, "semantic_types": shares, "labels": labels}
        document["semantic_type_coverage"] = coverage
        emit_json(document if digest_text is None else {**document, "digest": digest_text})
        return
    paper_figures = statistics.PAPER
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
        ("Most connected concepts", hubs),
        (types_title, _beside(shares, comparable)),
        ("Nodes", labels),
    ):
        if table_rows:
            echo(f"\n{table_title}\n{format_table(table_rows)}")
    if not labels:
        echo("\nthe graph is empty: load something first, such as `kgp ingest medmkg`")
    if digest_text:
        echo(f"\nDigest {digest_text}")
    if plot:
        echo(f"\nFigure 2 is in {plot}")


def _beside(shares: list[dict[str, Any]], comparable: dict[str, bool]) -> list[dict[str, Any]]:
    """The shares next to the paper's, of the sides that can be compared with it."""
    from kgplatform.stats import PAPER_SEMANTIC_TYPES

    if not any(comparable.values()):
        return shares
    paper_shares = {side: PAPER_SEMANTIC_TYPES[side] if comparable[side] else {} for side in comparable}
    return [{**share, "paper": paper_shares[share["side"]].get(share["semantic_type"])} for share in shares]
