"""Unifies the column types of several files, and finds the file that does not fit."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from muntin.values.fitting import fitted, may_fit

_DECIMAL_DIGITS = (38, 76)
_TIME_UNITS = ("s", "ms", "us", "ns")


def common(left: Any, right: Any) -> Any | None:
    """The type that can hold every value of both types; None if there is none.

    >>> common(pa.int32(), pa.int64()), common(pa.null(), pa.string())
    (DataType(int64), DataType(string))
    >>> common(pa.int64(), pa.float64()) is None
    True
    """
    if left == right:
        return left
    left, right = _plain(left), _plain(right)
    if pa.types.is_null(left) or left == right:
        return right
    if pa.types.is_null(right):
        return left
    for rule in (_integers, _floats, _times, _decimals, _lists):
        if (found := rule(left, right)) is not None:
            return found
    return None


def convertible(found: Any, wanted: Any) -> bool:
    """Whether values of a type may fit another, to be decided for each value.

    >>> convertible(pa.float64(), pa.int64()), convertible(pa.string(), pa.int64())
    (True, False)
    """
    if common(found, wanted) is not None:
        return True
    found, wanted = _plain(found), _plain(wanted)
    if _is_number(found) and _is_number(wanted):
        return True
    if pa.types.is_timestamp(wanted):
        return bool(pa.types.is_timestamp(found) or pa.types.is_date(found))
    if pa.types.is_string(wanted):
        return bool(pa.types.is_binary(found))
    if pa.types.is_list(found) and pa.types.is_list(wanted):
        return convertible(found.value_type, wanted.value_type)
    return False


def is_kept(found: Any, wanted: Any) -> bool:
    """Whether a column needs no cast, since it only differs in layout from the wanted type."""
    return bool(found == wanted or _plain(found) == _plain(wanted))


def cast(column: Any, name: str, wanted: Any) -> tuple[Any, dict[int, str]]:
    """A column in the wanted type, with null for rows that do not fit, and their errors.

    >>> cast(pa.array([1.0, 1.5]), "n", pa.int64())[1]
    {1: 'column "n" does not fit i64: 1.5 has a fraction'}
    """
    if column.type == wanted:
        return column, {}
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if may_fit([column.type], [wanted])[0]:
        batch = pa.RecordBatch.from_arrays([column], names=[name])
        done, misfits = fitted(batch, pa.schema([(name, wanted)]))
        if done.schema.types == [wanted]:
            return done.column(0), {misfit.row: str(misfit) for misfit in misfits}
    # a common layout or width of several files that the engine does not support
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    bad: list[int] = []
    values = _cast(column, wanted, 0, bad)
    message = f'column "{name}" does not fit {wanted}'
    return values, {row: f"{message}: {_shown(column[row])}" for row in bad}


def _cast(column: Any, wanted: Any, first: int, bad: list[int]) -> Any:
    try:
        return column.cast(wanted)
    except pa.ArrowException:
        if len(column) == 1:
            bad.append(first)
            return pa.nulls(1, wanted)
    half = len(column) // 2
    left = _cast(column.slice(0, half), wanted, first, bad)
    right = _cast(column.slice(half), wanted, first + half, bad)
    return pa.concat_arrays([left, right])


def _shown(value: Any) -> str:
    try:
        return repr(value.as_py())
    except (ValueError, OverflowError, pa.ArrowException):
        return str(value)


def _plain(kind: Any) -> Any:
    """A type without its layout."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if (
        pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    ):
        return pa.binary()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_type)
    return kind


def _is_number(kind: Any) -> bool:
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def _integers(left: Any, right: Any) -> Any | None:
    if not (pa.types.is_integer(left) and pa.types.is_integer(right)):
        return None
    signed = pa.types.is_signed_integer(left) or pa.types.is_signed_integer(right)
    bits = max(
        kind.bit_width * (2 if signed and pa.types.is_unsigned_integer(kind) else 1)
        for kind in (left, right)
    )
    if bits > 64:
        return None
    return getattr(pa, f"{'' if signed else 'u'}int{bits}")()


def _floats(left: Any, right: Any) -> Any | None:
    if pa.types.is_floating(left) and pa.types.is_floating(right):
        return left if left.bit_width >= right.bit_width else right
    if pa.types.is_floating(right):
        left, right = right, left
    if not (pa.types.is_floating(left) and pa.types.is_integer(right)):
        return None
    if right.bit_width <= 16 and left.bit_width <= 32:
        return pa.float32()
    return pa.float64() if right.bit_width <= 32 else None


def _times(left: Any, right: Any) -> Any | None:
    def finest() -> str:
        return str(max((left.unit, right.unit), key=_TIME_UNITS.index))

    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right):
        # a zone changes how a time is shown, not its value
        if (left.tz is None) != (right.tz is None):
            return None
        return pa.timestamp(finest(), left.tz)
    if pa.types.is_duration(left) and pa.types.is_duration(right):
        return pa.duration(finest())
    if pa.types.is_time(left) and pa.types.is_time(right):
        unit = finest()
        return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)
    return None


def _decimals(left: Any, right: Any) -> Any | None:
    if not (pa.types.is_decimal(left) and pa.types.is_decimal(right)):
        return None
    scale = max(left.scale, right.scale)
    digits = max(left.precision - left.scale, right.precision - right.scale) + scale
    if digits <= _DECIMAL_DIGITS[0]:
        return pa.decimal128(digits, scale)
    return pa.decimal256(digits, scale) if digits <= _DECIMAL_DIGITS[1] else None


def _lists(left: Any, right: Any) -> Any | None:
    if not (pa.types.is_list(left) and pa.types.is_list(right)):
        return None
    inner = common(left.value_type, right.value_type)
    return None if inner is None else pa.list_(inner)
