"""The newest rows of an output, with queries: rows since a point, rows of keys, top keys.

Rows are not converted until a browser needs them: without one they cost a reference.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base import limits
from muntin.values.show import to_text
from muntin.values.table import Table


@dataclass(slots=True)
class _Block:
    start: int
    rows: int
    table: Table

    @property
    def stop(self) -> int:
        return self.start + self.rows


class History:
    """The last rows of one output, numbered from 0 since the start.

    >>> history = History(limit=3)
    >>> history.add(Table([pa.table({"n": [1, 2]})]))
    >>> history.add(Table([pa.table({"n": [3, 4]})]))
    >>> history.came, history.since(3)["n"].to_pylist(), history.since(0)["n"].to_pylist()
    (4, [4], [2, 3, 4])
    """

    def __init__(self, limit: int) -> None:
        """Keep up to `limit` rows."""
        self._limit = limit
        self._blocks: deque[_Block] = deque()
        self._loose = 0
        self.came = 0

    def add(self, table: Table) -> None:
        """Append rows; drop the oldest."""
        rows = len(table)
        if not rows:
            return
        self._blocks.append(_Block(self.came, rows, table))
        self.came += rows
        self._loose += 1
        while self._blocks[0].stop <= self.came - self._limit:
            self._blocks.popleft()
        self._loose = min(self._loose, len(self._blocks))
        if self._loose >= limits.LOOSE_TABLES_MAX:
            self._tie()

    def since(self, number: int) -> Any:
        """The kept rows from a number on, as a `pyarrow.Table`."""
        number = max(number, self.came - self._limit)
        blocks = [block for block in self._blocks if block.stop > number]
        if not blocks:
            return pa.table({})
        tables = [block.table.to_arrow() for block in blocks]
        tables[0] = tables[0].slice(max(number - blocks[0].start, 0))
        return Table(tables).to_arrow()

    def last(self, rows: int) -> Any:
        """The newest rows."""
        return self.since(self.came - rows)

    def _tie(self) -> None:
        """Merge many small blocks into one."""
        first = len(self._blocks) - self._loose
        loose = list(islice(self._blocks, first, None))
        for _ in loose:
            self._blocks.pop()
        tied = Table([block.table.to_arrow() for block in loose]).to_arrow().combine_chunks()
        self._blocks.append(_Block(loose[0].start, tied.num_rows, Table([tied])))
        self._loose = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """How the rows of an output can be drawn.

    Attributes:
        by: the key columns.
        x: the column of time, None if there is none.
        measures: the columns with numbers, the results of the output's window first.
        shared: true if the keys' windows end together.
        columns: all columns.
    """

    by: tuple[str, ...]
    x: str | None
    measures: tuple[str, ...]
    shared: bool
    columns: tuple[str, ...]


def seconds(column: Any) -> Any:
    """A column of times as seconds since 1970, as floats, which can hold any time."""
    per = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[column.type.unit]
    return pc.divide(column.cast(pa.int64()).cast(pa.float64(), safe=False), float(per))


def numbers(column: Any) -> Any:
    """A measure as float64; durations in seconds."""
    if pa.types.is_duration(column.type):
        return seconds(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    return column.cast(pa.float64(), safe=False)


def is_number(kind: Any) -> bool:
    """True for types that `numbers` accepts."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_decimal(kind)
        or types.is_duration(kind)
        or types.is_boolean(kind)
    )


def of_keys(table: Any, by: tuple[str, ...], keys: list[tuple[str | None, ...]]) -> Any:
    """The rows of some keys, by a filter on each key column; other mixtures of them may be among
    the rows."""
    for i, name in enumerate(by):
        wanted = {part for key in keys if (part := key[i]) is not None}
        column = to_text(table[name])
        mask = pc.is_in(column, value_set=pa.array(sorted(wanted), pa.string()))
        if any(key[i] is None for key in keys):
            mask = pc.or_(mask, column.is_null())
        table = table.filter(mask)
    return table


def recent(table: Any, shape: Shape) -> Any:
    """The rows of the last window if windows end together, else of the last minute."""
    if shape.x is None or not table.num_rows:
        return table
    x = seconds(table[shape.x])
    newest = pc.max(x)
    if not newest.is_valid:
        return table
    if shape.shared:
        return table.filter(pc.equal(x, newest))
    return table.filter(pc.greater(x, newest.as_py() - 60))


def by_key(table: Any, by: tuple[str, ...], measure: str) -> Any:
    """Each key's last value and number of rows, greatest first: `value`, `rows` and the keys."""
    plain = table.select([*by]) if by else pa.table({})
    columns = {f"key{i}": plain[name] for i, name in enumerate(by)}
    kept = pa.table({**columns, "value": table[measure]})
    names = list(columns)
    grouped = kept.group_by(names, use_threads=False).aggregate(
        [("value", "last"), ([], "count_all")]
    )
    grouped = grouped.rename_columns(
        [{"value_last": "value", "count_all": "rows"}.get(n, n) for n in grouped.column_names]
    )
    order = pc.sort_indices(numbers(grouped["value"]), sort_keys=[("", "descending")])
    return grouped.take(order)
