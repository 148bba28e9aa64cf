"""The event times of rows that an operator has not processed yet, for sorting and merging."""

from __future__ import annotations

import json
from typing import Any

from muntin.base.errors import DataError, with_hint
from muntin.engine.operator import Operator
from muntin.engine.snapshots import engine
from muntin.values.order import micros, time_column
from muntin.values.table import table_of


def event_times(op: Operator, input: str, table: Any) -> Any:
    """The event time of each row of a `pyarrow.Table`, `int64` microseconds; null if it has none.

    Raises:
        ColumnError, SchemaError: the time column is missing or is not a time.
        DataError: the time is computed and overflows.
    """
    time = op.input_plan(input)["time"]
    if set(time) == {"col"}:
        return micros(time_column(table, time["col"]))
    rows = _evaluated(time, table)
    if len(rows) != len(table):
        hint = 'fix these rows, or keep the order of the data: order="given"'
        raise DataError(with_hint(f"{len(table) - len(rows)} times overflow", hint))
    return micros(time_column(rows, "time"))


def _evaluated(expr: dict[str, Any], table: Any) -> Any:
    """Evaluate an expression of a plan over a table; returns a table with one column, `time`."""
    plan = {
        "version": 1,
        "inputs": [
            {
                "name": "rows",
                "time": {"lit": 0, "type": "timestamp[us]"},
                "out_of_order": 0,
                "idle_after": None,
                "max_future_skew": None,
                "schema": None,
            }
        ],
        "nodes": [
            {"op": "input", "input": 0},
            {"op": "select", "from": 0, "columns": [["time", expr]]},
        ],
        "outputs": [{"name": "rows", "node": 1, "rules": []}],
    }
    pure = engine(json.dumps(plan), [[0]], 1, [], None, "refuse")
    return table_of(pure.step([(0, table, 0, None, None)], "given").outputs[0])
