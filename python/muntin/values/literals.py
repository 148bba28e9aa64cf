"""Constants in expressions: their types, their form in a plan, and how they are shown."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeAlias

from muntin.base.durations import MICROSECOND
from muntin.base.errors import ExpressionError, with_hint

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""What `json` reads and writes."""

Value: TypeAlias = bool | int | float | str | bytes | date | datetime | timedelta | Decimal | None
"""What `lit` accepts."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_MAX = 38


def word_of(value: object, place: str) -> str:
    """The type word of a constant.

    Raises `ExpressionError`, with the place, if it is not a `Value` or does not fit its type.

    >>> word_of(datetime(2024, 1, 1), "lit()")
    'timestamp[us]'
    """
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            if not -(2**63) <= value < 2**63:
                raise ExpressionError(f"{place}: {value} does not fit into 64 bits")
            return "i64"
        case float():
            return "f64"
        case str():
            text(value, place)
            return "str"
        case bytes():
            return "binary"
        case datetime():
            return "timestamp[us]" if value.tzinfo is None else "timestamp[us, UTC]"
        case date():
            return "date"
        case timedelta():
            if not -(2**63) <= value // MICROSECOND < 2**63:
                raise ExpressionError(f"{place}: {value!r} does not fit into 64 bits")
            return "duration[us]"
        case Decimal():
            return _decimal_word(value, place)
    raise ExpressionError(
        with_hint(
            f"{place}: {value!r} is not a value of an expression",
            "values are None, bool, int, float, str, bytes, date, datetime, timedelta, Decimal",
        )
    )


def encode(value: Value) -> Json:
    """A constant as a plan has it: times and durations in microseconds, dates in days.

    >>> encode(timedelta(milliseconds=1)), encode(float("nan"))
    (1000, 'nan')
    """
    match value:
        case float() if not math.isfinite(value):
            return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
        case bytes():
            return value.hex()
        case datetime():
            aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
            return (aware - _EPOCH) // MICROSECOND
        case date():
            return value.toordinal() - _EPOCH.toordinal()
        case timedelta():
            return value // MICROSECOND
        case Decimal():
            return f"{value:f}"
    return value


def decode(value: Json, word: str) -> Value:
    """Read a constant of a plan, given its type word: the reverse of `encode`.

    Raises `ValueError` if it is not a constant of that type.

    >>> decode(1000, "duration[us]")
    datetime.timedelta(microseconds=1000)
    """
    match value, word.partition("[")[0].partition("(")[0]:
        case str(), "f64":
            return float(value)
        case str(), "binary":
            return bytes.fromhex(value)
        case str(), "decimal":
            return Decimal(value)
        case int(), "date":
            return date.fromordinal(_EPOCH.toordinal() + value)
        case int(), "duration":
            return timedelta(microseconds=value)
        case int(), "timestamp":
            moment = _EPOCH + timedelta(microseconds=value)
            return moment if word.endswith("UTC]") else moment.replace(tzinfo=None)
        case ((None | bool() | int() | float() | str()), _):
            return value
    raise ValueError(f"{value!r} is not a constant of the type {word}")


def show(value: Value) -> str:
    """The constant as a user would type it.

    >>> show(timedelta(minutes=1))
    'timedelta(seconds=60)'
    """
    if isinstance(value, str):
        return quote(value)
    return re.sub(r"\bdatetime\.", "", repr(value))


def quote(word: str) -> str:
    """The text in double quotes."""
    return json.dumps(word, ensure_ascii=False)


def text(value: object, place: str) -> str:
    """The value itself; raises `ExpressionError` unless it is a text that UTF-8 can encode."""
    if not isinstance(value, str):
        raise ExpressionError(f"{place} takes a text, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ExpressionError(f"{place}: {value!r} is not valid Unicode") from None
    return value


def _decimal_word(value: Decimal, place: str) -> str:
    _, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise ExpressionError(f"{place}: {value!r} has no decimal type")
    scale = max(0, -exponent)
    precision = max(len(digits) + max(0, exponent), scale, 1)
    if precision > _DIGITS_MAX:
        raise ExpressionError(f"{place}: {value!r} has more than {_DIGITS_MAX} digits")
    return f"decimal({precision}, {scale})"
