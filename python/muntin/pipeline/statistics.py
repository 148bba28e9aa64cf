"""Statistics: variances, moments and regression of exact sums; truth values and bits.

Results are those of exact arithmetic, rounded once (twice where a root is taken): the same bits in
any order of the rows, and after any row has left the window.
"""

from __future__ import annotations

from muntin.base.arguments import shown
from muntin.base.errors import PlanError, with_hint
from muntin.pipeline.aggregates import Agg, Argument


def var(column: Argument, *, ddof: int = 1, where: Argument | None = None) -> Agg:
    """The variance (f64) of numbers or bool.

    Of a sample by default; `ddof=0` is that of all there is. Null for `ddof` values or fewer, NaN
    with an infinity.

    Raises `PlanError` for a `ddof` that is not a whole number from 0 on.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=var("x")), rows).rows[0]["a"]
    1.0
    """
    return Agg("var", (column,), where, (_ddof("var", ddof),))


def std(column: Argument, *, ddof: int = 1, where: Argument | None = None) -> Agg:
    """The standard deviation (f64): the root of `var`, with the same `ddof`.

    Raises `PlanError` for a `ddof` that is not a whole number from 0 on.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=std("x", ddof=0)), rows).rows[0]["a"]
    0.816496580927726
    """
    return Agg("std", (column,), where, (_ddof("std", ddof),))


def skew(column: Argument, *, bias: bool = False, where: Argument | None = None) -> Agg:
    """How far the values lean to one side (f64): the third standardized moment.

    Corrected for the size of a sample, as in DuckDB and pandas; `bias=True` is that of all there
    is, as by default in Polars and SciPy. Null for fewer than 3 values (with `bias` 2) and
    for values that are all equal, NaN with an infinity.

    Raises `PlanError` for a `bias` that is not a bool.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=skew("y")), rows).rows[0]["a"]
    1.1520696383139375
    """
    return Agg("skew", (column,), where, (_bias("skew", bias),))


def kurtosis(column: Argument, *, bias: bool = False, where: Argument | None = None) -> Agg:
    """How heavy the tails are (f64): the fourth standardized moment minus 3.

    Corrected for the size of a sample, as in DuckDB and pandas; `bias=True` is that of all there
    is, as by default in Polars and SciPy. Null for fewer than 4 values (with `bias` 2) and
    for values that are all equal, NaN with an infinity.

    Raises `PlanError` for a `bias` that is not a bool.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=kurtosis("x", bias=True)), rows).rows[0]["a"]
    -1.5
    """
    return Agg("kurtosis", (column,), where, (_bias("kurtosis", bias),))


def cov(x: Argument, y: Argument, *, ddof: int = 1, where: Argument | None = None) -> Agg:
    """The covariance (f64) of two columns; a row without one of the two does not count.

    Null for `ddof` rows or fewer, NaN with an infinity.

    Raises `PlanError` for a `ddof` that is not a whole number from 0 on.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=cov("x", "y")), rows).rows[0]["a"]
    3.5
    """
    return Agg("cov", (x, y), where, (_ddof("cov", ddof),))


def corr(x: Argument, y: Argument, *, where: Argument | None = None) -> Agg:
    """The correlation (f64, from -1 to 1) of two columns, after Pearson.

    A row without one of the two does not count. Null if one of them does not vary, NaN with an
    infinity.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=corr("x", "y")), rows).rows[0]["a"]
    0.970725343394151
    """
    return Agg("corr", (x, y), where)


def slope(y: Argument, x: Argument, *, where: Argument | None = None) -> Agg:
    """How much `y` rises with `x` (f64): the slope of the line of least squares, as `regr_slope`.

    A row without one of the two does not count. Null if `x` does not vary, NaN with an infinity.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=slope("y", "x")), rows).rows[0]["a"]
    3.5
    """
    return Agg("slope", (y, x), where)


def intercept(y: Argument, x: Argument, *, where: Argument | None = None) -> Agg:
    """Where the line of least squares is at `x` = 0 (f64), as `regr_intercept` in SQL.

    A row without one of the two does not count. Null if `x` does not vary, NaN with an infinity.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=intercept("y", "x")), rows).rows[0]["a"]
    -2.0
    """
    return Agg("intercept", (y, x), where)


def any(column: Argument, *, where: Argument | None = None) -> Agg:
    """Whether a value of a bool column or condition is true; null without a value.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=any("x > 2")), rows).rows[0]["a"]
    True
    """
    return Agg("any", (column,), where)


def all(column: Argument, *, where: Argument | None = None) -> Agg:
    """Whether all values of a bool column or condition are true; null without a value.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "f64", "y": "f64"})
    >>> collect(data.tumbling("1d").agg(a=all("x > 2")), rows).rows[0]["a"]
    False
    """
    return Agg("all", (column,), where)


def bit_and(column: Argument, *, where: Argument | None = None) -> Agg:
    """The bits that all integers of a column have, in the type of the column.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64", "y": "i64"})
    >>> collect(data.tumbling("1d").agg(a=bit_and("x")), rows).rows[0]["a"]
    0
    """
    return Agg("bit_and", (column,), where)


def bit_or(column: Argument, *, where: Argument | None = None) -> Agg:
    """The bits that one of the integers of a column has, in the type of the column.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64", "y": "i64"})
    >>> collect(data.tumbling("1d").agg(a=bit_or("x")), rows).rows[0]["a"]
    3
    """
    return Agg("bit_or", (column,), where)


def bit_xor(column: Argument, *, where: Argument | None = None) -> Agg:
    """The bits that an odd number of the integers has, in the type of the column.

    >>> from muntin import collect, stream
    >>> rows = [{"day": "2024-05-01", "x": x, "y": y} for x, y in ((1, 2), (2, 4), (3, 9))]
    >>> data = stream(time="day", out_of_order="0s", schema={"day": "date", "x": "i64", "y": "i64"})
    >>> collect(data.tumbling("1d").agg(a=bit_xor("y")), rows).rows[0]["a"]
    15
    """
    return Agg("bit_xor", (column,), where)


def _ddof(name: str, ddof: int) -> int:
    if isinstance(ddof, bool) or not isinstance(ddof, int) or not 0 <= ddof < 2**63:
        said = f"{name}(): ddof={shown(ddof)} is not a whole number from 0 on"
        raise PlanError(with_hint(said, "write 1 for a sample, 0 for all that there is"))
    return ddof


def _bias(name: str, bias: bool) -> bool:
    if not isinstance(bias, bool):
        said = f"{name}(): bias={shown(bias)} is not a bool"
        raise PlanError(with_hint(said, "write True for all that there is, False for a sample"))
    return bias
