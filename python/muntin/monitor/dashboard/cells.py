"""Converts values to JSON that a browser reads exactly: numbers it would round become text."""

from __future__ import annotations

from typing import Any

from muntin.values.show import json_text, to_json

Cell = str | int | float | bool | None

_SAFE = 2**53


def cell(value: Any) -> Cell:
    """One value of `muntin.values.show.to_json`.

    >>> cell(2**60), cell("NaN"), cell(1.5), cell(None), cell([1, 2])
    ('1152921504606846976', 'NaN', 1.5, None, '[1,2]')
    """
    match value:
        case None | bool() | str() | float():
            return value
        case int():
            return value if -_SAFE < value < _SAFE else str(value)
        case _:
            return json_text(value)


def columns(table: Any) -> dict[str, list[Cell]]:
    """A small `pyarrow.Table` by columns.

    >>> import pyarrow as pa
    >>> columns(pa.table({"at": pa.array([2**40], pa.timestamp("s"))}))
    {'at': ['+36812-02-20T00:36:16']}
    """
    return {
        name: [cell(value) for value in to_json(column)]
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
