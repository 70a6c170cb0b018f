"""Tables that fit the terminal, and the figure of semantic types."""

from __future__ import annotations

import logging
import sys
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from kgplatform import stats
from kgplatform.cli import output
from kgplatform.cli.output import SHORT, fitted
from kgplatform.cli.runs import COLUMNS, OPTIONAL
from kgplatform.graph import Graph

RUN_ID = "construct-375b3bad834c"
RUN = {
    "id": RUN_ID,
    "source": ", ".join(f"s9001{n}.txt" for n in range(20)),
    "status": "done",
    "read": 35_387,
    "written": 1_035_387,
    "existing": 0,
    "rejected": None,
    "started": "2026-11-28 15:28",
}


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("width", [200, 120, 100, 80, 70])
def test_a_table_is_no_wider_than_the_terminal(width: int) -> None:
    table_lines = fitted([RUN, {**RUN, "source": "a.csv"}], COLUMNS, "source", OPTIONAL, width).splitlines()
    assert max(map(len, table_lines)) <= width
    assert RUN_ID in table_lines[2]
    assert table_lines[2].split("  ")[1].endswith("…") or width == 200


@pytest.mark.parametrize("width", [120, 80, 70])
def test_a_fitted_table_on_a_terminal_has_a_line_for_each_row(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(sys, "stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", str(width))
    table_lines = fitted([RUN, {**RUN, "source": "a.csv"}], COLUMNS, "source", OPTIONAL).split("\n")
    assert len(table_lines) == 4, "header, rule, two rows; no empty line around them"
    assert max(map(len, table_lines)) <= width
    assert table_lines[0].startswith("id ")
    assert table_lines[2].startswith(RUN_ID)


def test_a_narrow_table_loses_the_optional_columns_first() -> None:
    header = fitted([RUN], COLUMNS, "source", OPTIONAL, 60).splitlines()[0].split()
    assert header == ["id", "source", "status", "written"]
    assert fitted([], COLUMNS, "source", OPTIONAL, 60) == ""
    assert len(fitted([RUN], COLUMNS, "source", OPTIONAL, 10).splitlines()[0]) >= SHORT


def test_labels_of_the_figure_neither_overlap_nor_leave_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    type_names = ["Body Part, Organ, or Organ Component", "Amino Acid, Peptide, or Protein " * 6, "X" * 60, *"ABCDEFGH"]
    shares = [
        {"side": side, "semantic_type": type_name, "edges": 1, "percent": 90 / (position + 1)}
        for side in stats.SIDES
        for position, type_name in enumerate(type_names)
    ]
    coverage = [{"side": side, "typed": 106, "edges": 14_788, "percent": 0.7} for side in stats.SIDES]
    saved_figures: list[Figure] = []
    original_save = Figure.savefig

    def saved(figure: Figure, *arguments: object, **options: object) -> None:
        saved_figures.append(figure)
        original_save(figure, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", saved)
    stats.plot_semantic_types(shares, coverage, tmp_path / "figure.png")
    [figure] = saved_figures
    canvas: Any = FigureCanvasAgg(figure)  # its methods are untyped
    canvas.draw()
    renderer = canvas.get_renderer()
    labels = [
        label_text for label_text in figure.findobj(Text) if isinstance(label_text, Text) and label_text.get_visible()
    ]
    labels = [label_text for label_text in labels if label_text.get_text()]
    label_boxes = [
        (label_text.get_text(), label_text.get_window_extent(renderer))
        for label_text in labels
        if not label_text.get_text().isdigit()
    ]
    width, height = figure.bbox.width, figure.bbox.height
    for position, (label_text, label_box) in enumerate(label_boxes):
        assert label_box.x0 >= -1, label_text
        assert label_box.y0 >= -1, label_text
        assert label_box.x1 <= width + 1, label_text
        assert label_box.y1 <= height + 1, label_text
        for second_text, second_box in label_boxes[position + 1 :]:
            assert not label_box.overlaps(second_box), (label_text, second_text)
    assert any("106 of 14,788" in label_text for label_text, _ in label_boxes)


def test_the_drivers_own_lines_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger("neo4j.pool").error("Unable to retrieve routing information")
    logging.getLogger("neo4j").warning("Transaction failed and will be retried in %ss (%s)", 0.9, "secret")
    assert capsys.readouterr().err == ""


def test_a_patient_graph_says_once_in_its_own_words_that_it_waits(caplog: pytest.LogCaptureFixture) -> None:
    graph = Graph("bolt://127.0.0.1:9", "neo4j", "x").patient()
    try:
        from kgplatform.graph import _retries_logged

        with _retries_logged(graph):
            for _ in range(3):
                logging.getLogger("neo4j").warning("Transaction failed and will be retried in %ss (%s)", 0.9, "raw")
    finally:
        graph.close()
    own_messages = [record.getMessage() for record in caplog.records if record.name.startswith("kgplatform")]
    assert own_messages == ["waiting for bolt://127.0.0.1:9 to come back"]


def test_progress_on_a_terminal_is_a_line_with_counts_and_the_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    report = output.progress("images\x1b[2J")
    report(10, 40)
    report(40, 40)
    first_line, last_line = terminal.getvalue().split("\r\033[K")[1:]
    assert first_line.startswith("images")
    assert "\x1b[2J" not in first_line
    assert "10/40" in first_line
    assert last_line.endswith("\n")
    assert "40/40" in last_line
    assert "\033[?25l" not in terminal.getvalue(), "the cursor is never hidden"


def test_progress_elsewhere_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 1.0, 31.0, 32.0, 62.0, 63.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    report = output.progress("reports")
    for done in (10, 100, 110, 200, 400):
        report(done, 400)
    assert capsys.readouterr().err == ("reports: 100 of 400, about 93 s left\nreports: 200 of 400, about 62 s left\n")


def test_the_loss_stands_at_the_end_of_a_trainings_progress(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 31.0, 62.0, 93.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    report = output.progress("epochs")
    report(1, 4)
    report(2, 4, loss=0.123449)
    report(3, 4)
    assert capsys.readouterr().err.splitlines() == [
        "epochs: 1 of 4, about 93 s left",
        "epochs: 2 of 4, about 62 s left, loss 0.1234",
        "epochs: 3 of 4, about 31 s left, loss 0.1234",
    ]
    monkeypatch.undo()
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "100")
    report = output.progress("epochs")
    report(1, 2)
    report(2, 2, loss=0.5)
    first_line, last_line = terminal.getvalue().split("\r\033[K")[1:]
    assert "loss" not in first_line
    assert last_line.endswith(" loss 0.5000\n")


def test_a_table_on_a_terminal_is_no_wider_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"name": "pleural effusion " * 20, "images": 12_345}, {"name": "[bold]mass", "images": 1}]
    plain = output.format_table(rows)
    assert max(map(len, plain.split("\n"))) > 80
    monkeypatch.setattr(sys, "stdout", _Terminal())
    monkeypatch.setenv("COLUMNS", "60")
    table_lines = output.format_table(rows).split("\n")
    assert max(map(len, table_lines)) <= 60
    assert any("[bold]mass" in line and line.endswith(" 1") for line in table_lines), "names are no markup"
    assert any("12,345" in line for line in table_lines)
