"""Reads and checks the arguments of windowing verbs, and writes them into a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import TypeAlias

from muntin.base.arguments import flag, one_of, several, shown
from muntin.base.durations import Duration, Span, parse
from muntin.base.errors import ColumnError, PlanError, unknown, with_hint
from muntin.expr.build import Column, Expr
from muntin.pipeline.aggregates import Agg, meant
from muntin.pipeline.plan import Node, dumps
from muntin.values.literals import Json, quote, text

By: TypeAlias = str | Sequence[str]
"""The columns of a key: one name, or several; none for a single key over all rows."""

KeyValue: TypeAlias = str | int | bool | None
"""What a key may hold that is named in a pipeline."""

HOPS_MAX = 10_000
NAMES = "{name}_{size}"
MONDAY_US = 4 * 86_400_000_000
"""The first Monday after the epoch, which began on a Thursday."""
_BOUNDS = ("window_start", "window_end")


@dataclass(frozen=True, slots=True)
class Window:
    """A window without its aggregates: its node in the making."""

    op: str
    by: tuple[str, ...]
    body: str
    said: str
    revisions: bool = False


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
    span = _required(size, f"{op}: size")
    step = span if op == "tumbling" else _required(every, f"{op}: every")
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
    said = call_text(
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
    return Window(op, keys, dumps(body), said, fires_again)


def session(
    node: Node, gap: Duration, by: By, *, gap_closed: bool, allowed_lateness: Duration
) -> Window:
    """The window of `session`."""
    no_revisions_before(node, "session")
    flag(gap_closed, "session: gap_closed")
    keys = key_columns(node, by, "session")
    span = _required(gap, "session: gap")
    lateness = parse(allowed_lateness, "session: allowed_lateness", zero=True)
    body: dict[str, Json] = {
        "by": [*keys],
        "gap": span.us,
        "gap_closed": bool(gap_closed),
        "allowed_lateness": lateness.us,
    }
    said = call_text(
        "session",
        [span.text],
        by=by_text(keys),
        gap_closed=None if gap_closed else False,
        allowed_lateness=lateness.text if lateness.us else None,
    )
    return Window("session", keys, dumps(body), said)


def sliding(
    node: Node,
    spans: Sequence[Span],
    many: bool,
    by: By,
    *,
    closed: str,
    include_current: bool,
    emit: str,
    allowed_lateness: Duration,
    names: str,
    null_key: str,
) -> Window:
    """The window of `sliding`, of one size or `many`."""
    no_revisions_before(node, "sliding")
    flag(include_current, "sliding: include_current")
    one_of(closed, ("right", "left", "both", "none"), "sliding: closed")
    one_of(emit, ("arrival", "watermark"), "sliding: emit")
    one_of(null_key, ("null", "group"), "sliding: null_key")
    lateness = parse(allowed_lateness, "sliding: allowed_lateness", zero=True)
    if emit == "watermark" and lateness.us:
        said = 'emit="watermark" has no place for late rows, so no allowed_lateness'
        raise PlanError(with_hint(f"sliding: {said}", "a longer out_of_order= waits for more"))
    keys = key_columns(node, by, "sliding")
    body: dict[str, Json] = {
        "by": [*keys],
        "sizes": [span.us for span in spans],
        "closed": closed,
        "include_current": bool(include_current),
        "emit": emit,
        "allowed_lateness": lateness.us,
        "null_key": null_key,
    }
    said = call_text(
        "sliding",
        [[span.text for span in spans] if many else spans[0].text],
        by=by_text(keys),
        closed=closed if closed != "right" else None,
        include_current=None if include_current else False,
        emit=emit if emit != "arrival" else None,
        allowed_lateness=lateness.text if lateness.us else None,
        names=names if names != NAMES else None,
        null_key=null_key if null_key != "null" else None,
    )
    return Window("sliding", keys, dumps(body), said)


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
    span = _required(after, "silent: after")
    rows = None if known is None else _known(known, keys)
    columns = (*keys, *_BOUNDS, "last_event_time")
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
    said = call_text("silent", [span.text], by=by_text(keys) or [], known=listed, every=repeats)
    return Node("silent", (node,), dumps(body), said, columns, node.typed)


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


def aggregated(node: Node, window: Window, aggregates: Mapping[str, Agg]) -> Node:
    """The node of a window with its aggregates."""
    written = agg_json(node, window.op, aggregates)
    last = ("last_event_time",) if window.op == "session" else ()
    revision = ("revision",) if window.revisions else ()
    columns = (*window.by, *_BOUNDS, *last, *aggregates, *revision)
    no_collisions(columns, window.op)
    body = f'{window.body[:-1]},"aggregates":{dumps([*written])}}}'
    said = window.said + aggregates_text(aggregates)
    return Node(window.op, (node,), body, said, columns, node.typed, window.revisions)


def agg_json(node: Node, place: str, aggregates: Mapping[str, Agg]) -> list[dict[str, Json]]:
    """The aggregates in a plan; refuses none at all, and what is not an aggregate."""
    if not aggregates:
        raise PlanError(with_hint(f"{place}: no aggregate", "write .agg(n=mt.count())"))
    written = []
    for name, agg in aggregates.items():
        if not isinstance(agg, Agg):
            said = f"{place}: {name}={shown(agg)} is not an aggregate"
            raise PlanError(with_hint(said, meant(name, agg)))
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


def sizes_of(size: Duration | Iterable[Duration] | None) -> tuple[list[Span], bool]:
    """The sizes of a sliding window, and whether they were given as a list."""
    if size is None:
        raise PlanError("sliding: a window since the beginning (size=None) is not there yet")
    if isinstance(size, Iterable) and not isinstance(size, str):
        given = several(size, "sliding: size", "durations")
        spans = [_required(one, "sliding: size") for one in given]
        if not spans:
            raise PlanError(with_hint("sliding: no size", 'write sliding(["1m", "1h"], ...)'))
        return spans, True
    return [_required(size, "sliding: size")], False


def feature_names(
    names: str, spans: Sequence[Span], many: bool, aggregates: Iterable[str]
) -> list[tuple[str, int, int]]:
    """Name, number of the aggregate and number of the size, for each column that is added."""
    try:
        parts = list(Formatter().parse(text(names, "names")))
    except ValueError as error:
        raise PlanError(f"sliding: names={names!r}: {error}") from None
    fields = {field for _, field, _, _ in parts if field is not None}
    odd = any(form or conversion for _, _, form, conversion in parts)
    if odd or fields - {"name", "size"} or "name" not in fields:
        raise PlanError(
            with_hint(
                f"sliding: names={names!r}", 'it is made of {name} and {size}: "{name}_{size}"'
            )
        )
    return [
        (names.format(name=name, size=span.text) if many else name, i, j)
        for i, name in enumerate(aggregates)
        for j, span in enumerate(spans)
    ]


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
            said = f"{place}: by={shown(name)} is not the name of a column"
            raise PlanError(with_hint(said, hint))
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
            hint = "give the aggregate another name"
            raise ColumnError(with_hint(f'{place}: two columns are called "{name}"', hint))
        seen.add(name)


def no_revisions_before(node: Node, place: str) -> None:
    """Refuse a verb behind a stream whose windows may come out more than once."""
    if node.revisions:
        hint = (
            'in a chain say emit="final" without emit_every, and allowed_lateness= with '
            "revisions=False: then a window comes out once, at its end + allowed_lateness"
        )
        said = "the windows before come out with revisions; no window, join or top stands behind"
        raise PlanError(with_hint(f"{place}: {said}", hint))


def not_yet(place: str, **given: bool) -> None:
    """Refuse parameters that have a meaning but are not built."""
    for name, used in given.items():
        if used:
            raise PlanError(f"{place}: {name}= is not there yet")


def call_text(verb: str, arguments: Sequence[object], /, **named: object) -> str:
    """A call as a user would type it; named arguments that are None are left out."""
    parts = [_shown(a) for a in arguments]
    parts += (f"{name}={_shown(value)}" for name, value in named.items() if value is not None)
    return f".{verb}({', '.join(parts)})"


def by_text(keys: Sequence[str]) -> object:
    """A key as a user would type it; None for no key."""
    return None if not keys else keys[0] if len(keys) == 1 else list(keys)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_shown, value))}]"
    return repr(value)


def _required(size: Duration | None, place: str) -> Span:
    if size is None:
        raise PlanError(with_hint(f"{place} is missing", 'write a duration, as in "1m"'))
    return parse(size, place)


def _check_emit(op: str, emit: str, again: Span | None, revisions: bool) -> None:
    if op == "tumbling" and emit == "changed":
        hint = "tumbling windows do not overlap; hopping has it"
        raise PlanError(with_hint('tumbling: emit="changed" is not there yet', hint))
    words = ("final", "each") if op == "tumbling" else ("final", "each", "changed")
    one_of(emit, words, f"{op}: emit")
    if emit == "each" and again is not None:
        raise PlanError(f'{op}: emit="each" leaves nothing for emit_every="{again.text}"')
    if not revisions and (emit == "each" or again is not None):
        said = 'emit="each"' if emit == "each" else "emit_every="
        hint = "leave one of them out"
        raise PlanError(with_hint(f"{op}: {said} gives revisions, and revisions=False", hint))


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
