"""`kgp construct`: from reports to images, concepts and stances in the graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kgplatform.cli.ingest import OnError, print_left_out, report_load
from kgplatform.cli.output import Json, echo, emit_json, note, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.batches import Reject
    from kgplatform.construct.annotate import Conflicts
    from kgplatform.construct.run import Constructed
    from kgplatform.construct.settings import ConstructionSettings

app = typer.Typer(no_args_is_help=True, help="Build the graph from reports.")


class Conflict(StrEnum):
    """`kgplatform.construct.annotate.Conflicts`, here so that help does not load it."""

    keep = "keep"
    strongest = "strongest"
    last = "last"


@app.callback()
def _construct() -> None:
    """Build the graph from reports."""


Lexicon = Annotated[
    list[Path] | None, typer.Option(help="A table of CUIs and names, or a folder of UMLS; may be repeated.")
]
GraphNames = Annotated[
    bool | None, typer.Option("--graph-names/--no-graph-names", help="Also look for the names of the graph's concepts.")
]
OwnWords = Annotated[
    bool | None, typer.Option("--own-words/--no-own-words", help="Also use the lexicon that comes with the package.")
]
Views = Annotated[
    str | None, typer.Option(metavar="VIEW,…", help="Views of the images, e.g. AP [default: the loader's].")
]
Tagger = Annotated[
    str | None, typer.Option(metavar="NAME[:ARGUMENT]", help="What finds the concepts [default: dictionary].")
]
ConflictsOption = Annotated[
    Conflict | None,
    typer.Option(help="If a report has several stances to a concept: keep all, the strongest or the last."),
]
ModalityOption = Annotated[str | None, typer.Option(help="The modality of reports that state none, e.g. CT.")]
RegionOption = Annotated[str | None, typer.Option(help="The body region of reports that state none, e.g. head.")]
Keep = Annotated[Path | None, typer.Option(help="Read only the studies of this selection (`kgp construct select`).")]
RulesFile = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="A table of your own rules of stance, in addition to the platform's."),
]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes that read the reports.")]
LanguageModel = Annotated[
    str | None, typer.Option(metavar="MODEL", help="Use this language model to judge the candidates.")
]
LanguageModelURL = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The URL of its OpenAI-compatible endpoint [default: Ollama on this machine]."),
]
Concurrency = Annotated[int | None, typer.Option(min=1, help="Reports sent to the model at the same time.")]
RemoteConsent = Annotated[
    bool, typer.Option("--remote-consent", help="Confirm that you may send the reports to another machine.")
]
Score = Annotated[bool, typer.Option("--score/--no-score", help="Score the graph's images by NaF at the end.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Write nothing; print what would change. A language model is still asked."),
]
KindAndPath = Annotated[
    list[str],
    typer.Argument(
        metavar="[KIND] PATH",
        help="The kind of reports (openi, mimic-cxr, reports) and where they are, or a folder with construct.yaml.",
    ),
]


@app.command("run")
def run_command(
    kind_and_path: KindAndPath,
    lexicon: Lexicon = None,
    graph_names: GraphNames = None,
    own_words: OwnWords = None,
    views: Views = None,
    tagger: Tagger = None,
    rules: RulesFile = None,
    modality: ModalityOption = None,
    region: RegionOption = None,
    conflicts: ConflictsOption = None,
    keep: Keep = None,
    workers: Workers = None,
    ray: Annotated[bool | None, typer.Option("--ray", help="Read the reports on Ray Data.")] = None,
    llm: LanguageModel = None,
    llm_url: LanguageModelURL = None,
    llm_concurrency: Concurrency = None,
    remote_consent: RemoteConsent = False,
    score: Score = True,
    on_error: Annotated[OnError, typer.Option(help="A bad row: stop before writing, or skip it.")] = OnError.stop,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Find concepts and their stances in reports, and write them to the graph with the evidence for each."""
    from kgplatform.connect import open_graph
    from kgplatform.construct.run import construct_graph

    overrides = Overrides(
        lexicon=tuple(lexicon) if lexicon else None,
        graph_names=graph_names,
        own_words=own_words,
        tagger=tagger,
        rules=rules,
        conflicts=as_conflicts(conflicts),
        workers=workers,
    )
    overrides = replace(overrides, views=parse_views(views), modality=modality, region=region, keep=keep, ray=ray)
    llm_overrides = LLMOverrides(model=llm, url=llm_url, concurrency=llm_concurrency)
    settings = construction_settings(kind_and_path, overrides, llm_overrides, remote_consent)
    rejects = Path(f"{settings.reports}.rejects.tsv") if on_error is OnError.skip else None
    with open_graph().patient() as graph:
        constructed = construct_graph(
            graph, settings, score=score, on_error=on_error.value, rejects=rejects, dry_run=dry_run, progress=progress
        )
    _print_construction(constructed, as_json)


