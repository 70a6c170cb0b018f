"""The library: every example of its documentation runs, and gives what it says; it does what the commands do."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import kgplatform
from kgplatform import library, plugins
from kgplatform.errors import NotFoundError, QueryRefused, UsageError
from kgplatform.graph import Graph
from kgplatform.library import KnowledgeGraph
from kgplatform.settings import Settings
from tests import ROOT
from tests.conftest import Kgp

pytestmark = pytest.mark.server


@pytest.fixture
def knowledge_graph(graph: Graph, settings: Settings) -> Any:
    """The empty graph of the test's server, as the library opens it."""
    with kgplatform.open(settings) as opened:
        yield opened


def examples_in_order(module: Any) -> list[doctest.DocTest]:
    """The examples of a module's documentation, in the order of its source."""
    tests = doctest.DocTestFinder().find(module)
    return sorted((test for test in tests if test.examples), key=lambda test: test.lineno or 0)


def test_every_example_of_the_documentation_runs(
    knowledge_graph: KnowledgeGraph, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("KGP_HOME", str(settings.home))
    names: dict[str, Any] = {"graph": knowledge_graph, "folder": tmp_path}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    tests = examples_in_order(library)
    for test in tests:
        test.globs = names
        runner.run(test, clear_globs=False)
    assert (runner.summarize(verbose=False).failed, len(tests) > 15) == (0, True)


def test_every_public_name_is_documented_and_can_be_had() -> None:
    for name in kgplatform.__all__:
        assert getattr(kgplatform, name).__doc__, name
    assert set(kgplatform.__all__) - set(kgplatform._LIBRARY_FUNCTIONS) == set(plugins.registered_names("functions"))
    with pytest.raises(AttributeError):
        _ = kgplatform.nothing


def test_a_query_is_checked_as_the_command_checks_it(knowledge_graph: KnowledgeGraph) -> None:
    with pytest.raises(QueryRefused):
        knowledge_graph.query("CREATE (n:Note)")
    with pytest.raises(QueryRefused, match="internal query of the platform"):
        knowledge_graph.query("ingest/finish")
    with pytest.raises(NotFoundError, match="no query"):
        knowledge_graph.query("explore/figure4")
    with pytest.raises(UsageError, match="no parameter"):
        knowledge_graph.query("explore/find_concept", worlds="x")
    assert list(knowledge_graph.query("MATCH (n:Concept) RETURN n.cui AS cui, 1 AS one").columns) == ["cui", "one"]
    frame = knowledge_graph.query("UNWIND range(1, $top) AS x RETURN x", top=5, limit=3)
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"x": [1, 2, 3]}))


def test_the_library_and_the_commands_make_the_same_graph(
    knowledge_graph: KnowledgeGraph, kgp: Kgp, tmp_path: Path
) -> None:
    reports, triples = ROOT / "docs" / "examples" / "reports.csv", tmp_path / "a.csv"
    triples.write_text("head,relation,tail\nC0032227,isa,C0032285\n")
    knowledge_graph.ingest("triples", triples)
    knowledge_graph.construct("reports", reports)
    by_library = knowledge_graph.digest()
    for run in knowledge_graph.runs()["id"]:
        knowledge_graph.undo(run)
    kgp("ingest", "triples", triples)
    kgp("construct", "run", "reports", reports)
    assert knowledge_graph.digest() == by_library


@pytest.mark.data
def test_the_quickstart_notebook_runs_on_an_empty_server(
    graph: Graph, settings: Settings, data_dir: Path, tmp_path: Path
) -> None:
    """Twelve lines of code at most, from an empty server to predictions in a frame."""
    notebook = json.loads((ROOT / "docs" / "quickstart.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    code_lines = [line for cell in cells for line in cell.splitlines() if line.strip()]
    assert len(code_lines) <= 13, "twelve, and one that closes the graph"
    check = "assert len(predictions) == 5 and list(predictions.columns)[:3] == ['rank', 'score', 'head'], predictions"
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    subprocess.run(
        [sys.executable, "-c", "\n".join([*cells, check])],
        cwd=folder,
        env={**os.environ, "KGP_HOME": str(settings.home), "KGP_DATA_DIR": str(data_dir)},
        check=True,
    )


def test_a_notebook_shows_counts_and_a_drawing(knowledge_graph: KnowledgeGraph, tmp_path: Path) -> None:
    assert "load something first" in knowledge_graph._repr_html_()
    (tmp_path / "a.csv").write_text("head,relation,tail,head_name\nC0032227,isa,C0032285,<b>effusion</b>\n")
    knowledge_graph.ingest("triples", tmp_path / "a.csv")
    page = knowledge_graph._repr_html_()
    assert "<td>2</td>" in page
    assert "&lt;b&gt;effusion" in page
    assert "<b>effusion" not in page


def test_the_import_is_light() -> None:
    code = "import kgplatform, sys; print([name for name in ('torch', 'neo4j', 'pandas') if name in sys.modules])"
    completed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    assert completed.stdout == "[]\n"
