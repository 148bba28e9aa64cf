"""Columns of text to columns of their types, and which texts do not fit."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_ZONED = r"(Z|[+-]\d\d:?\d\d)$"


def converted(texts: Any, kind: Any) -> tuple[Any, set[int]]:
    """A string array as type `kind`, and the rows whose text does not fit, which are null.

    Timestamps are ISO 8601 text; without a zone it is UTC. Durations are whole numbers of their
    unit.

    >>> values, bad = converted(pa.array(["1", "x", None]), pa.int64())
    >>> values.to_pylist(), bad
    ([1, None, None], {1})
    """
    try:
        return _cast(texts, kind), set()
    except pa.ArrowException:
        if len(texts) == 1:
            return pa.nulls(1, kind), {0}
    half = len(texts) // 2
    left, bad_left = converted(texts.slice(0, half), kind)
    right, bad_right = converted(texts.slice(half), kind)
    return pa.concat_arrays([left, right]), bad_left | {half + i for i in bad_right}


def inferred(texts: Any, kind: Any) -> Any:
    """The type to give a column that Arrow took for `kind`: microseconds, and text for the rest.

    >>> inferred(pa.array(["2024-05-01T10:00:00Z"]), pa.timestamp("s", "UTC"))
    TimestampType(timestamp[us, tz=UTC])
    """
    if pa.types.is_timestamp(kind):
        usual = pa.timestamp("us", kind.tz)
        return kind if converted(texts, usual)[1] else usual
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    known = numbers or pa.types.is_boolean(kind) or pa.types.is_date(kind)
    return kind if known else pa.string()


def _cast(texts: Any, kind: Any) -> Any:
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return texts.cast(kind)
    bare = pc.utf8_trim_whitespace(texts)
    if pa.types.is_timestamp(kind):
        return _moments(bare, kind)
    if pa.types.is_duration(kind):
        return bare.cast(pa.int64()).cast(kind)
    return bare.cast(kind)


def _moments(texts: Any, kind: Any) -> Any:
    zoned = pc.match_substring_regex(texts, _ZONED)
    plain, utc = pa.timestamp(kind.unit), pa.timestamp(kind.unit, "UTC")
    none = pa.scalar(None, texts.type)
    with_zone = pc.if_else(zoned, texts, none).cast(utc).view(plain)
    without = pc.if_else(zoned, none, texts).cast(plain)
    return pc.coalesce(with_zone, without).view(kind)
