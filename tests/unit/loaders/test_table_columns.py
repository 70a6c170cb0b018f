"""What an error says of the columns of a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from kgp_loaders.tabular import open_table
from kgplatform.errors import InputError
from tests.unit.loaders import table_files
from tests.unit.loaders.table_files import COLUMNS, SECRET, Make, read_table_rows

table_file_writer = table_files.table_file_writer


def test_missing_columns_are_named_with_those_found(table_file_writer: Make) -> None:
    with pytest.raises(InputError) as refusal:
        open_table(table_file_writer(b"subject,predicate,tail\n")).rows(COLUMNS)
    assert "lacks head, relation" in refusal.value.message
    assert "subject, predicate, tail" in refusal.value.hint


def test_content_in_the_header_s_place_is_not_quoted(table_file_writer: Make) -> None:
    report_text = f"{SECRET}, admitted on Tuesday with increasing shortness of breath and a cough."
    with pytest.raises(InputError) as refusal:
        read_table_rows(table_file_writer(f'"{report_text}",x\n'.encode()))
    assert SECRET not in refusal.value.message + refusal.value.hint


def test_a_missing_column_suggests_the_one_that_is_nearly_it(tmp_path: Path) -> None:
    table_path = tmp_path / "t.csv"
    table_path.write_text("Head,relatoin,tail\na,b,c\n", encoding="utf-8")
    with pytest.raises(InputError) as refusal:
        open_table(table_path).rows(["relation"])
    assert refusal.value.hint.startswith("Did you mean relatoin?")
