"""Where pipelines begin: inputs and unions."""

from __future__ import annotations

from typing import Any, overload

from muntin.base.durations import Duration
from muntin.base.errors import PlanError, with_hint
from muntin.expr.build import Expr
from muntin.pipeline.inputs import input_node, union_node
from muntin.pipeline.plan import Schema
from muntin.pipeline.stream import Stream, stream_of

_MISSING: Any = object()


@overload
def stream(
    name: str,
    *,
    time: str | Expr,
    out_of_order: Duration,
    idle_after: Duration | None = None,
    max_future_skew: Duration | None = "1d",
    schema: Schema | None = None,
) -> Stream: ...


@overload
def stream(
    name: None = None,
    *,
    time: str | Expr,
    out_of_order: Duration,
    idle_after: Duration | None = None,
    max_future_skew: Duration | None = "1d",
    schema: Schema | None = None,
) -> Stream: ...


def stream(
    name: str | None = None,
    *,
    time: str | Expr,
    out_of_order: Duration = _MISSING,
    idle_after: Duration | None = None,
    max_future_skew: Duration | None = "1d",
    schema: Schema | None = None,
) -> Stream:
    """An input: rows with an event time, whatever source will bring them.

    `time` is a column of timestamps or dates, or an expression such as `epoch("ms", "sent_at")`.
    `out_of_order` says how far a row may come behind the newest of its partition: the watermark
    stays that far behind, and what comes later still is late. A partition that is quiet for
    `idle_after` no longer holds the others back. A row more than `max_future_skew` ahead of its
    recorded arrival is invalid. With `schema`, a dict from column to type word or an Arrow
    schema, each verb is checked where it is written; else at the first batch. Several inputs in
    a plan each need a name and a schema.

    Raises `PlanError` and its kin for parameters that mean nothing.

    >>> stream("payments", time="paid_at", out_of_order="200ms")
    stream("payments", time="paid_at", out_of_order="200ms")
    """
    if out_of_order is _MISSING:
        hint = "'0s' for sorted data, else how far behind its partition's newest a row may come"
        raise PlanError(with_hint("stream() needs out_of_order=", hint))
    node = input_node(
        name,
        time=time,
        out_of_order=out_of_order,
        idle_after=idle_after,
        max_future_skew=max_future_skew,
        schema=schema,
    )
    return stream_of(node)


def union(*streams: Stream, tag: str | None = None) -> Stream:
    """The rows of several streams as one: columns by name, missing ones null.

    Columns come in the order of their first appearance; numbers of different types are widened.
    With `tag`, a last column of that name holds the name of the stream a row came from. Times
    need no common name: each stream brings its own.

    Raises `PlanError` for fewer than two streams, inputs without a schema, or unnamed streams
    under a `tag`; `ColumnError` if a column has the name of the tag.

    >>> words = {"at": "timestamp[us, UTC]"}
    >>> a = stream("a", time="at", out_of_order="0s", schema=words)
    >>> b = stream("b", time="at", out_of_order="0s", schema=words)
    >>> union(a, b, tag="kind").node.columns
    ('at', 'kind')
    """
    for item in streams:
        if not isinstance(item, Stream):
            raise PlanError(with_hint(f"union: {item!r} is not a stream", "write union(a, b)"))
    if len(streams) < 2:
        raise PlanError(f"union: {len(streams)} stream, where two are the least")
    names = None if tag is None else [item.name for item in streams]
    return stream_of(union_node([item.node for item in streams], tag, names))
