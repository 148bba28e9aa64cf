"""Tumbling, hopping and cumulative windows, which lie where time or the calendar puts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muntin.base import core
from muntin.base.arguments import flag, one_of, shown
from muntin.base.durations import (
    Duration,
    Period,
    elapsed_text,
    months_text,
    parse,
    period,
    shift,
    short,
)
from muntin.base.errors import PlanError, with_hint
from muntin.expr.build import Column, Expr
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY, aggregates_of
from muntin.pipeline.windows.base import Window, aggregates_text
from muntin.values.literals import Json, quote

HOPS_MAX = 10_000
DAY_US = 86_400_000_000
MONDAY_US = 4 * DAY_US
"""The first Monday after the epoch, which began on a Thursday."""
_WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Calendar:
    """Where windows begin."""

    offset: Duration
    time_zone: str | Expr | None
    week_start: str


@dataclass(frozen=True, slots=True)
class Firing:
    """When windows come out."""

    emit: str
    emit_every: Duration | None
    allowed_lateness: Duration
    revisions: bool


def aligned(
    node: Node,
    op: str,
    size: Duration | None,
    every: Duration | None,
    by: By,
    calendar: Calendar,
    firing: Firing,
    *,
    allow_gaps: bool = False,
) -> Window:
    """The window of `tumbling`, `hopping` and `cumulative`."""
    no_revisions_before(node, op)
    flag(allow_gaps, f"{op}: allow_gaps")
    keys = key_columns(node, by, op)
    lengths = _lengths(op, size, every)
    span, step = lengths
    fired, fired_text, fires_again = _firing(op, firing)
    if op == "hopping":
        _check_hops(span, step, allow_gaps)
    if op == "cumulative":
        _check_steps(span, step)
    placed, placed_text = _placed(op, lengths, keys, calendar)
    body: dict[str, Json] = {"by": [*keys], "size": _length(span)}
    if op != "tumbling":
        body["every"] = _length(step)
    if op == "hopping":
        body["allow_gaps"] = bool(allow_gaps)
    call = call_text(
        op,
        [span.text] if op == "tumbling" else [span.text, step.text],
        by=by_text(keys),
        **placed_text,
        **fired_text,
        allow_gaps=True if allow_gaps else None,
    )
    return Window(op, keys, dumps(body | placed | fired), call, fires_again)


def _length(length: Period) -> Json:
    return length.count if length.unit == "us" else {length.unit: length.count}


def _lengths(op: str, size: Duration | None, every: Duration | None) -> tuple[Period, Period]:
    """The length of a window, and from one start (or end) to the next."""
    span = _required(size, f"{op}: size")
    if op == "tumbling":
        return span, span
    step = _required(every, f"{op}: {'step' if op == 'cumulative' else 'every'}")
    if op == "hopping" and {span.unit, step.unit} == {"us", "days"}:
        return span.elapsed(), step.elapsed()
    return span, step


def _required(value: Duration | None, place: str) -> Period:
    if value is None:
        raise PlanError(with_hint(f"{place} is missing", 'write a duration, as in "1m"'))
    return period(value, place)


def _placed(
    op: str, lengths: tuple[Period, Period], keys: tuple[str, ...], calendar: Calendar
) -> tuple[dict[str, Json], dict[str, object]]:
    """Where windows begin: as JSON, and as arguments that are not the usual ones."""
    span, step = lengths
    zone = _zone(op, span, keys, calendar.time_zone)
    one_of(calendar.week_start, _WEEK_DAYS, f"{op}: week_start")
    weeks = span.weeks or step.weeks
    if calendar.week_start != "monday" and not weeks:
        message = f'{op}: week_start="{calendar.week_start}" is for sizes in weeks'
        raise PlanError(with_hint(message, f'size="{span.text}" has no weeks: write it as "1w"'))
    months, us, text = shift(calendar.offset, f"{op}: offset")
    if months and span.unit != "months":
        message = f'{op}: offset="{text}" counts in months, size="{span.text}" does not'
        raise PlanError(with_hint(message, 'write the offset in days or hours, as in "4h"'))
    us += _week_start(calendar.week_start) if weeks else 0
    cycle = span if op == "cumulative" else step
    if cycle.unit == "months":
        months %= cycle.count
    else:
        us %= cycle.us
    placed: dict[str, Json] = {"offset": us}
    placed |= {"offset_months": months} if months else {}
    placed |= {} if zone is None else {"time_zone": zone}
    return placed, {
        "offset": text if calendar.offset and text not in ("0s", "") else None,
        "time_zone": calendar.time_zone if zone is not None else None,
        "week_start": calendar.week_start if calendar.week_start != "monday" else None,
    }


def _week_start(day: str) -> int:
    """Where the week of 5 January 1970, a Monday, begins if weeks begin on that day."""
    return MONDAY_US - (-_WEEK_DAYS.index(day) % 7) * DAY_US


def _week_start_of(days: int, offset: int) -> str | None:
    """The day on which weeks with that offset begin; None if they are no weeks, or count days."""
    if days % 7 or not days or not offset:
        return None
    starts = {_week_start(day) % (days * DAY_US): day for day in reversed(_WEEK_DAYS)}
    return starts.get(offset)


def _zone(op: str, span: Period, keys: tuple[str, ...], zone: str | Expr | None) -> Json:
    """The zone as the plan has it: a name, or a column of the key."""
    if zone is None or (isinstance(zone, str) and zone == "UTC" and span.unit == "us"):
        return None
    if not isinstance(zone, str | Column):
        message = f"{op}: time_zone={shown(zone)} is not a time zone"
        hint = 'write a name, as in "Europe/Berlin", or col("zone") for a column of names'
        raise PlanError(with_hint(message, hint))
    if span.unit == "us":
        message = f'{op}: size="{span.text}" is elapsed time, which has no time zone'
        hint = 'leave time_zone= out, write days as in "1d", or move the bounds by offset="30m"'
        raise PlanError(with_hint(message, hint))
    if isinstance(zone, str):
        core.check_time_zone(zone, op)
        return zone
    if zone.name not in keys:
        message = f"{op}: time_zone=col({quote(zone.name)}) is not in by="
        hint = f"add {quote(zone.name)} to by=: windows of one key are in one zone"
        raise PlanError(with_hint(message, hint))
    return zone.to_json()


def _firing(op: str, firing: Firing) -> tuple[dict[str, Json], dict[str, object], bool]:
    """When windows come out: as JSON, as arguments, and whether they come out again."""
    emit, revisions = firing.emit, firing.revisions
    flag(revisions, f"{op}: revisions")
    lateness = parse(firing.allowed_lateness, f"{op}: allowed_lateness", zero=True)
    again = None if firing.emit_every is None else parse(firing.emit_every, f"{op}: emit_every")
    _check_emit(op, emit, None if again is None else again.text, revisions)
    body: dict[str, Json] = {
        "emit": emit,
        "emit_every": None if again is None else again.us,
        "allowed_lateness": lateness.us,
        "revisions": bool(revisions),
    }
    texts: dict[str, object] = {
        "emit": emit if emit != "final" else None,
        "emit_every": again and again.text,
        "allowed_lateness": lateness.text if lateness.us else None,
        "revisions": None if revisions else False,
    }
    return body, texts, bool(revisions and lateness.us) or emit == "each" or again is not None


def aligned_text(node: Mapping[str, Any]) -> str:
    """A window of a saved plan as a user would type it."""
    op, size, step = node["op"], node["size"], node.get("every") or node["size"]
    cycle = size if op == "cumulative" else step
    days = cycle.get("days", 0) if isinstance(cycle, dict) else 0
    week_start = _week_start_of(days, node["offset"])
    weeks = week_start is not None
    months, again = node.get("offset_months", 0), node["emit_every"]
    offset = "0s" if weeks or not node["offset"] else short(node["offset"])
    if months:
        offset = f"{months_text(months)}{offset if offset != '0s' else ''}"
    zone = node.get("time_zone")
    made = aligned(
        ANY,
        op,
        _text(size, weeks),
        None if op == "tumbling" else _text(step, weeks),
        node["by"],
        Calendar(
            offset,
            Column(zone["col"]) if isinstance(zone, dict) else zone,
            week_start or "monday",
        ),
        Firing(
            node["emit"],
            None if again is None else short(again),
            short(node["allowed_lateness"]),
            node["revisions"],
        ),
        allow_gaps=node.get("allow_gaps", False),
    )
    return made.call + aggregates_text(aggregates_of(node))


def _text(length: Any, weeks: bool) -> str:
    """A length of a saved plan as a user would type it."""
    match length:
        case {"months": months}:
            return months_text(months)
        case {"days": days}:
            return f"{days // 7}w" if weeks and days % 7 == 0 else f"{days}d"
    return elapsed_text(length)


def _check_emit(op: str, emit: str, again: str | None, revisions: bool) -> None:
    if op == "tumbling" and emit == "changed":
        hint = "tumbling windows do not overlap; hopping and cumulative have it"
        raise PlanError(with_hint('tumbling: emit="changed" would fire every window', hint))
    words = ("final", "each") if op == "tumbling" else ("final", "each", "changed")
    one_of(emit, words, f"{op}: emit")
    if emit == "each" and again is not None:
        raise PlanError(f'{op}: emit="each" leaves nothing for emit_every="{again}"')
    if not revisions and (emit == "each" or again is not None):
        message = 'emit="each"' if emit == "each" else "emit_every="
        hint = "leave one of them out"
        raise PlanError(with_hint(f"{op}: {message} gives revisions, and revisions=False", hint))


def _check_hops(size: Period, every: Period, allow_gaps: bool) -> None:
    pair = f'hopping: size="{size.text}" every="{every.text}"'
    if size.unit != every.unit:
        hint = 'count both in days, or both in months: hopping("3mo", "1mo")'
        raise PlanError(with_hint(f"{pair}: months beside other units have no common grid", hint))
    if every.count > size.count and not allow_gaps:
        raise PlanError(
            with_hint(
                f'hopping: every="{every.text}" is longer than size="{size.text}", '
                "so rows between two windows are in none",
                "say allow_gaps=True if that is meant",
            )
        )
    hops = -(-size.count // every.count)
    if hops > HOPS_MAX:
        raise PlanError(
            with_hint(
                f"{pair} puts a row into {hops:,} windows; {HOPS_MAX:,} is the most",
                "take a longer every=, or sliding() for a value at each row",
            )
        )


def _check_steps(size: Period, step: Period) -> None:
    pair = f'cumulative: size="{size.text}" step="{step.text}"'
    if size.unit == step.unit or (size.unit, step.unit) == ("days", "us"):
        whole = size.us % step.us == 0
    else:
        whole = size.unit == "months" and step.us <= size.us
    if not whole:
        hint = 'write a step that divides the size, as in cumulative("1d", "1h")'
        raise PlanError(with_hint(f"{pair}: the size is not a whole number of steps", hint))
    steps = size.us // step.us
    if steps > HOPS_MAX:
        message = f"{pair} puts a row into {steps:,} windows; {HOPS_MAX:,} is the most"
        raise PlanError(with_hint(message, "take a longer step"))
