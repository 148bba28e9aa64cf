"""The event times of rows that an operator has not processed yet, for sorting and merging."""

from __future__ import annotations

from typing import Any

from muntin.base.errors import DataError, with_hint
from muntin.engine.operator import Operator, evaluated
from muntin.values.order import micros, time_column


def event_times(op: Operator, input: str, table: Any) -> Any:
    """The event time of each row of a `pyarrow.Table`, `int64` microseconds; null if it has none.

    Raises:
        ColumnError, SchemaError: the time column is missing or is not a time.
        DataError: the time is computed and overflows.
    """
    time = op.input_plan(input)["time"]
    if set(time) == {"col"}:
        return micros(time_column(table, time["col"]))
    rows = evaluated(time, table)
    if len(rows) != len(table):
        hint = 'fix these rows, or keep the order of the data: order="given"'
        raise DataError(with_hint(f"{len(table) - len(rows)} times overflow", hint))
    return micros(time_column(rows, "time"))
