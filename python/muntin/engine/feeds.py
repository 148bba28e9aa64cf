"""Checks and converts what a caller passes to an operator."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from muntin.base import arguments
from muntin.base.errors import DataError, with_hint
from muntin.pipeline.plan import Output, Pipeline
from muntin.values.protocols import ArrowArrayExportable, ArrowStreamExportable

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)

Rows: TypeAlias = ArrowStreamExportable | ArrowArrayExportable | Sequence[Mapping[str, Any]]
"""Rows from a caller: an Arrow object of any library, or a list of dicts."""

Pipelines: TypeAlias = Pipeline | Mapping[str, Pipeline] | Output | Sequence[Output]
"""A pipeline, several by the names of their outputs, or `mt.output` values."""

Watermark: TypeAlias = dt.datetime | int
"""A `datetime` (without a zone: UTC), or microseconds since 1970 in UTC."""

Arrival: TypeAlias = Watermark | Literal["now"] | None
"""When one row arrived: a point in time, "now", or unknown."""

Order: TypeAlias = Literal["given", "arrival", "time"]

OnChange: TypeAlias = Literal["refuse", "warm", "keep"]
"""What to do when the pipeline differs from the snapshot's: see `operator`."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows of one input, with their partitions, positions and arrivals.

    Attributes:
        input: the input's name; None where the pipeline has one input.
        batch: the rows.
        partition: the partition of all rows, or an Arrow integer array with one per row.
        position: the position of the first row, from which the rest are counted, or an Arrow
            `int64` array; None lets the engine count the partition's rows.
        arrival: when the rows arrived, for `max_future_skew` and `mt.arrival()`: a `datetime`
            or microseconds for all rows, or an Arrow timestamp or `int64` array; None if unknown.

    >>> Feed(None, [{"at": "2024-05-01T10:00:00Z"}], partition=1, position=40).position
    40
    """

    input: str | None
    batch: Rows
    partition: int | ArrowArrayExportable = 0
    position: int | ArrowArrayExportable | None = None
    arrival: Watermark | ArrowArrayExportable | None = None


def microseconds(moment: Watermark) -> int:
    """A point in time as microseconds since 1970 in UTC.

    Raises:
        DataError: it is not one, or does not fit into 64 bits.
    """
    if isinstance(moment, dt.datetime):
        zoned = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
        return (zoned - _EPOCH) // _MICROSECOND
    hint = "give a datetime, or microseconds since 1970 in UTC"
    if isinstance(moment, bool) or not isinstance(moment, int):
        message = f"{arguments.shown(moment)} is not a point in time"
        raise DataError(with_hint(message, hint))
    return arguments.whole(
        moment, "a point in time", -(2**63), 2**63 - 1, error=DataError, hint=hint
    )


def checked(feeds: Any) -> Sequence[Feed]:
    """The feeds that `step` takes.

    Raises:
        DataError: it is not a list of feeds.
    """
    hint = "write step([mt.Feed(input, batch)]); push takes a single batch"
    if not isinstance(feeds, Sequence) or not all(isinstance(each, Feed) for each in feeds):
        raise DataError(with_hint(f"step: {arguments.shown(feeds)} is not a list of feeds", hint))
    return feeds


class Leap(NamedTuple):
    """A row that moves its partition's newest time far ahead, perhaps because of a wrong clock.

    Times are microseconds since 1970 in UTC; `row` counts the rows of the input in one step.
    """

    input: str
    row: int
    before: int
    time: int


def arrived(arrival: Arrival) -> int | None:
    """When a row arrived, in microseconds since 1970 in UTC.

    Raises:
        DataError: it is not a point in time.
    """
    if arrival is None or arrival == "now":
        return None if arrival is None else time.time_ns() // 1000
    if isinstance(arrival, str):
        hint = 'give a datetime, microseconds since 1970 in UTC, "now" or None'
        raise DataError(with_hint(f'arrival="{arrival}"', hint))
    return microseconds(arrival)