@dataclass(frozen=True)
class Overrides:
    """Options in place of settings; None leaves the setting as it is."""

    lexicon: tuple[Path, ...] | None = None
    graph_names: bool | None = None
    own_words: bool | None = None
    views: tuple[str, ...] | None = None
    tagger: str | None = None
    rules: Path | None = None
    modality: str | None = None
    region: str | None = None
    conflicts: Conflicts | None = None
    keep: Path | None = None
    workers: int | None = None
    ray: bool | None = None


@dataclass(frozen=True)
class LLMOverrides:
    """Options in place of the language model's settings; None leaves the setting as it is."""

    model: str | None = None
    url: str | None = None
    concurrency: int | None = None


def construction_settings(
    kind_and_path: list[str], overrides: Overrides, llm_overrides: LLMOverrides, remote_consent: bool
) -> ConstructionSettings:
    """The settings of the argument, with the options that were given in place of theirs."""
    settings = _argument_settings(kind_and_path)
    llm = {**settings.llm, **_stated(llm_overrides)}
    return replace(settings, **_stated(overrides), llm=llm, remote_consent=remote_consent)


def _stated(overrides: Overrides | LLMOverrides) -> dict[str, Any]:
    """The options that were given."""
    option_names = [option.name for option in fields(overrides)]
    return {name: value for name in option_names if (value := getattr(overrides, name)) is not None}


def as_conflicts(conflicts: Conflict | None) -> Conflicts | None:
    """The option as the setting."""
    from kgplatform.construct.annotate import Conflicts

    return None if conflicts is None else Conflicts(conflicts.value)


def _print_construction(constructed: Constructed, as_json: bool) -> None:
    report, usage, scored_count = constructed.report, constructed.usage, constructed.scored
    if as_json:
        llm_usage = {} if usage is None else {"language_model": usage.as_json()}
        counts = {"reports": report.rows.read - constructed.relations, "relations": constructed.relations}
        report_load(
            report, as_json, {**llm_usage, **counts, "images": constructed.images, "images_scored": scored_count}
        )
        return
    if usage is not None:
        echo(usage.summary())
    row_counts, verb = report.rows, "would be written" if report.dry_run else "written"
    relations = f" and {counted(constructed.relations, 'relations')}" if constructed.relations else ""
    echo(
        f"{counted(row_counts.read - constructed.relations, 'reports')}{relations} read, "
        f"{row_counts.rejected:,} rejected: "
        f"{counted(row_counts.written, 'edges')} {verb}, "
        f"{row_counts.existing:,} already there"
    )
    echo(f"{counted(constructed.images, 'images have a concept', 'image has a concept')}")
    print_left_out(report.left_out)
    for remark, remark_count in report.remarks.items():
        echo(f"  {counted(remark_count, remark)}")
    for reject in report.first_rejects:
        echo(f"  {reject.path}, row {reject.row}: {reject.reason}")
    if not report.dry_run:
        echo(f"run {report.run}; `kgp runs undo {report.run}` removes it")
    if scored_count is not None:
        echo(f"{counted(scored_count, 'images')} scored; keep those that cover all concepts: kgp naf filter")


@app.command("select")
def select_command(
    kind_and_path: Annotated[
        list[str],
        typer.Argument(
            metavar="[KIND] PATH", help="The kind of reports and where they are, or a folder with construct.yaml."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write the selection, for `kgp construct run --keep`.")],
    encoder: Annotated[
        str, typer.Option(metavar="NAME[:FOLDER]", help="tfidf, transformer:FOLDER or open-clip:FOLDER.")
    ] = "tfidf",
    eps: Annotated[float, typer.Option(help="Cosine distance up to which two reports are neighbours.")] = 0.25,
    min_samples: Annotated[int, typer.Option(min=1, help="Neighbours that make a cluster.")] = 2,
    per_cluster: Annotated[int, typer.Option(min=1, help="Reports to keep from each cluster.")] = 1,
    views: Annotated[str | None, typer.Option(metavar="VIEW,…", help="Views of the images, e.g. AP.")] = None,
    as_json: Json = False,
) -> None:
    """Keep the reports that are most typical of each cluster, and those like no other (MedMKG appendix F.1)."""
    from kgplatform.construct import select as selecting
    from kgplatform.construct.pipeline import open_reports

    settings = _argument_settings(kind_and_path)
    source = open_reports(settings.reports, settings.path, settings.views if views is None else parse_views(views))
    selection = selecting.ClusterSelection(encoder, eps, min_samples, per_cluster)
    counts, rejects = selecting.write_selection(source, settings.path, selection, out, report_rejects)
    if as_json:
        emit_json({**counts, "selection": str(out), "left_out_rows": rejects_document(rejects)})
        return
    echo(
        f"{counted(counts['reports'], 'reports')}, {counts['with_text']:,} with findings or impression: "
        f"{counted(counts['clusters'], 'clusters')}, {counts['in_no_cluster']:,} in none; "
        f"{counts['kept']:,} kept, listed in {out}"
    )


@app.command()
def texts(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind of reports, e.g. openi.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Where they are.")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder for the texts.")],
) -> None:
    """Write findings and impression of each report as text files, for a tagger that reads files (MetaMapLite)."""
    from kgplatform.construct.pipeline import open_reports
    from kgplatform.construct.texts import write_sections
    from kgplatform.errors import InputError

    text_count, rejects = write_sections(open_reports(kind, path), folder)
    report_rejects(rejects)
    if not text_count:
        raise InputError("there is no report with findings or impression here", "Check the path.", path=path)
    storage_note = "They contain text of the reports: store them only where the reports may be stored."
    echo(f"{folder}: {counted(text_count, 'texts')}. {storage_note}")


