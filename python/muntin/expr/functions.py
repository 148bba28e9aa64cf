"""Functions of a row's metadata, and integers read as times."""

from __future__ import annotations

from muntin.base.arguments import shown
from muntin.base.durations import EPOCH_UNITS
from muntin.base.errors import ExpressionError, with_hint
from muntin.expr.build import Expr, call, resolve


def is_late() -> Expr:
    """Whether a verb before has found the row late; false for rows that were in time."""
    return call("is_late")


def arrival() -> Expr:
    """The recorded time of arrival of the row, `timestamp[us, UTC]`; null if none was recorded."""
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
