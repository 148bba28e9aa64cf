"""Python rows and JSON text to Arrow: the one place where Python values become columns.

Type words are those of a stream's `schema=`: `i64`, `f64`, `str`, `bool`, `date`,
`timestamp[us, UTC]`, `duration[us]`, `decimal(12, 2)`, `list[i64]` and so on.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.arrow import type_word
from muntin.errors import ColumnError, DataError, unknown, with_hint

_PLAIN: dict[str, Any] = {
    "null": pa.null(),
    "bool": pa.bool_(),
    "i8": pa.int8(),
    "i16": pa.int16(),
    "i32": pa.int32(),
    "i64": pa.int64(),
    "u8": pa.uint8(),
    "u16": pa.uint16(),
    "u32": pa.uint32(),
    "u64": pa.uint64(),
    "f32": pa.float32(),
    "f64": pa.float64(),
    "str": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
}
_ISO_TIME = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(?P<zone>Z|[+-]\d\d:?\d\d)?"
)


def arrow_type(word: str) -> Any:
    """The `pyarrow.DataType` of a type word.

    Raises:
        SchemaError: the word is not a type word.

    >>> arrow_type("decimal(12, 2)")
    Decimal128Type(decimal128(12, 2))
    """
    word = type_word(word, "schema")
    if word in _PLAIN:
        return _PLAIN[word]
    if word.startswith("list["):
        return pa.list_(arrow_type(word[5:-1]))
    arguments = [part.strip() for part in re.split(r"[\[(,\])]", word)[1:-1]]
    if word.startswith("decimal"):
        return pa.decimal128(int(arguments[0]), int(arguments[1]))
    if word.startswith("duration"):
        return pa.duration(arguments[0])
    return pa.timestamp(*arguments)


def arrow_schema(words: Iterable[tuple[str, str]]) -> Any:
    """The `pyarrow.Schema` of (column, type word) pairs."""
    return pa.schema([(name, arrow_type(word)) for name, word in words])


def batch_of_rows(rows: Sequence[Mapping[str, Any]], schema: Any | None = None) -> Any:
    """One record batch of dicts, one row each; a missing key is a null.

    Args:
        rows: the rows; without a schema, columns stand in the order of first appearance.
        schema: a `pyarrow.Schema` to hold the rows to. Timestamps may be given as `datetime`
            or as ISO 8601 text, never as a bare integer.

    Raises:
        ColumnError: a row has a key that the schema does not name.
        DataError: a value does not fit its column.

    >>> batch_of_rows([{"a": 1}, {"b": "x"}]).to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': 'x'}]
    """
    for row in rows:
        if not isinstance(row, Mapping):
            raise DataError(f"a row must be a dict, got {type(row).__name__} {row!r}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if schema is None:
        columns = [column_of([row.get(name) for row in rows], name) for name in names]
        return pa.RecordBatch.from_arrays(columns, names=names)
    known = schema.names
    for name in names:
        if name not in known:
            raise ColumnError(unknown("column", str(name), known, "row"))
    columns = [column_of([r.get(f.name) for r in rows], f.name, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def column_of(values: list[Any], name: str, kind: Any | None = None) -> Any:
    """One Arrow array of Python values, of type `kind` or of the type they show.

    Raises:
        DataError: a value does not fit.
    """
    try:
        if kind is None:
            return pa.array(values)
        if pa.types.is_timestamp(kind):
            return _timestamps(values, name, kind)
        if pa.types.is_date(kind):
            values = [dt.date.fromisoformat(v) if isinstance(v, str) else v for v in values]
        return pa.array(values, type=kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        wanted = "one type" if kind is None else str(kind)
        raise DataError(f'column "{name}" does not fit {wanted}: {error}') from error


def _timestamps(values: list[Any], name: str, kind: Any) -> Any:
    texts = any(isinstance(v, str) for v in values)
    for value in values:
        if isinstance(value, (bool, int, float)):
            raise DataError(
                with_hint(
                    f'column "{name}" is a {kind}, got the number {value!r}',
                    "give a datetime or ISO 8601 text, or declare i64 and time=mt.epoch(...)",
                )
            )
    if not texts:
        return pa.array(values, type=kind)
    if all(v is None or isinstance(v, str) for v in values):
        return _parse_texts(pa.array(values, type=pa.string()), kind)
    return pa.array([_moment(v) if isinstance(v, str) else v for v in values], type=kind)


def _parse_texts(texts: Any, kind: Any) -> Any:
    zoned = pc.any(pc.match_substring_regex(texts, r"(Z|[+-]\d\d:?\d\d)$")).as_py()
    if zoned or kind.tz is not None:
        # text without a zone is taken as UTC, as datetime values are
        moments = [None if text is None else _moment(text) for text in texts.to_pylist()]
        return pa.array(moments, type=kind)
    return texts.cast(kind)


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)


def inferred_schema(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The schema that JSON rows show: as Arrow infers it, with ISO 8601 text as timestamps.

    A column of text becomes `timestamp[us]` when each value is a date with a time, and
    `timestamp[us, UTC]` when they have a zone; a column of nulls becomes `str`.

    >>> inferred_schema([{"at": "2024-05-01T10:00:00Z", "n": 1}]).types
    [TimestampType(timestamp[us, tz=UTC]), DataType(int64)]
    """
    fields = []
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        kind = column_of(values, name).type
        if pa.types.is_null(kind):
            kind = pa.string()
        elif pa.types.is_string(kind):
            kind = _time_of_texts(values) or kind
        fields.append((name, kind))
    return pa.schema(fields)


def _time_of_texts(values: list[Any]) -> Any | None:
    found = [_ISO_TIME.fullmatch(v) for v in values if v is not None]
    if not all(found):
        return None
    zoned = {match["zone"] is not None for match in found if match is not None}
    if zoned == {True}:
        return pa.timestamp("us", "UTC")
    return pa.timestamp("us") if zoned == {False} else None
