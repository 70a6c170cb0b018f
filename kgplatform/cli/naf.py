"""`kgp naf`: Neighbor-aware Filtering."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, note, table
from kgplatform.wording import counted

app = typer.Typer(no_args_is_help=True, help="Score images by Neighbor-aware Filtering and keep the informative ones.")


class MethodName(StrEnum):
    """How the images to keep are chosen."""

    algorithm1 = "algorithm1"
    greedy = "greedy"


@app.command()
def score(
    top: Annotated[int, typer.Option(min=0, help="How many of the best images to show.")] = 10,
    one_stance: Annotated[
        bool, typer.Option("--one-stance", help="Where stances conflict, count the strongest only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the NaF score and rank on every image; after new images arrive, run it again."""
    from kgplatform import naf
    from kgplatform.graph import Graph

    with Graph.open().patient(note) as graph:
        scores = naf.score(graph, one_stance=one_stance, top=top)
    if as_json:
        emit_json(asdict(scores))
        return
    echo(f"{counted(scores.images, 'images')} scored")
    if not scores.images:
        echo("the graph has no image: load something first, such as `kgp ingest medmkg`")
    if scores.top:
        echo(table(scores.top, ["rank", "id", "naf"]))


@app.command()
def explain(
    image: Annotated[str, typer.Argument(help="The image's id, such as I50978146.")],
    as_json: Json = False,
) -> None:
    """Show what each (relation, concept) pair adds to an image's score."""
    from kgplatform import naf
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        found, pairs = naf.explain(graph, image)
    if as_json:
        emit_json({**found, "pairs": pairs})
        return
    if found["naf"] is None:
        echo(f"{image} is not scored yet: run `kgp naf score`")
    else:
        stale = "" if found["current"] else " (out of date: run `kgp naf score`)"
        echo(f"{image}: NaF {found['naf']:.3f}, rank {found['rank']:,}{stale}")
    echo(table(pairs) or "it has no stance to a concept")


@app.command("filter")
def filter_(
    method: Annotated[MethodName, typer.Option(help="Algorithm 1 of the paper, or greedy set cover.")] = (
        MethodName.algorithm1
    ),
    export: Annotated[
        Path | None, typer.Option(help="Folder for the filtered graph, as MedMKG.csv and image_mapping.csv.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Mark the images that are kept, and show how concepts come to be covered."""
    from kgplatform import naf
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        filtered = naf.filter_images(graph, "greedy" if method is MethodName.greedy else "algorithm1")
        exported = naf.export_kept(graph, export, note) if export else {}
    if as_json:
        document = asdict(filtered)
        if export:
            document["exported"] = {str(export / name): rows for name, rows in exported.items()}
        emit_json(document)
        return
    kept = f"{filtered.kept:,} of {counted(filtered.images, 'images')}"
    echo(f"{kept} are kept; they cover {counted(filtered.concepts, 'concepts')}")
    echo(table(_curve(filtered.curve, filtered.concepts)))
    for name, rows in exported.items():
        echo(f"{counted(rows, 'rows')} in {export}/{name}")


def _curve(curve: list[tuple[int, int]], concepts: int) -> list[dict[str, object]]:
    """The coverage curve at tenths of the concepts."""
    rows = []
    for tenth in range(1, 11):
        point = next(((images, covered) for images, covered in curve if covered * 10 >= concepts * tenth), None)
        if point:
            rows.append({"concepts covered": point[1], "share": f"{tenth * 10} %", "images kept": point[0]})
    return rows
