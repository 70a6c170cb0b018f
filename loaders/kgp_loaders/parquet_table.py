"""Reads Parquet as a table of text, in batches, so that memory stays flat regardless of what the file holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kgp_loaders.table_columns import Row, column_positions, displayed_column
from kgp_loaders.table_text import MAX_LINE, value_problem
from kgplatform import files, parquet
from kgplatform.batches import Reject
from kgplatform.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


_RECORDS: Final = 8_192  # Parquet records read at a time


class ParquetTable:
    """A Parquet file; the columns asked for must hold text or whole numbers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as parquet_file, _damage_reported(path):
            self.columns = tuple(str(column_name) for column_name in parquet_file.schema_arrow.names)

    def rows(self, columns: Sequence[str]) -> Iterator[Row | Reject]:
        """See `Table.rows`. Also raises where a column holds anything but text and whole numbers."""
        requested_columns = list(columns)
        column_positions(self, requested_columns)
        with self._open() as parquet_file:
            self._check_types(parquet_file, requested_columns)
        return self._rows(requested_columns)

    def _rows(self, requested_columns: list[str]) -> Iterator[Row | Reject]:
        record_number = 0
        with self._open(requested_columns) as parquet_file:
            for values in self._records(parquet_file, requested_columns):
                record_number += 1
                problem = _record_problem(values, requested_columns)
                yield Reject(self.path, record_number, problem) if problem else (record_number, values)
            announced_count = parquet_file.metadata.num_rows
        if record_number != announced_count:
            raise InputError(
                f"damaged Parquet: {record_number:,} records, not {announced_count:,} as announced", path=self.path
            )

    def _open(self, columns: Sequence[str] = ()) -> pq.ParquetFile:
        """The file; of these columns, equal values of a column are in memory once."""
        import pyarrow.parquet as pq

        with _damage_reported(self.path):
            # With a buffer size pyarrow reads column pieces as needed instead of whole row groups.
            parquet_file = pq.ParquetFile(
                files.require_file(self.path),
                buffer_size=1 << 20,
                page_checksum_verification=True,
                read_dictionary=columns,
            )
            return parquet.check_parquet(parquet_file, self.path)

    def _check_types(self, parquet_file: pq.ParquetFile, columns: Sequence[str]) -> None:
        for column_name in columns:
            column_type = parquet_file.schema_arrow.field(column_name).type
            if not _is_textual(column_type):
                hint = "Write the column as text or as whole numbers."
                raise InputError(
                    f"the column {displayed_column(column_name)} holds {column_type} values", hint, path=self.path
                )

    def _records(self, parquet_file: pq.ParquetFile, columns: list[str]) -> Iterator[tuple[Any, ...]]:
        batches = parquet_file.iter_batches(
            parquet.batch_rows(parquet_file, _RECORDS), columns=list(dict.fromkeys(columns))
        )
        while True:
            with _damage_reported(self.path):
                batch = next(batches, None)
                column_values = [] if batch is None else [_texts(batch.column(column_name)) for column_name in columns]
            if batch is None:
                return
            yield from zip(*column_values, strict=True)


def _record_problem(values: Sequence[str | None], columns: Sequence[str]) -> str | None:
    for column_name, value in zip(columns, values, strict=True):
        if value is None:
            return f"{displayed_column(column_name)} is empty (null)"
        if len(value) > MAX_LINE:
            return f"{displayed_column(column_name)} is longer than {MAX_LINE:,} characters"
        if not value.isprintable() and (problem := value_problem(value)):
            return problem
    return None


def _is_textual(data_type: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(data_type):
        data_type = data_type.value_type
    return any(
        is_kind(data_type)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_binary,
            types.is_large_binary,
            types.is_integer,
        )
    )


def _texts(column: pa.Array) -> list[str | None]:
    """The column's values as text; bytes that are not UTF-8 become surrogates, as in a text file. A value that many
    records have is one text in memory.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(column.type):
        value_indices = column.indices
        used_indices = pc.unique(value_indices)
        texts_by_index = dict(zip(used_indices.to_pylist(), _texts(column.dictionary.take(used_indices)), strict=True))
        return [texts_by_index[value_index] for value_index in value_indices.to_pylist()]
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    values = column.cast(pa.large_binary()).to_pylist()
    return [None if value is None else value.decode("utf-8", "surrogateescape") for value in values]


@contextmanager
def _damage_reported(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, UnicodeDecodeError, OSError):
        # pyarrow's own messages may quote the file's content.
        raise InputError("damaged Parquet", "Write the file again, or give it as CSV.", path=path) from None
