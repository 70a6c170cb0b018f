"""`kgp construct compare`: the same reports by the rules and by language models, on one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kgplatform.cli import construct
from kgplatform.cli.output import Json, echo, emit_json, format_table, progress
from kgplatform.wording import counted

if TYPE_CHECKING:
    from kgplatform.construct.comparison import Comparison
    from kgplatform.construct.settings import ConstructionSettings

Models = Annotated[
    list[str] | None,
    typer.Option(
        "--llm",
        metavar="MODEL[@URL]",
        help="A language model, with its endpoint if it is not that of --llm-url; may be repeated.",
    ),
]
ModelsURL = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The OpenAI-compatible endpoint of the models [default: Ollama on this machine]."),
]
GraphNames = Annotated[
    bool, typer.Option("--graph-names", help="Also look for the names of the graph's concepts; else no graph is read.")
]


def compare_command(
    kind_and_path: construct.KindAndPath,
    out: Annotated[Path, typer.Option(metavar="FILE.html", help="The page to write. It contains report text.")],
    llm: Models = None,
    llm_url: ModelsURL = None,
    llm_concurrency: construct.Concurrency = None,
    remote_consent: construct.RemoteConsent = False,
    limit: Annotated[int, typer.Option(min=1, help="Compare the first reports with text, at most so many.")] = 20,
    lexicon: construct.Lexicon = None,
    graph_names: GraphNames = False,
    own_words: construct.OwnWords = None,
    views: construct.Views = None,
    tagger: construct.Tagger = None,
    rules: construct.RulesFile = None,
    conflicts: construct.ConflictsOption = None,
    keep: construct.Keep = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the stances of the rules and of language models on the same reports, on one HTML page."""
    from kgplatform.construct.comparison_page import check_page_path, write_page

    overrides = construct.Overrides(
        lexicon=tuple(lexicon) if lexicon else None,
        graph_names=graph_names,
        own_words=own_words,
        views=construct.parse_views(views),
        tagger=tagger,
        rules=rules,
        conflicts=construct.as_conflicts(conflicts),
        keep=keep,
    )
    llm_overrides = construct.LLMOverrides(url=llm_url, concurrency=llm_concurrency)
    settings = construct.construction_settings(kind_and_path, overrides, llm_overrides, remote_consent)
    check_page_path(out, force=force)
    comparison = _compare(settings, llm or [], limit)
    write_page(comparison, out, force=force)
    _print(comparison, out, as_json)


def _compare(settings: ConstructionSettings, models: list[str], limit: int) -> Comparison:
    from kgplatform.connect import open_graph
    from kgplatform.construct.compare import compare_judges

    if not settings.graph_names:
        return compare_judges(settings, models, limit=limit, progress=progress)
    with open_graph() as graph:
        return compare_judges(settings, models, limit=limit, graph=graph, progress=progress)


def _print(comparison: Comparison, out: Path, as_json: bool) -> None:
    construct.report_rejects(comparison.rejects)
    if as_json:
        emit_json(
            {
                "page": str(out),
                **comparison.as_json(),
                "left_out_rows": construct.rejects_document(comparison.rejects),
            }
        )
        return
    first = "" if comparison.has_all else "the first "
    echo(
        f"{first}{counted(len(comparison.reports), 'reports')} with findings or an impression: "
        f"{counted(comparison.concepts, 'concepts')} with a stance, {comparison.disputed:,} with different decisions"
    )
    for reason, count in comparison.left_out.items():
        echo(f"  left out: {counted(count, reason)}")
    rows = [
        {
            "judges": " / ".join(agreement_json["judges"]),
            **{column: agreement_json[column] for column in ("reports", "mentioned", "equal", "share", "kappa")},
        }
        for agreement_json in comparison.as_json()["agreement"]
    ]
    echo(format_table(rows))
    for judge in comparison.judges:
        if judge.usage is not None:
            echo(f"{judge.name}: {judge.usage.summary()}")
    echo(f"{out}: it contains text of the reports; store it only where the reports may be stored")
