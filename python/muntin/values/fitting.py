"""Converts values to columns of a declared type: each value exactly, or not at all.

Python rows, JSON objects, CSV cells and Arrow columns of another type are all converted here, so a
value means the same wherever it comes from, alone or among others.
`docs/values.md` says what fits what.
"""

from __future__ import annotations

import datetime as dt
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any, NamedTuple

import pyarrow as pa

from muntin.base import core

_SHOWN_MAX = 60


class Number(str):
    """A number as written in a text, so that no digit is lost."""

    __slots__ = ()


class Misfit(NamedTuple):
    """A value that its column cannot hold.

    Attributes:
        row: its row, from 0.
        column: its column.
        kind: the type of the column.
        value: the value, as a message shows it.
        said: why it does not fit.
        hint: what to do, or an empty text.
    """

    row: int
    column: str
    kind: str
    value: str
    said: str
    hint: str

    def __str__(self) -> str:
        """The part of a message that describes it, without the row."""
        return f'column "{self.column}" does not fit {self.kind}: {self.value} {self.said}'


def fitted(rows: Any, schema: Any, *, cells: bool = False) -> tuple[Any, list[Misfit]]:
    """A `pyarrow.RecordBatch` in the types of a schema, null where a value does not fit.

    Args:
        rows: a `pyarrow.RecordBatch` with the columns of the schema.
        schema: a `pyarrow.Schema`.
        cells: whether text may be read as any type, as in files that contain only text.

    >>> rows = pa.record_batch({"n": [1.0, 1.5]})
    >>> batch, misfits = fitted(rows, pa.schema([("n", pa.int64())]))
    >>> batch.to_pydict(), str(misfits[0])
    ({'n': [1, None]}, 'column "n" does not fit i64: 1.5 has a fraction')
    """
    batches, found = core.fit(rows, schema, cells)
    misfits = [
        Misfit(row, schema.names[at], word_of(schema.types[at]), value, said, hint)
        for row, at, value, said, hint in found
    ]
    table = pa.table(batches)
    return pa.RecordBatch.from_arrays(
        [column.combine_chunks() for column in table.columns], schema=table.schema
    ), misfits


def may_fit(found: Sequence[Any], wanted: Sequence[Any]) -> list[bool]:
    """Whether values of a type may fit another one, for each pair of types.

    >>> may_fit([pa.float64(), pa.string()], [pa.int64(), pa.int64()])
    [True, False]
    """

    def of(kinds: Sequence[Any]) -> Any:
        return pa.schema([(str(at), kind) for at, kind in enumerate(kinds)])

    return list(core.may_fit(of(found), of(wanted)))


def column(values: Sequence[Any], name: str, kind: Any) -> tuple[Any, list[Misfit]]:
    """One Arrow array of Python values of type `kind`, null where one does not fit.

    >>> array, misfits = column([1, 1.5, None], "n", pa.int64())
    >>> array.to_pylist(), [misfit.row for misfit in misfits]
    ([1, None, None], [1])
    """
    seen = set(map(type, values))
    seen.discard(type(None))
    if seen <= _exact_types(kind):
        # Arrow's own conversion is exact for these types, or refuses
        try:
            return pa.array(values, type=kind), []
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            pass
    if pa.types.is_list(kind):
        return _lists(values, name, kind)
    if pa.types.is_struct(kind):
        return _structs(values, name, kind)
    return _plain(values, name, kind)


def words_of(schema: Any) -> list[tuple[str, str]]:
    """The columns of anything with an Arrow schema, with their type words.

    Raises:
        SchemaError: a column has a type that Arrow does not know.
    """
    return list(core.schema_words(schema))


def word_of(kind: Any) -> str:
    """The word of a type, for messages.

    >>> word_of(pa.timestamp("us", "UTC"))
    'timestamp[us, UTC]'
    """
    return core.schema_words(pa.schema([("value", kind)]))[0][1]


def schema_of(words: Sequence[tuple[str, str]]) -> Any:
    """The `pyarrow.Schema` of column names and the engine's type words.

    >>> schema_of([("at", "time"), ("m", "struct[a: i64]")]).types
    [Time64Type(time64[us]), StructType(struct<a: int64>)]
    """
    return pa.schema(core.schema_of_words(words))


