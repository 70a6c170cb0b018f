"""Takes the pictures of the docs in headless Chromium: Neo4j Browser with the Figure 3 subgraph, judges compared.

    python docs/screenshots.py                                        # the local server of `kgp db start`
    python docs/screenshots.py --comparison                           # needs no server
    NEO4J_URI=… NEO4J_PASSWORD=… python docs/screenshots.py --browser http://127.0.0.1:7474/browser/

Chromium is the system's (``--chromium PATH``, default /usr/bin/chromium); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import base64
import csv
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from kgplatform import queries
from kgplatform.browser import for_browser, write_setup
from kgplatform.connect import open_graph
from kgplatform.settings import Settings

IMAGES = Path(__file__).parent / "images"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SECOND = 1000.0  # playwright counts milliseconds
# Browser draws its graph as SVG; a node is a group of this class.
DRAWING = "[data-testid='frame'] svg:has(.node)"
NODES = f"{DRAWING} .node"
DROP = """([name, content]) => {
    const bytes = Uint8Array.from(atob(content), character => character.charCodeAt(0));
    const transfer = new DataTransfer();
    transfer.items.add(new File([bytes], name));
    const target = document.querySelector("[data-testid='stream']");
    for (const type of ["dragenter", "dragover", "drop"])
        target.dispatchEvent(new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer }));
}"""

EXTENT = """nodes => {
    const boxes = [...document.querySelectorAll(nodes)].map(node => node.getBoundingClientRect());
    const x = Math.min(...boxes.map(b => b.left)) - 40, y = Math.min(...boxes.map(b => b.top)) - 12;
    const right = Math.max(...boxes.map(b => b.right)) + 40, bottom = Math.max(...boxes.map(b => b.bottom)) + 12;
    return { x, y, width: right - x, height: bottom - y };
}"""


# The frame with the drawing and its legend.
FRAME = """() => {
    const box = document.querySelector("[data-testid='frame']").getBoundingClientRect();
    return { x: box.x, y: box.y, width: box.width, height: box.height };
}"""


# Of the reports of a comparison, only the first with three decisions that differ.
ONE_REPORT = """() => {
    const reports = [...document.querySelectorAll("article")];
    const shown = reports.find(report => report.querySelectorAll("tr.differs").length >= 3);
    for (const report of reports) if (report !== shown) report.style.display = "none";
}"""


@contextmanager
def open_browser(url: str, *, chromium: str = CHROMIUM, width: int = 1440, height: int = 640) -> Iterator[Page]:
    """A page of headless Chromium with Neo4j Browser on it. Nothing but the server at `url` can be reached."""
    host = url.split("/")[2]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": width, "height": height}, device_scale_factor=1.5)
        page.route("**/*", lambda route: route.continue_() if host in route.request.url else route.abort())
        page.goto(url)
        yield page
        browser.close()


def log_in(page: Page, uri: str, username: str, password: str) -> None:
    """Fill in the connection form and wait until it is gone."""
    address = page.get_by_test_id("boltaddress")
    address.wait_for(timeout=60 * SECOND)
    scheme, _, host = uri.partition("://")
    if page.get_by_test_id("bolt-scheme-select").count():
        page.get_by_test_id("bolt-scheme-select").select_option(f"{scheme}://")
    address.fill(host)
    page.get_by_test_id("username").fill(username)
    page.get_by_test_id("password").fill(password)
    page.get_by_test_id("connect").click()
    page.get_by_test_id("frameCommand").filter(has_text=":play start").wait_for(timeout=60 * SECOND)
    notice = page.get_by_text("To help make Neo4j Browser better").locator("xpath=..")
    if notice.count():
        notice.evaluate("element => element.style.display = 'none'")


def drop_file(page: Page, path: Path) -> None:
    """Drop a file on the window, as a user who imports favourites or a style does."""
    page.evaluate(DROP, [path.name, base64.b64encode(path.read_bytes()).decode()])


def run(page: Page, text: str) -> None:
    """Type a command or query into the editor and run it."""
    editor = page.locator("[data-testid='activeEditor'] .monaco-editor").first
    editor.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    page.get_by_test_id("editor-Run").click()


def open_favourites(page: Page) -> None:
    """Open the pane of favourites."""
    page.get_by_test_id("navigationFavorites").click()


def show(page: Page, name: str, **values: Any) -> None:
    """Draw the graph of a query of `cypher/`, as its favourite; `values` stand in place of its parameters' defaults."""
    query = queries.get(name)
    parameters = {
        key: replace(parameter, default=values.get(key, parameter.default))
        for key, parameter in query.parameters.items()
    }
    draw(page, for_browser(replace(query, parameters=parameters)))


def draw(page: Page, cypher: str) -> None:
    """Run a query in an otherwise empty stream and wait until its graph is drawn."""
    for text in (":config autoComplete: false", ":clear", cypher):
        run(page, text)  # autoComplete would add the relationships that the answer leaves out
    page.locator(NODES).first.wait_for(timeout=60 * SECOND)
    page.wait_for_timeout(6 * SECOND)  # the layout settles


@dataclass(frozen=True)
class Target:
    """A server, how to log in, and its Neo4j Browser."""

    uri: str
    username: str
    password: str
    url: str
    chromium: str


@contextmanager
def open_drawing(target: Target, name: str, *, height: int = 640, **values: Any) -> Iterator[Page]:
    """Neo4j Browser after log-in, with the platform's style and the graph of a query of `cypher/explore/`."""
    browser_page = open_browser(target.url, chromium=target.chromium, height=height)
    with tempfile.TemporaryDirectory() as folder, browser_page as page:
        log_in(page, target.uri, target.username, target.password)
        drop_file(page, write_setup(Path(folder)).style)
        show(page, f"explore/{name}", **values)
        yield page


