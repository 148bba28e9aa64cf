"""History: Parquet files, in the order they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from muntin.errors import SourceError, unknown, with_hint
from muntin.sources.base import Words
from muntin.sources.columns import BatchReader, distinct_partitions
from muntin.sources.files import Paths, files_of


class Parquet:
    """A source of Parquet files: one after another, one partition unless told otherwise.

    Args:
        paths: a path, a pattern, or a list of paths; a pattern's files are sorted by name.
        columns: the columns to read; all by default.
        arrival: a column with the recorded time of arrival, timestamp or `int64` microseconds.
            With it and `partition` a run repeats the order and the watermarks of the live day.
        partition: an integer column with each row's partition.
        batch_rows: rows in a step.

    Raises:
        SourceError: a file is missing, damaged, or has no such column; it names the file.

    >>> Parquet("history/2024-*.parquet", arrival="received_at").bounded
    True
    """

    bounded = True

    def __init__(
        self,
        paths: Paths,
        *,
        columns: Sequence[str] | None = None,
        arrival: str | None = None,
        partition: str | None = None,
        batch_rows: int = 65_536,
    ) -> None:
        """Remember where the rows are; nothing is read before it has to be."""
        self._paths = paths
        self._columns = None if columns is None else list(columns)
        self._arrival = arrival
        self._partition = partition
        self._batch_rows = batch_rows

    @property
    def total(self) -> int | None:
        """The number of rows, from the files' footers."""
        return sum(int(_opened(file).metadata.num_rows) for file in files_of(self._paths))

    def partitions(self) -> Sequence[int]:
        """The values of the partition column, or 0."""
        if self._partition is None:
            return (0,)
        name = self._partition
        columns = [
            column
            for file in files_of(self._paths)
            for batch in _batches(file, [name], self._batch_rows)
            for column in batch.columns
        ]
        return distinct_partitions(columns, name)

    def identity(self) -> Sequence[str]:
        """The files."""
        return files_of(self._paths)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> BatchReader:
        """Start reading; the files have their own types, so `schema` is not used."""
        wanted = self._columns
        if wanted is not None:
            extra = [name for name in (self._arrival, self._partition) if name is not None]
            wanted = list(dict.fromkeys([*wanted, *extra]))
        batches = (
            batch
            for file in files_of(self._paths)
            for batch in _batches(file, wanted, self._batch_rows)
        )
        return BatchReader(
            batches, self._batch_rows, self._arrival, self._partition, positions, "Parquet"
        )


def _opened(file: str) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, error) from error


def _batches(file: str, columns: list[str] | None, rows: int) -> Iterator[Any]:
    with _opened(file) as parquet:
        known = parquet.schema_arrow.names
        for name in columns or ():
            if name not in known:
                raise SourceError(unknown("column", name, known, file))
        try:
            yield from parquet.iter_batches(batch_size=rows, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise _damaged(file, error) from error


def _damaged(file: str, error: Exception) -> SourceError:
    hint = "it may be cut short or still being written"
    return SourceError(with_hint(f'"{file}" cannot be read as Parquet: {error}', hint))
