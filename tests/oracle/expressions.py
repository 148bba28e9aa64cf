"""Expressions, evaluated on one row of Python values.

An overflow makes the row invalid where it decides the value: `and` stops at the first false, `or`
at the first true, `coalesce` at the first value, a case at its first true condition. A cast of what
its type cannot hold, text that cannot be read included, fails in the same way, for a reason of its
own. A date is its midnight when it meets a timestamp or a duration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

from .values import (
    EPOCH,
    US,
    CastFailed,
    Row,
    checked,
    is_time,
    is_zoned,
    micros,
    stamp,
)

EXACT = Context(prec=100)
RANGES = {f"i{n}": (-(2 ** (n - 1)), 2 ** (n - 1) - 1) for n in (8, 16, 32, 64)} | {
    f"u{n}": (0, 2**n - 1) for n in (8, 16, 32, 64)
}


def evaluate(e: dict, row: Row) -> Any:
    """The value of expression `e` on `row`; raises Overflow where an integer or a time does."""
    if "col" in e:
        return row.columns[e["col"]]
    if "lit" in e:
        return literal(e["lit"], e["type"])
    if "case" in e:
        for condition, value in e["case"]:
            if evaluate(condition, row) is True:
                return evaluate(value, row)
        return None if e.get("else") is None else evaluate(e["else"], row)
    name = e["fn"]
    if name in ("and", "or", "coalesce"):
        return in_turn(name, e["args"], row)
    if name == "is_late":
        return row.late
    if name == "arrival":
        return None if row.origin.arrival is None else stamp(row.origin.arrival, zoned=True)
    arguments = [evaluate(a, row) for a in e["args"]]
    if name == "cast":
        return cast(arguments[0], e["to"])
    if name in NULL_AWARE:
        return NULL_AWARE[name](*arguments)
    return None if None in arguments else STRICT[name](*arguments)


def in_turn(name: str, arguments: list[dict], row: Row) -> Any:
    """`and`, `or`, `coalesce`: arguments are looked at until one decides."""
    unknown = False
    for argument in arguments:
        value = evaluate(argument, row)
        if name == "coalesce":
            if value is not None:
                return value
        elif value is (name == "or"):
            return value
        unknown = unknown or value is None
    return None if unknown else name == "and"


def literal(value: Any, word: str) -> Any:
    """The Python value of a literal of the plan."""
    if value is None or word == "null":
        return None
    if word == "f64":
        return float(value)
    if word == "binary":
        return bytes.fromhex(value)
    if word.startswith("decimal"):
        return Decimal(value)
    if word == "date":
        return EPOCH.date() + timedelta(days=value)
    if word.startswith("timestamp"):
        return stamp(value, zoned="," in word)
    if word.startswith("duration"):
        return value * US
    return value


# ── comparison ──────────────────────────────────────────────────────────────────────────────────


def number_pair(a: Any, b: Any) -> tuple[Any, Any]:
    """Two numbers in the type they are computed in: floats if one is, else exact."""
    if isinstance(a, float) or isinstance(b, float):
        return float(a), float(b)
    if isinstance(a, Decimal) or isinstance(b, Decimal):
        return Decimal(a), Decimal(b)
    return checked(a), checked(b)


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1, or None with NaN on a side; text against a time is read as a time."""
    if is_time(a) or is_time(b):
        a, b = (cast(v, "timestamp[us]") if isinstance(v, str) else v for v in (a, b))
        a, b = micros(a), micros(b)
    elif isinstance(a, int | float | Decimal) and isinstance(b, int | float | Decimal):
        if not (
            isinstance(a, int) and isinstance(b, int)
        ):  # integers of all widths compare exactly
            a, b = number_pair(a, b)
        if isinstance(a, float) and (math.isnan(a) or math.isnan(b)):
            return None
    elif isinstance(a, str):
        a, b = a.encode(), b.encode()
    return (a > b) - (a < b)


def comparison(holds: Callable[[int | None], bool]) -> Callable[[Any, Any], bool]:
    """A comparison operator from what it asks of the order: without one only `ne` holds."""

    return lambda a, b: holds(compare(a, b))


def is_in(value: Any, *choices: Any) -> bool | None:
    """`in` is a chain of `=` joined by `or`."""
    if value is None:
        return None
    if any(c is not None and compare(value, c) == 0 for c in choices):
        return True
    return None if None in choices else False


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────


def timestamp(us: int, like: Any) -> datetime | int:
    """A computed timestamp, with a zone if the one it comes from has one."""
    return stamp(checked(us), is_zoned(like))


def duration(us: int) -> timedelta:
    """A computed duration."""
    return checked(us) * US


def add(a: Any, b: Any) -> Any:
    """a + b."""
    if isinstance(a, timedelta) and isinstance(b, timedelta):
        return duration(micros(a) + micros(b))
    if isinstance(a, timedelta):
        a, b = b, a
    if isinstance(b, timedelta):
        return timestamp(micros(a) + micros(b), like=a)
    a, b = number_pair(a, b)
    return EXACT.add(a, b) if isinstance(a, Decimal) else number(a + b)


