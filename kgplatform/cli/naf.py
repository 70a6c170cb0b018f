"""`kgp naf`: Neighbor-aware Filtering."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, format_table
from kgplatform.wording import counted

app = typer.Typer(no_args_is_help=True, help="Score images by Neighbor-aware Filtering and keep the informative ones.")


class MethodName(StrEnum):
    """How the images to keep are chosen."""

    algorithm1 = "algorithm1"
    greedy = "greedy"


@app.command("score")
def score_images(
    top: Annotated[int, typer.Option(min=0, help="How many of the best images to show.")] = 10,
    one_stance: Annotated[
        bool, typer.Option("--one-stance", help="Where stances conflict, count the strongest only.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the NaF score and rank on every image; after new images arrive, run it again."""
    from kgplatform import naf
    from kgplatform.connect import open_graph

    with open_graph().patient() as graph:
        scores = naf.score(graph, one_stance=one_stance, top=top)
    if as_json:
        emit_json(asdict(scores))
        return
    echo(f"{counted(scores.images, 'images')} scored")
    if not scores.images:
        echo("the graph has no image: load something first, such as `kgp ingest medmkg`")
    if scores.top:
        echo(format_table(scores.top, ["rank", "id", "naf"]))


@app.command("explain")
def explain_naf_score(
    image: Annotated[str, typer.Argument(help="The image's id, such as I50978146.")],
    as_json: Json = False,
) -> None:
    """Show what each (relation, concept) pair adds to an image's score."""
    from kgplatform import naf
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        image_score, pairs = naf.explain(graph, image)
    if as_json:
        emit_json({**image_score, "pairs": pairs})
        return
    if image_score["naf"] is None:
        echo(f"{image} is not scored yet: run `kgp naf score`")
    else:
        outdated_note = "" if image_score["current"] else " (out of date: run `kgp naf score`)"
        echo(f"{image}: NaF {image_score['naf']:.3f}, rank {image_score['rank']:,}{outdated_note}")
    echo(format_table(pairs) or "it has no stance to a concept")


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
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        filtered = naf.filter_images(graph, "greedy" if method is MethodName.greedy else "algorithm1")
        exported = naf.export_selected(graph, export) if export else {}
    if as_json:
        document = asdict(filtered)
        if export:
            document["exported"] = {str(export / file_name): row_count for file_name, row_count in exported.items()}
        emit_json(document)
        return
    retained_text = f"{filtered.kept:,} of {counted(filtered.images, 'images')}"
    echo(f"{retained_text} are kept; they cover {counted(filtered.concepts, 'concepts')}")
    echo(format_table(_curve(filtered.curve, filtered.concepts)))
    for file_name, row_count in exported.items():
        echo(f"{counted(row_count, 'rows')} in {export}/{file_name}")


def _curve(curve: list[tuple[int, int]], concepts: int) -> list[dict[str, object]]:
    """The coverage curve at tenths of the concepts."""
    curve_rows = []
    for tenth in range(1, 11):
        first_point = next(
            (
                (image_count, covered_count)
                for image_count, covered_count in curve
                if covered_count * 10 >= concepts * tenth
            ),
            None,
        )
        if first_point:
            curve_rows.append(
                {"concepts covered": first_point[1], "share": f"{tenth * 10} %", "images kept": first_point[0]}
            )
    return curve_rows
