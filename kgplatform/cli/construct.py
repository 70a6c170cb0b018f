"""`kgp construct`: from reports to images, concepts and stances in the graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from kgplatform.cli.ingest import OnError, report_load
from kgplatform.cli.output import Json, emit_json, note, progress

if TYPE_CHECKING:
    from kgplatform.construct.lexicon import Concept
    from kgplatform.construct.report import ReportSource
    from kgplatform.graph import Graph

app = typer.Typer(no_args_is_help=True, help="Build the graph from reports.")


@app.callback()
def construct() -> None:
    """Build the graph from reports."""


@app.command()
def run(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="What the reports are, e.g. openi.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Where they are.")],
    lexicon: Annotated[
        list[Path] | None, typer.Option(help="A table of CUIs and names, or a folder of UMLS; may be given again.")
    ] = None,
    graph_names: Annotated[bool, typer.Option(help="Also look for the names of the graph's concepts.")] = True,
    on_error: Annotated[OnError, typer.Option(help="A bad row: stop before writing, or skip it.")] = OnError.stop,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """Find concepts and their stances in reports, and write them to the graph with the evidence for each."""
    from kgp_loaders.umls import UMLS
    from kgplatform.construct.lexicon import Lexicon
    from kgplatform.construct.semantic_types import allowed
    from kgplatform.construct.source import Construction
    from kgplatform.construct.stance import rules
    from kgplatform.construct.tagger import DictionaryTagger
    from kgplatform.graph import Graph
    from kgplatform.ingest import ingest

    reports = reports_of(kind, path)
    ontologies = [UMLS(folder) for folder in lexicon or [] if folder.is_dir()]
    with Graph.open() as graph:
        names = Lexicon(_concepts(graph if graph_names else None, lexicon or []))
        note(f"{names.names:,} names of {len(names.preferred):,} concepts")
        source = Construction(
            reports, DictionaryTagger(names, allowed()), rules(), {"lexicon": names.sha256()}, ontologies
        )
        report = ingest(
            graph,
            source,
            on_error=on_error.value,
            rejects=Path(f"{kind}.rejects.tsv") if on_error is OnError.skip else None,
            dry_run=dry_run,
            batch_rows=1_000,
            progress=progress("reports"),
            told=note,
        )
    if as_json:
        report_load(report, as_json)
        return
    what = "reports and relations" if ontologies else "reports"
    rows, verb = report.rows, "would be written" if dry_run else "written"
    typer.echo(
        f"{rows.read:,} {what} read, {rows.rejected:,} rejected: {rows.written:,} edges {verb}, "
        f"{rows.existing:,} already there"
    )
    for bad in report.first_rejects:
        typer.echo(f"  {bad.path}, row {bad.row}: {bad.reason}")
    if not dry_run:
        typer.echo(f"run {report.run}; `kgp runs undo {report.run}` takes it out")


@app.command()
def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.")],
    concept: Annotated[str, typer.Argument(metavar="CONCEPT", help="The concept's CUI.")],
    reports: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="KIND PATH", help="The reports, to show the sentences.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what construction knows of an image and a concept: stance, phrase, cue, and with --reports the sentence."""
    from kgplatform import queries
    from kgplatform.construct.explain import sentences_of
    from kgplatform.errors import NotFoundError
    from kgplatform.graph import Graph

    with Graph.open() as graph:
        edges = graph.read(queries.get("construct/edges"), image=image, concept=concept)
    if not edges:
        raise NotFoundError(
            f"no stance joins {image} and {concept}", "`kgp query explore/image_subgraph` shows an image."
        )
    source = None if reports is None else reports_of(*reports)
    documents = [
        {**edge, "evidence": sentences_of(image, [json.loads(text) for text in edge["evidence"]], source)}
        for edge in edges
    ]
    if as_json:
        emit_json({"image": image, "concept": concept, "edges": documents})
        return
    for edge in documents:
        typer.echo(f"{image} {edge['stance']} {concept} {edge['name'] or ''}, by {', '.join(edge['runs'])}")
        if not edge["evidence"]:
            typer.echo("  no evidence: it was not constructed here")
        for found in edge["evidence"]:
            shown = found.get("sentence") or f"characters {found['start']}-{found['end']}"
            typer.echo(f"  {found['section']}: {shown}")


def reports_of(kind: str, path: Path) -> ReportSource:
    """The reports that the loader of that name finds at a path; loaders register in the group `kgplatform.reports`.

    Raises `UsageError` for an unknown loader.
    """
    from importlib.metadata import entry_points

    from kgplatform.errors import UsageError

    loaders = entry_points(group="kgplatform.reports")
    if kind not in loaders.names:
        raise UsageError(
            f"there is no loader of reports called {kind}", f"Loaders: {', '.join(sorted(loaders.names))}."
        )
    source: ReportSource = loaders[kind].load()(path)
    return source


def _concepts(graph: Graph | None, lexicons: list[Path]) -> Iterator[Concept]:
    """The graph's names first, then those of the files, then the platform's own."""
    from kgp_loaders.lexicons import read
    from kgp_loaders.umls import UMLS
    from kgplatform import queries
    from kgplatform.construct.lexicon import Concept
    from kgplatform.construct.semantic_types import types_by_name

    rows: list[dict[str, Any]] = [] if graph is None else list(graph.read(queries.get("construct/names")))
    for row in rows:
        yield Concept(row["cui"], row["name"], tuple(row["types"]) or types_by_name(row["name"]), float(row["weight"]))
    for path in lexicons:
        left_out = []
        for concept in UMLS(path).concepts() if path.is_dir() else read(path):
            if isinstance(concept, Concept):
                yield concept
            else:
                left_out.append(concept)
        if left_out:
            first = left_out[0]
            note(f"{path}: {len(left_out):,} rows left out, the first of them row {first.row}: {first.reason}")
    yield from own_words()


def own_words() -> Iterator[Concept]:
    """The platform's words for findings. They are of chest radiographs, so they come before all others."""
    from importlib.resources import as_file, files

    from kgp_loaders.lexicons import read
    from kgplatform.construct.lexicon import Concept

    with as_file(files("kgplatform.construct").joinpath("chest.tsv")) as own:
        for concept in read(own):
            if isinstance(concept, Concept):
                yield concept._replace(weight=OWN)


OWN: Final = 1e9
