"""Late and invalid records in one fixed schema, for sinks whose columns cannot change."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from muntin.values import show
from muntin.values.table import Table

RECORD_OUTPUTS = frozenset({"late", "invalid"})
"""The outputs whose rows come from several inputs, and so with several sets of columns."""

SAID = {
    "reason": pa.string(),
    "operator": pa.string(),
    "input": pa.string(),
    "partition": pa.int64(),
    "position": pa.int64(),
    "window_start": pa.timestamp("us", "UTC"),
    "window_end": pa.timestamp("us", "UTC"),
    "windows": pa.int64(),
    "late_by": pa.duration("us"),
}
_UNREAD = {"file": pa.string(), "line": pa.int64(), "text": pa.string(), "detail": pa.string()}

RECORD_SCHEMA = pa.schema([*SAID.items(), *_UNREAD.items(), ("row", pa.string())])
"""The columns about a record, the columns of a record that was not decoded, and the row as JSON."""


def as_records(rows: Table) -> Table:
    """The records of an input, with the input's columns as one column of JSON text.

    >>> rows = pa.table({"reason": ["late"], "operator": ["tumbling#1"], "input": ["a"],
    ...     "partition": [0], "position": [3], "window_start": pa.nulls(1),
    ...     "window_end": pa.nulls(1), "windows": [1], "late_by": pa.nulls(1), "tags": [["x"]]})
    >>> as_records(Table([rows])).to_dicts()[0]["row"]
    '{"tags":["x"]}'
    """
    table = rows.to_arrow()
    names = table.column_names
    unread = names[len(SAID) :] == list(_UNREAD)
    own = [] if unread else names[len(SAID) :]
    columns: list[Any] = []
    for field in RECORD_SCHEMA:
        if field.name in SAID or (unread and field.name in _UNREAD):
            columns.append(table.column(names.index(field.name)).cast(field.type))
        elif field.name == "row" and own:
            columns.append(_as_json(table.select(own)))
        else:
            columns.append(pa.nulls(table.num_rows, field.type))
    return Table([pa.Table.from_arrays(columns, schema=RECORD_SCHEMA)])


def _as_json(table: Any) -> Any:
    rows = show.rows(table, show.to_json)
    return pa.array([show.json_text(row) for row in rows], pa.string())
