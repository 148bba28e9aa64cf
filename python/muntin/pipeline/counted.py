"""Aggregates that count the different values of a column."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from muntin.base.arguments import shown
from muntin.base.errors import PlanError, with_hint
from muntin.pipeline.aggregates import Agg, Argument


def sum_distinct(column: Argument, *, where: Argument | None = None) -> Agg:
    """The exact sum of the different values, each counted once; of the type of `sum`.

    -0.0 is 0.0. A sum that does not fit its type is null and gives an invalid record.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x} for x in (3, 1, 3, 20)]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64"})
    >>> collect(data.tumbling("1d").agg(a=sum_distinct("x")), rows).rows[0]["a"]
    24
    """
    return Agg("sum_distinct", (column,), where)


def product(column: Argument, *, where: Argument | None = None) -> Agg:
    """The product of the values as floats (f64), rounded once, whatever their order.

    Takes numbers and bool. The different values are kept: a result walks those of its key.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x} for x in (3, 1, 3, 20)]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64"})
    >>> collect(data.tumbling("1d").agg(a=product("x")), rows).rows[0]["a"]
    180.0
    """
    return Agg("product", (column,), where)


def mode(column: Argument, *, where: Argument | None = None) -> Agg:
    """The most frequent value, of the type of the column; of equally frequent ones, the least.

    Counted exactly. -0.0 is 0.0. A result walks the different values of its key.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x} for x in (3, 1, 3, 20)]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64"})
    >>> collect(data.tumbling("1d").agg(a=mode("x")), rows).rows[0]["a"]
    3
    """
    return Agg("mode", (column,), where)


def top_k(column: Argument, k: int, *, where: Argument | None = None) -> Agg:
    """The `k` most frequent values in a list (`list[T]`), the most frequent first.

    Counted exactly; of equally frequent ones, the least comes first. -0.0 is 0.0. A result walks
    the different values of its key.

    Raises `PlanError` for a `k` that is not a whole number from 1 on.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x} for x in (3, 1, 3, 20)]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64"})
    >>> collect(data.tumbling("1d").agg(a=top_k("x", 2)), rows).rows[0]["a"]
    [3, 1]
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k < 2**63:
        said = f"top_k(): k={shown(k)} is not a whole number from 1 on"
        raise PlanError(with_hint(said, "write how many values to list, as 3"))
    return Agg("top_k", (column,), where, (k,))


def histogram(column: Argument, edges: Iterable[float], *, where: Argument | None = None) -> Agg:
    """How many values lie between given edges (`list[i64]`): one count more than there are edges.

    The first count is that of the values below the first edge, the last one that of the values
    from the last edge on; a value that is an edge counts above it. So the counts add up to the
    number of values. Takes numbers and bool, which are turned into floats first.

    Raises `PlanError` for edges that are not numbers that rise.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x} for x in (3, 1, 3, 20)]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64"})
    >>> collect(data.tumbling("1d").agg(a=histogram("x", [2, 10])), rows).rows[0]["a"]
    [1, 2, 1]
    """
    wanted = list(edges) if isinstance(edges, Iterable) and not isinstance(edges, str) else []
    numbers = [e for e in wanted if isinstance(e, int | float) and not isinstance(e, bool)]
    numbers = [e for e in numbers if isinstance(e, float) or abs(e) < 2**1023]
    rising = [a < b for a, b in itertools.pairwise(numbers)]
    if not numbers or len(numbers) < len(wanted) or False in rising or numbers[0] != numbers[0]:
        said = f"histogram(): edges={shown(edges)} are not numbers that rise"
        raise PlanError(with_hint(said, "write them in order, as [0, 10, 100]"))
    return Agg("histogram", (column,), where, tuple(map(float, numbers)))
