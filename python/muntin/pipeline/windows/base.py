"""What all windows share: their aggregates, and the node of a window with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muntin.base.arguments import shown
from muntin.base.durations import Duration, Span, parse
from muntin.base.errors import PlanError, with_hint
from muntin.pipeline.aggregates import Agg, meant
from muntin.pipeline.keys import no_collisions
from muntin.pipeline.plan import Node, dumps
from muntin.values.literals import Json, text

BOUNDS = ("window_start", "window_end")


@dataclass(frozen=True, slots=True)
class Window:
    """A window without its aggregates: its node in the making."""

    op: str
    by: tuple[str, ...]
    body: str
    call: str
    revisions: bool = False


def aggregated(node: Node, window: Window, aggregates: Mapping[str, Agg]) -> Node:
    """The node of a window with its aggregates."""
    written = agg_json(node, window.op, aggregates)
    last = ("last_event_time",) if window.op == "session" else ()
    revision = ("revision",) if window.revisions else ()
    columns = (*window.by, *BOUNDS, *last, *aggregates, *revision)
    no_collisions(columns, window.op)
    body = f'{window.body[:-1]},"aggregates":{dumps([*written])}}}'
    call = window.call + aggregates_text(aggregates)
    return Node(window.op, (node,), body, call, columns, node.typed, window.revisions)


def agg_json(node: Node, place: str, aggregates: Mapping[str, Agg]) -> list[dict[str, Json]]:
    """The aggregates in a plan; refuses none at all, and what is not an aggregate."""
    if not aggregates:
        raise PlanError(with_hint(f"{place}: no aggregate", "write .agg(n=mt.count())"))
    written = []
    for name, agg in aggregates.items():
        if not isinstance(agg, Agg):
            message = f"{place}: {name}={shown(agg)} is not an aggregate"
            raise PlanError(with_hint(message, meant(name, agg)))
        written.append(agg.to_json(text(name, place), node.columns, place))
    return written


def all_named(unnamed: Sequence[object], place: str, write: str) -> None:
    """Refuse what was given without a name where the name is that of a column."""
    if unnamed:
        hint = f"name the column that it makes: {write}"
        raise PlanError(with_hint(f"{place}: {shown(unnamed[0])} has no name", hint))


def aggregates_text(aggregates: Mapping[str, Agg]) -> str:
    """The call of `agg` as a user would type it."""
    return f".agg({', '.join(f'{name}={agg!r}' for name, agg in aggregates.items())})"


def required(size: Duration | None, place: str) -> Span:
    """A duration that has no default."""
    if size is None:
        raise PlanError(with_hint(f"{place} is missing", 'write a duration, as in "1m"'))
    return parse(size, place)
