"""Converts Arrow tables to Polars and pandas frames, whatever types the columns have.

A column that the other library cannot hold becomes text in Polars, and Python values in pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import MissingExtra, with_hint
from muntin.values import show

_MILLISECONDS_MAX = (2**63 - 1) // 1000


def to_polars(table: Any) -> Any:
    """A `pyarrow.Table` as a `polars.DataFrame`.

    Raises:
        MissingExtra: Polars is not installed.
    """
    try:
        import polars
    except ImportError as error:
        raise MissingExtra(_missing("polars")) from error
    columns = [_for_polars(column) for column in table.columns]
    ready = pa.Table.from_arrays(columns, names=table.column_names)
    try:
        return polars.DataFrame(ready.to_reader())
    except (ValueError, TypeError, polars.exceptions.PolarsError):
        return polars.DataFrame(
            pa.Table.from_arrays(
                [_polars_or_text(polars, column) for column in ready.columns],
                names=ready.column_names,
            ).to_reader()
        )


def to_pandas(table: Any) -> Any:
    """A `pyarrow.Table` as a `pandas.DataFrame`.

    Raises:
        MissingExtra: pandas is not installed.
    """
    try:
        return table.to_pandas()
    except ImportError as error:
        raise MissingExtra(_missing("pandas")) from error
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError, NotImplementedError):
        pandas = import_module("pandas")
        columns = [_for_pandas(pandas, column) for column in table.columns]
        return pandas.concat(columns, axis=1).set_axis(table.column_names, axis=1)


def _for_polars(column: Any) -> Any:
    kind, types = column.type, pa.types
    if not _polars_has(kind):
        return show.to_text(column)
    if types.is_time(kind):
        # Polars turns values that are not a time of day into nulls
        day = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[kind.unit] * 86_400
        number = pa.int32() if types.is_time32(kind) else pa.int64()
        ends = pc.min_max(column.cast(number).cast(pa.int64())).as_py()
        if any(end is not None and not 0 <= end < day for end in ends.values()):
            return show.to_text(column)
    if (types.is_timestamp(kind) or types.is_duration(kind)) and kind.unit == "s":
        # Polars counts them in milliseconds, and values out of its range wrap around
        ends = pc.min_max(column.cast(pa.int64())).as_py()
        if any(end is not None and abs(end) > _MILLISECONDS_MAX for end in ends.values()):
            return show.to_text(column)
    return column


def _polars_has(kind: Any) -> bool:
    """False for types that make Polars panic, also inside a list or a struct."""
    types = pa.types
    if types.is_decimal256(kind) or types.is_interval(kind) or types.is_union(kind):
        return False
    if types.is_nested(kind):
        return all(_polars_has(kind.field(i).type) for i in range(kind.num_fields))
    return not types.is_dictionary(kind) or _polars_has(kind.value_type)


def _polars_or_text(polars: Any, column: Any) -> Any:
    try:
        polars.DataFrame(pa.table({"column": column}).to_reader())
    except (ValueError, TypeError, polars.exceptions.PolarsError):
        return show.to_text(column)
    return column


def _for_pandas(pandas: Any, column: Any) -> Any:
    try:
        return column.to_pandas()
    except (pa.ArrowException, ArithmeticError, LookupError, ValueError, NotImplementedError):
        return pandas.Series(show.to_python(column), dtype=object)


def _missing(library: str) -> str:
    return with_hint(f"{library} is not installed", f"pip install {library}")
