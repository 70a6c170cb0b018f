"""First loads by ``neo4j-admin database import``: from the same batches as `ingest`, read back and compared.

The batches are gathered in an SQLite file (an element stands once, whatever batches name it; memory stays flat),
written as the CSV files that the tool reads, imported into the local server's empty store, and the digest of the graph
that comes out is compared with the digest of what went in.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from kgplatform import queries, server
from kgplatform.batches import GraphBatch, Properties, Source
from kgplatform.digest import Digest, digest
from kgplatform.errors import InputError, ServerError, UsageError
from kgplatform.graph import Graph
from kgplatform.ingest import BATCH_ROWS, Progress, Report, prepare, run_id, run_properties
from kgplatform.schema import NODE_TYPES, presence_labels
from kgplatform.settings import Settings
from kgplatform.survey import Account, survey_source

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
    progress: Progress = lambda done, total: None,
    told: Callable[[str], None] = lambda _: None,
) -> Report:
    """Load `source` into the empty local graph, and leave the server running.

    Raises `UsageError` with a foreign server or a graph that holds something, `InputError` for bad input, and
    `ServerError` when the import fails or what was read back is not what went in.
    """
    if settings.uri is not None:
        raise UsageError("bulk import needs the local server's files", "Unset NEO4J_URI, or use `kgp ingest`.")
    unfinished = settings.server_home / "import-unfinished"
    if not unfinished.exists():
        _require_empty(settings)
    run, sha256 = run_id(source)
    survey = survey_source(source, on_error, rejects, BATCH_ROWS)
    settings.home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="import-", dir=settings.home) as folder:
        stage = Path(folder)
        with closing(sqlite3.connect(stage / "stage.sqlite")) as db:
            db.executescript(_STAGE)
            batches = survey.batches or source.batches(BATCH_ROWS)
            written, completed = _gather(db, batches, survey.total, progress)
            told("writing the import files")
            wanted, arguments = _write_files(db, stage, run)
        server.stop(settings)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
        told("importing")
        server.admin(
            settings, "database", "import", "full", "neo4j", *_OPTIONS, f"--report-file={stage / 'report'}", *arguments
        )
    unfinished.unlink()
    server.start(settings, told)
    with Graph.open(settings) as graph:
        told("creating constraints and indexes")
        prepare(graph)
        rows = survey.rows
        account = Account(rows.read, written, rows.read - rows.rejected - written, rows.rejected)
        mapping = survey.enriched
        unused = mapping.read - mapping.rejected - completed
        enriched = Account(mapping.read, completed, unused, mapping.rejected)
        _record(graph, source, run, sha256, account, enriched)
        told("reading back and comparing")
        found = digest(graph)
    if str(found) != str(wanted):
        raise ServerError(
            "the imported graph is not what was read from the files", "`kgp db reset`, then `kgp ingest`."
        )
    first = tuple(survey.first_rejects)
    return Report(run, account, enriched, 0, rejects if first else None, first, found.nodes)


def _require_empty(settings: Settings) -> None:
    if not server.store_exists(settings):
        return
    running = server.start(settings).running
    with Graph.open(settings) as graph:
        [answer] = graph.read(queries.get("ingest/is_empty"))
    if running and not answer["empty"]:
        hint = "Use `kgp ingest` to add to it, or `kgp db reset` to start afresh."
        raise UsageError("the graph is not empty: bulk import is for first loads", hint)


def _gather(db: sqlite3.Connection, batches: Iterable[GraphBatch], total: int, progress: Progress) -> tuple[int, int]:
    """Stage all batches; returns how many edges there are and how many mapping rows completed a node."""
    completed = done = 0
    for batch in batches:
        nodes = [(label, key, _json(properties)) for (label, key), properties in batch.nodes.items()]
        if batch.enrich:
            completed += db.executemany(_COMPLETE, nodes).rowcount
        else:
            db.executemany(_ADD_NODE, nodes)
            edges = [(h[0], t[0], h[1], name, t[1], _json(p)) for (h, name, t), p in batch.edges.items()]
            db.executemany(_ADD_EDGE, edges)
        done += batch.read
        progress(done, total)
    db.commit()
    return db.execute("SELECT count(*) FROM edge").fetchone()[0], completed


def _write_files(db: sqlite3.Connection, folder: Path, run: str) -> tuple[Digest, list[str]]:
    """Write the tool's CSV files; returns the digest of what they say and the tool's arguments."""
    wanted = Digest()
    arguments = [f"--nodes={path}" for path in _node_files(db, folder, run, wanted)]
    return wanted, arguments + [f"--relationships={path}" for path in _edge_files(db, folder, run, wanted)]


def _node_files(db: sqlite3.Connection, folder: Path, run: str, wanted: Digest) -> Iterator[Path]:
    for (label,) in db.execute("SELECT DISTINCT label FROM node").fetchall():
        kinds = _kinds(db.execute("SELECT properties FROM node WHERE label = ?", (label,)))
        key_name, path = NODE_TYPES[label].key, folder / f"{label}.csv"
        with _table(path, [f"{key_name}:ID({label})", ":LABEL", *_headers(kinds)]) as table:
            for key, text in db.execute("SELECT key, properties FROM node WHERE label = ?", (label,)):
                properties = _asserted(json.loads(text), run)
                labels = [*_labels(label, key), *presence_labels(label, properties)]
                wanted.add_node(labels, {key_name: key, **properties})
                table.writerow([key, LIST.join(labels), *(_cell(properties.get(name)) for name in kinds)])
        yield path


def _edge_files(db: sqlite3.Connection, folder: Path, run: str, wanted: Digest) -> Iterator[Path]:
    for pair in db.execute("SELECT DISTINCT head_label, tail_label FROM edge").fetchall():
        head_label, tail_label = pair
        kinds = _kinds(db.execute("SELECT properties FROM edge WHERE head_label = ? AND tail_label = ?", pair))
        path = folder / f"{head_label}-{tail_label}.csv"
        rows = "SELECT head, relation, tail, properties FROM edge WHERE head_label = ? AND tail_label = ?"
        with _table(path, [f":START_ID({head_label})", ":TYPE", f":END_ID({tail_label})", *_headers(kinds)]) as table:
            for head, relation, tail, text in db.execute(rows, pair):
                properties = _asserted(json.loads(text), run)
                ends = (_labels(head_label, head), head), relation, (_labels(tail_label, tail), tail)
                wanted.add_edge(*ends, properties)
                table.writerow([head, relation, tail, *(_cell(properties.get(name)) for name in kinds)])
        yield path


def _labels(label: str, key: str) -> list[str]:
    """A node's labels: a Thing has its type for a second one."""
    return sorted({label, key.split(":")[0]}) if label == "Thing" else [label]


