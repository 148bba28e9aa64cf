"""Tumbling and hopping windows, whose bounds are multiples of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muntin.base.arguments import flag, one_of
from muntin.base.durations import Duration, Span, parse, short
from muntin.base.errors import PlanError, with_hint
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY, aggregates_of
from muntin.pipeline.windows.base import Window, aggregates_text, required
from muntin.values.literals import Json

HOPS_MAX = 10_000
MONDAY_US = 4 * 86_400_000_000
"""The first Monday after the epoch, which began on a Thursday."""
_WEEK_US = 7 * 86_400_000_000


def aligned(
    node: Node,
    op: str,
    size: Duration | None,
    every: Duration | None,
    by: By,
    *,
    offset: Duration,
    emit: str,
    emit_every: Duration | None,
    allowed_lateness: Duration,
    revisions: bool,
    allow_gaps: bool,
) -> Window:
    """The window of `tumbling` and `hopping`, whose bounds are multiples of a step."""
    no_revisions_before(node, op)
    flag(revisions, f"{op}: revisions")
    flag(allow_gaps, f"{op}: allow_gaps")
    keys = key_columns(node, by, op)
    span = required(size, f"{op}: size")
    step = span if op == "tumbling" else required(every, f"{op}: every")
    start = parse(offset, f"{op}: offset", zero=True, negative=True)
    lateness = parse(allowed_lateness, f"{op}: allowed_lateness", zero=True)
    again = None if emit_every is None else parse(emit_every, f"{op}: emit_every")
    _check_emit(op, emit, again, revisions)
    if op == "hopping":
        _check_hops(span, step, allow_gaps)
    weeks = MONDAY_US if span.weeks or step.weeks else 0
    body: dict[str, Json] = {"by": [*keys], "size": span.us}
    if op == "hopping":
        body |= {"every": step.us, "allow_gaps": bool(allow_gaps)}
    body |= {
        "offset": (start.us + weeks) % step.us,
        "emit": emit,
        "emit_every": None if again is None else again.us,
        "allowed_lateness": lateness.us,
        "revisions": bool(revisions),
    }
    call = call_text(
        op,
        [span.text] if op == "tumbling" else [span.text, step.text],
        by=by_text(keys),
        offset=start.text if start.us else None,
        emit=emit if emit != "final" else None,
        emit_every=again and again.text,
        allowed_lateness=lateness.text if lateness.us else None,
        revisions=None if revisions else False,
        allow_gaps=True if allow_gaps else None,
    )
    fires_again = bool(revisions and lateness.us) or emit == "each" or again is not None
    return Window(op, keys, dumps(body), call, fires_again)


def aligned_text(node: Mapping[str, Any]) -> str:
    """A window of a saved plan as a user would type it."""
    step = node.get("every") or node["size"]
    weeks = node["offset"] == MONDAY_US % step != 0 and step % _WEEK_US == 0
    again = node["emit_every"]
    made = aligned(
        ANY,
        node["op"],
        _span(node["size"], weeks),
        None if node["op"] == "tumbling" else _span(step, weeks),
        node["by"],
        offset="0s" if weeks else short(node["offset"]),
        emit=node["emit"],
        emit_every=None if again is None else short(again),
        allowed_lateness=short(node["allowed_lateness"]),
        revisions=node["revisions"],
        allow_gaps=node.get("allow_gaps", False),
    )
    return made.call + aggregates_text(aggregates_of(node))


def _span(us: int, weeks: bool) -> str:
    return f"{us // _WEEK_US}w" if weeks and us % _WEEK_US == 0 else short(us)


def _check_emit(op: str, emit: str, again: Span | None, revisions: bool) -> None:
    if op == "tumbling" and emit == "changed":
        hint = "tumbling windows do not overlap; hopping has it"
        raise PlanError(with_hint('tumbling: emit="changed" is not there yet', hint))
    words = ("final", "each") if op == "tumbling" else ("final", "each", "changed")
    one_of(emit, words, f"{op}: emit")
    if emit == "each" and again is not None:
        raise PlanError(f'{op}: emit="each" leaves nothing for emit_every="{again.text}"')
    if not revisions and (emit == "each" or again is not None):
        message = 'emit="each"' if emit == "each" else "emit_every="
        hint = "leave one of them out"
        raise PlanError(with_hint(f"{op}: {message} gives revisions, and revisions=False", hint))


def _check_hops(size: Span, every: Span, allow_gaps: bool) -> None:
    if every.us > size.us and not allow_gaps:
        raise PlanError(
            with_hint(
                f'hopping: every="{every.text}" is longer than size="{size.text}", '
                "so rows between two windows are in none",
                "say allow_gaps=True if that is meant",
            )
        )
    hops = -(-size.us // every.us)
    if hops > HOPS_MAX:
        raise PlanError(
            with_hint(
                f'hopping: size="{size.text}" every="{every.text}" puts a row into {hops:,} '
                f"windows; {HOPS_MAX:,} is the most",
                "take a longer every=, or sliding() for a value at each row",
            )
        )
