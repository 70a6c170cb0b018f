"""Tables that are written for a test, and how they are read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kgp_loaders.table_columns import Row
from kgp_loaders.tabular import open_table
from kgplatform.batches import Reject

COLUMNS = ("head", "relation", "tail")
SECRET = "Mrs-Example-aged-71"


class Make(Protocol):
    """Writes a file for a test."""

    def __call__(self, content: bytes, name: str = ...) -> Path: ...


@pytest.fixture
def table_file_writer(tmp_path: Path) -> Make:
    def write(content: bytes, name: str = "t.csv") -> Path:
        file_path = tmp_path / name
        file_path.write_bytes(content)
        return file_path

    return write


def read_table_rows(path: Path, columns: Sequence[str] = COLUMNS) -> list[Row | Reject]:
    return list(open_table(path).rows(columns))


def parquet_bytes(rows: int = 20) -> bytes:
    table = pa.table(
        {"head": [f"C{number:07d}" for number in range(rows)], "relation": ["isa"] * rows, "tail": list(range(rows))}
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="none", write_page_checksum=True)
    return buffer.getvalue()
