"""Neo4j Browser in headless Chromium: log in, import our files, run Figure 3, see the graph."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kgplatform import queries, runs, server
from kgplatform.browser import FOLDER, write_setup
from kgplatform.graph import Graph
from kgplatform.predictions import Prediction, write
from kgplatform.settings import Settings

pytestmark = [pytest.mark.server, pytest.mark.data]
SCRIPT = Path(__file__).parents[2] / "docs" / "screenshots.py"


@pytest.fixture(scope="module")
def screenshots() -> Iterator[ModuleType]:
    pytest.importorskip("playwright")
    spec = importlib.util.spec_from_file_location("screenshots", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not Path(module.CHROMIUM).exists():
        pytest.skip(f"no {module.CHROMIUM}")
    yield module


def test_browser_logs_in_imports_our_files_and_draws_figure3(
    medmkg_graph: Graph, settings: Settings, screenshots: ModuleType, tmp_path: Path
) -> None:
    setup = write_setup(tmp_path)
    uri, username, password = server.connection(settings)
    with screenshots.open_browser(server.status(settings).browser) as page:
        screenshots.log_in(page, uri, username, password)
        screenshots.drop_file(page, setup.style)
        screenshots.drop_file(page, setup.favourites)
        screenshots.show(page, "explore/figure3")
        drawn = page.locator(screenshots.NODES).all_text_contents()
        legend = " ".join(page.locator("[data-testid='frame']").first.all_inner_texts())
        screenshots.open_favourites(page)
        assert page.get_by_text(FOLDER).count() == 1
    assert len(drawn) >= 7
    assert any("I58301613" in text for text in drawn)
    for name in ("Image (1)", "POSITIVE (1)", "NEGATIVE (1)", "UNCERTAIN (1)"):
        assert name in legend


def test_browser_draws_predictions_among_known_edges(
    medmkg_graph: Graph, settings: Settings, screenshots: ModuleType, tmp_path: Path
) -> None:
    rows = [Prediction(("Image", "I58301613"), "POSITIVE", ("Concept", "C0032285"), 0.75, 1)]
    report = write(medmkg_graph, rows, model="transe", checkpoint_sha256="ab" * 32, parameters={"top": 1})
    try:
        uri, username, password = server.connection(settings)
        with screenshots.open_browser(server.status(settings).browser) as page:
            screenshots.log_in(page, uri, username, password)
            screenshots.drop_file(page, write_setup(tmp_path).style)
            screenshots.show(page, "explore/predicted_links")
            drawn = page.locator(screenshots.NODES).all_text_contents()
            legend = " ".join(page.locator("[data-testid='frame']").first.all_inner_texts())
    finally:
        runs.undo(medmkg_graph, report.run)
    assert any("I58301613" in text for text in drawn)
    assert "PREDICTED (1)" in legend
    assert medmkg_graph.read(queries.get("predictions/list")) == []
