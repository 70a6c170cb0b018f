"""`kgp query`: machine-readable answers are whole or visibly not, and names that the graph lacks are reported."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from kgplatform import queries
from kgplatform.cli.query import SCREEN
from kgplatform.graph import Graph
from kgplatform.queries import parse_query
from kgplatform.readonly import open_query
from kgplatform.settings import Settings
from tests.conftest import Kgp

pytestmark = pytest.mark.server

MANY = "UNWIND range(1, 12345) AS x RETURN x, 'text ' + x AS text"
FAILS = "UNWIND range(1, 5000) AS x RETURN 1 / (4000 - x) AS y"  # by a division by zero, after thousands of rows
CREATED_GRAPH = parse_query(
    "t/m", "// Two nodes.\nCREATE (:Image {id: 'I1', naf: 1.0})-[:POSITIVE]->(:Concept {cui: 'C0000001', name: 'x'})"
)


def test_json_and_csv_have_all_rows(graph: Graph, kgp: Kgp) -> None:
    completed = kgp("query", MANY, "--json")
    assert (completed.code, [record["x"] for record in completed.json]) == (0, list(range(1, 12346)))
    assert completed.json[-1] == {"x": 12345, "text": "text 12345"}
    assert "cut" not in completed.err
    csv_rows = list(csv.DictReader(StringIO(kgp("query", MANY, "--csv").out)))
    assert [int(record["x"]) for record in csv_rows] == list(range(1, 12346))


def test_a_limit_is_the_users_and_is_reported(graph: Graph, kgp: Kgp) -> None:
    completed = kgp("query", MANY, "--json", "--limit", "3")
    assert [record["x"] for record in completed.json] == [1, 2, 3]
    assert "cut after 3 rows" in completed.err
    exact_run = kgp("query", "UNWIND range(1, 3) AS x RETURN x", "--json", "--limit", "3")
    assert (len(exact_run.json), "cut" in exact_run.err) == (3, False)
    assert "cut after 3 rows" in kgp("query", MANY, "--csv", "--limit", "3").err


def test_a_table_on_screen_stops_and_says_so(graph: Graph, kgp: Kgp) -> None:
    completed = kgp("query", MANY)
    assert len(completed.out.splitlines()) == SCREEN + 2
    assert f"cut after {SCREEN:,} rows" in completed.err
    assert len(kgp("query", MANY, "--limit", "2000").out.splitlines()) == 2002


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_an_answer_that_fails_midway_does_not_look_whole(graph: Graph, kgp: Kgp, form: str) -> None:
    completed = kgp("query", FAILS, form)
    assert completed.code == 1
    assert completed.err
    if form == "--json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(completed.out)
        assert '"error"' in completed.out
        assert "not complete" in completed.err


def test_an_answer_that_fails_at_once_is_an_error_document(graph: Graph, kgp: Kgp) -> None:
    completed = kgp("query", "RETURN 1 / 0 AS x", "--json")
    assert completed.code == 1
    assert completed.json["error"]["kind"] == "database"


def test_no_rows_are_an_empty_list_and_csv_still_names_the_columns(graph: Graph, kgp: Kgp) -> None:
    assert kgp("query", "UNWIND [] AS x RETURN x", "--json").out == "[]\n"
    assert kgp("query", "UNWIND [] AS x RETURN x, x + 1 AS `a, b`", "--csv").out == 'x,"a, b"\n'
    assert kgp("query", "RETURN 1 / 0 AS x", "--csv").out == ""


def test_a_column_that_a_spreadsheet_takes_for_a_formula_is_escaped(graph: Graph, kgp: Kgp) -> None:
    for values in ("[1]", "[]"):
        header = kgp("query", f"UNWIND {values} AS x RETURN x AS `=cmd|1`, x AS y", "--csv").out.splitlines()[0]
        assert header == "'=cmd|1,y"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("similar_images", "image=I999", "no image I999"),
        ("generated_triplets", "image=I999", "no image I999"),
        ("concept_images", "concept=C0000001", "no node C0000001"),
        ("provenance", "head=I999", "no node I999"),
        ("positive_not", "with=C0000001", "no node C0000001"),
        ("inverse_relations", "relation=iza", "no relation iza"),
    ],
)
def test_a_named_query_never_answers_about_another_thing_than_was_asked(
    graph: Graph, kgp: Kgp, name: str, value: str, message: str
) -> None:
    create_query = parse_query(
        "t/c", "// Two.\nCREATE (:Concept {cui: 'C0032227'})-[:isa]->(:Concept {cui: 'C0032285'})"
    )
    graph.write(create_query)
    assert kgp("query", f"explore/{name}").code == 0, "its default stands for whatever the graph has"
    failed_run = kgp("query", f"explore/{name}", "--param", value)
    assert (failed_run.code, message in failed_run.err) == (1, True), failed_run.err


def test_an_empty_statement_and_a_parameter_given_twice_are_refused(graph: Graph, kgp: Kgp) -> None:
    assert kgp("query", "").code == kgp("query", " ", "--json").code == 2
    failed_run = kgp("query", "RETURN $a AS a", "--param", "a=1", "--param", "a=2")
    assert (failed_run.code, "given twice" in failed_run.err) == (2, True)


@pytest.mark.parametrize("statement", ["RETURN 1/0", "RETURN toInteger([1])", "RETURN range(1, 2, 0)"])
def test_an_error_of_the_statement_has_a_reason(graph: Graph, kgp: Kgp, statement: str) -> None:
    failed_run = kgp("query", statement)
    assert (failed_run.code, "Neo.ClientError" in failed_run.err) == (1, False), failed_run.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_one_line_with_json_too(graph: Graph, settings: Settings) -> None:
    command = f"{sys.executable} -c 'from kgplatform.cli import main; main()' stats --json > /dev/full"
    completed = subprocess.run(
        ["sh", "-c", command], env={**os.environ, "KGP_HOME": str(settings.home)}, capture_output=True, text=True
    )
    assert (completed.returncode, "Traceback" in completed.stderr) == (1, False)
    assert completed.stderr.startswith("error: ")


def test_a_parameter_that_the_statement_does_not_have_is_noted(graph: Graph, kgp: Kgp) -> None:
    completed = kgp("query", "RETURN $named AS a, $`quoted` AS b", "--param", "named=1", "--param", "quoted=2")
    assert (completed.code, "note" in completed.err) == (0, False)
    assert "note: the statement has no $naming" in kgp("query", "RETURN 1 AS naming", "--param", "naming=1").err


def test_values_are_written_as_before(graph: Graph, kgp: Kgp) -> None:
    statement = "RETURN {a: [1, 'b\n', null]} AS map, 0.0/0.0 AS none, date('2026-01-02') AS day, [] AS empty"
    assert kgp("query", statement, "--json").json == [
        {"map": {"a": [1, "b\n", None]}, "none": "nan", "day": "2026-01-02", "empty": []}
    ]


def test_memory_stays_flat_over_many_rows(graph: Graph, settings: Settings) -> None:
    program = (
        "import re, sys\nfrom kgplatform.cli import main\n"  # not ru_maxrss, which a new process inherits
        "try: main()\nfinally:\n    peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "    sys.stderr.write(f'peak {int(peak) // 1024}')"
    )
    statement = (
        "UNWIND range(1, 300) AS x RETURN [i IN range(1, 10000) | 1000 + i] AS row"  # 1.6 MB a row as Python has it
    )
    completed = subprocess.run(
        [sys.executable, "-c", program, "query", statement, "--json"],
        env={**os.environ, "KGP_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert int(completed.stderr.rpartition("peak ")[2]) < 250


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ("MATCH (i:Imag) RETURN i", "warning: the graph has no label Imag (line 1, column 10); did you mean :Image"),
        ("MATCH (i:image) RETURN i", "no label image (line 1, column 10); did you mean :Image"),
        ("MATCH ()-[r:positive]->()\nRETURN r", "no relationship type positive (line 1, column 13); did you mean :POS"),
        ("MATCH (i:Image)\nRETURN i.naff", "no property key naff (line 2, column 10); did you mean .naf?"),
        ("MATCH (i:Zebra) RETURN i", "the graph has no label Zebra (line 1, column 10)\n"),
        ("MATCH (i:Image) RETURN id(i)", "warning: feature deprecated"),
    ],
)
def test_a_name_that_the_graph_lacks_is_reported_on_stderr(graph: Graph, kgp: Kgp, text: str, remark: str) -> None:
    graph.write(CREATED_GRAPH)
    completed = kgp("query", text, "--json")
    assert isinstance(completed.json, list)
    assert completed.code == 0
    assert remark in completed.err
    assert "warning" not in completed.out


def test_known_names_and_named_queries_cause_no_remark(graph: Graph, kgp: Kgp) -> None:
    for query_name in queries.query_names("explore")[:3]:
        completed = kgp("query", query_name)
        assert (completed.code, "warning" in completed.err) == (0, False), completed.err
    graph.write(CREATED_GRAPH)
    statement = "MATCH (i:Image)-[:POSITIVE]->(c:Concept), (d:Concept) WHERE i.naf > 0 RETURN i.id, c.name, d.cui"
    assert "warning" not in kgp("query", statement, "--json").err


def test_the_platforms_own_queries_are_not_bounded_afterwards(graph: Graph) -> None:
    """A connection that a bounded query used goes back to the pool as it was."""
    with open_query(graph, "RETURN 1 AS x") as answer:
        assert list(answer) == [{"x": 1}]
    long_query = parse_query("t/l", "// A row of 3 MB.\nRETURN reduce(s = 'x', i IN range(1, 22) | s + s) AS text")
    for _ in range(3):
        [record] = graph.read(long_query)
        assert len(record["text"]) == 2**22
