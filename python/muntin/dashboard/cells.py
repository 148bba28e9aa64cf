"""Values as JSON that a browser reads without loss: what is no safe number there becomes text."""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

from muntin.result import Table

Cell = str | int | float | bool | None

_SAFE = 2**53


def cell(value: Any) -> Cell:
    """One value.

    >>> cell(2**60), cell(float("nan")), cell(1.5), cell(None)
    ('1152921504606846976', 'NaN', 1.5, None)
    >>> cell(dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC))
    '2024-05-01 10:00:00+00:00'
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -_SAFE < value < _SAFE else str(value)
        case float():
            if math.isfinite(value):
                return value
            return "NaN" if math.isnan(value) else ("∞" if value > 0 else "-∞")
        case bytes():
            return f"{len(value)} bytes"
        case dt.datetime():
            return value.isoformat(" ")
        case list() | dict():
            return json.dumps(value, default=str, ensure_ascii=False)
        case _:
            return str(value)


def columns(table: Any) -> dict[str, list[Cell]]:
    """A small `pyarrow.Table` by columns."""
    rows = Table([table]).to_dicts()
    return {name: [cell(row[name]) for row in rows] for name in table.column_names}
