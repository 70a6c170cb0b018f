"""A thousand hostile names and values through every loader into a real graph: nothing is injected, nothing is lost."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from kgp_loaders.medmkg import MedMKG
from kgp_loaders.triples import Triples
from kgplatform import runs
from kgplatform.batches import Source
from kgplatform.digest import digest
from kgplatform.graph import Graph
from kgplatform.ingest import ingest
from kgplatform.queries import parse
from kgplatform.schema import LABEL, RELATION
from tests.unit.test_triples_loader import payloads

pytestmark = pytest.mark.server

CANARY = parse("t/c", "// Something to lose.\nCREATE (:Canary {text: 'alive'})-[:KEEPS]->(:Canary {text: 'well'})")
LABELS = parse("t/l", "// Labels in use.\nMATCH (n) UNWIND labels(n) AS name RETURN DISTINCT name")
TYPES = parse("t/t", "// Types in use.\nMATCH ()-[r]->() RETURN DISTINCT type(r) AS name")
ALIVE = parse("t/a", "// Is it still there?\nMATCH (:Canary {text: 'alive'})-[:KEEPS]->(c:Canary) RETURN count(c) AS n")
NAMES = parse("t/n", "// Names of nodes.\nMATCH (n) WHERE n.name IS NOT NULL RETURN DISTINCT n.name AS name")


def write(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return path


def load_and_look(graph: Graph, source: Source, rejects: Path) -> set[str]:
    """Load with skipping; everything the reliability page asks for; returns the names in the graph."""
    graph.write(CANARY)
    before = str(digest(graph))
    report = ingest(graph, source, on_error="skip", rejects=rejects)
    assert report.rows.read == report.rows.written + report.rows.existing + report.rows.rejected
    assert report.rows.written > 0
    assert report.rows.rejected > 1_000
    assert graph.read(ALIVE) == [{"n": 1}]
    assert all(LABEL.fullmatch(record["name"]) for record in graph.read(LABELS))
    assert all(RELATION.fullmatch(record["name"]) for record in graph.read(TYPES))
    names = {record["name"] for record in graph.read(NAMES)}
    runs.undo(graph, report.run)
    assert str(digest(graph)) == before
    return names


def test_triples(graph: Graph, tmp_path: Path) -> None:
    good = ["a", "Gene", "A", "knows", "b", "Gene", "B"]
    header = ["head", "head_type", "head_name", "relation", "tail", "tail_type", "tail_name"]
    hostile = payloads(1_000)
    rows = [[*good[:i], text, *good[i + 1 :]] for text in hostile for i in range(len(good))]
    # As a name, each payload belongs to a node of its own, so that it can be found again.
    rows += [[f"n{i}", "Gene", text, "knows", "b", "Gene", "B"] for i, text in enumerate(hostile)]
    source = Triples(write(tmp_path / "hostile.csv", header, rows))
    kept = load_and_look(graph, source, tmp_path / "rejects.tsv") & set(hostile)
    assert "`" in kept and "\\u0060" in kept and "DETACH DELETE n" in kept  # stored as they are, as values


def test_medmkg(graph: Graph, tmp_path: Path) -> None:
    good = ["C9900001", "isa", "C9900002", "A", "B"]
    hostile = payloads(1_000)
    rows = [[*good[:i], text, *good[i + 1 :]] for text in hostile for i in range(len(good))]
    rows += [[f"C98{i:05d}", "isa", "C9900002", text, "B"] for i, text in enumerate(hostile)]
    write(tmp_path / "MedMKG.csv", ["Head", "Relation", "Tail", "Head_Name", "Tail_Name"], rows)
    kept = load_and_look(graph, MedMKG.find(tmp_path), tmp_path / "rejects.tsv") & set(hostile)
    assert "`" in kept and "\\u0060" in kept and "DETACH DELETE n" in kept
