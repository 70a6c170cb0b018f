"""Parquet as a table of text."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgplatform.batches import Reject
from kgplatform.errors import InputError
from tests.unit.loaders import table_files
from tests.unit.loaders.table_files import Make, parquet_bytes, read_table_rows

table_file_writer = table_files.table_file_writer


def test_parquet(tmp_path: Path) -> None:
    table_path = tmp_path / "t.parquet"
    table = {
        "head": pa.array(["a", None, "ü\tx"]).dictionary_encode(),
        "relation": pa.array([b"isa", b"isa", b"\xff"]),
        "tail": pa.array([1, 2, 3], pa.uint8()),
    }
    pq.write_table(pa.table(table), table_path)
    first_row, *other_rows = read_table_rows(table_path)
    assert first_row == (1, ["a", "isa", "1"]) or first_row == (1, ("a", "isa", "1"))
    assert other_rows == [Reject(table_path, 2, "head is empty (null)"), Reject(table_path, 3, "it is not valid UTF-8")]


def test_parquet_columns_must_hold_text_or_whole_numbers(tmp_path: Path) -> None:
    table_path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"head": [1.0], "relation": ["isa"], "tail": [["b"]]}), table_path)
    with pytest.raises(InputError, match="head holds double"):
        read_table_rows(table_path)
    with pytest.raises(InputError, match="tail holds list"):
        read_table_rows(table_path, ["tail"])


def test_parquet_is_known_by_its_content(table_file_writer: Make) -> None:
    assert len(read_table_rows(table_file_writer(parquet_bytes(), "t.csv"))) == 20
