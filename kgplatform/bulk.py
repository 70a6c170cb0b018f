"""First loads by ``neo4j-admin database import``: from the same batches as `ingest`, read back and compared.

The batches are gathered in an SQLite file (an element stands once, regardless of which batches name it; memory stays
flat), written as the CSV files that the tool reads, imported into the local server's empty store, and the digest of the
graph that comes out is compared with the digest of what went in.
"""

from __future__ import annotations

import csv
import json
import logging
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from kgplatform import queries, server
from kgplatform.batches import GraphBatch, Properties, Source
from kgplatform.connect import open_graph
from kgplatform.digest import Digest, digest
from kgplatform.errors import InputError, ServerError, UsageError
from kgplatform.graph import Graph
from kgplatform.ingest import BATCH_ROWS, LoadReport, prepare, run_id, run_properties
from kgplatform.progress import Progress, no_progress
from kgplatform.schema import NODE_TYPES, presence_labels
from kgplatform.settings import Settings
from kgplatform.survey import Account, survey_source

logger = logging.getLogger(__name__)
LIST: Final = "\x1f"  # between the items of a list in a CSV cell; loaders reject control characters
_TYPES: Final = {str: "string", int: "long", float: "double", bool: "boolean", list: "string[]"}
_OPTIONS: Final = (
    "--overwrite-destination",
    "--id-type=string",
    "--array-delimiter=U+001F",
    "--bad-tolerance=0",
    "--multiline-fields=true",
)
# The first value of a property stays and missing ones are filled, as in cypher/ingest/assert_nodes.
_STAGE: Final = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
CREATE TABLE node (label TEXT, key TEXT, properties TEXT, PRIMARY KEY (label, key)) WITHOUT ROWID;
CREATE TABLE edge (head_label TEXT, tail_label TEXT, head TEXT, relation TEXT, tail TEXT, properties TEXT,
                   PRIMARY KEY (head_label, tail_label, head, relation, tail)) WITHOUT ROWID;
