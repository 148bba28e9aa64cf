"""Reads the expressions and aggregates of a saved plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muntin.expr.build import is_name
from muntin.expr.tree import Call, Case, Cast, Column, Expr, Literal
from muntin.pipeline.aggregates import Agg
from muntin.pipeline.plan import Node
from muntin.values.literals import decode

ANY = Node("input", (), "{}", "", None, False)
"""A stream of unknown columns, for verbs to stand behind."""

_FLAT = ("and", "or", "coalesce")


def aggregates_of(node: Mapping[str, Any]) -> dict[str, Agg]:
    """The aggregates of a window, by the columns they give."""
    return {
        each["name"]: Agg(
            each["kind"],
            tuple(brief(arg) for arg in each["args"]),
            None if each["where"] is None else brief(each["where"]),
            tuple(decode(one["lit"], one["type"]) for one in each.get("parameters", ())),
        )
        for each in node["aggregates"]
    }


def brief(value: Mapping[str, Any]) -> Expr | str:
    """An expression, as text where it was written so or is a plain column."""
    if "text" in value:
        return str(value["text"][0])
    expr = _expr(value)
    return expr.name if isinstance(expr, Column) and is_name(expr.name) else expr


def _expr(value: Mapping[str, Any]) -> Expr:
    match value:
        case {"col": name}:
            return Column(name)
        case {"lit": constant, "type": word}:
            return Literal(decode(constant, word), word)
        case {"text": [_, meaning]}:
            return _expr(meaning)
        case {"case": branches, "else": other}:
            pairs = tuple((_expr(c), _expr(v)) for c, v in branches)
            return Case(pairs, None if other is None else _expr(other))
        case {"fn": "cast", "args": [inner], "to": word}:
            return Cast(_expr(inner), word)
        case {"fn": fn, "args": inner}:
            args = [_expr(arg) for arg in inner]
            return Call(fn, tuple(_flat(fn, args) if fn in _FLAT else args))
    raise ValueError(f"not an expression: {value}")


def _flat(fn: str, args: Sequence[Expr]) -> Iterator[Expr]:
    for arg in args:
        yield from arg.args if isinstance(arg, Call) and arg.fn == fn else (arg,)