def _asserted(properties: dict[str, Any], run: str) -> dict[str, Any]:
    """The properties as the run asserts them."""
    return {**properties, "runs": [run]}


def _kinds(texts: Iterable[tuple[str]]) -> dict[str, type]:
    """Every property's type, the platform's own included. Raises `InputError` where one has several."""
    kinds: dict[str, type] = {"runs": list}
    for (text,) in texts:
        for name, value in json.loads(text).items():
            if kinds.setdefault(name, type(value)) is not type(value):
                raise InputError(f"the property {name} has values of several types", "Use `kgp ingest`.")
    return kinds


def _headers(kinds: Mapping[str, type]) -> list[str]:
    return [f"{name}:{_TYPES[kind]}" for name, kind in kinds.items()]


def _cell(value: Any) -> Any:
    return LIST.join(value) if isinstance(value, list) else value


@contextmanager
def _table(path: Path, header: list[str]) -> Iterator[Any]:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        yield table


def _json(properties: Properties) -> str:
    return json.dumps(dict(properties), ensure_ascii=False)


def _record(graph: Graph, source: Source, run: str, sha256: str, rows: Account, mapping: Account) -> None:
    """The run's record, as `ingest` would leave it."""
    properties = run_properties(source, sha256)
    graph.write(queries.get("ingest/begin"), run=run, properties=properties, extends=False)
    graph.write(queries.get("ingest/outdate"))
    graph.write(
        queries.get("ingest/checkpoint"),
        run=run,
        batch="bulk",
        rows_done=rows.read + mapping.read,
        rows_written=rows.written,
        rows_existing=rows.existing,
        rows_enriched=mapping.written,
    )
    closing = {"rows_read": rows.read, "rows_rejected": rows.rejected, "mapping_read": mapping.read}
    graph.write(queries.get("ingest/finish"), run=run, **closing)
