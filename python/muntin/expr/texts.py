"""Decides what a text in place of an expression means: a column, or else SQL."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from muntin.expr.tree import Call, Case, Cast, Column, Expr
from muntin.values.literals import Json


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Text(Expr):
    """A text whose stream has no known columns: one of that name, else what it means as SQL."""

    name: str
    meaning: Expr

    @property
    def depth(self) -> int:
        return self.meaning.depth

    def children(self) -> tuple[Expr, ...]:
        return (self.meaning,)

    def to_json(self) -> Json:
        return {"text": [self.name, self.meaning.to_json()]}

    def render(self) -> tuple[str, int]:
        return self.meaning.render()


def settled(expr: Expr, columns: Collection[str]) -> Expr:
    """The expression for known columns: a text is the column of that name, else its SQL."""
    match expr:
        case Text():
            known = expr.name in columns
            return Column(expr.name) if known else settled(expr.meaning, columns)
        case Call():
            return Call(expr.fn, tuple(settled(arg, columns) for arg in expr.args))
        case Cast():
            return Cast(settled(expr.arg, columns), expr.word)
        case Case():
            branches = tuple((settled(c, columns), settled(v, columns)) for c, v in expr.branches)
            other = None if expr.other is None else settled(expr.other, columns)
            return Case(branches, other)
    return expr


def by_meaning(value: Json) -> Json:
    """The JSON of an expression in which each text is replaced by its SQL."""
    if isinstance(value, list):
        return [by_meaning(item) for item in value]
    if not isinstance(value, dict):
        return value
    match value.get("text"):
        case [str(), dict() as meaning] if len(value) == 1:
            return by_meaning(meaning)
    return {name: by_meaning(item) for name, item in value.items()}
