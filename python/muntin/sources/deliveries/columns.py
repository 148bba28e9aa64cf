"""Reads the columns that give each row's partition and arrival."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import SourceError, with_hint
from muntin.sources.base import column_array
from muntin.sources.decode.decoded import Roles
from muntin.values import show


def faults_of_roles(batch: Any, roles: Roles, place: str) -> dict[int, str]:
    """The errors of rows without a partition or an arrival time, by row.

    Raises:
        SourceError: a column has a type that is not allowed for it.
    """
    faults: dict[int, str] = {}
    for name, what in ((roles.partition, "partition"), (roles.arrival, "time of arrival")):
        if name is None:
            continue
        column: Any = column_array(batch, name)
        check = _check_partition if name == roles.partition else _check_arrival
        check(column.type, name, place)
        for row in pc.indices_nonzero(column.is_null()).to_pylist():
            faults.setdefault(row, f'it has no {what} in "{name}"')
        for row in _beyond(column):
            text = show.to_text(column.slice(row, 1))[0]
            message = f'its {what} in "{name}" does not fit 64 bits: {text}'
            faults.setdefault(row, message)
    return faults


def _beyond(column: Any) -> list[int]:
    """The rows whose value, a time in microseconds, does not fit `int64`."""
    most = 2**63 - 1
    if pa.types.is_uint64(column.type):
        outside = pc.greater(column, pa.scalar(most, pa.uint64()))
    elif pa.types.is_timestamp(column.type) and column.type.unit in ("s", "ms"):
        most //= 1_000_000 if column.type.unit == "s" else 1_000
        number = column.cast(pa.int64())
        outside = pc.or_(pc.less(number, -most), pc.greater(number, most))
    else:
        return []
    found: list[int] = pc.indices_nonzero(outside).to_pylist()
    return found


def partition_array(batch: Any, name: str | None, place: str) -> Any:
    """The partition of each row, `int64`.

    Raises:
        SourceError: a row has none, or the column is not of integers.
    """
    column: Any = column_array(batch, name)
    _check_partition(column.type, name, place)
    if column.null_count:
        message = f'{place}: {column.null_count} rows have no partition in "{name}"'
        raise SourceError(with_hint(message, "each row must have one"))
    return _in_64_bits(column, f'{place}: the partition column "{name}"')


def arrival_array(batch: Any, name: str | None, place: str) -> Any | None:
    """When each row arrived, a timestamp or `int64` microseconds; None for no name.

    Raises:
        SourceError: the column is neither.
    """
    column = column_array(batch, name)
    if column is None:
        return None
    _check_arrival(column.type, name, place)
    if pa.types.is_timestamp(column.type):
        return column
    return _in_64_bits(column, f'{place}: the arrival column "{name}"')


def _check_partition(kind: Any, name: str | None, place: str) -> None:
    if not pa.types.is_integer(kind):
        raise SourceError(f'{place}: the partition column "{name}" is a {kind}, not an integer')


def _check_arrival(kind: Any, name: str | None, place: str) -> None:
    if not (pa.types.is_timestamp(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)):
        hint = "it has the time of arrival: a timestamp, or int64 microseconds"
        raise SourceError(with_hint(f'{place}: the arrival column "{name}" is a {kind}', hint))


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
