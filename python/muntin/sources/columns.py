"""Record batches to deliveries, shared by the sources whose rows come as columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.errors import SourceError, unknown, with_hint
from muntin.sources.base import Delivery, column_array
from muntin.sources.places import Places


class BatchReader:
    """Hands over record batches in slices, with positions, partitions and arrival times."""

    def __init__(
        self,
        batches: Iterator[Any],
        rows: int,
        arrival: str | None,
        partition: str | None,
        places: Places,
        place: str,
    ) -> None:
        """Read from `batches`; `place` names the source in errors."""
        if rows < 1:
            raise SourceError(f"{place}: batch_rows must be at least 1, got {rows}")
        self._slices = _slices(batches, rows)
        self._arrival = arrival
        self._partition = partition
        self._places = places
        self._place = place
        self._read = 0

    def poll(self) -> Delivery | None:
        """The next slice that has rows, or None at the end."""
        while (batch := self._next()) is not None:
            for column in (self._arrival, self._partition):
                if column is not None and column not in batch.schema.names:
                    names = batch.schema.names
                    raise SourceError(unknown("column", column, names, self._place))
            self._read += len(batch)
            delivery = self._whole(batch) if self._partition is None else self._split(batch)
            if delivery is not None:
                return delivery
        self._places.end(self._place)
        return None

    def _next(self) -> Any | None:
        try:
            return next(self._slices, None)
        except SourceError:
            raise
        except Exception as error:
            said = f"{self._place}: the rows cannot be read after {self._read:,} of them"
            raise SourceError(f"{said}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Stop reading."""
        self._slices = iter(())
        self._places = Places({})

    def _whole(self, batch: Any) -> Delivery | None:
        start = self._places.run(0, len(batch))
        had = max(self._places.resume(0) - start, 0)
        batch = batch.slice(had)
        if not len(batch):
            return None
        arrival = arrival_array(batch, self._arrival, self._place)
        return Delivery(batch, {0: self._places.next(0)}, 0, start + had, arrival)

    def _split(self, batch: Any) -> Delivery | None:
        partitions = partition_array(batch, self._partition, self._place)
        positions = self._places.of(partitions)
        if (mask := self._places.new(partitions, positions)) is not None:
            batch, partitions = batch.filter(mask), partitions.filter(mask)
            positions = positions.filter(mask)
        if not len(batch):
            return None
        resume = {p: self._places.next(p) for p in pc.unique(partitions).to_pylist()}
        arrival = arrival_array(batch, self._arrival, self._place)
        return Delivery(batch, resume, partitions, positions, arrival)


def partition_array(batch: Any, name: str | None, place: str) -> Any:
    """The partition of each row, `int64`.

    Raises:
        SourceError: a row has none, or the column is not of integers.
    """
    column: Any = column_array(batch, name)
    if not pa.types.is_integer(column.type):
        said = f'{place}: the partition column "{name}" is a {column.type}, not an integer'
        raise SourceError(said)
    if column.null_count:
        said = f'{place}: {column.null_count} rows have no partition in "{name}"'
        raise SourceError(with_hint(said, "each row must have one"))
    return _in_64_bits(column, f'{place}: the partition column "{name}"')


def arrival_array(batch: Any, name: str | None, place: str) -> Any | None:
    """When each row arrived, a timestamp or `int64` microseconds; None for no name.

    Raises:
        SourceError: the column is neither.
    """
    column = column_array(batch, name)
    if column is None:
        return None
    if pa.types.is_timestamp(column.type):
        return column
    if not (pa.types.is_integer(column.type) or pa.types.is_null(column.type)):
        hint = "it has the time of arrival: a timestamp, or int64 microseconds"
        said = f'{place}: the arrival column "{name}" is a {column.type}'
        raise SourceError(with_hint(said, hint))
    return _in_64_bits(column, f'{place}: the arrival column "{name}"')


def _in_64_bits(column: Any, what: str) -> Any:
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid as error:
        raise SourceError(f"{what} does not fit int64: {error}") from error


def distinct_partitions(columns: Iterable[Any]) -> Sequence[int]:
    """The partitions in the columns, sorted; 0 if there are no rows."""
    found: set[int] = set()
    for column in columns:
        found.update(pc.unique(column).to_pylist())
    return sorted(found) or (0,)


def _slices(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)
