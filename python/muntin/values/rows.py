"""Converts Python rows to Arrow: finds their columns and types.

Type words are those of a stream's `schema=`: `i64`, `f64`, `str`, `bool`, `date`,
`timestamp[us, UTC]`, `duration[us]`, `decimal(12, 2)`, `list[i64]` and so on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from muntin.base.errors import (
    ColumnError,
    DataError,
    MuntinError,
    SchemaError,
    SourceError,
    unknown,
    with_hint,
)
from muntin.values.fitting import (
    NATURAL_TYPES,
    Misfit,
    Number,
    column,
    fitted,
    natural,
    schema_of,
    shown,
    words_of,
)
from muntin.values.literals import quote
from muntin.values.protocols import type_word
from muntin.values.table import table_of

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
    r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d([.,]\d+)?)?(?P<zone>[Zz]|[+-]\d\d(:?\d\d)?)?"
)


def arrow_type(word: str) -> Any:
    """The `pyarrow.DataType` of a type word.

    Raises:
        SchemaError: the word is not a type word.

    >>> arrow_type("decimal(12, 2)")
    Decimal128Type(decimal128(12, 2))
    """
    if word.startswith(("time", "struct[", "arrow[")) and not word.startswith("timestamp"):
        return schema_of([("value", word)]).types[0]
    if word.startswith("list[") and word.endswith("]"):
        return pa.list_(arrow_type(word[5:-1]))
    word = type_word(word, "schema")
    if word in _PLAIN:
        return _PLAIN[word]
    arguments = [part.strip() for part in re.split(r"[\[(,\])]", word)[1:-1]]
    if word.startswith("decimal"):
        return pa.decimal128(int(arguments[0]), int(arguments[1]))
    if word.startswith("duration"):
        return pa.duration(arguments[0])
    return pa.timestamp(*arguments)


def arrow_schema(words: Iterable[tuple[str, str]]) -> Any:
    """The `pyarrow.Schema` of (column, type word) pairs."""
    return pa.schema([(name, arrow_type(word)) for name, word in words])


def exported(rows: Any, place: str) -> Any:
    """An Arrow object as it is; a pandas frame and a reader of pyarrow as a `pyarrow.Table`.

    Raises:
        DataError: a column of the frame has values of several types, or the code that makes the
            batches of a reader failed.
    """
    if isinstance(rows, pa.RecordBatchReader):
        return as_table(rows, place)
    if type(rows).__module__.partition(".")[0] != "pandas":
        return rows
    try:
        return pa.RecordBatchReader.from_stream(rows).read_all()
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        said = "; ".join(str(part) for part in error.args)
        hint = "give each column one type, as in frame.astype({...})"
        raise DataError(
            with_hint(f"{place}: the pandas frame is not Arrow data: {said}", hint)
        ) from error


def as_table(rows: Any, place: str) -> Any:
    """Arrow rows of any library as a `pyarrow.Table`; `place` names them in errors.

    Raises:
        SchemaError: a column has a type that is its library's own.
        DataError: their export failed.
    """
    try:
        return table_of(rows)
    except MuntinError:
        raise
    except Exception as error:
        raise not_arrow(rows, place, error, DataError) from error


def not_arrow(
    rows: Any, place: str, error: Exception, kind: type[DataError | SourceError]
) -> MuntinError:
    """The error for rows whose export as Arrow data failed."""
    name = type(rows).__name__
    own = getattr(rows, "schema", None)
    if isinstance(error, pa.ArrowException) and hasattr(own, "__arrow_c_schema__"):
        try:
            words_of(own)
        except SchemaError as refused:
            return SchemaError(f"{place}: {refused}")
    said = f"{place}: a {name} could not give its Arrow data: {type(error).__name__}: {error}"
    return kind(said)


def with_times(table: Any, name: str, schema: Any) -> Any:
    """A `pyarrow.Table` with its time column read as its declared type, if it is text.

    Raises:
        SchemaError: a text is not a time.
    """
    known = name in schema.names and name in table.column_names
    if not known or not is_text(table.schema.field(name).type):
        return table
    kind = pa.schema([schema.field(name)])
    column = table[name].combine_chunks()
    rows = pa.RecordBatch.from_arrays([column], names=[name])
    done, misfits = fitted(rows, kind)
    if misfits:
        first = misfits[0]
        raise SchemaError(with_hint(f"row {first.row}: {first}", first.hint))
    return table.set_column(table.column_names.index(name), name, done.column(0))


def is_text(kind: Any) -> bool:
    """True for types of text."""
    found = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(found or pa.types.is_string_view(kind))


def what_to_give(rows: Any) -> str:
    """The hint for what is not a batch of rows."""
    if type(rows).__name__ == "LazyFrame":
        return "collect() it first"
    if isinstance(rows, Mapping):
        return _OF_A_DICT
    return "give an Arrow, Polars or pandas object, or a list of dicts"


_OF_A_DICT = (
    "one row is [row]; columns become a table by pyarrow.table(...) or polars.DataFrame(...)"
)


def batch_of_rows(rows: Sequence[Mapping[str, Any]], schema: Any | None = None) -> Any:
    """One record batch of dicts, one row each; a missing key is a null.

    Args:
        rows: the rows; without a schema, columns come in the order of first appearance.
        schema: a `pyarrow.Schema` to hold the rows to. Timestamps may be given as `datetime`
            or as ISO 8601 text, never as a bare integer.

    Raises:
        ColumnError: a row, or a dict in it, has a key that the schema does not name.
        DataError: a value does not fit its column; it names the row, the column and the value.

    >>> batch_of_rows([{"a": 1}, {"b": "x"}]).to_pylist()
    [{'a': 1, 'b': None}, {'a': None, 'b': 'x'}]
    """
    names = names_of(rows)
    if schema is None:
        schema = natural_schema(rows, names)
    for name in names:
        if name not in schema.names:
            raise ColumnError(unknown("column", name, schema.names, "row"))
    for field in schema:
        if pa.types.is_nested(field.type):
            there = [row.get(field.name) for row in rows]
            _no_other_fields(there, field.type, f'row: column "{field.name}"')
    batch, misfits = fitting_rows(rows, schema)
    if misfits:
        raise refusal(misfits)
    return batch


def _no_other_fields(values: Iterable[Any], kind: Any, place: str) -> None:
    if pa.types.is_list(kind):
        lists = (value for value in values if isinstance(value, list | tuple))
        _no_other_fields((item for items in lists for item in items), kind.value_type, place)
    elif pa.types.is_struct(kind):
        known = [field.name for field in kind]
        dicts = [value for value in values if isinstance(value, Mapping)]
        for name in dict.fromkeys(name for value in dicts for name in value):
            if name not in known:
                raise ColumnError(unknown("field", str(name), known, place))
        for field in kind:
            inner = (value.get(field.name) for value in dicts)
            _no_other_fields(inner, field.type, f"{place}, field {quote(field.name)}")


def fitting_rows(rows: Sequence[Mapping[str, Any]], schema: Any) -> tuple[Any, list[Misfit]]:
    """One record batch of dicts, with a null for each value that does not fit, and those values.

    Keys that the schema does not name are left out. Misfits come in the order of the rows.
    """
    columns, misfits = [], []
    for field in schema:
        name = field.name
        array, wrong = column([row.get(name) for row in rows], name, field.type)
        columns.append(array)
        misfits += wrong
    misfits.sort(key=lambda misfit: misfit.row)
    if not columns:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([]))), []
    return pa.RecordBatch.from_arrays(columns, schema=schema), misfits


def refusal(misfits: Sequence[Misfit]) -> DataError:
    """The error that names the first of the values that do not fit."""
    first = misfits[0]
    others = len({misfit.row for misfit in misfits}) - 1
    more = f" ({others} more rows do not fit)" if others else ""
    return DataError(with_hint(f"row {first.row}: {first}{more}", first.hint))


def names_of(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys of the rows, in the order of first appearance.

    Raises:
        DataError: a row is not a dict, or a key is not a text that UTF-8 can hold.
    """
    for at, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(f"row {at}: a row must be a dict, got {shown(row)}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    for name in names:
        if not isinstance(name, str) or not _is_unicode(name):
            raise DataError(f"a column's name must be a text, got {shown(name)}")
    return names


def natural_schema(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> Any:
    """The schema that rows show: integers are i64, with a float among them f64, and so on.

    Raises:
        DataError: a column has values of two types that cannot be combined; it names two rows.

    >>> natural_schema([{"n": 1}, {"n": 1.5, "s": "x"}], ["n", "s"]).types
    [DataType(double), DataType(string)]
    """
    return pa.schema([(name, _kind_of([row.get(name) for row in rows], name)) for name in names])


_MIXED = (
    (frozenset(["int", "float"]), pa.float64()),
    (frozenset(["int", "number"]), None),
    (frozenset(["int", "float", "number"]), pa.float64()),
    (frozenset(["float", "number"]), pa.float64()),
    (frozenset(["date", "datetime"]), pa.timestamp("us")),
)


def _kind_of(values: Sequence[Any], name: str) -> Any:
    """The type of the values of one column."""
    seen: dict[str, int] = {}
    for row, value in enumerate(values):
        seen.setdefault(_group(value), row)
    seen.pop("null", None)
    groups = frozenset(seen)
    if len(groups) == 1:
        return _kind_of_group(next(iter(groups)), values, name)
    if not groups:
        return pa.null()
    for mixed, kind in _MIXED:
        if groups == mixed:
            return kind if kind is not None else _kind_of_group("number", values, name)
    (_, first), (_, second) = list(seen.items())[:2]
    said = f'column "{name}" has values of two types: {shown(values[first])} in row {first} '
    said += f"and {shown(values[second])} in row {second}"
    raise DataError(with_hint(said, f'declare its type: schema={{"{name}": "..."}}'))


def _group(value: Any) -> str:
    word, _ = natural(value)
    if word == "object":
        if isinstance(value, Mapping):
            return "struct"
        if isinstance(value, (list, tuple)) or hasattr(value, "tolist"):
            return "list"
    return word


def _kind_of_group(group: str, values: Sequence[Any], name: str) -> Any:
    there = [value for value in values if value is not None]
    match group:
        case "struct":
            names = names_of(there)
            fields = [(n, _kind_of([row.get(n) for row in there], f"{name}.{n}")) for n in names]
            return pa.struct(fields)
        case "list":
            return pa.list_(_kind_of([item for items in there for item in items], name))
        case "datetime":
            zoned = any(value.tzinfo is not None for value in there)
            return pa.timestamp("us", "UTC") if zoned else pa.timestamp("us")
        case "number" if any(isinstance(value, Number) for value in there):
            return pa.float64()
        case "number" if all(isinstance(value, int) for value in there) and min(there) >= 0:
            return pa.uint64()
        case "number" | "arrow" | "object":
            try:
                return pa.array(there).type
            except (pa.ArrowException, ValueError, TypeError, OverflowError):
                said = f'column "{name}" has values of no known type: {shown(there[0])}'
                hint = f'declare its type: schema={{"{name}": "..."}}'
                raise DataError(with_hint(said, hint)) from None
        case _:
            return NATURAL_TYPES[group]


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def inferred_schema(rows: Sequence[Mapping[str, Any]]) -> Any:
    """The schema that JSON rows show: as Arrow infers it, with ISO 8601 text as timestamps.

    A column of text becomes `timestamp[us]` when each value is a date with a time, and
    `timestamp[us, UTC]` when they have a zone; a column of nulls becomes `str`.

    >>> inferred_schema([{"at": "2024-05-01T10:00:00Z", "n": 1}]).types
    [TimestampType(timestamp[us, tz=UTC]), DataType(int64)]
    """
    fields = []
    for name in names_of(rows):
        values = [row.get(name) for row in rows]
        kind = _kind_of(values, name)
        if pa.types.is_null(kind):
            kind = pa.string()
        elif pa.types.is_string(kind):
            kind = _time_of_texts(values) or kind
        fields.append((name, kind))
    return pa.schema(fields)


def _time_of_texts(values: list[Any]) -> Any | None:
    texts = [value for value in values if value is not None]
    found = [_ISO_TIME.fullmatch(text) for text in texts]
    if not all(found):
        return None
    zoned = {match["zone"] is not None for match in found if match is not None}
    if len(zoned) > 1:
        return None
    zone = "UTC" if zoned == {True} else None
    for unit in ("us", "ns"):
        kind = pa.timestamp(unit, zone)
        if not column(texts, "", kind)[1]:
            return kind
    return None
