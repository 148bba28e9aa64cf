"""What a caller may hand to an operator."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from muntin.arrow import ArrowArrayExportable, ArrowStreamExportable
from muntin.plan import Output, Pipeline

Rows: TypeAlias = ArrowStreamExportable | ArrowArrayExportable | Sequence[Mapping[str, Any]]
"""What a caller may hand over: an Arrow object of any library, or a list of dicts."""

Pipelines: TypeAlias = Pipeline | Mapping[str, Pipeline] | Output | Sequence[Output]
"""A pipeline, several by the names of their outputs, or `mt.output` values."""

Watermark: TypeAlias = dt.datetime | int
"""A `datetime` (without a zone: UTC), or microseconds since 1970 in UTC."""

Order: TypeAlias = Literal["given", "arrival", "time"]

OnChange: TypeAlias = Literal["refuse", "warm", "keep"]
"""What to do when the pipeline is another than the snapshot's: see `operator`."""


@dataclass(frozen=True, slots=True)
class Feed:
    """Rows of one input, with what the engine has to know of each.

    Attributes:
        input: the input's name; None where the pipeline has one input.
        batch: the rows.
        partition: the partition of all rows, or an Arrow integer array with one a row.
        position: the position of the first row, the rest count on from it, or an Arrow `int64`
            array; None lets the engine count the partition's rows.
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
