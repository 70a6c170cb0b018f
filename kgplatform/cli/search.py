"""`kgp search`: images by text, by concept, and by both."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform import trained_on
from kgplatform.cli.embed import Model
from kgplatform.cli.output import Json, echo, emit_json, note, table
from kgplatform.errors import UsageError
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.retrieval.encoder import Encoder
    from kgplatform.retrieval.search import Found, Hit

SHOWN = 60  # characters of an image's concepts
SHOWN_PATH = 32  # of its path, from the end


class StanceName(StrEnum):
    """The stance that images are to have to the concepts."""

    positive = "positive"
    negative = "negative"
    uncertain = "uncertain"


class By(StrEnum):
    """What a text is compared with."""

    images = "images"
    concepts = "concepts"


def search(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to look for, in words.")] = "",
    concept: Annotated[
        list[str] | None,
        typer.Option(
            "--concept", metavar="CUI|NAME", help="A concept that the image has; again for more, all of them."
        ),
    ] = None,
    stance: Annotated[
        StanceName | None, typer.Option(help="The stance to the concepts of --concept [default: positive].")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option("--without", metavar="CUI|NAME", help="Leave out images that are positive for it; repeatable."),
    ] = None,
    by: Annotated[
        By | None, typer.Option(help="Compare the text with images, or with concepts' names [default: as embedded].")
    ] = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many images.")] = 10,
    model: Model = "small",
    images: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The folder that the images' paths begin in, for the sheet.")
    ] = None,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the images with their concepts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Find images by text, by concept, or by both: those that have the concepts, most similar to the text first.

    The model `small` was trained on synthetic images only: a warning says where the graph has others.

    A text needs embeddings (`kgp embed`) of the same model; concepts alone need none, and the highest NaF comes first.
    """
    if stance is not None and not concept:
        raise UsageError("--stance is about the concepts of --concept", "Give one, or leave --stance out.")
    if contact_sheet is not None and images is None:
        raise UsageError("--contact-sheet needs the folder of the images", "Give --images DIR.")
    from kgplatform.graph import Graph
    from kgplatform.retrieval import contact_sheet as sheet
    from kgplatform.retrieval.index import Part
    from kgplatform.retrieval.search import Searcher, check
    from kgplatform.schema import Stance

    part = None if by is None else Part.IMAGES if by is By.images else Part.CONCEPTS
    check(text, concept or (), part, top)
    if contact_sheet is not None and images is not None:
        sheet.check(images, contact_sheet)
    with Graph.open() as graph:
        found = Searcher(graph, lambda: _open(model)).search(
            text,
            concepts=concept or (),
            stance=Stance.POSITIVE if stance is None else Stance[stance.value.upper()],
            without=without or (),
            by=part,
            top=top,
        )
    for line in found.notes:
        note(line)
    if contact_sheet is not None and images is not None:
        drawn = sheet.write(found.hits, images, contact_sheet)
        note(f"{contact_sheet}: {drawn:,} of {counted(len(found.hits), 'images')}")
    if as_json:
        emit_json(_document(found))
    else:
        _print(found)


def _open(spec: str) -> Encoder:
    from kgplatform.cli.ml import needed

    with needed():
        from kgp_models.retrieval.encode import open_encoder

        encoder: Encoder = open_encoder(spec)
    return encoder


def _document(found: Found) -> dict[str, Any]:
    from dataclasses import asdict

    document = asdict(found)
    document["trained_on"] = trained_on.document(found.trained_on)
    document["by"] = None if found.by is None else found.by.plural
    return document


def _print(found: Found) -> None:
    for warning in found.warnings:
        echo(f"warning: {warning}")
    if found.near:
        rows = [
            {"concept": one.name, "cui": one.cui, "similarity": one.similarity, "images": one.images}
            for one in found.near
        ]
        echo(table(rows) + "\n")
    echo(table([_row(found, hit) for hit in found.hits]) or "no image was found")


def _row(found: Found, hit: Hit) -> dict[str, Any]:
    row: dict[str, Any] = {"rank": hit.rank, "id": hit.id}
    if found.by is not None:
        row["similarity"] = hit.similarity
    path = hit.path or ""
    row |= {"naf": hit.naf, "path": path if len(path) <= SHOWN_PATH else f"…{path[1 - SHOWN_PATH :]}"}
    if found.near:
        scores = {one.cui: one for one in found.near}
        matched = sorted((scores[cui] for cui in hit.matched), key=lambda one: -one.similarity)
        row["matched"] = _short([f"{one.name} {one.similarity:.3f}" for one in matched])
    row["concepts"] = _short(hit.concepts)
    return row


def _short(names: Any) -> str:
    text = ", ".join(names)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
