"""Converts columns of text to their types, and finds the texts that do not fit."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from muntin.values.fitting import Misfit, fitted


def converted(texts: Any, name: str, kind: Any) -> tuple[Any, list[Misfit]]:
    """A string array as type `kind`, null where a text does not fit, and those texts.

    Timestamps are ISO 8601 text; without a zone it is UTC. Durations are ISO 8601 or whole numbers
    of microseconds, binary is base64.

    >>> values, misfits = converted(pa.array(["1", "x", None]), "n", pa.int64())
    >>> values.to_pylist(), str(misfits[0])
    ([1, None, None], 'column "n" does not fit i64: "x" is of another type')
    """
    rows = pa.RecordBatch.from_arrays([texts], names=[name])
    batch, misfits = fitted(rows, pa.schema([(name, kind)]), cells=True)
    return batch.column(0), misfits


def inferred(texts: Any, kind: Any) -> Any:
    """The type of a column for which Arrow inferred `kind`: times in microseconds, else text.

    >>> inferred(pa.array(["2024-05-01T10:00:00Z"]), pa.timestamp("s", "UTC"))
    TimestampType(timestamp[us, tz=UTC])
    """
    if pa.types.is_timestamp(kind):
        for unit in ("us", "ns"):
            usual = pa.timestamp(unit, kind.tz)
            if not converted(texts, "", usual)[1]:
                return usual
        return pa.string()
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    known = numbers or pa.types.is_boolean(kind) or pa.types.is_date(kind)
    return kind if known else pa.string()
