"""`kgp search`: images by text, by concept, and by both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform import trained_on
from kgplatform.cli.embed import Model
from kgplatform.cli.output import Json, echo, emit_json, format_table, note
from kgplatform.errors import UsageError
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.search.encoder import Encoder
    from kgplatform.search.search import Hit, SearchResult

MAX_CONCEPT_LETTERS = 60  # characters of an image's concepts
MAX_PATH_LENGTH = 32  # of its path, from the end


class ConceptStance(StrEnum):
    """The stance that images are to have to the concepts."""

    positive = "positive"
    negative = "negative"
    uncertain = "uncertain"


class By(StrEnum):
    """What a text is compared with."""

    images = "images"
    concepts = "concepts"


class Side(StrEnum):
    """The side that an edge is to state."""

    left = "left"
    right = "right"
    bilateral = "bilateral"


class Severity(StrEnum):
    """The severity or size that an edge is to state."""

    minimal = "minimal"
    small = "small"
    mild = "mild"
    moderate = "moderate"
    large = "large"
    severe = "severe"


class Change(StrEnum):
    """The change from the prior study that an edge is to state."""

    new = "new"
    worse = "worse"
    better = "better"
    unchanged = "unchanged"
    resolved = "resolved"


Concepts = Annotated[
    list[str] | None,
    typer.Option(
        "--concept",
        metavar="CUI|NAME",
        help="A concept that the image must have; if repeated, it must have all of them.",
    ),
]
StanceOption = Annotated[
    ConceptStance | None, typer.Option(help="The stance to the concepts of --concept [default: positive].")
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without", metavar="CUI|NAME", help="Leave out images that are positive for this concept; may be repeated."
    ),
]
ComparedWith = Annotated[
    By | None, typer.Option(help="Compare the text with images, or with concepts' names [default: as embedded].")
]
SideOption = Annotated[Side | None, typer.Option(help="Only images whose finding is stated to be on this side.")]
LocationOption = Annotated[
    str | None, typer.Option(metavar="PLACE", help='Only those whose finding is stated to be there, e.g. "lower lobe".')
]
SeverityOption = Annotated[Severity | None, typer.Option(help="Only those with this severity of the finding.")]
ChangeOption = Annotated[Change | None, typer.Option(help="Only those with this change from the prior study.")]
Images = Annotated[
    Path | None, typer.Option(metavar="DIR", help="The folder that the image paths are relative to, for the sheet.")
]
ContactSheet = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw the images with their concepts.")]


def search(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What to look for, in words.")] = "",
    concept: Concepts = None,
    stance: StanceOption = None,
    without: Without = None,
    side: SideOption = None,
    location: LocationOption = None,
    severity: SeverityOption = None,
    change: ChangeOption = None,
    by: ComparedWith = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many images.")] = 10,
    model: Model = "small",
    images: Images = None,
    contact_sheet: ContactSheet = None,
    as_json: Json = False,
) -> None:
    """Find images by text, by concept, or by both: those that have the concepts, most similar to the text first.

    The model `small` was trained on synthetic images only: a warning says where the graph has others.

    A text needs embeddings (`kgp embed`) of the same model; concepts alone need none, and the highest NaF comes first.

    Where the text states the side, severity, location, change or acuity of a finding ("large left pleural effusion"),
    images whose reports state the same come first. --side and the like are about the concepts of --concept, or else
    about the findings of the text.
    """
    if stance is not None and not concept:
        raise UsageError("--stance is about the concepts of --concept", "Give one, or leave --stance out.")
    conditions = _conditions(concept, stance, without, by, top)
    attributes = {"side": side, "location": location, "severity": severity, "change": change}
    search_result = _search(text, model, conditions | attributes, images, contact_sheet)
    for remark in search_result.notes:
        note(remark)
    if contact_sheet is not None and images is not None:
        _draw(search_result, images, contact_sheet)
    if as_json:
        emit_json(_document(search_result))
    else:
        _print(search_result)


def _conditions(
    concepts: Sequence[str] | None,
    stance: ConceptStance | None,
    without: Sequence[str] | None,
    by: By | None,
    top: int,
) -> dict[str, Any]:
    """The options as `kgplatform.search.search.Searcher.search` takes them."""
    from kgplatform.schema import Stance
    from kgplatform.search.index import Part

    return {
        "concepts": concepts or (),
        "stance": Stance.POSITIVE if stance is None else Stance[stance.value.upper()],
        "without": without or (),
        "by": None if by is None else Part.IMAGES if by is By.images else Part.CONCEPTS,
        "top": top,
    }


def _search(
    text: str, model_spec: str, conditions: dict[str, Any], images: Path | None, sheet_path: Path | None
) -> SearchResult:
    """Search the graph, after a check of the input that needs no graph."""
    from kgplatform.connect import open_graph
    from kgplatform.search.search import Searcher, check_search

    check_search(text, conditions["concepts"], conditions["by"], conditions["top"])
    _check_sheet(images, sheet_path)
    with open_graph() as graph:
        return Searcher(graph, lambda: _open(model_spec)).search(text, **conditions)


def _check_sheet(images: Path | None, sheet_path: Path | None) -> None:
    """Raise `UsageError` or `InputError` where no contact sheet can be drawn."""
    if sheet_path is None:
        return
    if images is None:
        raise UsageError("--contact-sheet needs the folder of the images", "Give --images DIR.")
    from kgplatform.search.contact_sheet import check_sheet_paths

    check_sheet_paths(images, sheet_path)


def _draw(search_result: SearchResult, images: Path, sheet_path: Path) -> None:
    from kgplatform.search.contact_sheet import write_sheet

    drawn_count = write_sheet(search_result.hits, images, sheet_path)
    note(f"{sheet_path}: {drawn_count:,} of {counted(len(search_result.hits), 'images')}")


def _open(model_spec: str) -> Encoder:
    from kgplatform.cli.ml import needed

    with needed():
        from kgp_models.retrieval.encode import open_encoder

        encoder: Encoder = open_encoder(model_spec)
    return encoder


def _document(search_result: SearchResult) -> dict[str, Any]:
    from dataclasses import asdict

    document = asdict(search_result)
    document["trained_on"] = trained_on.document(search_result.trained_on)
    document["by"] = None if search_result.by is None else search_result.by.plural
    if not search_result.understood:
        for part in (document, *document["hits"]):
            part.pop("understood", None)
            part.pop("edges", None)
    return document


def _print(search_result: SearchResult) -> None:
    for warning in search_result.warnings:
        echo(f"warning: {warning}")
    for finding in search_result.understood:
        echo(f"understood: {finding}")
    if search_result.near:
        concept_rows = [
            {
                "concept": near_concept.name,
                "cui": near_concept.cui,
                "similarity": near_concept.similarity,
                "images": near_concept.images,
            }
            for near_concept in search_result.near
        ]
        echo(format_table(concept_rows) + "\n")
    echo(format_table([_row(search_result, hit) for hit in search_result.hits]) or "no image was found")


def _row(search_result: SearchResult, hit: Hit) -> dict[str, Any]:
    table_row: dict[str, Any] = {"rank": hit.rank, "id": hit.id}
    if search_result.by is not None:
        table_row["similarity"] = hit.similarity
    image_path = hit.path or ""
    table_row |= {
        "naf": hit.naf,
        "path": image_path if len(image_path) <= MAX_PATH_LENGTH else f"…{image_path[1 - MAX_PATH_LENGTH :]}",
    }
    if search_result.near:
        concepts_by_cui = {near_concept.cui: near_concept for near_concept in search_result.near}
        matched_concepts = sorted(
            (concepts_by_cui[cui] for cui in hit.matched), key=lambda near_concept: -near_concept.similarity
        )
        table_row["matched"] = _short(
            [f"{near_concept.name} {near_concept.similarity:.3f}" for near_concept in matched_concepts]
        )
    if search_result.understood:
        table_row["stated"] = "; ".join(", ".join(_stated_values(edge.attributes)) for edge in hit.edges)
        wanted_count = sum(len(finding.attributes) for finding in search_result.understood)
        if wanted_count:
            table_row["agrees"] = _agreement(hit, wanted_count)
    table_row["concepts"] = _short(hit.concepts)
    return table_row


def _stated_values(attributes: Mapping[str, Any]) -> list[str]:
    """The values of an edge's attributes, with a location split into its places."""
    return [
        value for values in attributes.values() for value in ((values,) if isinstance(values, str) else tuple(values))
    ]


def _agreement(hit: Hit, wanted_count: int) -> str:
    """How many of the attributes agree, and those that contradict: "1 of 2, not side"."""
    if not hit.edges:
        return ""
    agreeing_count = sum(len(edge.agreeing) for edge in hit.edges)
    contradicting = ", ".join(attribute for edge in hit.edges for attribute in edge.contradicting)
    return f"{agreeing_count} of {wanted_count}" + (f", not {contradicting}" if contradicting else "")


def _short(names: Sequence[str]) -> str:
    """As many whole names as fit, the first one always, and how many more there are."""
    fitting = list(names)
    while len(fitting) > 1 and len(", ".join(fitting)) > MAX_CONCEPT_LETTERS:
        fitting.pop()
    more = f", and {len(names) - len(fitting):,} more" if len(fitting) < len(names) else ""
    return ", ".join(fitting) + more
