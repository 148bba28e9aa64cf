"""Record batches to deliveries, shared by the sources whose rows come as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.errors import SourceError, unknown, with_hint
from muntin.sources.base import Delivery, column_array


class BatchReader:
    """Hands over record batches in slices, with positions, partitions and arrival times."""

    def __init__(
        self,
        batches: Iterator[Any],
        rows: int,
        arrival: str | None,
        partition: str | None,
        positions: Mapping[int, int],
        place: str,
    ) -> None:
        """Read from `batches`; `place` names the source in errors."""
        if rows < 1:
            raise SourceError(f"{place}: batch_rows must be at least 1, got {rows}")
        self._slices = _slices(batches, rows)
        self._arrival = arrival
        self._partition = partition
        self._next = dict(positions)
        self._skip = dict(positions)
        self._place = place

    def poll(self) -> Delivery | None:
        """The next slice that has rows, or None at the end."""
        for batch in self._slices:
            for column in (self._arrival, self._partition):
                if column is not None and column not in batch.schema.names:
                    names = batch.schema.names
                    raise SourceError(unknown("column", column, names, self._place))
            delivery = self._whole(batch) if self._partition is None else self._split(batch)
            if delivery is not None:
                return delivery
        return None

    def close(self) -> None:
        """Stop reading."""
        self._slices = iter(())

    def _whole(self, batch: Any) -> Delivery | None:
        seen = self._skip.get(0, 0)
        if seen:
            dropped = min(seen, len(batch))
            self._skip[0] = seen - dropped
            batch = batch.slice(dropped)
        if not len(batch):
            return None
        start = self._next.get(0, 0)
        self._next[0] = start + len(batch)
        arrival = column_array(batch, self._arrival)
        return Delivery(batch, {0: self._next[0]}, 0, start, arrival)

    def _split(self, batch: Any) -> Delivery | None:
        column: Any = column_array(batch, self._partition)
        partitions = column.cast(pa.int64())
        if partitions.null_count:
            raise SourceError(
                with_hint(
                    f"{self._place}: {partitions.null_count} rows have no partition in "
                    f'"{self._partition}"',
                    "each row must have one",
                )
            )
        keep, positions = [], []
        for partition in partitions.to_pylist():
            if self._skip.get(partition, 0):
                self._skip[partition] -= 1
                keep.append(False)
                continue
            at = self._next.get(partition, 0)
            self._next[partition] = at + 1
            positions.append(at)
            keep.append(True)
        mask = pa.array(keep, pa.bool_())
        batch, partitions = batch.filter(mask), partitions.filter(mask)
        if not len(batch):
            return None
        resume = {p: self._next[p] for p in pc.unique(partitions).to_pylist()}
        arrival = column_array(batch, self._arrival)
        return Delivery(batch, resume, partitions, pa.array(positions, pa.int64()), arrival)


def distinct_partitions(columns: Sequence[Any], name: str) -> Sequence[int]:
    """The values of the partition columns, sorted.

    Raises:
        SourceError: a column is not of integers.
    """
    found: set[int] = set()
    for column in columns:
        if not pa.types.is_integer(column.type):
            raise SourceError(f'the partition column "{name}" is a {column.type}, not an integer')
        found.update(v for v in pc.unique(column).to_pylist() if v is not None)
    return sorted(found) or (0,)


def _slices(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    for batch in batches:
        for start in range(0, len(batch), rows):
            yield batch.slice(start, rows)