"""
_ADD_NODE: Final = """
INSERT INTO node VALUES (?, ?, ?)
ON CONFLICT DO UPDATE SET properties = json_patch(excluded.properties, properties)
"""
_ADD_EDGE: Final = """
INSERT INTO edge VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET properties = json_patch(excluded.properties, properties)
"""
_COMPLETE: Final = """
UPDATE node SET properties = json_patch(?3, properties)
WHERE label = ?1 AND key = ?2 AND properties <> json_patch(?3, properties)
"""


def bulk_import(
    settings: Settings,
    source: Source,
    *,
    on_error: str = "stop",
    rejects: Path | None = None,
    progress: Progress = no_progress,
) -> LoadReport:
    """Load `source` into the empty local graph, and leave the server running.

    Raises `UsageError` with a foreign server or a graph that holds something, `InputError` for bad input, and
    `ServerError` when the import fails or what was read back is not what went in.
    """
    if settings.uri is not None:
        raise UsageError("bulk import needs the local server's files", "Unset NEO4J_URI, or use `kgp ingest`.")
    unfinished_mark = settings.server_home / "import-unfinished"
    if not unfinished_mark.exists():
        _require_empty(settings)
    import_run, sha256 = run_id(source)
    survey = survey_source(source, on_error, rejects, BATCH_ROWS)
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=settings.home) as temporary_folder:
        stage_folder = Path(temporary_folder)
        with closing(sqlite3.connect(stage_folder / "stage.sqlite")) as database:
            database.executescript(_STAGE)
            batches = survey.batches or source.batches(BATCH_ROWS)
            written_edges, completed_nodes = _gather(database, batches, survey.total, progress)
            logger.info("writing the import files")
            expected_digest, arguments = _write_files(database, stage_folder, import_run)
        server.stop(settings)
        unfinished_mark.parent.mkdir(parents=True, exist_ok=True)
        unfinished_mark.touch()
        logger.info("importing")
        server.admin(
            settings,
            "database",
            "import",
            "full",
            "neo4j",
            *_OPTIONS,
            f"--report-file={stage_folder / 'report'}",
            *arguments,
        )
    unfinished_mark.unlink()
    server.start(settings)
    with open_graph(settings) as graph:
        logger.info("creating constraints and indexes")
        prepare(graph)
        row_counts = survey.rows
        account = Account(
            row_counts.read, written_edges, row_counts.read - row_counts.rejected - written_edges, row_counts.rejected
        )
        mapping_counts = survey.enriched
        unused_rows = mapping_counts.read - mapping_counts.rejected - completed_nodes
        enriched = Account(mapping_counts.read, completed_nodes, unused_rows, mapping_counts.rejected)
        _record(graph, source, import_run, sha256, account, enriched)
        logger.info("reading back and comparing")
        imported_digest = digest(graph)
    if str(imported_digest) != str(expected_digest):
        raise ServerError(
            "the imported graph is not what was read from the files", "`kgp db reset`, then `kgp ingest`."
        )
    rejected_rows = tuple(survey.first_rejects)
    return LoadReport(
        import_run,
        account,
        enriched,
        0,
        rejects if rejected_rows else None,
        rejected_rows,
        imported_digest.nodes,
        dict(survey.left_out),
        remarks=dict(survey.remarks),
    )


def _require_empty(settings: Settings) -> None:
    if not server.store_exists(settings):
        return
    is_running = server.start(settings).running
    with open_graph(settings) as graph:
        [answer] = graph.read(queries.get("ingest/is_empty"))
    if is_running and not answer["empty"]:
        hint = "Use `kgp ingest` to add to it, or `kgp db reset` to start with an empty graph."
        raise UsageError("the graph is not empty: bulk import is for first loads", hint)


def _gather(
    database: sqlite3.Connection, batches: Iterable[GraphBatch], total: int, progress: Progress
) -> tuple[int, int]:
    """Stage all batches; returns how many edges there are and how many mapping rows completed a node."""
    completed_nodes = rows_done = 0
    for batch in batches:
        node_rows = [
            (node_label, node_key, _json(properties)) for (node_label, node_key), properties in batch.nodes.items()
        ]
        if batch.enrich:
            completed_nodes += database.executemany(_COMPLETE, node_rows).rowcount
        else:
            database.executemany(_ADD_NODE, node_rows)
            edge_rows = [
                (head[0], tail[0], head[1], relation, tail[1], _json(edge_properties))
                for (head, relation, tail), edge_properties in batch.edges.items()
            ]
            database.executemany(_ADD_EDGE, edge_rows)
        rows_done += batch.read
        progress(rows_done, total)
    database.commit()
    return database.execute("SELECT count(*) FROM edge").fetchone()[0], completed_nodes


def _write_files(database: sqlite3.Connection, folder: Path, import_run: str) -> tuple[Digest, list[str]]:
    """Write the tool's CSV files; returns the digest of what they say and the tool's arguments."""
    expected_digest = Digest()
    arguments = [f"--nodes={csv_path}" for csv_path in _node_files(database, folder, import_run, expected_digest)]
    return expected_digest, arguments + [
        f"--relationships={csv_path}" for csv_path in _edge_files(database, folder, import_run, expected_digest)
    ]


def _node_files(database: sqlite3.Connection, folder: Path, import_run: str, expected_digest: Digest) -> Iterator[Path]:
    for (node_label,) in database.execute("SELECT DISTINCT label FROM node").fetchall():
        property_types = _kinds(database.execute("SELECT properties FROM node WHERE label = ?", (node_label,)))
        key_name, csv_path = NODE_TYPES[node_label].key, folder / f"{node_label}.csv"
        with _table(csv_path, [f"{key_name}:ID({node_label})", ":LABEL", *_headers(property_types)]) as table:
            for node_key, properties_json in database.execute(
                "SELECT key, properties FROM node WHERE label = ?", (node_label,)
            ):
                properties = _asserted(json.loads(properties_json), import_run)
                all_labels = [*_labels(node_label, node_key), *presence_labels(node_label, properties)]
                expected_digest.add_node(all_labels, {key_name: node_key, **properties})
                table.writerow(
                    [
                        node_key,
                        LIST.join(all_labels),
                        *(_cell(properties.get(property_name)) for property_name in property_types),
                    ]
                )
        yield csv_path


def _edge_files(database: sqlite3.Connection, folder: Path, import_run: str, expected_digest: Digest) -> Iterator[Path]:
    for label_pair in database.execute("SELECT DISTINCT head_label, tail_label FROM edge").fetchall():
        head_label, tail_label = label_pair
        property_types = _kinds(
            database.execute("SELECT properties FROM edge WHERE head_label = ? AND tail_label = ?", label_pair)
        )
        csv_path = folder / f"{head_label}-{tail_label}.csv"
        edge_query = "SELECT head, relation, tail, properties FROM edge WHERE head_label = ? AND tail_label = ?"
        with _table(
            csv_path, [f":START_ID({head_label})", ":TYPE", f":END_ID({tail_label})", *_headers(property_types)]
        ) as table:
            for head, relation, tail, properties_json in database.execute(edge_query, label_pair):
                properties = _asserted(json.loads(properties_json), import_run)
                edge_ends = (_labels(head_label, head), head), relation, (_labels(tail_label, tail), tail)
                expected_digest.add_edge(*edge_ends, properties)
                table.writerow(
                    [head, relation, tail, *(_cell(properties.get(property_name)) for property_name in property_types)]
                )
        yield csv_path


def _labels(label: str, node_key: str) -> list[str]:
    """A node's labels: a Thing has its type for a second one."""
    return sorted({label, node_key.split(":")[0]}) if label == "Thing" else [label]


