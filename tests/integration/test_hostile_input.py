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
from kgplatform.queries import parse_query
from kgplatform.schema import LABEL, RELATION
from tests.unit.loaders.test_triples import payloads

pytestmark = pytest.mark.server

CANARY = parse_query(
    "t/c", "// Something to lose.\nCREATE (:Canary {text: 'alive'})-[:KEEPS]->(:Canary {text: 'well'})"
)
LABELS = parse_query("t/l", "// Labels in use.\nMATCH (n) UNWIND labels(n) AS name RETURN DISTINCT name")
TYPES = parse_query("t/t", "// Types in use.\nMATCH ()-[r]->() RETURN DISTINCT type(r) AS name")
ALIVE = parse_query(
    "t/a", "// Is it still there?\nMATCH (:Canary {text: 'alive'})-[:KEEPS]->(c:Canary) RETURN count(c) AS n"
)
NAMES = parse_query("t/n", "// Names of nodes.\nMATCH (n) WHERE n.name IS NOT NULL RETURN DISTINCT n.name AS name")


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as csv_file:
        csv.writer(csv_file, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return path


def with_one_hostile_field(good_fields: list[str], hostile_texts: list[str]) -> list[list[str]]:
    """A good row with each of its fields replaced by each hostile text."""
    return [
        [*good_fields[:field_index], hostile_text, *good_fields[field_index + 1 :]]
        for hostile_text in hostile_texts
        for field_index in range(len(good_fields))
    ]


def load_and_look(graph: Graph, source: Source, rejects: Path) -> set[str]:
    """Load with skipping; everything the reliability page asks for; returns the names in the graph."""
    graph.write(CANARY)
    digest_before = str(digest(graph))
    load_report = ingest(graph, source, on_error="skip", rejects=rejects)
    assert load_report.rows.read == load_report.rows.written + load_report.rows.existing + load_report.rows.rejected
    assert load_report.rows.written > 0
    assert load_report.rows.rejected > 1_000
    assert graph.read(ALIVE) == [{"n": 1}]
    assert all(LABEL.fullmatch(record["name"]) for record in graph.read(LABELS))
    assert all(RELATION.fullmatch(record["name"]) for record in graph.read(TYPES))
    node_names = {record["name"] for record in graph.read(NAMES)}
    runs.undo(graph, load_report.run)
    assert str(digest(graph)) == digest_before
    return node_names


def test_triples(graph: Graph, tmp_path: Path) -> None:
    good_fields = ["a", "Gene", "A", "knows", "b", "Gene", "B"]
    column_names = ["head", "head_type", "head_name", "relation", "tail", "tail_type", "tail_name"]
    hostile_texts = payloads(1_000)
    csv_rows = with_one_hostile_field(good_fields, hostile_texts)
    # As a name, each payload belongs to a node of its own, so that it can be found again.
    csv_rows += [
        [f"n{field_index}", "Gene", hostile_text, "knows", "b", "Gene", "B"]
        for field_index, hostile_text in enumerate(hostile_texts)
    ]
    triples_source = Triples(_write_csv(tmp_path / "hostile.csv", column_names, csv_rows))
    stored_texts = load_and_look(graph, triples_source, tmp_path / "rejects.tsv") & set(hostile_texts)
    assert (
        "`" in stored_texts and "\\u0060" in stored_texts and "DETACH DELETE n" in stored_texts
    )  # stored as they are, as values


def test_medmkg(graph: Graph, tmp_path: Path) -> None:
    good_fields = ["C9900001", "isa", "C9900002", "A", "B"]
    hostile_texts = payloads(1_000)
    csv_rows = with_one_hostile_field(good_fields, hostile_texts)
    csv_rows += [
        [f"C98{field_index:05d}", "isa", "C9900002", hostile_text, "B"]
        for field_index, hostile_text in enumerate(hostile_texts)
    ]
    _write_csv(tmp_path / "MedMKG.csv", ["Head", "Relation", "Tail", "Head_Name", "Tail_Name"], csv_rows)
    stored_texts = load_and_look(graph, MedMKG.find(tmp_path), tmp_path / "rejects.tsv") & set(hostile_texts)
    assert "`" in stored_texts and "\\u0060" in stored_texts and "DETACH DELETE n" in stored_texts