def draw_generated(target: Target, image: str) -> None:
    """What a generator wrote of an image: ``browser-generated.png``."""
    with open_drawing(target, "generated_subgraph", height=760, image=image) as page:
        page.screenshot(path=IMAGES / "browser-generated.png", clip=page.evaluate(FRAME))


def draw_figure3(target: Target) -> None:
    """Figure 3: ``browser-figure3.png``, with the legend, and ``graph.png``, the drawing."""
    with open_drawing(target, "figure3", height=760) as page:
        page.screenshot(path=IMAGES / "browser-figure3.png", clip=page.evaluate(FRAME))
        page.add_style_tag(content="[data-testid='vizInspector'], [data-testid='frame'] button { visibility: hidden }")
        page.screenshot(path=IMAGES / "graph.png", clip=page.evaluate(EXTENT, NODES))


def draw_predicted(target: Target) -> None:
    """Predicted edges among known ones: ``browser-predicted.png``. Few, so that their captions can be read."""
    with open_drawing(target, "predicted_links", height=760, limit=2, around=2) as page:
        page.screenshot(path=IMAGES / "browser-predicted.png", clip=page.evaluate(FRAME))


def draw_comparison(chromium: str) -> None:
    """`kgp construct compare` with two scripted models on synthetic reports: ``comparison.png``, the summary and a
    report on which the judges differ.
    """
    from kgp_loaders.phantom.study_set import build_study_set
    from kgplatform.construct.compare import compare_judges
    from kgplatform.construct.comparison_page import write_page
    from kgplatform.construct.settings import read_settings
    from tests.fake_model import FakeModelReply, block, prompt_report, serving

    with tempfile.TemporaryDirectory() as folder_name, sync_playwright() as playwright:
        studies, page_path = Path(folder_name) / "studies", Path(folder_name) / "comparison.html"
        build_study_set(studies, 60, 7, images=False)
        edges_by_report = true_edges(studies)

        def careful(messages: list[dict[str, str]], before: int) -> FakeModelReply:
            edges = edges_by_report[json.dumps(prompt_report(messages), sort_keys=True)]
            return FakeModelReply(status=400) if before == 3 else FakeModelReply(block(*edges))

        def hasty(messages: list[dict[str, str]], before: int) -> FakeModelReply:
            edges = edges_by_report[json.dumps(prompt_report(messages), sort_keys=True)][: -1 if before % 3 else None]
            return FakeModelReply(block(*((cui, stance.replace("Uncertain", "Positive")) for cui, stance in edges)))

        with serving(careful) as careful_server, serving(hasty) as hasty_server:
            settings = read_settings(studies)
            llm = {"cache": str(Path(folder_name) / "answers.sqlite"), "concurrency": 1}
            models = [f"careful-script@{careful_server.url}", f"hasty-script@{hasty_server.url}"]
            write_page(compare_judges(replace(settings, llm=llm), models, limit=40), page_path)
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 880, "height": 600})
        page.goto(page_path.as_uri())
        page.evaluate(ONE_REPORT)
        picture = Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB")
        picture.quantize(160, dither=Image.Dither.NONE).save(IMAGES / "comparison.png", optimize=True)
        browser.close()


def true_edges(studies: Path) -> dict[str, list[tuple[str, str]]]:
    """The true concepts and stances of synthetic studies, by the sections of the report as sorted JSON."""
    from kgp_loaders.mimic_cxr import MIMICCXR
    from kgplatform.construct.report import Report

    edges_by_image: dict[str, list[tuple[str, str]]] = {}
    with (studies / "truth" / "edges.csv").open(newline="", encoding="utf-8") as edges_file:
        for edge in csv.DictReader(edges_file):
            edges_by_image.setdefault(edge["Head"], []).append((edge["Tail"], edge["Relation"].capitalize()))
    return {
        json.dumps(row.sections, sort_keys=True): edges_by_image.get(row.image_id, [])
        for row in MIMICCXR(studies).reports()
        if isinstance(row, Report)
    }


def main() -> None:
    """Read the command line and take the pictures."""
    parser = argparse.ArgumentParser(description="Take the pictures of the docs.")
    parser.add_argument("--browser", metavar="URL", help="address of Neo4j Browser, with NEO4J_URI")
    parser.add_argument("--chromium", default=CHROMIUM, metavar="PATH")
    parser.add_argument("--generated", metavar="IMAGE", help="only the picture of what was generated of this image")
    parser.add_argument("--comparison", action="store_true", help="only the picture of a comparison of judges")
    arguments = parser.parse_args()
    if arguments.comparison:
        draw_comparison(arguments.chromium)
        return
    settings = Settings.from_env()
    if settings.uri is not None:
        uri, username, password = settings.uri, settings.username, settings.password or ""
        url = arguments.browser or "http://127.0.0.1:7474/browser/"
    else:
        from kgplatform.server import connection, status

        uri, username, password = connection(settings)
        url = arguments.browser or status(settings).browser
    target = Target(uri, username, password, url, arguments.chromium)
    IMAGES.mkdir(parents=True, exist_ok=True)
    if arguments.generated is not None:
        draw_generated(target, arguments.generated)
        return
    draw_figure3(target)
    with open_graph(settings) as graph:
        predictions = bool(graph.read(queries.get("predictions/list"), limit=1))
    if predictions:
        draw_predicted(target)


if __name__ == "__main__":
    main()
