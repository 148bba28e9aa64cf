"""Aggregates: computed from the list of rows that count, whenever a value is asked for."""

from __future__ import annotations

import functools
import math
import operator
from collections import Counter
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


# ── exact fractions, rounded once; with a root, once before and once after it ────────────────────


def infinite(values: list) -> bool:
    """Whether a value is infinite."""
    return any(isinstance(v, float) and math.isinf(v) for v in values)


def exact(values: list) -> list[Fraction]:
    """The values as exact numbers."""
    return [Fraction(v) for v in values]


def ratio(above: Fraction | int, below: Fraction | int) -> float | None:
    """The float nearest to a quotient; null where nothing is divided by."""
    return nearest(Fraction(above) / Fraction(below)) + 0.0 if below else None


def root(above: Fraction | int, below: Fraction | int) -> float | None:
    """The root of the nearest float to a quotient, whatever its exponent."""
    if not below:
        return None
    value = Fraction(above) / Fraction(below)
    half = (value.numerator.bit_length() - value.denominator.bit_length()) // 2
    try:
        return math.ldexp(math.sqrt(nearest(value / Fraction(4) ** half)), half)
    except OverflowError:
        return math.inf


def spread(values: list, ddof: int) -> tuple[Fraction, int]:
    """The variance as a fraction; nothing divides it where there are too few values."""
    x, n = exact(values), len(values)
    mean = sum(x) / n if n else Fraction(0)
    return sum(((v - mean) ** 2 for v in x), Fraction(0)), max(n - ddof, 0)


def var_of(values: list, ddof: int) -> float | None:
    """The variance."""
    return math.nan if infinite(values) else ratio(*spread(values, ddof))


def std_of(values: list, ddof: int) -> float | None:
    """The standard deviation."""
    return math.nan if infinite(values) else root(*spread(values, ddof))


def moments(values: list) -> list[Fraction]:
    """The second, third and fourth central moments."""
    x = exact(values)
    mean = sum(x) / len(x)
    return [sum((v - mean) ** k for v in x) / len(x) for k in (2, 3, 4)]


def skew_of(values: list, bias: bool) -> float | None:
    """The skewness; of a sample, by the adjusted coefficient of Fisher and Pearson."""
    if infinite(values):
        return math.nan
    n = len(values)
    two, three, _ = moments(values) if values else [Fraction(0)] * 3
    square, below = three**2, two**3
    if not bias:
        square, below = square * n * (n - 1), below * (n - 2) ** 2
    value = root(square, below)
    return -value if value is not None and three < 0 else value


def kurtosis_of(values: list, bias: bool) -> float | None:
    """The excess kurtosis."""
    if infinite(values):
        return math.nan
    n = len(values)
    two, _, four = moments(values) if values else [Fraction(0)] * 3
    if not two or (n < 4 and not bias):
        return None
    excess = four / two**2 - 3
    return 0.0 + nearest(excess if bias else ((n + 1) * excess + 6) * (n - 1) / ((n - 2) * (n - 3)))


def line(pairs: list) -> tuple[Fraction, Fraction, Fraction, Fraction, Fraction]:
    """Both means, the sum of products and the sums of squares around them."""
    one, two = exact([a for a, _ in pairs]), exact([b for _, b in pairs])
    means = [sum(each) / len(each) if each else Fraction(0) for each in (one, two)]
    both = [(a - means[0], b - means[1]) for a, b in zip(one, two, strict=True)]
    parts = [[a * b for a, b in both], [a * a for a, _ in both], [b * b for _, b in both]]
    return (*means, *(sum(part, Fraction(0)) for part in parts))


def of_pairs(formula: Any) -> Any:
    """A formula over `line`, which is NaN with an infinity."""

    def of(pairs: list, *parameters: Any) -> float | None:
        if infinite([v for pair in pairs for v in pair]):
            return math.nan
        return formula(len(pairs), *line(pairs), *parameters)

    return of


def corr_of(n: int, one: Any, two: Any, both: Any, left: Any, right: Any) -> float | None:
    """Pearson's correlation."""
    value = root(both**2, left * right)
    return -value if value is not None and both < 0 else value