def natural(value: Any) -> tuple[str, Any]:
    """What a Python value is, and the plain value of it.

    >>> natural(True), natural(Decimal("1.50"))
    (('bool', True), ('number', '1.50'))
    """
    known = _NATURAL.get(type(value))
    if known is not None:
        word, plain = known
        return word, value if plain is None else plain(value)
    return _unusual(value)


def _exact_types(kind: Any) -> frozenset[type]:
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        # Arrow cuts what is finer than the unit
        return _EXACT[kind.id] if kind.unit in ("us", "ns") else frozenset()
    return _EXACT.get(kind.id, frozenset())


_EXACT: dict[int, frozenset[type]] = {
    pa.bool_().id: frozenset([bool]),
    **{
        kind.id: frozenset([int])
        for kind in (
            *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
            *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        )
    },
    pa.float64().id: frozenset([float]),
    pa.string().id: frozenset([str]),
    pa.binary().id: frozenset([bytes]),
    pa.date32().id: frozenset([dt.date]),
    pa.timestamp("us").id: frozenset([dt.datetime]),
    pa.duration("us").id: frozenset([dt.timedelta]),
    pa.decimal128(1).id: frozenset([Decimal, int]),
}


_NATURAL: dict[type, tuple[str, Any]] = {
    type(None): ("null", None),
    bool: ("bool", None),
    float: ("float", None),
    str: ("str", None),
    Number: ("number", None),
    Decimal: ("number", str),
    bytes: ("bytes", None),
    bytearray: ("bytes", bytes),
    memoryview: ("bytes", bytes),
    dt.datetime: ("datetime", None),
    dt.date: ("date", None),
    dt.timedelta: ("timedelta", None),
}
NATURAL_TYPES: dict[str, Any] = {
    "bool": pa.bool_(),
    "int": pa.int64(),
    "float": pa.float64(),
    "str": pa.string(),
    "number": pa.string(),
    "bytes": pa.binary(),
    "datetime": pa.timestamp("us", "UTC"),
    "date": pa.date32(),
    "timedelta": pa.duration("us"),
    "time": pa.time64("us"),
}


def _unusual(value: Any) -> tuple[str, Any]:
    """The other values: big integers, NumPy, pandas, subclasses of plain types."""
    if isinstance(value, int):
        whole = int(value)
        return ("int", whole) if -(2**63) <= whole < 2**63 else ("number", f"{whole:d}")
    if isinstance(value, dt.time):
        return ("time", value) if value.tzinfo is None else ("object", value)
    if isinstance(value, float):
        return "float", float(value)
    if isinstance(value, str):
        return "str", str.__str__(value)
    if isinstance(value, (Mapping, list, tuple)):
        return "object", value
    # NumPy, pandas and others that Arrow knows; their NaT and NA are nulls, and they may have
    # nanoseconds, which Arrow cuts off unless the type has them
    finest = (pa.timestamp("ns", "UTC"),) if isinstance(value, dt.datetime) else ()
    finest = (pa.duration("ns"),) if isinstance(value, dt.timedelta) else finest
    for kind in (*finest, None):
        try:
            return "arrow", pa.array([value], type=kind, from_pandas=True)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            pass
    if hasattr(value, "item") and not isinstance(plain := value.item(), int):
        return natural(plain)
    return "object", value


def _plain(values: Sequence[Any], name: str, kind: Any) -> tuple[Any, list[Misfit]]:
    """Group values by kind, fit each group as a whole, and restore the order."""
    groups: dict[str, tuple[list[int], list[Any]]] = {}
    for row, value in enumerate(values):
        word, plain = natural(value)
        if word != "null":
            rows, kept = groups.setdefault(word, ([], []))
            rows.append(row)
            kept.append(plain)
    parts: list[Any] = []
    order: list[int | None] = [None] * len(values)
    misfits: list[Misfit] = []
    word = word_of(kind)

    def misfit(row: int, said: str, hint: str) -> None:
        misfits.append(Misfit(row, name, word, shown(values[row]), said, hint))

    for group, (rows, kept) in groups.items():
        if group == "number" and (pa.types.is_string(kind) or pa.types.is_binary(kind)):
            # it is on its way as text, but a number is neither a text nor base64
            for row in rows:
                misfit(row, *_OTHER_TYPE)
            continue
        for natural_rows, array in _arrays(group, rows, kept):
            if array is None:
                odd = _NO_UNICODE if group == "str" else None
                for row in natural_rows:
                    misfit(row, *(odd or _odd(values[row])))
                continue
            batch = pa.RecordBatch.from_arrays([array], names=[name])
            schema = pa.schema([(name, kind)])
            done, bad = fitted(batch, schema, cells=group == "number")
            before = sum(map(len, parts))
            for at, row in enumerate(natural_rows):
                order[row] = before + at
            parts.append(done.column(0))
            for wrong in bad:
                misfit(natural_rows[wrong.row], wrong.said, wrong.hint)
    misfits.sort()
    if not parts:
        return pa.nulls(len(values), kind), misfits
    return pa.concat_arrays(parts).take(pa.array(order, pa.int64())), misfits


