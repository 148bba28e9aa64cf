"""The only place that decides how an Arrow value looks in Python, in JSON and as text.

`docs/values.md` has the table of forms. No value makes these functions fail: a value that Python
cannot hold becomes text.

>>> far = pa.array([2**40], pa.timestamp("s", "UTC"))
>>> to_python(far), to_json(far), to_text(far).to_pylist()
(['+36812-02-20T00:36:16Z'], ['+36812-02-20T00:36:16Z'], ['+36812-02-20T00:36:16Z'])
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.base.errors import SchemaError
from muntin.values import times

Json = str | int | float | bool | list[Any] | dict[str, Any] | None


def to_python(column: Any) -> list[Any]:
    """The values of an Arrow array or chunked array as Python has them.

    >>> to_python(pa.array([1_500, None], pa.duration("ms")))
    [datetime.timedelta(seconds=1, microseconds=500000), None]
    """
    return _each(column, _python)


def to_json(column: Any) -> list[Json]:
    """The values as what JSON can say.

    >>> to_json(pa.array([b"ab", None])), to_json(pa.array([1.5, float("nan")]))
    (['YWI=', None], [1.5, 'NaN'])
    """
    return _each(column, _json)


def to_text(column: Any) -> Any:
    """The values as one Arrow array of strings; a null stays null.

    >>> to_text(pa.array([[1, 2], None])).to_pylist()
    ['[1,2]', None]
    """
    if isinstance(column, pa.ChunkedArray):
        texts = [to_text(chunk) for chunk in column.chunks]
        return pa.concat_arrays(texts) if texts else pa.array([], pa.string())
    if pa.types.is_dictionary(column.type):
        return to_text(column.dictionary).take(column.indices)
    return _text(column)


def rows(table: Any, convert: Callable[[Any], list[Any]] = to_python) -> list[dict[str, Any]]:
    """The rows of a `pyarrow.Table` as dicts of its columns' names.

    Raises:
        SchemaError: two columns have one name.

    >>> rows(pa.table({"n": [1], "day": pa.array([0], pa.date32())}), to_json)
    [{'n': 1, 'day': '1970-01-01'}]
    """
    names = table.column_names
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SchemaError(f'two columns have the name "{twice}"')
    columns = [convert(column) for column in table.columns]
    if not columns:
        return [{} for _ in range(len(table))]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def json_text(value: Json) -> str:
    """A value of `to_json` as text inside a text: without spaces, every character as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def plain_text(value: Json) -> str:
    """The text of a value of `to_json`; that of a null is empty.

    >>> plain_text(1.0), plain_text(["a", None]), plain_text(True)
    ('1.0', '["a",null]', 'true')
    """
    match value:
        case None:
            return ""
        case str():
            return value
        case float():
            return float_text(value)
        case _:
            return json_text(value)


