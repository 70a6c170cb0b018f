"""`kgp embed`: vectors of images and concepts, into the graph's vector indexes."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform import trained_on
from kgplatform.cli.output import AnyModality, Json, echo, emit_json, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.search.embed import Count, EmbeddingOutcome

MAX_PROBLEMS = 5  # problems that are printed
Model = Annotated[
    str,
    typer.Option(
        metavar="SPEC",
        help="small (comes with the package), the folder of a trained retrieval model, offline, minilm (texts only), "
        "clip:FOLDER, open-clip:FOLDER or transformer:FOLDER (texts only).",
    ),
]


class Only(StrEnum):
    """One of the two kinds of nodes that get vectors."""

    images = "images"
    concepts = "concepts"


def embed_command(
    model: Model = "small",
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder that the image paths are relative to.")
    ] = None,
    only: Annotated[Only | None, typer.Option(help="Only one of the two.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=4096, help="Images or names at a time.")] = 64,
    replace: Annotated[
        bool, typer.Option("--replace", help="Remove another model's embeddings, and create the indexes again.")
    ] = False,
    any_modality: AnyModality = False,
    as_json: Json = False,
) -> None:
    """Embed images and concepts' names, so that `kgp search` finds images by text.

    The model `small` was trained on synthetic images only; a warning appears for other images.

    What this model has already embedded is skipped: an interrupted command continues, and new images are added.
    """
    from kgplatform.cli.ml import needed
    from kgplatform.connect import open_graph
    from kgplatform.search.embed import embed as run
    from kgplatform.search.index import Part

    index_part = None if only is None else Part.IMAGES if only is Only.images else Part.CONCEPTS
    with open_graph().patient() as graph:
        with needed():
            from kgp_models.retrieval.encode import open_encoder

            encoder = open_encoder(model)
        options: dict[str, Any] = {"batch": batch, "replace": replace, "any_modality": any_modality}
        outcome = run(graph, encoder, images=images, only=index_part, progress=progress, **options)
    if as_json:
        emit_json(_document(outcome))
    else:
        _print(outcome)
    if outcome.problems and not outcome.images.done and not outcome.images.before:
        raise typer.Exit(1)


def _document(outcome: EmbeddingOutcome) -> dict[str, Any]:
    document = asdict(outcome)
    document["trained_on"] = trained_on.document(outcome.trained_on)
    document["problems"] = [{"image": image_id, "problem": problem} for image_id, problem in outcome.problems]
    return document


def _print(outcome: EmbeddingOutcome) -> None:
    for warning in outcome.warnings:
        echo(f"warning: {warning}")
    if outcome.replaced:
        echo(f"embeddings of {counted(outcome.replaced, 'nodes')} by other models removed")
    if outcome.images.done or outcome.images.before or outcome.problems:
        left_out = f", {len(outcome.problems):,} left out" if outcome.problems else ""
        echo(f"images: {_counted(outcome.images, 'path')}{left_out}{_rate(outcome.images)}")
        for image_id, problem in outcome.problems[:MAX_PROBLEMS]:
            echo(f"  {image_id}: {problem}")
        if len(outcome.problems) > MAX_PROBLEMS:
            echo(f"  and {len(outcome.problems) - MAX_PROBLEMS:,} more")
    if outcome.concepts.done or outcome.concepts.before:
        echo(f"concepts: {_counted(outcome.concepts, 'name')}{_rate(outcome.concepts)}")
        if (long_names := outcome.concepts.in_parts) > 0:
            plural_text = "names are longer than the model reads at a time: their parts are averaged"
            singular_text = "name is longer than the model reads at a time: its parts are averaged"
            echo(f"  {counted(long_names, plural_text, singular_text)}")
    echo(f"{outcome.model}, {outcome.dimension} dimensions, {outcome.seconds:.1f} s, run {outcome.run}")


def _counted(count: Count, missing_kind: str) -> str:
    without_note = f", {count.without:,} without a {missing_kind}" if count.without else ""
    return f"{count.done:,} embedded, {count.before:,} before{without_note}"


def _rate(count: Count) -> str:
    return f"; {count.seconds:.1f} s, {count.done / count.seconds:,.1f}/s" if count.done and count.seconds else ""
