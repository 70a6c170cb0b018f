"""No CSV or TSV file that people open has a cell that a spreadsheet would run, and each comes back as it was."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from kgp_loaders.tabular import open_table
from kgplatform import survey
from kgplatform.batches import Reject
from kgplatform.construct import select
from kgplatform.export import formats
from kgplatform.export.triples import Node, Triples
from kgplatform.naf import _write_csv as write_kept
from kgplatform.spreadsheets import escaped, unescaped

FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", " =1", "'=1", "''=1", "＝1+1", "\t=1"]


def is_formula(text: str) -> bool:
    return text.lstrip().startswith(tuple("=+-@＝＋－＠")) or text.startswith(tuple("\t\r\n"))


def _table_cells(path: Path, delimiter: str = ",") -> list[str]:
    with path.open(encoding="utf-8", newline="") as table_file:
        return [cell for row in csv.reader(table_file, delimiter=delimiter) for cell in row]


@given(st.text() | st.text("'=+-@ \t\r\nx", max_size=5))
@example("'")
@example("'tis")
@example("'=")
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    escaped_text = escaped(text)
    assert unescaped(escaped_text) == text
    assert not is_formula(escaped_text)
    assert escaped_text in (text, f"'{text}")


@example_settings(max_examples=20, deadline=None)
@given(names=st.lists(st.sampled_from(FORMULAS[:-1]) | st.text("'=-a ,\"", min_size=1, max_size=4), min_size=1))
def test_a_table_that_is_exported_is_read_as_it_was(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    table_path = tmp_path_factory.mktemp("csv") / "kept.csv"
    write_kept(table_path, ["Head", "Head_Name"], iter([{"Head": "C1", "Head_Name": cell_text} for cell_text in names]))
    assert not any(is_formula(cell) for cell in _table_cells(table_path))
    records = list(open_table(table_path).rows(("Head_Name",)))
    assert [record if isinstance(record, Reject) else record[1][0] for record in records] == names


def test_an_export_as_csv_has_no_formulas(tmp_path: Path) -> None:
    nodes = {number: Node(f"{node_name}{number}", "Thing", node_name) for number, node_name in enumerate(FORMULAS)}
    triples = Triples.build([(0, "is", number) for number in range(1, len(FORMULAS))], nodes)
    formats.write(triples, tmp_path / "out", "csv")
    for file_name in ("triples.csv", "nodes.csv"):
        assert not any(is_formula(cell) for cell in _table_cells(tmp_path / "out" / file_name))
    assert Triples.read(tmp_path / "out").sha256 == triples.sha256


def test_a_file_of_rejects_has_no_formulas_and_one_line_a_row(tmp_path: Path) -> None:
    rejects_path = tmp_path / "rejects.tsv"
    with survey._reject_file(rejects_path) as add_reject:
        add_reject(Reject(Path("=cmd|x\ty\nz.csv"), 3, "-1 is no reason"))
    assert _table_cells(rejects_path, "\t") == ["file", "row", "reason", "'=cmd|x\ty\nz.csv", "3", "'-1 is no reason"]


def test_a_selection_is_read_as_it_was(tmp_path: Path) -> None:
    choices = [select.Choice(study, 0, 0.5, True) for study in FORMULAS]
    select.write_choices(tmp_path / "a.csv", choices)
    assert not any(is_formula(cell) for cell in _table_cells(tmp_path / "a.csv"))
    assert select.read_choices(tmp_path / "a.csv") == frozenset(FORMULAS)