def float_text(value: float) -> str:
    """A float as Python writes it; JavaScript's words for what is not a number.

    >>> float_text(1.0), float_text(float("inf"))
    ('1.0', 'Infinity')
    """
    if math.isfinite(value):
        return repr(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def printable(text: str) -> str:
    """The text on one line, with control characters escaped.

    >>> print(printable("a\\x1b[31m\\nb"))
    a\\x1b[31m\\nb
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def floats(column: Any) -> list[float | None]:
    """Floats with the fewest digits that read back as the same value in their own width.

    >>> floats(pa.array([0.1], pa.float32()))
    [0.1]
    """
    return _each(column, _floats)


def plain_type(kind: Any) -> Any:
    """The type of the values inside a dictionary, a run-end encoding or an extension.

    >>> plain_type(pa.dictionary(pa.int8(), pa.string()))
    DataType(string)
    """
    types = pa.types
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return plain_type(kind.storage_type)
    return kind


def is_binary(kind: Any) -> bool:
    """True for bytes in any layout."""
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )


def is_string(kind: Any) -> bool:
    """True for text in any layout."""
    types = pa.types
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _each(column: Any, convert: Callable[[Any], list[Any]]) -> list[Any]:
    if isinstance(column, pa.ChunkedArray):
        return [value for chunk in column.chunks for value in _inside(chunk, convert)]
    return _inside(column, convert)


def _inside(array: Any, convert: Callable[[Any], list[Any]]) -> list[Any]:
    """The values of an array, or of the array that it wraps, converted."""
    kind, types = array.type, pa.types
    if types.is_dictionary(kind):
        values = [*_inside(array.dictionary, convert), None]
        return [values[-1 if i is None else i] for i in array.indices.to_pylist()]
    if types.is_run_end_encoded(kind):
        return _inside(pc.run_end_decode(array), convert)
    if types.is_union(kind):
        return _of_union(array, convert)
    if isinstance(kind, pa.BaseExtensionType) and not isinstance(kind, pa.UuidType):
        return _inside(array.storage, convert)
    return convert(array)


def _of_union(array: Any, convert: Callable[[Any], list[Any]]) -> list[Any]:
    kind = array.type
    children = [_inside(array.field(i), convert) for i in range(kind.num_fields)]
    places = {code: i for i, code in enumerate(kind.type_codes)}
    # pyarrow's own `type_codes` and `offsets` begin at the whole array's start
    buffers, start = array.buffers(), array.offset
    codes = pa.Array.from_buffers(pa.int8(), len(array), [None, buffers[1]], offset=start)
    at: Any = range(len(array))
    if kind.mode == "dense":
        at = pa.Array.from_buffers(pa.int32(), len(array), [None, buffers[2]], offset=start)
        at = at.to_pylist()
    return [children[places[code]][row] for code, row in zip(codes.to_pylist(), at, strict=True)]


def _python(array: Any) -> list[Any]:
    kind, types = array.type, pa.types
    if types.is_nested(kind):
        return _nested(array, _python, pair=tuple)
    if times.is_timed(kind):
        return times.to_python(array)
    if types.is_float16(kind):
        array = array.cast(pa.float32())
    return list(_valid(array).to_pylist())


def _json(array: Any) -> list[Any]:
    kind, types = array.type, pa.types
    if types.is_nested(kind):
        return _nested(array, _json, pair=list)
    if types.is_floating(kind):
        values = _floats(array)
        return [v if v is None or math.isfinite(v) else float_text(v) for v in values]
    if is_string(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind):
        return _python(array)
    return _texts(array)


def _text(array: Any) -> Any:
    """An Arrow array of strings."""
    kind, types = array.type, pa.types
    if is_string(kind) or types.is_integer(kind) or types.is_boolean(kind) or types.is_null(kind):
        return _valid(array).cast(pa.string())
    if times.is_timed(kind):
        return times.to_text(array)
    if types.is_float32(kind) or types.is_float64(kind):
        size = pc.abs(array)
        if pc.all(pc.or_(pc.equal(size, 0), _between(size, 1e-4, 1e9))).as_py() is not False:
            # where neither writes an exponent, Arrow writes what Python does, but 1.0 as 1
            texts = array.cast(pa.string())
            whole = pc.binary_join_element_wise(texts, ".0", "")
            return pc.if_else(pc.equal(pc.floor(array), array), whole, texts)
    return pa.array(_inside(array, _texts), pa.string())


def _between(array: Any, least: float, most: float) -> Any:
    return pc.and_(pc.greater_equal(array, least), pc.less(array, most))


def _texts(array: Any) -> list[str | None]:
    kind, types = array.type, pa.types
    write: Callable[[Any], str]
    if types.is_nested(kind):
        values, write = _json(array), json_text
    elif types.is_floating(kind):
        values, write = _floats(array), float_text
    elif types.is_decimal(kind):
        # all digits of the scale, without an exponent
        values, write = array.to_pylist(), "{:f}".format
    elif is_binary(kind):
        values, write = array.to_pylist(), _base64
    elif isinstance(kind, pa.UuidType):
        values, write = array.to_pylist(), str
    else:
        return list(_text(array).to_pylist())
    return [None if value is None else write(value) for value in values]


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _floats(array: Any) -> list[float | None]:
    if pa.types.is_float64(array.type):
        return list(array.to_pylist())
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    return [None if text is None else float(text) for text in array.cast(pa.string()).to_pylist()]


def _valid(array: Any) -> Any:
    """The array; in a string column, bytes that are not valid UTF-8 are escaped."""
    if not is_string(array.type):
        return array
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        texts = [
            None if raw is None else raw.decode("utf-8", "backslashreplace")
            for raw in array.cast(pa.large_binary()).to_pylist()
        ]
        return pa.array(texts, array.type)
    return array


def _nested(
    array: Any, convert: Callable[[Any], list[Any]], pair: Callable[[Any], Any]
) -> list[Any]:
    """Lists, structs and maps with their values converted."""
    kind, types = array.type, pa.types
    if types.is_struct(kind):
        return _structs(array, convert, pair)
    if types.is_map(kind):
        entry = pa.struct([("key", kind.key_type), ("value", kind.item_type)])
        found = _nested(array.cast(pa.list_(entry)), convert, pair)
        return [
            None if entries is None else [pair(entry.values()) for entry in entries]
            for entries in found
        ]
    values = iter(_inside(array.flatten(), convert))
    lengths = pc.list_value_length(array).to_pylist()
    return [None if n is None else list(islice(values, n)) for n in lengths]


def _structs(
    array: Any, convert: Callable[[Any], list[Any]], pair: Callable[[Any], Any]
) -> list[Any]:
    names = [field.name for field in array.type]
    columns = [_inside(field, convert) for field in array.flatten()]
    values = zip(*columns, strict=True) if columns else [()] * len(array)
    valid = array.is_valid().to_pylist()
    if len(set(names)) < len(names):
        # a dict cannot hold two fields of one name, so they become pairs, as in a map
        found: list[Any] = [[pair(each) for each in zip(names, row, strict=True)] for row in values]
    else:
        found = [dict(zip(names, row, strict=True)) for row in values]
    return [one if there else None for one, there in zip(found, valid, strict=True)]
