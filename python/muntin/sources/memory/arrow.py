"""Reads Arrow tables in memory, and record batch readers of other libraries."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.base.arguments import shown
from muntin.base.errors import SourceError, unknown, with_hint
from muntin.sources.base import Reader, Words
from muntin.sources.checks import check_roles, check_rows
from muntin.sources.decode.decoded import Roles
from muntin.sources.deliveries.batches import BatchReader, Fit, all_batches_of, batches_of
from muntin.sources.deliveries.columns import distinct_partitions, faults_of_roles, partition_array
from muntin.sources.deliveries.pace import Speed, pace_of
from muntin.sources.deliveries.placed import OnBad, Placed, check_bad
from muntin.sources.deliveries.places import Places
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable
from muntin.values.rows import arrow_schema
from muntin.values.table import table_of


class Arrow:
    """A source of Arrow rows: a Polars or pandas frame, a DuckDB relation, a pyarrow table.

    If the stream declares columns, values of other types are converted. A row with a value that
    does not fit becomes an invalid record with the reason `undecodable`, and so does one without an
    arrival time or a partition, if a column is named for it. A column of a type that never fits
    ends the run.

    Args:
        data: the rows. A reader (whose `__arrow_c_stream__` can be read once) can be run once.
        arrival: a timestamp or `int64` microseconds column with the recorded arrival time,
            for `max_future_skew`, `mt.arrival()` and the order among several inputs.
        partition: an integer column with each row's partition; without it all rows are one.
        speed: replay rows at their recorded pace, this many times faster; see `mt.sources.Pace`.
        batch_rows: the maximum number of rows in a step.
        bad: "record" makes a row that does not fit an invalid record; "stop" ends the run with an
            error that names the position and what is wrong.

    Raises:
        SourceError: `data` is not an Arrow object, or lacks a named column.

    >>> import pyarrow as pa
    >>> source = Arrow(pa.table({"n": [1, 2, 3]}))
    >>> source.total
    3
    """

    bounded = True

    def __init__(
        self,
        data: ArrowStreamExportable | ArrowArrayExportable,
        *,
        arrival: str | None = None,
        partition: str | None = None,
        speed: Speed = None,
        batch_rows: int = 65_536,
        bad: OnBad = "record",
    ) -> None:
        """Keep the rows; nothing is read before `open`, except for `partition=`."""
        if not isinstance(data, (ArrowStreamExportable, ArrowArrayExportable)):
            hint = "give a Polars, pandas, DuckDB or pyarrow object; mt.sources.Rows takes dicts"
            if isinstance(data, str | os.PathLike):
                hint = f"a file is mt.sources.Parquet({os.fspath(data)!r}), Csv or JsonLines"
            raise SourceError(with_hint(f"Arrow: {shown(data)} is not an Arrow object", hint))
        check_roles("Arrow", arrival=arrival, partition=partition)
        check_rows(batch_rows, "Arrow")
        check_bad(bad, "Arrow")
        # finding the partitions needs a second pass over the rows, so they are kept
        self._data: Any = data
        if partition is not None:
            batches = all_batches_of(data, "Arrow")
            self._data = pa.Table.from_batches(batches) if batches else table_of(data)
        self._roles = Roles(arrival, partition)
        self._bad: OnBad = bad
        self._pace = pace_of(speed, arrival, "Arrow")
        self._batch_rows = batch_rows

    def __repr__(self) -> str:
        """The type of its rows."""
        return f"Arrow({type(self._data).__name__})"

    @property
    def total(self) -> int | None:
        """The number of rows, if the object knows it."""
        for word in ("num_rows", "height"):
            if isinstance(count := getattr(self._data, word, None), int):
                return count
        return len(self._data) if hasattr(self._data, "__len__") else None

    @property
    def replayable(self) -> bool:
        """False for a reader, which can be read only once."""
        return not isinstance(self._data, pa.RecordBatchReader)

    def partitions(self) -> Sequence[int]:
        """The values of the partition column, or 0."""
        name = self._roles.partition
        if name is None:
            return (0,)
        if name not in self._data.column_names:
            raise SourceError(unknown("column", name, self._data.column_names, "partition"))
        partitions = pa.table({name: self._data[name]})
        wrong = faults_of_roles(partitions, Roles(None, name), "Arrow")
        if wrong:
            mask = pa.array([row not in wrong for row in range(len(partitions))], pa.bool_())
            partitions = partitions.filter(mask)
        return distinct_partitions([partition_array(partitions, name, "Arrow")])

    def identity(self) -> Sequence[str]:
        """A fixed name, since rows in memory have none."""
        return ("Arrow",)

    def open(self, schema: Words | None, positions: Mapping[int, int]) -> Reader:
        """Start reading; the rows are converted to the declared types of the stream."""
        declared = None if schema is None else arrow_schema(schema)
        fit = Fit(declared, self._roles, "Arrow")
        placed = Placed(Places(positions), self._roles, self.partitions(), set(), self._bad)
        batches = batches_of(self._data, "Arrow")
        reader = BatchReader(batches, self._batch_rows, fit, placed, "Arrow")
        return reader if self._pace is None else self._pace.paced(reader)
