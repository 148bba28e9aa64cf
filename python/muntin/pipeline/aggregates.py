"""Aggregates: what a window computes over its rows, as frozen values.

`KINDS` is the only list of them in Python; a test holds it to the list of the engine. A row with a
null argument is skipped by all, with NaN by all but `count` and `array_agg`; with no row left the
counts give 0 and the others null.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from muntin.base.arguments import shown
from muntin.base.errors import PlanError, unknown, with_hint
from muntin.expr.build import Column, Expr, lit, resolve
from muntin.values.literals import Json, Value, quote


class Kind(NamedTuple):
    """How an aggregate is called: with at least `least` columns and at most `most`.

    `keywords` names the columns behind the first. `parameters` are examples of what is the same
    for all rows, and `named` are their keywords where they have one.
    """

    least: int = 1
    most: int = 1
    keywords: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    named: tuple[str, ...] = ()


DDOF = Kind(parameters=("ddof=1",), named=("ddof",))
BIAS = Kind(parameters=("bias=False",), named=("bias",))

KINDS: dict[str, Kind] = {
    "count": Kind(least=0),
    "sum": Kind(most=2, keywords=("weight",)),
    "mean": Kind(most=2, keywords=("weight",)),
    "min": Kind(),
    "max": Kind(),
    "count_distinct": Kind(),
    "first": Kind(),
    "last": Kind(),
    "arg_min": Kind(least=2, most=2, keywords=("by",)),
    "arg_max": Kind(least=2, most=2, keywords=("by",)),
    "quantile": Kind(parameters=("0.95",)),
    "any": Kind(),
    "all": Kind(),
    "bit_and": Kind(),
    "bit_or": Kind(),
    "bit_xor": Kind(),
    "var": DDOF,
    "std": DDOF,
    "skew": BIAS,
    "kurtosis": BIAS,
    "cov": DDOF._replace(least=2, most=2, keywords=("y",)),
    "corr": Kind(least=2, most=2, keywords=("y",)),
    "slope": Kind(least=2, most=2, keywords=("x",)),
    "intercept": Kind(least=2, most=2, keywords=("x",)),
    "sum_distinct": Kind(),
    "product": Kind(),
    "mode": Kind(),
    "top_k": Kind(parameters=("3",)),
    "histogram": Kind(parameters=("[0, 10, 100]",)),
    "array_agg": Kind(),
}
"""Every aggregate."""

Argument: TypeAlias = Expr | str
"""A column by name, SQL text, or an expression."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Agg:
    """An aggregate: its kind, its arguments, and which rows it takes.

    Made by `count`, `sum` and the others; text among the arguments is read when a window takes
    the aggregate, since the columns are known there.

    >>> count(where="amount > 500").kind
    'count'
    """

    kind: str
    args: tuple[Argument, ...] = ()
    where: Argument | None = None
    parameters: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        place = f"{self.kind}()"
        if self.kind not in KINDS:
            raise PlanError(unknown("aggregate", str(self.kind), KINDS))
        for arg in self.args:
            if not isinstance(arg, Expr | str):
                hint = "write a column by name, SQL text or an expression"
                if isinstance(arg, Agg):
                    hint = "an aggregate of an aggregate needs a window of its own behind .agg()"
                raise PlanError(with_hint(f"{place}: {shown(arg)} is not a column", hint))
        if self.where is not None and not isinstance(self.where, Expr | str):
            message = f"{place}: where={shown(self.where)} is not a condition"
            raise PlanError(with_hint(message, 'write SQL text, or col("amount") > 500'))

    def to_json(self, name: str, columns: Collection[str] | None, place: str) -> dict[str, Json]:
        """The aggregate in a plan, its text read against the columns known there.

        >>> count("amount").to_json("n", ["amount"], "tumbling")
        {'name': 'n', 'kind': 'count', 'args': [{'col': 'amount'}], 'where': None}
        """
        inside = f"{place}: {name}={self!r}"
        args: list[Json] = [resolve(a, columns, inside).to_json() for a in self.args]
        where = None if self.where is None else resolve(self.where, columns, inside).to_json()
        made: dict[str, Json] = {"name": name, "kind": self.kind, "args": args, "where": where}
        if self.parameters:
            made["parameters"] = [lit(value).to_json() for value in self.parameters]
        return made

    def _key(self) -> tuple[str, ...]:
        parts = (*self.args, self.where, *map(lit, self.parameters))
        return (self.kind, *(p.key() if isinstance(p, Expr) else repr(p) for p in parts))

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, Agg) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        names = ("", *(f"{name}=" for name in KINDS[self.kind].keywords))
        parts = [name + _shown(arg) for name, arg in zip(names, self.args, strict=False)]
        named = KINDS[self.kind].named + ("",) * len(self.parameters)
        if self.kind == "histogram":
            parts.append(repr(list(self.parameters)))
            named = ()
        for name, value in zip(named, self.parameters, strict=False):
            parts.append(f"{name}={value!r}" if name else repr(value))
        if self.where is not None:
            parts.append(f"where={_shown(self.where)}")
        return f"{self.kind}({', '.join(parts)})"


