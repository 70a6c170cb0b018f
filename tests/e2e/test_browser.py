"""Neo4j Browser in headless Chromium: log in, import our files, run Figure 3, see the graph."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from kgplatform import queries, runs, server
from kgplatform.browser import FOLDER, write_setup
from kgplatform.graph import Graph
from kgplatform.predictions import Prediction, write_predictions
from kgplatform.queries import parse_query
from kgplatform.settings import Settings
from tests.scripts import docs_module

pytestmark = [pytest.mark.server, pytest.mark.data]
# The caption and the fill of each node that is drawn.
FILLS = """nodes => [...document.querySelectorAll(nodes)].map(node =>
    [[...node.querySelectorAll("text")].map(line => line.textContent).join(" "),
     node.querySelector("circle.b-outline, circle[fill]").getAttribute("fill")])"""
# Not by a load, which would outdate the scores of the graph that all tests share.
ENTITIES = parse_query(
    "t/e",
    """// An entity of each presence.
    MATCH (i:Image {id: 'I58301613'})
    CREATE (i)-[:SHOWS]->(:Entity:Present {id: 'I58301613:t:1', text: 'cardiomegaly', presence: 'present'}),
           (i)-[:SHOWS]->(:Entity:Absent {id: 'I58301613:t:2', text: 'pneumothorax', presence: 'absent'}),
           (i)-[:SHOWS]->(:Entity:Uncertain {id: 'I58301613:t:3', text: 'bilateral pleural effusions',
                                             presence: 'uncertain'})""",
)
NO_ENTITIES = parse_query(
    "t/n", "// Deletes them.\nMATCH (e:Entity) WHERE e.id STARTS WITH 'I58301613:t:' DETACH DELETE e"
)


@pytest.fixture(scope="module")
def screenshots() -> Iterator[ModuleType]:
    pytest.importorskip("playwright")
    module = docs_module("screenshots")
    if not Path(module.CHROMIUM).exists():
        pytest.skip(f"no {module.CHROMIUM}")
    yield module


def test_browser_logs_in_imports_our_files_and_draws_figure3(
    medmkg_graph: Graph, settings: Settings, screenshots: ModuleType, tmp_path: Path
) -> None:
    setup_files = write_setup(tmp_path)
    server_uri, username, password = server.connection(settings)
    with screenshots.open_browser(server.status(settings).browser) as browser_page:
        screenshots.log_in(browser_page, server_uri, username, password)
        screenshots.drop_file(browser_page, setup_files.style)
        screenshots.drop_file(browser_page, setup_files.favourites)
        screenshots.show(browser_page, "explore/figure3")
        node_texts = browser_page.locator(screenshots.NODES).all_text_contents()
        legend = " ".join(browser_page.locator("[data-testid='frame']").first.all_inner_texts())
        screenshots.open_favourites(browser_page)
        assert browser_page.get_by_text(FOLDER).count() == 1
    assert len(node_texts) >= 7
    assert any("I58301613" in node_text for node_text in node_texts)
    for legend_entry in ("Image (1)", "POSITIVE (1)", "NEGATIVE (1)", "UNCERTAIN (1)"):
        assert legend_entry in legend


def test_browser_draws_predictions_among_known_edges_and_the_presence_of_entities(
    medmkg_graph: Graph, settings: Settings, screenshots: ModuleType, tmp_path: Path
) -> None:
    predictions = [Prediction(("Image", "I58301613"), "POSITIVE", ("Concept", "C0032285"), 0.75, 1)]
    prediction_run = write_predictions(
        medmkg_graph, predictions, model="transe", checkpoint_sha256="ab" * 32, parameters={"top": 1}
    ).run
    medmkg_graph.write(ENTITIES)
    try:
        server_uri, username, password = server.connection(settings)
        with screenshots.open_browser(server.status(settings).browser) as browser_page:
            screenshots.log_in(browser_page, server_uri, username, password)
            screenshots.drop_file(browser_page, write_setup(tmp_path).style)
            screenshots.show(browser_page, "explore/predicted_links")
            node_texts = browser_page.locator(screenshots.NODES).all_text_contents()
            legend = " ".join(browser_page.locator("[data-testid='frame']").first.all_inner_texts())
            screenshots.draw(browser_page, 'MATCH path = (:Image {id: "I58301613"})-[:SHOWS]->() RETURN path')
            fill_colours = {
                " ".join(node_text.split()): fill_colour
                for node_text, fill_colour in browser_page.evaluate(FILLS, screenshots.NODES)
            }
    finally:
        medmkg_graph.write(NO_ENTITIES)
        runs.undo(medmkg_graph, prediction_run)
    assert any("I58301613" in node_text for node_text in node_texts)
    assert "PREDICTED (1)" in legend
    assert fill_colours.keys() == {"I58301613", "cardiomegaly", "no pneumothorax", "bilateral pleural effusions?"}
    assert len(set(fill_colours.values())) == 4
    assert medmkg_graph.read(queries.get("predictions/list")) == []
