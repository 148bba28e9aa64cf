"""Functions of a row's metadata, and integers read as times."""

from __future__ import annotations

from muntin.base.arguments import shown
from muntin.base.durations import EPOCH_UNITS
from muntin.base.errors import ExpressionError, with_hint
from muntin.expr.build import Expr, call, resolve


def is_late() -> Expr:
    """Whether the row was late for an earlier verb; false for rows that were in time.

    >>> import muntin as mt
    >>> logins = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]"})
    >>> counted = logins.sliding("1h").agg(n=mt.count()).with_columns(late=mt.is_late())
    >>> op = mt.operator(counted)
    >>> [op.ask({"at": f"2024-05-01T{hour}:00:00Z"}).row["late"] for hour in (12, 10)]
    [False, True]
    """
    return call("is_late")


def arrival() -> Expr:
    """The recorded time of arrival of the row, `timestamp[us, UTC]`; null if none was recorded.

    >>> import muntin as mt
    >>> logins = mt.stream(time="at", out_of_order="0s", schema={"at": "timestamp[us, UTC]"})
    >>> op = mt.operator(logins.with_columns(came=mt.arrival()))
    >>> row = {"at": "2024-05-01T10:00:00Z"}
    >>> str(op.ask(row, arrival=1714557601000000).row["came"])
    '2024-05-01 10:00:01+00:00'
    """
    return call("arrival")


def epoch(unit: str, column: Expr | str) -> Expr:
    """An integer column as a time, counted from 1970 in `"s"`, `"ms"`, `"us"` or `"ns"`.

    The type is `timestamp[us, UTC]`. Raises `ExpressionError` for another unit.

    >>> epoch("ms", "sent_at")
    epoch("ms", col("sent_at"))
    """
    if unit not in EPOCH_UNITS:
        raise ExpressionError(with_hint(f"epoch(): unknown unit {unit!r}", "s, ms, us or ns"))
    if not isinstance(column, Expr | str):
        hint = 'name an integer column: mt.epoch("ms", "sent_at")'
        raise ExpressionError(with_hint(f"epoch(): {shown(column)} is not a column", hint))
    return call(f"epoch_{unit}", resolve(column, None, "epoch()"))