def _asserted(properties: dict[str, Any], import_run: str) -> dict[str, Any]:
    """The properties as the run asserts them."""
    return {**properties, "runs": [import_run]}


def _kinds(json_rows: Iterable[tuple[str]]) -> dict[str, type]:
    """Every property's type, the platform's own included. Raises `InputError` where one has several."""
    property_types: dict[str, type] = {"runs": list}
    for (properties_json,) in json_rows:
        for property_name, value in json.loads(properties_json).items():
            if property_types.setdefault(property_name, type(value)) is not type(value):
                raise InputError(f"the property {property_name} has values of several types", "Use `kgp ingest`.")
    return property_types


def _headers(property_types: Mapping[str, type]) -> list[str]:
    return [f"{property_name}:{_TYPES[property_type]}" for property_name, property_type in property_types.items()]


def _cell(value: Any) -> Any:
    return LIST.join(value) if isinstance(value, list) else value


@contextmanager
def _table(path: Path, header: list[str]) -> Iterator[Any]:
    with path.open("w", newline="", encoding="utf-8") as csv_file:
        table = csv.writer(csv_file)
        table.writerow(header)
        yield table


def _json(properties: Properties) -> str:
    return json.dumps(dict(properties), ensure_ascii=False)


def _record(
    graph: Graph, source: Source, import_run: str, sha256: str, row_counts: Account, mapping_counts: Account
) -> None:
    """The run's record, as `ingest` would leave it."""
    properties = run_properties(source, sha256)
    graph.write(queries.get("ingest/begin"), run=import_run, properties=properties, extends=False)
    graph.write(queries.get("ingest/outdate"))
    graph.write(
        queries.get("ingest/checkpoint"),
        run=import_run,
        batch="bulk",
        rows_done=row_counts.read + mapping_counts.read,
        rows_written=row_counts.written,
        rows_existing=row_counts.existing,
        rows_enriched=mapping_counts.written,
    )
    final_counts = {
        "rows_read": row_counts.read,
        "rows_rejected": row_counts.rejected,
        "mapping_read": mapping_counts.read,
    }
    graph.write(queries.get("ingest/finish"), run=import_run, **final_counts)