def meant(name: str, value: object) -> str:
    """What to write where something else was given for an aggregate of that name.

    >>> meant("n", len).partition(";")[0]
    'write n=mt.count()'
    >>> meant("total", "sum(amount)")
    'write total=mt.sum("amount")'
    """
    known = f"; there is {', '.join(KINDS)}"
    if isinstance(value, str):
        call = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", value, re.DOTALL)
        word = call[1].lower() if call else ""
        if word in KINDS and call:
            inside = (call[2] or "").strip()
            argument = quote(inside) if inside not in ("", "*") else ""
            if argument and KINDS[word].least <= 1 and not KINDS[word].parameters:
                return f"write {name}=mt.{word}({argument})"
            return f"write {name}=mt.{_call(word)}"
        return f"write {name}=mt.sum({quote(value)})" + known
    word = getattr(value, "__name__", "")
    word = {"len": "count", "set": "count_distinct"}.get(word, word)
    if callable(value) and word in KINDS:
        ours = value.__module__.startswith("muntin.")
        return f"write {name}=mt.{_call(word)}" + ("" if ours else known)
    if isinstance(value, Column):
        return f"write {name}=mt.sum({quote(value.name)})" + known
    return f'write {name}=mt.sum("column")' + known


def _call(word: str) -> str:
    """A call of an aggregate with columns of no particular name."""
    kind = KINDS[word]
    parts = ['"column"'] if kind.least else []
    parts += [f'{name}="column"' for name in kind.keywords[: kind.least - 1]]
    return f"{word}({', '.join([*parts, *kind.parameters])})"


def count(column: Argument | None = None, *, where: Argument | None = None) -> Agg:
    """How many rows (i64); with a column, how many rows where it is not null.

    >>> count(where="amount > 500")
    count(where="amount > 500")
    """
    return Agg("count", () if column is None else (column,), where)


def sum(column: Argument, *, weight: Argument | None = None, where: Argument | None = None) -> Agg:
    """The exact sum: i64 of integers, decimal(38, s) of decimals, f64 of floats.

    A sum of floats is the exact one, rounded once. An integer sum beyond 64 bits is null and
    gives an invalid record. With `weight` each value is multiplied by its weight first, without
    rounding.

    >>> sum("price * quantity")
    sum("price * quantity")
    """
    return Agg("sum", (column,) if weight is None else (column, weight), where)


def mean(column: Argument, *, weight: Argument | None = None, where: Argument | None = None) -> Agg:
    """The exact sum divided by the number of values (f64).

    With `weight`, the exact sum of the values times their weights, divided by the sum of the
    weights and rounded once; null if the weights add up to zero.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "celsius": 20.0}, {"day": "2024-05-01", "celsius": 23.0}]
    >>> readings = stream(time="day", out_of_order="0s", schema={"day": "date", "celsius": "f64"})
    >>> collect(readings.tumbling("1d").agg(c=mean("celsius")), rows).rows[0]["c"]
    21.5
    """
    return Agg("mean", (column,) if weight is None else (column, weight), where)


def min(column: Argument, *, where: Argument | None = None) -> Agg:
    """The least value, of the type of the column; texts compare by their bytes.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "celsius": 20.0}, {"day": "2024-05-01", "celsius": 23.0}]
    >>> readings = stream(time="day", out_of_order="0s", schema={"day": "date", "celsius": "f64"})
    >>> collect(readings.tumbling("1d").agg(c=min("celsius")), rows).rows[0]["c"]
    20.0
    """
    return Agg("min", (column,), where)


def max(column: Argument, *, where: Argument | None = None) -> Agg:
    """The greatest value, of the type of the column; texts compare by their bytes.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "celsius": 20.0}, {"day": "2024-05-01", "celsius": 23.0}]
    >>> readings = stream(time="day", out_of_order="0s", schema={"day": "date", "celsius": "f64"})
    >>> collect(readings.tumbling("1d").agg(c=max("celsius")), rows).rows[0]["c"]
    23.0
    """
    return Agg("max", (column,), where)


def count_distinct(column: Argument, *, where: Argument | None = None) -> Agg:
    """How many different values (i64), counted exactly.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "user": user} for user in ("ann", "bob", "ann")]
    >>> visits = stream(time="day", out_of_order="0s", schema={"day": "date", "user": "str"})
    >>> collect(visits.tumbling("1d").agg(n=count_distinct("user")), rows).rows[0]["n"]
    2
    """
    return Agg("count_distinct", (column,), where)


