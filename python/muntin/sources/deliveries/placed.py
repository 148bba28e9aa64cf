"""Turns decoded rows and bad records into deliveries with partitions and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base import arguments
from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import Delivery, Undecodable
from muntin.sources.decode.decoded import Decoded, Roles
from muntin.sources.deliveries.columns import arrival_array, partition_array
from muntin.sources.deliveries.places import Places

OnBad: TypeAlias = Literal["record", "stop"]
"""What to do with a bad record: keep it as an invalid record, or end the run."""


def check_bad(bad: str, name: str) -> None:
    """Check that a word is an `OnBad`."""
    arguments.one_of(bad, ("record", "stop"), f"{name}: bad", error=SourceError)


class Placed:
    """Assigns partitions and positions to the records of decoded blocks."""

    def __init__(
        self,
        places: Places,
        roles: Roles,
        partitions: Sequence[int],
        hidden: set[str],
        bad: OnBad = "record",
    ) -> None:
        self._stops = bad == "stop"
        self.places = places
        self.partitions = tuple(partitions)
        self._roles = roles
        self._hidden = hidden

    def __call__(self, file: str, decoded: Decoded) -> Delivery | None:
        """The new rows and bad records; None if an earlier run has processed them all."""
        if decoded.ordinals is None:
            if self._roles.partition is None:
                return self._whole(file, decoded.batch)
            ones = pa.repeat(pa.scalar(1, pa.int64()), decoded.records)
            decoded = decoded._replace(ordinals=pc.cumulative_sum(ones, start=-1))
        if self._roles.partition is None:
            partitions, positions, bad_at = self._one(decoded)
        else:
            column = partition_array(decoded.batch, self._roles.partition, file or "Rows")
            partitions, positions, bad_at = self._many(decoded, column)
        home = self.partitions[0]
        bad = tuple(
            Undecodable(home, at, file, line, _shown(text), detail.partition("\n")[0])
            for at, (_, line, text, detail) in zip(bad_at, decoded.bad, strict=True)
            if at >= self.places.resume(home)
        )
        if bad and self._stops:
            raise _stopped(bad[0])
        batch = decoded.batch
        mask = self.places.new(partitions, positions)
        if mask is not None:
            batch, partitions = batch.filter(mask), partitions.filter(mask)
            positions = positions.filter(mask)
        if not len(batch) and not bad:
            return None
        arrival = arrival_array(batch, self._roles.arrival, file or "Rows")
        batch = batch.drop_columns([name for name in batch.schema.names if name in self._hidden])
        touched = {*partitions.unique().to_pylist(), *(record.partition for record in bad)}
        resume = {partition: self.places.next(partition) for partition in touched}
        partition = 0 if self._roles.partition is None else partitions
        return Delivery(batch, resume, partition, positions, arrival, bad)

    def _whole(self, file: str, batch: Any) -> Delivery | None:
        """The rows of a block in which all records are rows, of one partition."""
        start = self.places.run(0, len(batch))
        had = max(self.places.resume(0) - start, 0)
        if had >= len(batch):
            return None
        batch = batch.slice(had)
        arrival = arrival_array(batch, self._roles.arrival, file or "Rows")
        batch = batch.drop_columns([name for name in batch.schema.names if name in self._hidden])
        return Delivery(batch, {0: self.places.next(0)}, 0, start + had, arrival)

    def _one(self, decoded: Decoded) -> tuple[Any, Any, list[int]]:
        first = self.places.run(0, decoded.records)
        positions = pc.add(decoded.ordinals, first)
        partitions = pa.repeat(pa.scalar(0, pa.int64()), len(positions))
        return partitions, positions, [first + each.ordinal for each in decoded.bad]

    def _many(self, decoded: Decoded, partitions: Any) -> tuple[Any, Any, list[int]]:
        # a record that cannot be decoded has no partition: it counts to the first one
        home = pa.repeat(pa.scalar(self.partitions[0], pa.int64()), len(decoded.bad))
        ordinals = pa.array([each.ordinal for each in decoded.bad], pa.int64())
        order = pc.sort_indices(pa.concat_arrays([decoded.ordinals, ordinals]))
        in_order = self.places.of(pa.concat_arrays([partitions, home]).take(order))
        positions = in_order.take(pc.sort_indices(order))
        rows = len(partitions)
        return partitions, positions.slice(0, rows), positions.slice(rows).to_pylist()


def _stopped(bad: Undecodable) -> SourceError:
    place = f'"{bad.file}"' if bad.file else f"position {bad.position}"
    place += f", line {bad.line}" if bad.line is not None else ""
    text = bad.text if len(bad.text) <= _SHOWN_MAX else f"{bad.text[:_SHOWN_MAX]}..."
    hint = 'bad="record" keeps it as an invalid record and goes on'
    return SourceError(with_hint(f"{place}: {bad.detail}: {text!r}", hint))


_SHOWN_MAX = 200


def _shown(text: bytes) -> str:
    return text.decode("utf-8", "replace").rstrip("\r\n")
