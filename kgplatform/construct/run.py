"""A construction from its settings to the graph: reports are read, judged and written, and images are scored."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kgplatform import naf
from kgplatform.construct.pipeline import construction
from kgplatform.construct.settings import ConstructionSettings
from kgplatform.graph import Graph
from kgplatform.ingest import LoadReport, ingest
from kgplatform.progress import SubjectProgress, silent_progress


@dataclass(frozen=True)
class Constructed:
    """A construction from reports: its account, how many images have a concept, and how many were scored by NaF (None
    where scoring was not asked for). Of the rows that were read, `relations` are the ontologies'; `usage` is a language
    model's, None without one.
    """

    report: LoadReport
    images: int
    scored: int | None
    relations: int = 0
    usage: Any = None


def construct_graph(
    graph: Graph,
    settings: ConstructionSettings,
    *,
    score: bool = True,
    on_error: str = "stop",
    rejects: Path | None = None,
    dry_run: bool = False,
    progress: SubjectProgress = silent_progress,
) -> Constructed:
    """Find concepts and their stances in reports, and write them with the evidence for each.

    With ``on_error="stop"`` a bad row stops the construction before anything is written; with ``"skip"`` bad rows go to
    the file `rejects`. With `score`, the graph's images are scored by NaF at the end. `progress` makes a reporter of
    (done, total) for a subject. Raises `UsageError` for an unknown loader or tagger, and `InputError`.
    """
    source = construction(settings, graph, progress("reports judged"))
    report = ingest(
        graph,
        source,
        on_error=on_error,
        rejects=rejects,
        dry_run=dry_run,
        batch_rows=1_000,
        progress=progress("reports"),
    )
    scored_count = naf.score(graph, top=0).images if score and not dry_run else None
    return Constructed(report, source.images, scored_count, source.relations_read, getattr(source.judge, "usage", None))
