"""Silence: a row for a key that sent nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from muntin.base.arguments import several
from muntin.base.durations import Duration, parse, short
from muntin.base.errors import PlanError, with_hint
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_collisions, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY
from muntin.pipeline.windows.base import BOUNDS, required
from muntin.values.literals import Json

KeyValue: TypeAlias = str | int | bool | None
"""What a key may hold that is named in a pipeline."""


def silent(
    node: Node,
    after: Duration,
    by: By,
    known: Iterable[KeyValue | Sequence[KeyValue]] | None,
    every: Duration | None,
) -> Node:
    """The node of `silent`."""
    no_revisions_before(node, "silent")
    keys = key_columns(node, by, "silent")
    span = required(after, "silent: after")
    rows = None if known is None else _known(known, keys)
    columns = (*keys, *BOUNDS, "last_event_time")
    no_collisions(columns, "silent")
    again = None if every is None else parse(every, "silent: every")
    body: dict[str, Json] = {
        "by": [*keys],
        "after": span.us,
        "known": None if rows is None else [*rows],
    }
    body |= {} if again is None else {"every": again.us}
    listed = None if rows is None else [row[0] if len(keys) == 1 else tuple(row) for row in rows]
    repeats = again and again.text
    call = call_text("silent", [span.text], by=by_text(keys) or [], known=listed, every=repeats)
    return Node("silent", (node,), dumps(body), call, columns, node.typed)


def silent_text(node: Mapping[str, Any]) -> str:
    """The verb of a saved plan as a user would type it."""
    every = None if node.get("every") is None else short(node["every"])
    return silent(ANY, short(node["after"]), node["by"], node["known"], every).call


def _known(
    known: Iterable[KeyValue | Sequence[KeyValue]], keys: tuple[str, ...]
) -> list[list[Json]]:
    rows: dict[str, list[Json]] = {}
    given = [known] if isinstance(known, str) else several(known, "silent: known", "keys")
    for item in given:
        values = list(item) if isinstance(item, tuple | list) else [item]
        if len(values) != len(keys):
            hint = f"a key is a value for each of: {', '.join(keys)}"
            raise PlanError(with_hint(f"silent: known key {item!r}", hint))
        row: list[Json] = []
        for value in values:
            if value is not None and not isinstance(value, str | int):
                hint = "texts, whole numbers, true, false and None are possible so far"
                raise PlanError(with_hint(f"silent: known key {value!r} is not there yet", hint))
            row.append(value)
        rows.setdefault(dumps([*row]), row)
    return list(rows.values())
