"""Loads a source into the graph: batched, idempotent, resumable, every element tied to its run.

A run is named by what is loaded: the source's kind, version and parameters and the sha256 of its files. So the same
load twice is one run and changes nothing, and a load that was killed goes on where its run says it stopped. A server
that goes away is waited for, at any point of the load.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kgplatform import queries
from kgplatform.batches import Reject, Source
from kgplatform.dry_run import rehearse
from kgplatform.errors import InputError
from kgplatform.graph import Graph
from kgplatform.load import Load, merge
from kgplatform.progress import Progress, no_progress
from kgplatform.survey import Account, refuse_nothing, survey_source, validate_batch
from kgplatform.upgrade import upgrade
from kgplatform.wording import counted

BATCH_ROWS: Final = 10_000
INDEXES: Final = ("schema/concept_names",)  # filled faster when the data is there already
CONSTRAINTS: Final = tuple(name for name in queries.query_names("schema") if name not in INDEXES)

NAMED_FILES: Final = 5  # a data set of reports has 200,000

PREDICTION: Final = "prediction"  # kind of the runs that assert PREDICTED edges alone; see cypher/runs/undo_begin


@dataclass(frozen=True)
class LoadReport:
    """The outcome of a load. `enriched` accounts for rows that only complete nodes (an image mapping):
    there, `existing` are rows of nodes that are complete already or not in the graph.
    """

    run: str
    rows: Account
    enriched: Account
    resumed_at: int = 0
    rejects: Path | None = None
    first_rejects: tuple[Reject, ...] = ()
    new_nodes: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)  # by reason; see `GraphBatch`
    dry_run: bool = False
    remarks: Mapping[str, int] = field(default_factory=dict)  # see `GraphBatch`


def run_id(source: Source) -> tuple[str, str]:
    """The run's id and the sha256 of the source's files. Raises `InputError` for an unreadable file."""
    if source.kind == PREDICTION:
        raise InputError(f"a loader cannot be called {PREDICTION}", "Give it another name.")
    files_digest = hashlib.sha256()
    for file_path in source.files:
        try:
            with file_path.open("rb") as source_file:
                files_digest.update(hashlib.file_digest(source_file, "sha256").digest())
        except OSError as error:
            raise InputError(f"cannot be read: {error.strerror}", "Check the path.", path=file_path) from None
    files_sha256 = files_digest.hexdigest()
    return name_run(source.kind, source.version, source.parameters, files_sha256), files_sha256


def name_run(kind: str, version: int, parameters: Mapping[str, Any], sha256: str) -> str:
    """The id of the run that loads content of that hash in that way."""
    identity = json.dumps([kind, version, parameters, sha256], sort_keys=True)
    return f"{kind}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"


def run_properties(source: Source, sha256: str) -> dict[str, Any]:
    """What the graph keeps about a run from its beginning."""
    return {
        "kind": source.kind,
        "source": _named(source.files),
        "sha256": sha256,
        "version": source.version,
        "parameters": json.dumps(source.parameters, sort_keys=True),
    }


def _named(source_files: Sequence[Path]) -> str:
    """The names of the files; of many, the first."""
    file_names = ", ".join(file_path.name for file_path in source_files[:NAMED_FILES])
    return (
        file_names if len(source_files) <= NAMED_FILES else f"{file_names} and {len(source_files) - NAMED_FILES:,} more"
    )


def ingest(
    graph: Graph,
    source: Source,
    *,
    on_error: str = "stop",
    rejects: Path | None = None,
    dry_run: bool = False,
    batch_rows: int = BATCH_ROWS,
    progress: Progress = no_progress,
) -> LoadReport:
    """Load `source`. With ``on_error="stop"`` a bad row stops the load before anything is written; with ``"skip"``
    bad rows go to the file `rejects` and the rest is loaded.

    Raises `InputError` for bad input and for a source that has nothing to load, and `DatabaseError` when the database
    cannot take it.
    """
    run, sha256 = run_id(source)
    graph = graph.patient()
    if dry_run:
        survey = survey_source(source, on_error, rejects, batch_rows)
        refuse_nothing(survey, source, rejects)
        rows_account, enriched_account, new_nodes = rehearse(graph, source, run, survey, batch_rows)
        first_rejects = tuple(survey.first_rejects)
        return LoadReport(
            run,
            rows_account,
            enriched_account,
            0,
            None,
            first_rejects,
            new_nodes,
            dict(survey.left_out),
            dry_run=True,
            remarks=dict(survey.remarks),
        )
    with ThreadPoolExecutor(1) as executor:  # a fresh server takes a second for its constraints
        constraints_future = executor.submit(_create, graph, CONSTRAINTS)
        survey = survey_source(source, on_error, rejects, batch_rows)
        constraints_future.result()
    refuse_nothing(survey, source, rejects)
    upgrade(graph)
    load = Load(graph, run, run_properties(source, sha256), merge)
    resumed_at = load.begin()
    batches = survey.batches or (validate_batch(batch, source) for batch in source.batches(batch_rows))
    load.write_all(batches, lambda done: progress(done, survey.total))
    _create(graph, INDEXES)
    load.finish(survey)
    rows_account = Account(survey.rows.read, load.written, survey.asserted - load.written, survey.rows.rejected)
    valid_rows = survey.enriched.read - survey.enriched.rejected
    enriched_account = Account(
        survey.enriched.read, load.enriched, valid_rows - load.enriched, survey.enriched.rejected
    )
    rejects_path = rejects if survey.first_rejects else None
    if not survey.elements and not load.enriched and not load.repeats:
        rows_read = counted(enriched_account.read, "rows of a mapping alone, of images that the graph lacks")
        problem = f"there is nothing to load: {rows_read}"
        raise InputError(problem, "Load the graph first.", path=source.files[0])
    first_rejects = tuple(survey.first_rejects)
    return LoadReport(
        run,
        rows_account,
        enriched_account,
        resumed_at,
        rejects_path,
        first_rejects,
        load.new_nodes,
        dict(survey.left_out),
        remarks=dict(survey.remarks),
    )


def constrain(graph: Graph) -> None:
    """Create the constraints and bring a graph of an earlier version up to date; changes nothing the second time."""
    _create(graph, CONSTRAINTS)
    upgrade(graph)


def prepare(graph: Graph) -> None:
    """Create the constraints and indexes; changes nothing when they are there."""
    constrain(graph)
    _create(graph, INDEXES)
    graph.run_unmanaged(queries.get("ingest/await_indexes"))


def _create(graph: Graph, query_names: Iterable[str]) -> None:
    for query_name in query_names:
        graph.run_unmanaged(queries.get(query_name))