def _arrays(group: str, rows: list[int], kept: list[Any]) -> Iterable[tuple[list[int], Any]]:
    """The values of a group as arrays; None for those that no array can hold."""
    if group == "object":
        return [(rows, None)]
    if group == "arrow":
        return [([row], array) for row, array in zip(rows, kept, strict=True)]
    try:
        return [(rows, pa.array(kept, type=NATURAL_TYPES[group]))]
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        if len(rows) == 1:
            return [(rows, None)]
        half = len(rows) // 2
        return chain(
            _arrays(group, rows[:half], kept[:half]), _arrays(group, rows[half:], kept[half:])
        )


_OTHER_TYPE = ("is of another type", "declare the type that the values have: schema={...}")
_NO_UNICODE = ("is not valid Unicode", "it has half of a surrogate pair")


def _odd(value: Any) -> tuple[str, str]:
    return f"is a {type(value).__name__}", "declare the type that the values have: schema={...}"


def _lists(values: Sequence[Any], name: str, kind: Any) -> tuple[Any, list[Misfit]]:
    flat: list[Any] = []
    owners: list[int] = []
    ends, mask = [0], []
    misfits: list[Misfit] = []
    for row, value in enumerate(values):
        items = value.tolist() if hasattr(value, "tolist") else value
        if items is not None and not isinstance(items, (list, tuple)):
            misfits.append(Misfit(row, name, word_of(kind), shown(value), *_odd(value)))
            items = None
        flat.extend(items or ())
        owners.extend([row] * len(items or ()))
        ends.append(len(flat))
        mask.append(items is None)
    inner, wrong = column(flat, name, kind.value_type)
    misfits += [each._replace(row=owners[each.row]) for each in wrong]
    misfits = _first_of_each(misfits)
    for each in misfits:
        mask[each.row] = True
    array = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), inner, type=kind, mask=pa.array(mask, pa.bool_())
    )
    return array, misfits


def _structs(values: Sequence[Any], name: str, kind: Any) -> tuple[Any, list[Misfit]]:
    fields = list(kind)
    misfits: list[Misfit] = []
    rows: list[Mapping[str, Any] | None] = []
    for row, value in enumerate(values):
        ok = value is None or isinstance(value, Mapping)
        if not ok:
            misfits.append(Misfit(row, name, word_of(kind), shown(value), *_odd(value)))
        rows.append(value if ok else None)
    columns = []
    for field in fields:
        inner = [None if row is None else row.get(field.name) for row in rows]
        array, wrong = column(inner, f"{name}.{field.name}", field.type)
        columns.append(array)
        misfits += wrong
    misfits = _first_of_each(misfits)
    bad = {each.row for each in misfits}
    mask = [row is None or at in bad for at, row in enumerate(rows)]
    array = pa.StructArray.from_arrays(columns, fields=fields, mask=pa.array(mask, pa.bool_()))
    return array, misfits


def _first_of_each(misfits: list[Misfit]) -> list[Misfit]:
    """The first misfit of each row, in order."""
    first: dict[int, Misfit] = {}
    for misfit in sorted(misfits, key=lambda each: each.row):
        first.setdefault(misfit.row, misfit)
    return list(first.values())


def shown(value: Any) -> str:
    """A value as a message shows it, cut short.

    >>> shown("x"), shown(Number("1.50"))
    ("'x'", '1.50')
    """
    if isinstance(value, Number):
        text = str.__str__(value)
    else:
        try:
            text = repr(value)
        except Exception:
            text = reprlib.repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."
