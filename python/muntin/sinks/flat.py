"""Rows in pieces, and columns as places without Arrow's types can hold them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from muntin import limits
from muntin.errors import SinkError, with_hint
from muntin.result import Table


def pieces(rows: Table) -> Iterator[Table]:
    """The rows in short tables, so that their Python values never stand in memory all at once."""
    for batch in rows.to_arrow().to_batches(max_chunksize=limits.PIECE_ROWS):
        yield Table([pa.Table.from_batches([batch])])


def is_nested(kind: Any) -> bool:
    """True for lists, structs, maps and the like.

    >>> is_nested(pa.list_(pa.int64())), is_nested(pa.string())
    (True, False)
    """
    return bool(pa.types.is_nested(kind))


def flat(rows: Table, place: str) -> Any:
    """The rows as a `pyarrow.Table` with plain columns; nested ones stay as they are.

    Zoned times are in UTC, durations whole microseconds; dictionaries, run-ends and views are
    plain values.

    Raises:
        SinkError: a column has a type that has no plain form; it names both and `place`.

    >>> kind = pa.dictionary(pa.int8(), pa.string())
    >>> flat(Table([pa.table({"k": pa.array(["a"], kind)})]), "rows.csv").schema.types
    [DataType(string)]
    """
    table = rows.to_arrow()
    columns = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(_plain(column))
        except pa.ArrowException as error:
            message = f'"{place}": column "{name}" of type {column.type} cannot be written'
            raise SinkError(with_hint(message, "cast it, or leave it out by select")) from error
    return pa.Table.from_arrays(columns, names=table.column_names)


def _plain(column: Any) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        value = kind.value_type
        return _plain(column.cast(value))
    if pa.types.is_string_view(kind):
        return column.cast(pa.string())
    if pa.types.is_binary_view(kind):
        return column.cast(pa.binary())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    if pa.types.is_duration(kind):
        return column.cast(pa.duration("us"), safe=False).cast(pa.int64())
    if pa.types.is_float16(kind):
        return column.cast(pa.float64())
    return column