def first(column: Argument, *, where: Argument | None = None) -> Agg:
    """The value of the earliest row by event time, of equal times the one that arrived first.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-02", "page": "/cart"}, {"day": "2024-05-01", "page": "/"}]
    >>> clicks = stream(time="day", out_of_order="0s", schema={"day": "date", "page": "str"})
    >>> collect(clicks.tumbling("1w").agg(entry=first("page")), rows).rows[0]["entry"]
    '/'
    """
    return Agg("first", (column,), where)


def last(column: Argument, *, where: Argument | None = None) -> Agg:
    """The value of the latest row by event time, of equal times the one that arrived last.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-02", "page": "/cart"}, {"day": "2024-05-01", "page": "/"}]
    >>> clicks = stream(time="day", out_of_order="0s", schema={"day": "date", "page": "str"})
    >>> collect(clicks.tumbling("1w").agg(exit=last("page")), rows).rows[0]["exit"]
    '/cart'
    """
    return Agg("last", (column,), where)


def arg_min(column: Argument, *, by: Argument, where: Argument | None = None) -> Agg:
    """The value of `column` in the row where `by` is least; of equal ones, the earliest row's.

    `by` is ordered as by `min`. A row without a value in `column` or `by` does not count.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "shop": "a", "price": 3}]
    >>> rows += [{"day": "2024-05-01", "shop": "b", "price": 2}]
    >>> words = {"day": "date", "shop": "str", "price": "i64"}
    >>> offers = stream(time="day", out_of_order="0s", schema=words)
    >>> collect(offers.tumbling("1d").agg(best=arg_min("shop", by="price")), rows).rows[0]["best"]
    'b'
    """
    return Agg("arg_min", (column, by), where)


def arg_max(column: Argument, *, by: Argument, where: Argument | None = None) -> Agg:
    """The value of `column` in the row where `by` is greatest; of equal ones, the earliest row's.

    `by` is ordered as by `max`. A row without a value in `column` or `by` does not count.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "shop": "a", "amount": 3}]
    >>> rows += [{"day": "2024-05-01", "shop": "b", "amount": 2}]
    >>> words = {"day": "date", "shop": "str", "amount": "i64"}
    >>> sales = stream(time="day", out_of_order="0s", schema=words)
    >>> collect(sales.tumbling("1d").agg(top=arg_max("shop", by="amount")), rows).rows[0]["top"]
    'a'
    """
    return Agg("arg_max", (column, by), where)


def quantile(column: Argument, q: float, *, where: Argument | None = None) -> Agg:
    """The value (f64) below which a share `q` of the values lies, from 0 (least) to 1 (greatest).

    Exact, and interpolated linearly between the two nearest values, as `quantile_cont` in SQL and
    the default of NumPy and pandas. Takes numbers and bool; decimals become floats.

    Raises `PlanError` for a `q` that is not between 0 and 1.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "ms": ms} for ms in (10, 40, 20, 30)]
    >>> requests = stream(time="day", out_of_order="0s", schema={"day": "date", "ms": "i64"})
    >>> collect(requests.tumbling("1d").agg(p90=quantile("ms", 0.9)), rows).rows[0]["p90"]
    37.0
    """
    if isinstance(q, bool) or not isinstance(q, int | float) or not 0 <= q <= 1:
        said = f"quantile(): q={shown(q)} is not a number between 0 and 1"
        raise PlanError(with_hint(said, "write 0.95 for the 95th percentile"))
    return Agg("quantile", (column,), where, (float(q),))


def median(column: Argument, *, where: Argument | None = None) -> Agg:
    """The value in the middle, the mean of the two middle ones for an even number: `quantile` 0.5.

    >>> median("ms")
    quantile("ms", 0.5)
    """
    return quantile(column, 0.5, where=where)


def array_agg(column: Argument, *, where: Argument | None = None) -> Agg:
    """The values in a list (`list[T]`), by event time, of equal times as they arrived.

    Nulls are left out, NaN is kept; without a value the result is null. The list has as many items
    as `count` of the column. Over per-event windows every row carries a list of its own: with long
    windows of busy keys, that is much memory.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-02", "page": "/cart"}, {"day": "2024-05-01", "page": "/"}]
    >>> clicks = stream(time="day", out_of_order="0s", schema={"day": "date", "page": "str"})
    >>> collect(clicks.tumbling("1w").agg(path=array_agg("page")), rows).rows[0]["path"]
    ['/', '/cart']
    """
    return Agg("array_agg", (column,), where)


def _shown(part: Argument) -> str:
    return quote(part) if isinstance(part, str) else repr(part)