def weighted_sum(pairs: list) -> Any:
    """The sum of the values times their weights."""
    unbounded = [float(a) * float(b) for a, b in pairs if infinite([a, b])]
    if unbounded:
        return sum(unbounded)
    total = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    if any(isinstance(v, float) for pair in pairs for v in pair):
        return nearest(total) + 0.0
    points = [-v.as_tuple().exponent if isinstance(v, Decimal) else 0 for v in pairs[0]]
    if sum(points) > 38:
        return nearest(total) + 0.0
    if any(isinstance(v, Decimal) for v in pairs[0]):
        return sum_of([Decimal(0).scaleb(-sum(points)), *decimals(total, sum(points))])
    return sum_of([int(total)])


def decimals(total: Fraction, scale: int) -> list[Decimal]:
    """A number as a decimal of this scale, which may have any number of digits."""
    whole = int(total * 10**scale)
    return [Decimal((whole < 0, tuple(int(d) for d in str(abs(whole))), -scale))]


def weighted_mean(pairs: list) -> float | None:
    """The sum of the values times their weights by the sum of the weights."""
    if infinite([b for _, b in pairs]):
        return math.nan
    if infinite([a for a, _ in pairs]):
        return sum(float(a) * float(b) for a, b in pairs if infinite([a]))
    total = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
    return ratio(total, sum(Fraction(b) for _, b in pairs))


def product_of(values: list) -> float | None:
    """The product of the values as floats, rounded once."""
    floats = [float_of(v) for v in values]
    if not floats:
        return None
    sign = math.prod(math.copysign(1, v) for v in floats)
    if infinite(floats):
        return math.nan if 0.0 in floats else math.copysign(math.inf, sign)
    return math.copysign(nearest(abs(math.prod(exact(floats)))), sign)


def frequent(values: list, k: int) -> list | None:
    """The `k` most frequent values; of equally frequent ones, the least first."""
    counts = Counter(v + 0.0 if isinstance(v, float) else v for v in values)
    return sorted(counts, key=lambda v: (-counts[v], rank(v)))[:k] or None


def histogram_of(values: list, *edges: float) -> list | None:
    """How many values lie below the first edge, between two, and from the last one on."""
    counts = [0] * (len(edges) + 1)
    for value in values:
        counts[sum(edge <= float_of(value) for edge in edges)] += 1
    return counts if values else None


def paired(values: list) -> bool:
    """Whether each value comes with a weight."""
    return bool(values) and isinstance(values[0], tuple)


def bits_of(of: Any) -> Any:
    """A fold of integers bit by bit."""
    return lambda values: functools.reduce(of, values) if values else None


KEEP_NAN = ("count", "array_agg")
"""The kinds for which NaN is a value like any other."""

KINDS = {
    "count": len,
    "sum": lambda values: weighted_sum(values) if paired(values) else sum_of(values),
    "mean": lambda values: weighted_mean(values) if paired(values) else mean_of(values),
    "min": lambda values: min(values, key=rank, default=None),
    "max": lambda values: max(values, key=rank, default=None),
    "count_distinct": lambda values: len(set(values)),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "arg_min": lambda pairs: min(pairs, key=lambda p: rank(p[1]))[0] if pairs else None,
    "arg_max": lambda pairs: max(pairs, key=lambda p: rank(p[1]))[0] if pairs else None,
    "any": lambda values: any(values) if values else None,
    "all": lambda values: all(values) if values else None,
    "bit_and": bits_of(operator.and_),
    "bit_or": bits_of(operator.or_),
    "bit_xor": bits_of(operator.xor),
    "sum_distinct": lambda values: sum_of(list(dict.fromkeys(values))),
    "product": product_of,
    "mode": lambda values: (frequent(values, 1) or [None])[0],
    "top_k": frequent,
    "histogram": histogram_of,
    "var": var_of,
    "std": std_of,
    "skew": skew_of,
    "kurtosis": kurtosis_of,
    "cov": of_pairs(lambda n, one, two, both, left, right, ddof: ratio(both, max(n - ddof, 0))),
    "corr": of_pairs(corr_of),
    "slope": of_pairs(lambda n, one, two, both, left, right: ratio(both, right)),
    "intercept": of_pairs(
        lambda n, one, two, both, left, right: ratio(one * right - both * two, right)
    ),
    "quantile": quantile_of,
    "array_agg": lambda values: values or None,
}
