"""`kgp query`: machine-readable answers are whole or visibly not, and names that the graph lacks are reported."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from io import StringIO

import pytest

from kgplatform import queries
from kgplatform.cli.query import SCREEN
from kgplatform.graph import Graph
from kgplatform.queries import parse
from kgplatform.readonly import ask
from kgplatform.settings import Settings
from tests.conftest import Kgp

pytestmark = pytest.mark.server

MANY = "UNWIND range(1, 12345) AS x RETURN x, 'text ' + x AS text"
FAILS = "UNWIND range(1, 5000) AS x RETURN 1 / (4000 - x) AS y"  # by a division by zero, after thousands of rows
MADE = parse(
    "t/m", "// Two nodes.\nCREATE (:Image {id: 'I1', naf: 1.0})-[:POSITIVE]->(:Concept {cui: 'C0000001', name: 'x'})"
)


def test_json_and_csv_have_all_rows(graph: Graph, kgp: Kgp) -> None:
    done = kgp("query", MANY, "--json")
    assert (done.code, [row["x"] for row in done.json]) == (0, list(range(1, 12346)))
    assert done.json[-1] == {"x": 12345, "text": "text 12345"}
    assert "cut" not in done.err
    rows = list(csv.DictReader(StringIO(kgp("query", MANY, "--csv").out)))
    assert [int(row["x"]) for row in rows] == list(range(1, 12346))


def test_a_limit_is_the_users_and_is_reported(graph: Graph, kgp: Kgp) -> None:
    done = kgp("query", MANY, "--json", "--limit", "3")
    assert [row["x"] for row in done.json] == [1, 2, 3]
    assert "cut after 3 rows" in done.err
    exact = kgp("query", "UNWIND range(1, 3) AS x RETURN x", "--json", "--limit", "3")
    assert (len(exact.json), "cut" in exact.err) == (3, False)
    assert "cut after 3 rows" in kgp("query", MANY, "--csv", "--limit", "3").err


def test_a_table_on_screen_stops_and_says_so(graph: Graph, kgp: Kgp) -> None:
    done = kgp("query", MANY)
    assert len(done.out.splitlines()) == SCREEN + 2
    assert f"cut after {SCREEN:,} rows" in done.err
    assert len(kgp("query", MANY, "--limit", "2000").out.splitlines()) == 2002


@pytest.mark.parametrize("form", ["--json", "--csv"])
def test_an_answer_that_fails_midway_does_not_look_whole(graph: Graph, kgp: Kgp, form: str) -> None:
    done = kgp("query", FAILS, form)
    assert done.code == 1
    assert done.err
    if form == "--json":
        with pytest.raises(json.JSONDecodeError):
            json.loads(done.out)
        assert '"error"' in done.out
        assert "not complete" in done.err


def test_an_answer_that_fails_at_once_is_an_error_document(graph: Graph, kgp: Kgp) -> None:
    done = kgp("query", "RETURN 1 / 0 AS x", "--json")
    assert done.code == 1
    assert done.json["error"]["kind"] == "database"


def test_no_rows_are_an_empty_list_and_csv_still_names_the_columns(graph: Graph, kgp: Kgp) -> None:
    assert kgp("query", "UNWIND [] AS x RETURN x", "--json").out == "[]\n"
    assert kgp("query", "UNWIND [] AS x RETURN x, x + 1 AS `a, b`", "--csv").out == 'x,"a, b"\n'
    assert kgp("query", "RETURN 1 / 0 AS x", "--csv").out == ""


def test_values_are_written_as_before(graph: Graph, kgp: Kgp) -> None:
    text = "RETURN {a: [1, 'b\n', null]} AS map, 0.0/0.0 AS none, date('2026-01-02') AS day, [] AS empty"
    assert kgp("query", text, "--json").json == [
        {"map": {"a": [1, "b\n", None]}, "none": "nan", "day": "2026-01-02", "empty": []}
    ]


def test_memory_stays_flat_over_many_rows(graph: Graph, settings: Settings) -> None:
    code = (
        "import re, sys\nfrom kgplatform.cli import main\n"  # not ru_maxrss, which a new process inherits
        "try: main()\nfinally:\n    peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]\n"
        "    sys.stderr.write(f'peak {int(peak) // 1024}')"
    )
    text = "UNWIND range(1, 300) AS x RETURN [i IN range(1, 10000) | 1000 + i] AS row"  # 1.6 MB a row as Python has it
    done = subprocess.run(
        [sys.executable, "-c", code, "query", text, "--json"],
        env={**os.environ, "KGP_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.rpartition("peak ")[2]) < 250


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
    graph.write(MADE)
    done = kgp("query", text, "--json")
    assert isinstance(done.json, list)
    assert done.code == 0
    assert remark in done.err
    assert "warning" not in done.out


def test_known_names_and_named_queries_cause_no_remark(graph: Graph, kgp: Kgp) -> None:
    for name in queries.names("explore")[:3]:
        done = kgp("query", name)
        assert (done.code, "warning" in done.err) == (0, False), done.err
    graph.write(MADE)
    text = "MATCH (i:Image)-[:POSITIVE]->(c:Concept), (d:Concept) WHERE i.naf > 0 RETURN i.id, c.name, d.cui"
    assert "warning" not in kgp("query", text, "--json").err


def test_the_platforms_own_queries_are_not_bounded_afterwards(graph: Graph) -> None:
    """A connection that a bounded query used goes back to the pool as it was."""
    with ask(graph, "RETURN 1 AS x") as answer:
        assert list(answer) == [{"x": 1}]
    long = parse("t/l", "// A row of 3 MB.\nRETURN reduce(s = 'x', i IN range(1, 22) | s + s) AS text")
    for _ in range(3):
        [row] = graph.read(long)
        assert len(row["text"]) == 2**22
