"""Parquet files that a user or a data set names, read within bounds of what they unpack to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kgplatform.errors import InputError
from kgplatform.files import FREE, MAX_RATIO, require_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


MAX_ROWS_PER_BYTE: Final = 1  # of a Parquet file; different rows take more than a byte each

BATCH: Final = 32 << 20  # bytes of Parquet rows that are in memory at a time


def check_parquet(file: pq.ParquetFile, path: Path) -> pq.ParquetFile:
    """The Parquet file unchanged. Raises `InputError` where its metadata announces far more than such a file can hold.

    Equal values take no room in Parquet: a file of 7 kB may hold 10 billion of them, or 8,000 of a megabyte each.
    """
    file_bytes, file_metadata = path.stat().st_size, file.metadata
    if file_metadata.num_rows > max(1_000_000, MAX_ROWS_PER_BYTE * file_bytes):
        raise InputError(
            f"announces {file_metadata.num_rows:,} rows in {file_bytes:,} bytes", "Write it again.", path=path
        )
    row_groups = [file_metadata.row_group(group_number) for group_number in range(file_metadata.num_row_groups)]
    unpacked_bytes = max((group_metadata.total_byte_size for group_metadata in row_groups), default=0)
    if unpacked_bytes > max(FREE, MAX_RATIO * file_bytes):
        raise InputError(f"unpacks to {unpacked_bytes:,} bytes from {file_bytes:,}", "Write it again.", path=path)
    return file


def batch_rows(file: pq.ParquetFile, byte_limit: int) -> int:
    """How many rows of the file to read at a time, at most `byte_limit`: fewer where its rows are large."""
    row_groups = [file.metadata.row_group(group_number) for group_number in range(file.metadata.num_row_groups)]
    row_bytes = max(
        (group_metadata.total_byte_size / max(1, group_metadata.num_rows) for group_metadata in row_groups), default=0.0
    )
    return int(max(1, min(byte_limit, BATCH / max(row_bytes, 1.0))))


def read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    """These columns of a Parquet file, whole. Raises `InputError` where it holds far more than such a file can, and
    what pyarrow raises for another file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    with pq.ParquetFile(require_file(path), read_dictionary=list(columns)) as parquet_file:
        table = check_parquet(parquet_file, path).read(list(columns))
    unpacked_bytes = 0
    for chunk in (chunk for column in table.columns for chunk in column.chunks if pa.types.is_dictionary(column.type)):
        text_lengths = pc.binary_length(chunk.dictionary).take(chunk.indices)
        unpacked_bytes += pc.sum(text_lengths).as_py() or 0
    if unpacked_bytes > max(FREE, MAX_RATIO * path.stat().st_size):
        raise InputError(
            f"holds {unpacked_bytes:,} bytes of text, far more than its size", "Write it again.", path=path
        )
    plain_types = [
        column.type.value_type if pa.types.is_dictionary(column.type) else column.type for column in table.columns
    ]
    plain_schema = pa.schema(list(zip(columns, plain_types, strict=True)), metadata=table.schema.metadata)
    return table.cast(plain_schema)


def with_metadata(*names: str) -> Callable[[Path], bool]:
    """Whether a file is Parquet whose metadata have these names."""

    def own(path: Path) -> bool:
        import pyarrow.parquet as pq

        return {metadata_name.encode() for metadata_name in names} <= (pq.read_schema(path).metadata or {}).keys()

    return own
