"""Builds expressions from what a user writes in Python or as text.

An expression says what to compute from the columns of a row. However it was written, it is one
frozen tree (`muntin.expr.tree`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from muntin.base.arguments import shown
from muntin.base.errors import ColumnError, ExpressionError, unknown, with_hint
from muntin.expr.sql import parse
from muntin.expr.texts import Text, settled
from muntin.expr.tree import (
    Case,
    Column,
    Expr,
    Literal,
    Unfinished,
    call,
    checked,
    literal,
)
from muntin.values.literals import Value, text

__all__ = [
    "Case",
    "Column",
    "Expr",
    "IntoExpr",
    "Literal",
    "Then",
    "When",
    "call",
    "check_columns",
    "col",
    "is_name",
    "lit",
    "resolve",
    "when",
]

IntoExpr: TypeAlias = Expr | Value
"""An expression, the name of a column or SQL text, or a plain value."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Then(Case):
    """A choice that more can be added to."""

    def when(self, condition: Expr | str) -> When:
        """Add a condition for rows where the conditions before it are not true.

        >>> when("n > 9").then(lit("high")).when("n > 5").then(lit("middle"))
        when(col("n") > 9).then(lit("high")).when(col("n") > 5).then(lit("middle"))
        """
        self._open("when()")
        return When(self.branches, _condition(condition))

    def otherwise(self, value: IntoExpr) -> Expr:
        """The value where no condition is true; null if this is left out.

        >>> when("n > 9").then(1).otherwise(0)
        when(col("n") > 9).then(lit(1)).otherwise(lit(0))
        """
        self._open("otherwise()")
        return checked(Then(self.branches, _expr(value)))

    def _open(self, verb: str) -> None:
        if self.other is not None:
            raise ExpressionError(f"{verb} comes after otherwise() in {self!r}")


@dataclass(frozen=True, slots=True, eq=False)
class When(Unfinished):
    """A condition that waits for its `then`."""

    missing: ClassVar[str] = "a when() without then()"
    branches: tuple[tuple[Expr, Expr], ...]
    condition: Expr

    def then(self, value: IntoExpr) -> Then:
        """The value where the condition is true; text is a column or SQL, as in `when`.

        >>> when("n > 9").then("price * 2")
        when(col("n") > 9).then(col("price") * 2)
        """
        return checked(Then((*self.branches, (self.condition, _expr(value)))))


def col(name: str) -> Expr:
    """The column of that exact name.

    >>> col("amount") * 2
    col("amount") * 2
    """
    if not isinstance(name, str) or not name:
        raise ExpressionError(f"col() takes the name of a column, not {name!r}")
    return Column(text(name, "col()"))


def lit(value: Value) -> Expr:
    """A constant: None, bool, int (64 bits), float, str, bytes, date, datetime, timedelta, Decimal.

    A naive `datetime` has the type `timestamp[us]`, an aware one `timestamp[us, UTC]`.

    Raises `ExpressionError` for other types, and for integers beyond 64 bits.

    >>> lit("FR")
    lit("FR")
    """
    return literal(value, "lit()")


def when(condition: Expr | str) -> When:
    """Start a choice: `when(...).then(...).otherwise(...)`; a constant text is `lit("high")`.

    >>> when(col("amount") > 500).then(lit("high")).otherwise(lit("low"))
    when(col("amount") > 500).then(lit("high")).otherwise(lit("low"))
    """
    return When((), _condition(condition))


def resolve(value: IntoExpr, columns: Collection[str] | None, place: str) -> Expr:
    """Turn an argument into an expression: the one place that decides what a text means.

    A string is the column of that exact name if there is one, else SQL text. With `columns`, the
    names known there, every column that is read must be among them; without, the engine judges
    when the columns are known.

    Raises `ExpressionError` for text that does not parse, `ColumnError` for an unknown column.
    """
    if isinstance(value, str):
        expr = _of_text(value, columns, place)
    else:
        expr = value if isinstance(value, Expr) else literal(value, place)
    if columns is not None:
        expr = settled(expr, columns)
        check_columns(expr, columns, place)
    return expr


def _of_text(value: str, columns: Collection[str] | None, place: str) -> Expr:
    if is_name(value) or (columns is not None and value in columns):
        return Column(value)
    meaning = parse(value, place)
    if columns is not None or isinstance(meaning, Column):
        return meaning
    return Text(text(value, place), meaning)


def check_columns(expr: Expr, columns: Collection[str], place: str) -> None:
    """Raise `ColumnError` if the expression reads a column that is not among the known ones."""
    for column in expr.columns():
        if column.name in columns:
            continue
        if column.quoted:
            hint = f"write text in single quotes: '{column.name}'"
            raise ColumnError(with_hint(f'{place}: unknown column "{column.name}"', hint))
        raise ColumnError(unknown("column", column.name, columns, place))


def _condition(value: object) -> Expr:
    if not isinstance(value, Expr | str):
        hint = 'write a condition: when(col("amount") > 500)'
        raise ExpressionError(with_hint(f"when: {shown(value)} is not a condition", hint))
    return _expr(value)


def _expr(value: IntoExpr) -> Expr:
    return resolve(value, None, "expression")


def is_name(word: str) -> bool:
    """Whether a text is a column's name whatever the columns are: it means nothing else as SQL."""
    return word.isidentifier() and word.lower() not in ("true", "false", "null")
