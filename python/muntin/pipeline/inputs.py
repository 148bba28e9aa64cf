"""The first nodes of a plan: an input, and the union of several streams."""

from __future__ import annotations

from collections.abc import Sequence

from muntin.base.durations import Duration, parse
from muntin.base.errors import ColumnError, PlanError, with_hint
from muntin.expr.build import Expr, resolve
from muntin.pipeline.calls import call_text
from muntin.pipeline.plan import Node, Schema, dumps, schema_words
from muntin.values.literals import Json, quote, text

ONLY_INPUT = "input"
"""The name of an input that was given none."""

_SKEW_US = 86_400_000_000


def input_node(
    name: str | None,
    *,
    time: str | Expr,
    out_of_order: Duration,
    idle_after: Duration | None,
    max_future_skew: Duration | None,
    schema: Schema | None,
) -> Node:
    """The node of an input; `muntin.stream` says what the parameters mean."""
    if name is not None and (not isinstance(name, str) or not name):
        raise PlanError(f"stream: {name!r} is not a name")
    if not isinstance(time, str | Expr):
        raise PlanError(f"stream: time={time!r} is not a column")
    words = None if schema is None else schema_words(schema, "stream: schema")
    columns = None if words is None else tuple(column for column, _ in words)
    behind = parse(out_of_order, "stream: out_of_order", zero=True)
    idle = None if idle_after is None else parse(idle_after, "stream: idle_after")
    skew = None
    if max_future_skew is not None:
        skew = parse(max_future_skew, "stream: max_future_skew", zero=True)
    body: dict[str, Json] = {
        "name": ONLY_INPUT if name is None else text(name, "stream: name"),
        "time": resolve(time, columns, "stream: time").to_json(),
        "out_of_order": behind.us,
        "idle_after": None if idle is None else idle.us,
        "max_future_skew": None if skew is None else skew.us,
        "schema": None if words is None else [[column, word] for column, word in words],
    }
    call = call_text(
        "stream",
        [] if name is None else [name],
        time=time,
        out_of_order=behind.text,
        idle_after=None if idle is None else idle.text,
        max_future_skew=None if skew is None or skew.us == _SKEW_US else skew.text,
    ).removeprefix(".")
    if skew is None:
        call = f"{call[:-1]}, max_future_skew=None)"
    return Node("input", (), dumps(body), call, columns, words is not None)


def union_node(nodes: Sequence[Node], tag: str | None, names: Sequence[str | None] | None) -> Node:
    """The node of a union; `names` are those of the streams, where there is a `tag`."""
    for node, name in zip(nodes, names or (), strict=False):
        if name is None:
            hint = 'give each input a name: mt.stream("clicks", ...)'
            raise PlanError(with_hint(f"union: tag= needs a name for {text_of(node)}", hint))
    columns: tuple[str, ...] | None = None
    if all(node.columns is not None for node in nodes):
        columns = tuple(dict.fromkeys(c for node in nodes for c in node.columns or ()))
    if tag is not None and columns is not None:
        if text(tag, "union: tag") in columns:
            raise ColumnError(f'union: tag="{tag}" is the name of a column already')
        columns = (*columns, tag)
    body: dict[str, Json] = {"tag": tag, "names": [*(names or ())]}
    inner = [text_of(node) for node in nodes]
    inner += [] if tag is None else [f"tag={quote(tag)}"]
    call = f"union({', '.join(inner)})"
    typed = all(node.typed for node in nodes)
    revisions = any(node.revisions for node in nodes)
    return Node("union", tuple(nodes), dumps(body), call, columns, typed, revisions)


def text_of(node: Node) -> str:
    """The pipeline up to a node as a user would type it."""
    call = node.call
    while node.op not in ("input", "union"):
        node = node.parents[0]
        call = node.call + call
    return call
