"""`kgp export`: the graph, or a selection of it, as files for PyKEEN, PyG, pandas and others."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from kgplatform.cli.output import Json, echo, emit_json, progress
from kgplatform.errors import UsageError
from kgplatform.wording import counted


class FormatName(StrEnum):
    """The forms that a graph can be written in."""

    pykeen = "pykeen"
    pyg = "pyg"
    csv = "csv"
    parquet = "parquet"


class ExportedStance(StrEnum):
    """How a concept relates to an image."""

    positive = "POSITIVE"
    negative = "NEGATIVE"
    uncertain = "UNCERTAIN"


Stances = Annotated[
    list[ExportedStance] | None,
    typer.Option(case_sensitive=False, help="Of the stance edges, only this stance; may be repeated."),
]
Relations = Annotated[list[str] | None, typer.Option(help="Only edges of this relation (or stance); may be repeated.")]
Images = Annotated[
    str, typer.Option(metavar="all|kept|FILE", help="All images, those NaF kept, or those listed in a file.")
]
Around = Annotated[
    list[str] | None, typer.Option(metavar="ID", help="Only the neighbourhood of this CUI or id; may be repeated.")
]
Texts = Annotated[
    bool, typer.Option("--texts", help="Name report entities by their text, which comes from patients' reports.")
]


def export(
    form: Annotated[FormatName, typer.Argument(metavar="FORMAT", help="pykeen, pyg, csv or parquet.")],
    out: Annotated[Path, typer.Option(help="The folder to write; an earlier export there is replaced.")],
    stance: Stances = None,
    relation: Relations = None,
    images: Images = "all",
    around: Around = None,
    hops: Annotated[int, typer.Option(min=1, help="How many edges the neighbourhood reaches.")] = 1,
    run: Annotated[str | None, typer.Option(help="Only edges that this run asserts.")] = None,
    cross_only: Annotated[
        bool, typer.Option("--cross-only", help="Only edges between an image and a concept.")
    ] = False,
    intra_only: Annotated[bool, typer.Option("--intra-only", help="Only edges between concepts.")] = False,
    texts: Texts = False,
    as_json: Json = False,
) -> None:
    """Write the graph as files for PyKEEN, PyG, or as CSV or Parquet. Every option narrows what is written."""
    if cross_only and intra_only:
        raise UsageError("--cross-only and --intra-only leave nothing", "Give one of them.")

    from kgplatform.connect import open_graph
    from kgplatform.export import formats, read

    selection = read.Selection(
        stances=tuple(stance_name.value for stance_name in stance) if stance else read.STANCES,
        relations=tuple(relation) if relation else None,
        images=images if images in ("all", "kept") else read.read_image_list(Path(images)),
        only="cross" if cross_only else "intra" if intra_only else None,
        run=run,
        around=tuple(around or ()),
        hops=hops,
        texts=texts,
    )
    with open_graph() as graph:
        triples = read.read_triples(graph, selection, progress("edges"))
    manifest = formats.write(triples, out, form.value, selection.as_dict())
    if as_json:
        emit_json({"folder": str(out), **asdict(manifest)})
        return
    totals = {"triples": manifest.triples, "entities": manifest.entities, "relations": manifest.relations}
    counts = ", ".join(counted(count, kind_name) for kind_name, count in totals.items())
    echo(f"{counts} in {out} ({manifest.format})\nsha256 {manifest.sha256}")
