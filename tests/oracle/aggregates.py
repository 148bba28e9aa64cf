"""Aggregates: computed from the list of rows that count, whenever a value is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from .expressions import evaluate, literal
from .values import I64_MAX, I64_MIN, US, Row, micros

ABSENT = object()


class SumOverflow(Exception):
    """An exact sum does not fit the type of its column."""


@dataclass(frozen=True)
class Entry:
    """A row that counts: its time, its ordinal of arrival, one value an aggregate, and its zone."""

    time: int
    order: int
    values: list[Any]
    zoned: bool


def values_of(aggregates: list[dict], row: Row) -> tuple[list[Any], int]:
    """What `row` gives to each aggregate, or ABSENT, and how many times NaN made it skip the row.

    That is its argument, a tuple of several, or True where there is none. A row without one of
    them gives nothing. An argument is not looked at where `where` leaves the row out, so it cannot
    overflow there.
    """
    values, nans = [], 0
    for aggregate in aggregates:
        value: Any = ABSENT
        if aggregate.get("where") is None or evaluate(aggregate["where"], row) is True:
            found = tuple(evaluate(e, row) for e in aggregate["args"]) or (True,)
            if None not in found:
                value = found if len(found) > 1 else found[0]
            if (
                value is not ABSENT
                and aggregate["kind"] not in KEEP_NAN
                and any(map(is_nan, found))
            ):
                value, nans = ABSENT, nans + 1
        values.append(value)
    return values, nans


def is_nan(value: Any) -> bool:
    """Whether a value is the float that is not a number."""
    return isinstance(value, float) and math.isnan(value)


def result(aggregate: dict, index: int, entries: list[Entry]) -> Any:
    """The value over `entries` of the aggregate at `index`; raises SumOverflow."""
    counting = [e for e in entries if e.values[index] is not ABSENT]
    counting.sort(key=lambda e: (e.time, e.order))
    parameters = [literal(p["lit"], p["type"]) for p in aggregate.get("parameters", ())]
    return KINDS[aggregate["kind"]]([e.values[index] for e in counting], *parameters)


# ── one function a kind, over the values in order of (time, arrival) ─────────────────────────────


def sum_of(values: list) -> Any:
    """The exact sum: of floats correctly rounded, of anything else within its type."""
    if not values:
        return None
    if any(isinstance(v, float) for v in values):
        return float_sum([float(v) for v in values])
    if isinstance(values[0], Decimal):
        scale = max(-v.as_tuple().exponent for v in values)
        total = int(sum(Fraction(v) for v in values) * 10**scale)
        if abs(total) >= 10**38:
            raise SumOverflow
        return Decimal((total < 0, [int(d) for d in str(abs(total))], -scale))
    if isinstance(values[0], timedelta):
        return sum_of([micros(v) for v in values]) * US
    total = sum(int(v) for v in values)
    if not I64_MIN <= total <= I64_MAX:
        raise SumOverflow
    return total


def float_sum(values: list[float]) -> float:
    """The exact sum rounded once; infinities as IEEE adds them."""
    infinities = {v for v in values if math.isinf(v)}
    if infinities:
        return infinities.pop() if len(infinities) == 1 else math.nan
    return nearest(sum((Fraction(v) for v in values), Fraction(0)))


def nearest(value: Fraction) -> float:
    """The float nearest to `value`, infinite beyond the greatest."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def mean_of(values: list) -> float | None:
    """The sum as a float, divided by the number of values: one rounding each."""
    if not values:
        return None
    if any(isinstance(v, float) for v in values):
        return float_sum([float(v) for v in values]) / len(values)
    return nearest(sum((Fraction(v) for v in values), Fraction(0))) / len(values)


def rank(value: Any) -> Any:
    """A key that orders the values of one column: -0.0 below 0.0, times by their instant."""
    if isinstance(value, float):
        return (value, math.copysign(1.0, value))
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | Decimal | bool):
        return value
    return (micros(value), 1.0)


def quantile_of(values: list, q: float) -> float | None:
    """The value at `q * (n - 1)` in order, on the line between the two nearest."""
    if not values:
        return None
    place = q * (len(values) - 1)
    whole = int(place)
    near = [float_of(v) for v in sorted(values, key=rank)[whole : whole + 2]]
    if place == whole or near[0] == near[1]:
        return near[0]
    value = near[0] * (1 - (place - whole)) + near[1] * (place - whole)
    return value if math.isnan(value) else min(max(value, near[0]), near[1])


def float_of(value: Any) -> float:
    """The float nearest to a number."""
    return value if isinstance(value, float) else nearest(Fraction(value))


KEEP_NAN = ("count", "array_agg")
"""The kinds for which NaN is a value like any other."""

KINDS = {
    "count": len,
    "sum": sum_of,
    "mean": mean_of,
    "min": lambda values: min(values, key=rank, default=None),
    "max": lambda values: max(values, key=rank, default=None),
    "count_distinct": lambda values: len(set(values)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "arg_min": lambda pairs: min(pairs, key=lambda p: rank(p[1]))[0] if pairs else None,
    "arg_max": lambda pairs: max(pairs, key=lambda p: rank(p[1]))[0] if pairs else None,
    "quantile": quantile_of,
    "array_agg": lambda values: values or None,
}
