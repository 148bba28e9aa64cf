"""Checks the columns of a verb: its key, and the names of what comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from muntin.base.arguments import several, shown
from muntin.base.errors import ColumnError, PlanError, unknown, with_hint
from muntin.expr.build import Column, Expr
from muntin.pipeline.plan import Node
from muntin.values.literals import quote

By: TypeAlias = str | Sequence[str]
"""The columns of a key: one name, or several; none for a single key over all rows."""


def key_columns(node: Node, by: By, place: str) -> tuple[str, ...]:
    """The columns of a key as a tuple; refuses unknown, repeated and computed ones."""
    if by is None:
        raise PlanError(with_hint(f"{place}: by=None", "leave by= out for one key over all rows"))
    names = (by,) if isinstance(by, str | Expr) else several(by, f"{place}: by", "columns")
    for i, name in enumerate(names):
        if not isinstance(name, str):
            hint = "name a column; a computed one gets its name from with_columns() before"
            if isinstance(name, Column):
                hint = f"write by={quote(name.name)}; {hint}"
            message = f"{place}: by={shown(name)} is not the name of a column"
            raise PlanError(with_hint(message, hint))
        if node.columns is not None and name not in node.columns:
            raise ColumnError(unknown("column", name, node.columns, f"{place}: by"))
        if name in names[:i]:
            raise ColumnError(f'{place}: by: column "{name}" comes twice')
    return names


def no_collisions(columns: Iterable[str], place: str) -> None:
    """Raise `ColumnError` if two columns that come out of a verb have one name."""
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            hint = "give one of them another name"
            raise ColumnError(with_hint(f'{place}: two columns are called "{name}"', hint))
        seen.add(name)


def no_revisions_before(node: Node, place: str) -> None:
    """Refuse a verb after a stream whose windows may fire more than once."""
    if node.revisions:
        hint = (
            'give the window before emit="final" without emit_every, and allowed_lateness= with '
            "revisions=False: then it fires once, at its end + allowed_lateness"
        )
        message = "it cannot follow windows that emit revisions"
        raise PlanError(with_hint(f"{place}: {message}", hint))
