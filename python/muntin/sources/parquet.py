"""History: Parquet files, in the order they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from muntin.errors import SourceError, unknown, with_hint
from muntin.sources.base import Reader, Words
from muntin.sources.columns import BatchReader, distinct_partitions, partition_array
from muntin.sources.files import Paths, files_of
from muntin.sources.pace import Speed, pace_of
from muntin.sources.places import Places, counts_of


class Parquet:
    """A source of Parquet files: one after another, one partition unless told otherwise.

    The first file says which columns there are and of which types. Those of the others must be
    the same, or narrower ones that become them without loss, such as `i32` for `i64`. A run that
    goes on reads no row group that it has had as a whole.

    Args:
        paths: a path, a pattern, or a list of paths; a pattern's files are sorted by name.
        columns: the columns to read; all by default.
        arrival: a column with the recorded time of arrival, timestamp or `int64` microseconds.
            With it and `partition` a run repeats the order and the watermarks of the live day.
        partition: an integer column with each row's partition.
        speed: hand rows over as time goes by, so many times faster; see `mt.sources.Pace`.
        batch_rows: rows in a step, at most.

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
        speed: Speed = None,
        batch_rows: int = 65_536,
    ) -> None:
        """Remember where the rows are; nothing is read before it has to be."""
        self._paths = paths
        self._columns = None if columns is None else list(columns)
        self._arrival = arrival
        self._partition = partition
        self._pace = pace_of(speed, arrival, "Parquet")
        self._batch_rows = batch_rows

    @property
    def total(self) -> int | None:
        """The number of rows, from the files' footers."""
        return sum(int(_opened(file).metadata.num_rows) for file in files_of(self._paths))

    def partitions(self) -> Sequence[int]:
        """The values of the partition column, or 0."""
        if self._partition is None:
            return (0,)
        return distinct_partitions(
            partition_array(batch, self._partition, file)
            for file in files_of(self._paths)
            for batch in _Files(file, [self._partition]).batches(Places({}), self._batch_rows)
        )

    def identity(self) -> Sequence[str]:
        """The files, in order."""
        return files_of(self._paths)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> Reader:
        """Start reading; the files have their own types, so `schema` is not used."""
        wanted = self._columns
        if wanted is not None:
            extra = [name for name in (self._arrival, self._partition) if name is not None]
            wanted = list(dict.fromkeys([*wanted, *extra]))
        places = Places(positions)
        files = _Files(self._paths, wanted, self._partition)
        batches = files.batches(places, self._batch_rows)
        reader = BatchReader(
            batches, self._batch_rows, self._arrival, self._partition, places, "Parquet"
        )
        return reader if self._pace is None else self._pace.paced(reader)


class _Files:
    """Files read as if they were one, in the types of the first."""

    def __init__(
        self, paths: Paths, columns: list[str] | None, partition: str | None = None
    ) -> None:
        self._files = files_of(paths)
        self._columns = columns
        self._partition = partition
        self._schema: Any = None

    def batches(self, places: Places, rows: int) -> Iterator[Any]:
        """The rows that are not before `places`, and a few that are."""
        for file in self._files:
            with _opened(file) as parquet:
                schema = self._types_of(file, parquet.schema_arrow)
                try:
                    groups = self._left(file, parquet, places)
                    for batch in parquet.iter_batches(rows, groups, columns=self._columns):
                        yield self._as_first(file, batch, schema)
                except (pa.ArrowException, OSError) as error:
                    if isinstance(error, SourceError):
                        raise
                    raise _damaged(file, error) from error

    def _types_of(self, file: str, found: Any) -> Any:
        """The columns to read as this file has them."""
        first = self._schema
        expected = self._columns if first is None else first.names
        for name in expected or ():
            if name not in found.names:
                raise SourceError(unknown("column", name, found.names, file))
        if self._columns is None and first is not None:
            for name in found.names:
                if name not in first.names:
                    said = f'{file}: column "{name}" is not in "{self._files[0]}"'
                    hint = f"name the columns to read: columns={first.names}"
                    raise SourceError(with_hint(said, hint))
        names = found.names if expected is None else expected
        schema = pa.schema([(name, found.field(name).type) for name in names])
        if first is None:
            self._schema = schema
        else:
            for name in names:
                self._check(file, name, schema.field(name).type)
        return schema

    def _check(self, file: str, name: str, kind: Any) -> None:
        wanted = self._schema.field(name).type
        try:
            pair = [pa.schema([(name, wanted)]), pa.schema([(name, kind)])]
            both = pa.unify_schemas(pair, promote_options="permissive").field(name).type
        except pa.ArrowException:
            both = None
        if both != wanted:
            said = f'{file}: column "{name}" is a {kind}, but a {wanted} in "{self._files[0]}"'
            raise SourceError(with_hint(said, "write the files anew with one type"))

    def _as_first(self, file: str, batch: Any, schema: Any) -> Any:
        """The batch in the first file's types and order of columns."""
        columns = []
        for field in self._schema:
            column = batch.column(batch.schema.get_field_index(field.name))
            try:
                columns.append(column.cast(field.type))
            except pa.ArrowInvalid as error:
                said = f'{file}: column "{field.name}" does not fit {field.type}: {error}'
                raise SourceError(said) from error
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _left(self, file: str, parquet: Any, places: Places) -> range:
        """The row groups that are left, after those an earlier run has had as a whole."""
        count = parquet.num_row_groups
        for group in range(count):
            if not (places.behind() and places.skip(self._counts(file, parquet, group))):
                return range(group, count)
        return range(0)

    def _counts(self, file: str, parquet: Any, group: int) -> dict[int, int]:
        rows = parquet.metadata.row_group(group).num_rows
        if self._partition is None:
            return {0: rows}
        column = parquet.read_row_group(group, columns=[self._partition])
        partitions = partition_array(column, self._partition, file)
        return {entry["values"]: entry["counts"] for entry in counts_of(partitions)}


def _opened(file: str) -> Any:
    try:
        return pq.ParquetFile(file)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(file, error) from error


def _damaged(file: str, error: Exception) -> SourceError:
    hint = "it may be cut short or still being written"
    return SourceError(with_hint(f'"{file}" cannot be read as Parquet: {error}', hint))