@app.command("explain")
def explain_stance(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="The image's id.")],
    concept: Annotated[str, typer.Argument(metavar="CUI|NAME", help="The concept.")],
    reports: Annotated[
        tuple[str, Path] | None, typer.Option(metavar="KIND PATH", help="The reports, to show the sentences.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show an image's stance to a concept and the evidence: phrase, cue, and with --reports the sentence."""
    from kgplatform import queries
    from kgplatform.connect import open_graph
    from kgplatform.construct.explain import describe_evidence, evidence_sentences
    from kgplatform.construct.pipeline import open_reports
    from kgplatform.errors import NotFoundError
    from kgplatform.graph_names import image_hint
    from kgplatform.search.names import find_concept

    with open_graph() as graph:
        if not graph.read(queries.get("naf/image"), image=image):
            hint = image_hint(graph, image, "The image comes first, then the concept.")
            raise NotFoundError(f"the graph has no image {image}", hint)
        concept = find_concept(graph, concept).cui
        edges = graph.read(queries.get("construct/edges"), image=image, concept=concept)
    if not edges:
        hint = f"`kgp query explore/image_subgraph --param image={image}` shows the image's concepts."
        raise NotFoundError(f"no stance joins {image} and {concept}", hint)
    source = None if reports is None else open_reports(*reports)
    mentions_by_edge = [[json.loads(mention_json) for mention_json in edge["evidence"]] for edge in edges]
    documents = [
        {**edge, "evidence": evidence_sentences(image, mentions, source)}
        for edge, mentions in zip(edges, mentions_by_edge, strict=True)
    ]
    if as_json:
        emit_json({"image": image, "concept": concept, "edges": documents})
        return
    for edge in documents:
        echo(f"{image} {edge['stance']} {concept} {edge['name'] or ''}, by {', '.join(edge['runs'])}")
        if not edge["evidence"]:
            echo("  no evidence: the stance was not constructed from reports")
        for mention in edge["evidence"]:
            echo(f"  {describe_evidence(mention)}")


def report_rejects(rejects: Sequence[Reject]) -> None:
    """Say on stderr which rows are no report."""
    if rejects:
        first_reject = rejects[0]
        location = f"{first_reject.path}, row {first_reject.row}"
        note(f"{counted(len(rejects), 'rows')} left out, the first of them {location}: {first_reject.reason}")


def rejects_document(rejects: Sequence[Reject]) -> list[dict[str, Any]]:
    """All rows that were left out, for `--json`."""
    return [{"path": str(reject.path), "row": reject.row, "reason": reject.reason} for reject in rejects]


def _argument_settings(kind_and_path: list[str]) -> ConstructionSettings:
    """The settings that KIND and PATH, or one path, say. Raises `UsageError` for more words, `InputError` for a path
    without settings.
    """
    from kgplatform.construct import settings
    from kgplatform.errors import UsageError

    if len(kind_and_path) == 1:
        return settings.read_settings(Path(kind_and_path[0]))
    if len(kind_and_path) == 2:
        return settings.ConstructionSettings(kind_and_path[0], Path(kind_and_path[1]))
    raise UsageError(
        "the kind of reports and their path are missing: KIND PATH", "Or give a folder with construct.yaml."
    )


def parse_views(text: str | None) -> tuple[str, ...] | None:
    """The views in a list with commas; None for None."""
    return None if text is None else tuple(view.strip() for view in text.split(",") if view.strip())
