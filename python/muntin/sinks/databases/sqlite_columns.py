"""Maps columns to SQLite: allowed names, types, and how values are stored."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from muntin.base.errors import with_hint
from muntin.sinks.files.disk import failed
from muntin.values.show import floats, is_binary, plain_type, to_python, to_text
from muntin.values.table import Table
from muntin.values.times import sortable_text

ROW_NAMES = ("_rowid_", "rowid", "oid")
"""SQLite's names for the row number, unless a column has the same name."""

_COLUMNS_MAX = 1998  # SQLite takes 2,000, and side tables have two of their own


def check_columns(rows: Table, path: str, there: Iterable[str] = ()) -> Any:
    """The columns of rows as a `pyarrow.Schema`, checked with those of the existing table.

    Raises:
        SinkError: SQLite, or this sink, cannot store one of them.
    """
    schema = rows.to_arrow().schema
    known = {name.lower(): name for name in there}
    for field in schema:
        name, lower = field.name, field.name.lower()
        if known.setdefault(lower, name) != name:
            message = f'columns "{known[lower]}" and "{name}" differ by case alone'
            raise failed(path, with_hint(message, "SQLite does not tell them apart: rename one"))
        if lower.startswith("_muntin") or "\0" in name:
            hint = "rename it by select"
            raise failed(path, with_hint(f"{name!r} cannot be a column: it is reserved", hint))
    if not set(ROW_NAMES) - set(known):
        hint = "SQLite needs one of them for the number of a row: rename one by select"
        raise failed(path, with_hint(f"the columns {', '.join(ROW_NAMES)} are all there", hint))
    if len(known) > _COLUMNS_MAX:
        hint = "leave some out by select, or write Parquet"
        problem = (
            f"{len(known):,} columns are more than the {_COLUMNS_MAX:,} that SQLite has room for"
        )
        raise failed(path, with_hint(problem, hint))
    return schema


def quoted(name: str) -> str:
    """A name, quoted for SQL.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def affinity(kind: Any) -> str:
    """The type that SQLite gives a column of a plain Arrow type."""
    types = pa.types
    if types.is_null(kind):
        return ""
    if types.is_boolean(kind) or (types.is_integer(kind) and not types.is_uint64(kind)):
        return "INTEGER"
    if types.is_duration(kind) and kind.unit == "us":
        return "INTEGER"
    if types.is_floating(kind):
        return "REAL"
    return "BLOB" if is_binary(kind) else "TEXT"


def values_of(column: Any, in_key: bool) -> list[Any]:
    """The values of a column, as SQLite stores them."""
    kind = plain_type(column.type)
    word = affinity(kind)
    if word == "REAL":
        # SQLite has no NaN and stores it as null
        return ["NaN" if in_key and v is not None and v != v else v for v in floats(column)]
    if pa.types.is_duration(kind) and word == "INTEGER":
        return list(column.cast(pa.int64()).to_pylist())
    if pa.types.is_boolean(kind):
        return list(column.cast(pa.int8()).to_pylist())
    if pa.types.is_timestamp(kind):
        return [text for chunk in column.chunks for text in sortable_text(chunk).to_pylist()]
    if word == "TEXT":
        return list(to_text(column).to_pylist())
    return to_python(column)