def sub(a: Any, b: Any) -> Any:
    """a - b."""
    if isinstance(b, timedelta) and not isinstance(a, timedelta):
        return timestamp(micros(a) - micros(b), like=a)
    if is_time(a) or is_time(b) or isinstance(a, timedelta):
        return duration(micros(a) - micros(b))
    a, b = number_pair(a, b)
    return EXACT.subtract(a, b) if isinstance(a, Decimal) else number(a - b)


def mul(a: Any, b: Any) -> Any:
    """a * b."""
    if isinstance(a, timedelta) or isinstance(b, timedelta):
        return duration(micros(a) * micros(b))
    a, b = number_pair(a, b)
    return EXACT.multiply(a, b) if isinstance(a, Decimal) else number(a * b)


def div(a: Any, b: Any) -> float | None:
    """a / b in floats; null where b is zero."""
    a, b = float(a), float(b)
    return None if b == 0 else a / b


def mod(a: Any, b: Any) -> Any:
    """The remainder with the sign of `a`; null where b is zero."""
    a, b = number_pair(a, b)
    if b == 0:
        return None
    if isinstance(a, float):
        return math.nan if math.isinf(a) else math.fmod(a, b)
    if isinstance(a, Decimal):
        return EXACT.remainder(a, b)
    return abs(a) % abs(b) * (-1 if a < 0 else 1)


def number(value: float) -> float:
    """An arithmetic result: an int within 64 bits, or any float."""
    return value if isinstance(value, float) else checked(value)


def neg(a: Any) -> Any:
    """-a."""
    if isinstance(a, timedelta):
        return duration(-micros(a))
    return EXACT.minus(a) if isinstance(a, Decimal) else number(-a)


def absolute(a: Any) -> Any:
    """The absolute value."""
    if isinstance(a, float):
        return math.fabs(a)
    return neg(a) if compare(a, type(a)(0)) == -1 else a


def epoch(times: int, over: int = 1) -> Callable[[int], datetime | int]:
    """An integer count of a unit since 1970 as a UTC timestamp, floored to microseconds."""
    return lambda value: stamp(checked(value * times // over), zoned=True)


# ── casts ───────────────────────────────────────────────────────────────────────────────────────


def cast(value: Any, word: str) -> Any:
    """`value` as the type `word`."""
    if value is None or word == "null":
        return None
    if word == "str":
        return to_text(value)
    if word == "bool":
        return to_bool(value)
    if word in RANGES:
        return to_integer(value, *RANGES[word])
    if word in ("f32", "f64"):
        try:
            return float(value)
        except ValueError:
            raise CastFailed from None
    if word.startswith("decimal"):
        return to_decimal(value, int(word[:-1].split(",")[1]))
    if word.startswith("duration"):
        return duration(micros(value))
    return to_time(value, word)


def to_text(value: Any) -> str:
    """Text of a value."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def to_bool(value: Any) -> bool:
    """A bool, from a number or from the words for it."""
    if not isinstance(value, str):
        return value != 0
    if value not in ("true", "false"):
        raise CastFailed
    return value == "true"


def to_integer(value: Any, low: int, high: int) -> int:
    """An integer: floats and decimals are cut toward zero, times become microseconds."""
    if isinstance(value, float) and not math.isfinite(value):
        raise CastFailed
    try:
        whole = int(micros(value))
    except ValueError:
        raise CastFailed from None
    if not low <= whole <= high:
        raise CastFailed
    return whole


def to_decimal(value: Any, scale: int) -> Decimal:
    """A decimal of that scale, rounded half away from zero."""
    try:
        return Decimal(value).quantize(Decimal(1).scaleb(-scale), "ROUND_HALF_UP", EXACT)
    except InvalidOperation:
        raise CastFailed from None


def to_time(value: Any, word: str) -> Any:
    """A date or a timestamp, from a time or an ISO 8601 text."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise CastFailed from None
    if word == "date":
        return stamp(micros(value) // 86_400_000_000 * 86_400_000_000).date()
    if isinstance(value, datetime) and value.tzinfo is not None and "," not in word:
        return value.astimezone(UTC).replace(tzinfo=None)
    return stamp(checked(micros(value)), zoned="," in word)


NULL_AWARE = {
    "in": is_in,
    "is_null": lambda a: a is None,
    "is_not_null": lambda a: a is not None,
}
STRICT = {
    "eq": comparison(lambda order: order == 0),
    "ne": comparison(lambda order: order != 0),
    "lt": comparison(lambda order: order == -1),
    "le": comparison(lambda order: order in (-1, 0)),
    "gt": comparison(lambda order: order == 1),
    "ge": comparison(lambda order: order in (0, 1)),
    "not": lambda a: not a,
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "mod": mod,
    "neg": neg,
    "abs": absolute,
    "is_nan": lambda a: isinstance(a, float) and math.isnan(a),
    "starts_with": lambda a, b: a.startswith(b),
    "ends_with": lambda a, b: a.endswith(b),
    "contains": lambda a, b: b in a,
    "lower": str.lower,
    "upper": str.upper,
    "length": len,
    "epoch_s": epoch(1_000_000),
    "epoch_ms": epoch(1_000),
    "epoch_us": epoch(1),
    "epoch_ns": epoch(1, over=1_000),
}
