"""`kgp ingest`: load a source into the graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.output import Json, echo, emit_json, progress
from kgplatform.wording import counted, counted_or_none

if TYPE_CHECKING:
    from kgplatform.batches import Source
    from kgplatform.graph import Graph
    from kgplatform.ingest import LoadReport

app = typer.Typer(no_args_is_help=True, help="Load a source into the graph; the same load twice changes nothing.")


class OnError(StrEnum):
    """What a bad row does."""

    stop = "stop"
    skip = "skip"


OnErrorOption = Annotated[
    OnError, typer.Option(help="stop: a bad row stops the load before anything is written; skip: load the rest.")
]
Rejects = Annotated[
    Path | None, typer.Option(help="Where to list skipped rows [default: FILE.rejects.tsv in this folder].")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would change, and change nothing.")]


@app.command()
def medmkg(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="Folder with MedMKG.csv and image_mapping.csv, or a CSV in its columns "
            "[default: KGP_DATA_DIR/medmkg, else the authors' release, fetched and checked]."
        ),
    ] = None,
    mapping: Annotated[Path | None, typer.Option(help="CSV of image ids and paths (IID, Image_Path).")] = None,
    on_error: OnErrorOption = OnError.stop,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load the released MedMKG, or a graph in its form."""
    from kgp_loaders.medmkg import MedMKG

    source = MedMKG.find(path, mapping)
    _load(source, on_error, rejects, dry_run, as_json)


@app.command()
def triples(
    path: Annotated[Path, typer.Argument(help="CSV, TSV or Parquet file with one triple a row.")],
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="ROLE=NAME, where a column is not recognised; roles: head, relation, tail, head_type, tail_type, "
            "head_name, tail_name. May be repeated."
        ),
    ] = None,
    entity_type: Annotated[
        list[str] | None,
        typer.Option(
            "--type",
            help="TYPE=PATTERN (RE2): the type of nodes whose whole id matches; the first that matches counts, then "
            r"Image=I\d+ and Concept=C\d{7}. May be repeated.",
        ),
    ] = None,
    on_error: OnErrorOption = OnError.stop,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load your own graph from a table of triples."""
    from kgp_loaders.triples import PATTERNS, Triples

    columns = dict(_pair(column_option, "--column") for column_option in column or ())
    source = Triples(path, columns, [*(entity_type or ()), *PATTERNS])
    _load(source, on_error, rejects, dry_run, as_json)


@app.command()
def radgraph(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="JSON file of RadGraph: one graph for each report.")],
    labeler: Annotated[
        int,
        typer.Option(
            min=1,
            max=9,
            help="The labeler whose graphs to load, if a report has several (the test files).",
        ),
    ] = 1,
    lexicon: Annotated[
        list[Path] | None,
        typer.Option(help="Also link by a table of CUIs and names, or a folder of UMLS; may be repeated."),
    ] = None,
    graph_names: Annotated[
        bool, typer.Option("--graph-names/--no-graph-names", help="Link by the names of the graph's concepts.")
    ] = True,
    link: Annotated[bool, typer.Option("--link/--no-link", help="Link entities to concepts.")] = True,
    on_error: OnErrorOption = OnError.stop,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load RadGraph's graphs of reports, their entities linked to concepts."""
    from kgp_loaders.radgraph import RadGraph
    from kgplatform.connect import open_graph
    from kgplatform.construct.settings import ConstructionSettings
    from kgplatform.triplets.linking import build_linker

    source = RadGraph(path, labeler)
    if link:
        settings = ConstructionSettings(
            "", path, lexicon=tuple(lexicon or ()), graph_names=graph_names, own_words=False
        )
        with open_graph().patient() as graph:  # once, so that the load waits for a server that restarts meanwhile
            linker = build_linker(settings, graph)
            source = RadGraph(path, labeler, linker.link, linker.about)
            _load_into(graph, source, on_error, rejects, dry_run, as_json)
        return
    _load(source, on_error, rejects, dry_run, as_json)


@app.command("with")
def with_(
    loader: Annotated[str, typer.Argument(help="A loader's name, such as one that another package registers.")],
    path: Annotated[Path, typer.Argument(help="The file or folder that it reads.")],
    on_error: OnErrorOption = OnError.stop,
    rejects: Rejects = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Load a source with any registered loader (entry-point group kgplatform.loaders)."""
    _load(open_source(loader, path), on_error, rejects, dry_run, as_json)


def _pair(option_text: str, option: str) -> tuple[str, str]:
    from kgplatform.errors import UsageError

    name, equals, value = option_text.partition("=")
    if not (name and equals and value):
        raise UsageError(f"{option} {option_text}: write NAME=VALUE")
    return name, value


def _load(source: Source, on_error: OnError, rejects: Path | None, dry_run: bool, as_json: bool) -> None:
    from kgplatform.connect import open_graph

    with open_graph() as graph:
        _load_into(graph, source, on_error, rejects, dry_run, as_json)


def _load_into(
    graph: Graph, source: Source, on_error: OnError, rejects: Path | None, dry_run: bool, as_json: bool
) -> None:
    from kgplatform.ingest import ingest

    default_rejects = Path(f"{source.files[0].name}.rejects.tsv")
    report = ingest(
        graph,
        source,
        on_error=on_error.value,
        rejects=(rejects or default_rejects) if on_error is OnError.skip else None,
        dry_run=dry_run,
        progress=progress(f"rows of {source.kind}"),
    )
    report_load(report, as_json)


def open_source(kind: str, path: Path) -> Source:
    """The source that the loader of that name makes of a path; loaders register as entry points of this group.

    Raises `UsageError` for an unknown loader.
    """
    from kgplatform import plugins

    source: Source = plugins.load_plugin("loaders", kind, "loader")(path)
    return source


def report_load(report: LoadReport, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Print the account of a load; `more` goes into the JSON document alone."""
    if as_json:
        emit_json({**_document(report), **(more or {})})
    else:
        _print(report)


def print_left_out(left_out: Mapping[str, int]) -> None:
    """Print what is not loaded, and why."""
    for reason, row_count in left_out.items():
        echo(f"  not loaded: {counted_or_none(row_count, reason)}")


def _document(report: LoadReport) -> dict[str, Any]:
    return {
        "run": report.run,
        **asdict(report.rows),
        "mapping": asdict(report.enriched),
        "new_nodes": report.new_nodes,
        "left_out": dict(report.left_out),
        "remarks": dict(report.remarks),
        "resumed_at": report.resumed_at,
        "rejects": str(report.rejects) if report.rejects else None,
        "dry_run": report.dry_run,
    }


def _print(report: LoadReport) -> None:
    verb = "would be written" if report.dry_run else "written"
    if report.resumed_at:
        echo(f"went on from row {report.resumed_at:,}")
    existing_notes = {"rows": "already there", "mapping rows": "with nothing to add"}
    for row_title, account in (("rows", report.rows), ("mapping rows", report.enriched)):
        if account.read:
            echo(
                f"{counted(account.read, row_title)} read: {account.written:,} {verb}, {account.existing:,} "
                f"{existing_notes[row_title]}, "
                f"{account.rejected:,} rejected"
            )
    print_left_out(report.left_out)
    for remark, count in report.remarks.items():
        echo(f"  loaded, but check: {counted(count, remark)}")
    for reject in report.first_rejects:
        echo(f"  {reject.path}, row {reject.row}: {reject.reason}")
    if report.rejects:
        echo(f"  all rejected rows: {report.rejects}")
    if not report.dry_run:
        echo(f"run {report.run}")
