"""Sorts and merges finished or bounded inputs by time.

Every function here works on event times in microseconds, as the engine sees them.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import ColumnError, SchemaError, unknown, with_hint
from muntin.values.times import floored

FIRST = -(2**63)
LAST = 2**63 - 1
_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 1}


def time_column(table: Any, name: str) -> Any:
    """A table's time column, in one chunk.

    Raises:
        ColumnError: there is no such column.
        SchemaError: it is neither a timestamp nor a date.
    """
    if name not in table.column_names:
        raise ColumnError(unknown("column", name, table.column_names, "time"))
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if not (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
        raise SchemaError(
            with_hint(f'the time column "{name}" is a {column.type}', not_a_time(name, column.type))
        )
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def not_a_time(name: str, kind: Any) -> str:
    """The hint for a time column of another type."""
    if pa.types.is_integer(kind):
        return f'it must be a timestamp or a date; say time=mt.epoch("ms", "{name}") for integers'
    quoted = name if name.isidentifier() else f'\\"{name}\\"'
    return (
        f'cast it, as in time="{quoted}::timestamptz", '
        f'or declare schema={{"{name}": "timestamp[us, UTC]", ...}}'
    )


def micros(column: Any) -> Any:
    """Timestamps or dates as `int64` microseconds, floored; nulls stay, far times saturate.

    >>> micros(pa.array([-1, 1999], pa.timestamp("ns"))).to_pylist()
    [-1, 1]
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(column.type) else "ms"))
    unit = column.type.unit
    count = column.cast(pa.int64())
    if unit == "ns":
        # by numbers: Arrow's own floor is of the wall clock, and an hour of it may come twice
        return floored(count, 1000)
    factor = _UNITS[unit]
    if factor == 1:
        return count
    within = pc.max_element_wise(pc.min_element_wise(count, LAST // factor), FIRST // factor + 1)
    return pc.multiply(within, factor)


def is_sorted(times: Any) -> bool:
    """True if the times never decrease and nulls, if any, come first."""
    present = times.slice(times.null_count)
    if present.null_count:
        return False
    falling = pc.greater(present.slice(0, max(len(present) - 1, 0)), present.slice(1))
    return not pc.any(falling).as_py()


def sorted_by_time(table: Any, times: Any) -> tuple[Any, Any, Any | None]:
    """The table and its times, sorted by time (stable, null times first).

    The third value is the old position of each row; None if the rows were sorted already.
    """
    if is_sorted(times):
        return table, times, None
    order = pc.sort_indices(pc.fill_null(times, FIRST))
    return _taken(table, order), times.take(order), order.cast(pa.int64())


def _taken(table: Any, order: Any) -> Any:
    """The rows in that order; views become plain layouts first, since Arrow cannot sort them."""
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(_takeable(column).take(order))
        except pa.ArrowException as error:
            said = f'column "{name}" of type {column.type} cannot be sorted by time: {error}'
            hint = 'cast or drop it, or give sorted rows and say order="given"'
            raise SchemaError(with_hint(said, hint)) from error
    return pa.Table.from_arrays(columns, names=table.column_names)


def _takeable(column: Any) -> Any:
    if pa.types.is_run_end_encoded(column.type):
        decoded = [pc.run_end_decode(chunk) for chunk in column.chunks]
        column = pa.chunked_array(decoded, column.type.value_type)
    kind = _takeable_type(column.type)
    return column if kind == column.type else column.cast(kind)


def _takeable_type(kind: Any) -> Any:
    """The type with views replaced by plain layouts, whose rows Arrow can take."""
    if pa.types.is_string_view(kind):
        return pa.large_string()
    if pa.types.is_binary_view(kind):
        return pa.large_binary()
    if isinstance(kind, pa.BaseExtensionType):
        storage = _takeable_type(kind.storage_type)
        return kind if storage == kind.storage_type else storage
    if pa.types.is_map(kind):
        return pa.map_(_takeable_type(kind.key_type), _takeable_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_takeable_type(field.type)) for field in kind])
    for is_kind, make in _LISTS:
        if is_kind(kind) and (inner := _takeable_type(kind.value_type)) != kind.value_type:
            return make(kind.value_field.with_type(inner))
    return kind


_LISTS = (
    (pa.types.is_list, pa.list_),
    (pa.types.is_large_list, pa.large_list),
    (pa.types.is_list_view, pa.list_),
    (pa.types.is_large_list_view, pa.large_list),
)


def common_cuts(times: Sequence[Any], rows: int) -> Iterator[list[tuple[int, int]]]:
    """Cut sorted inputs at common times: for each step, (start, stop) of every input.

    No time appears in two steps, so steps sorted by time are sorted as a whole.

    >>> list(common_cuts([pa.array([1, 2, 3]), pa.array([2, 2, 9])], rows=2))
    [[(0, 2), (0, 2)], [(2, 3), (2, 3)]]
    """
    starts = [0] * len(times)
    while any(start < len(t) for start, t in zip(starts, times, strict=True)):
        ends = [
            _value(t, start + rows - 1)
            for start, t in zip(starts, times, strict=True)
            if start + rows < len(t)
        ]
        cut = min(ends, default=LAST)
        stops = [
            bisect_right(t, cut, start, key=_plain) for start, t in zip(starts, times, strict=True)
        ]
        yield list(zip(starts, stops, strict=True))
        starts = stops


def rising(times: Any, floor: int = FIRST) -> Any:
    """The running maximum of the times, from `floor` on: the place of each row in a merge.

    >>> rising(pa.array([None, 5, 3, 8]), 4).to_pylist()
    [4, 5, 5, 8]
    """
    known = pc.max_element_wise(pc.fill_null(times, FIRST), floor)
    return pc.cumulative_max(known)


def runs(keys: Sequence[Any]) -> Iterator[tuple[int, int, int]]:
    """Merge non-falling keys; (input, start, stop) of each run, ties in the order of inputs.

    >>> list(runs([pa.array([1, 5]), pa.array([2, 2, 7])]))
    [(0, 0, 1), (1, 0, 2), (0, 1, 2), (1, 2, 3)]
    """
    tagged = [[(key, i) for key in column.to_pylist()] for i, column in enumerate(keys)]
    taken = [0] * len(keys)
    current, count = -1, 0
    for _, which in heapq.merge(*tagged):
        if which != current:
            if count:
                yield current, taken[current] - count, taken[current]
            current, count = which, 0
        taken[which] += 1
        count += 1
    if count:
        yield current, taken[current] - count, taken[current]


def rows_before(keys: Any, cut: int) -> int:
    """How many of the non-falling keys are smaller than `cut`."""
    return bisect_left(keys, cut, key=_plain)


def _plain(scalar: Any) -> int:
    value = scalar.as_py()
    return FIRST if value is None else int(value)


def _value(times: Any, index: int) -> int:
    return _plain(times[index])
