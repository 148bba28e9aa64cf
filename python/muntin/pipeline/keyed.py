"""Verbs that look at a row beside the rows of its key: each makes a node, or writes a saved one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from muntin.base.arguments import shown
from muntin.base.durations import Duration, parse, short
from muntin.base.errors import ColumnError, PlanError, unknown, with_hint
from muntin.expr.build import Column
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_collisions, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY
from muntin.pipeline.windows.base import required
from muntin.values.literals import Json, text


def previous(node: Node, by: By, ago: Duration | None, new: Mapping[str, object]) -> Node:
    """The node of `previous`; `new` has the name of a column for each column that is added."""
    no_revisions_before(node, "previous")
    keys = key_columns(node, by, "previous")
    span = None if ago is None else parse(ago, "previous: ago")
    if not new:
        hint = 'name the columns to add: previous(by="card", last_amount="amount")'
        raise PlanError(with_hint("previous: no column", hint))
    columns = {text(name, "previous"): _old(node, name, old) for name, old in new.items()}
    no_collisions((*(node.columns or ()), *columns), "previous")
    body: dict[str, Json] = {
        "by": [*keys],
        "ago": None if span is None else span.us,
        "columns": [[name, old] for name, old in columns.items()],
    }
    call = call_text("previous", [], by=by_text(keys) or [], ago=span and span.text, **columns)
    after = None if node.columns is None else (*node.columns, *columns)
    return Node("previous", (node,), dumps(body), call, after, node.typed)


def deduplicate(node: Node, by: By, within: Duration) -> Node:
    """The node of `deduplicate`."""
    no_revisions_before(node, "deduplicate")
    keys = key_columns(node, by, "deduplicate")
    span = required(within, "deduplicate: within")
    body: dict[str, Json] = {"by": [*keys], "within": span.us}
    call = call_text("deduplicate", [by_text(keys) or [], span.text])
    return Node("deduplicate", (node,), dumps(body), call, node.columns, node.typed)


def _old(node: Node, name: str, old: object) -> str:
    if isinstance(old, Column):
        old = old.name
    if not isinstance(old, str):
        hint = f'write {name}="amount"; a computed column gets its name from with_columns() before'
        raise PlanError(
            with_hint(f"previous: {name}={shown(old)} is not the name of a column", hint)
        )
    if node.columns is not None and old not in node.columns:
        raise ColumnError(unknown("column", old, node.columns, f"previous: {name}"))
    return old


def previous_text(node: Mapping[str, Any]) -> str:
    """The verb of a saved plan as a user would type it."""
    ago = None if node["ago"] is None else short(node["ago"])
    return previous(ANY, node["by"], ago, dict(node["columns"])).call


def deduplicate_text(node: Mapping[str, Any]) -> str:
    """The verb of a saved plan as a user would type it."""
    return deduplicate(ANY, node["by"], short(node["within"])).call


TEXTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "previous": previous_text,
    "deduplicate": deduplicate_text,
}
"""What writes a verb of a saved plan as a user would type it."""
