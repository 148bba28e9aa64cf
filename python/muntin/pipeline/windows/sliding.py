"""Per-event windows, of one size or several."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import Any

from muntin.base.arguments import flag, one_of, several, whole
from muntin.base.durations import Duration, Span, parse, short
from muntin.base.errors import MuntinError, PlanError, with_hint
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY, aggregates_of
from muntin.pipeline.windows.base import Window, aggregates_text, required
from muntin.values.literals import Json, text

NAMES = "{name}_{size}"
ROWS_MAX = 10_000
"""The most rows that one answer walks."""
_SPANS = re.compile(r"(?:[0-9]{1,18}(?:ms|us|[wdhms]))+")


def sliding(
    node: Node,
    spans: Sequence[Span],
    many: bool,
    by: By,
    *,
    ago: Duration,
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
        problem = 'emit="watermark" has no place for late rows, so no allowed_lateness'
        raise PlanError(with_hint(f"sliding: {problem}", "a longer out_of_order= waits for more"))
    keys = key_columns(node, by, "sliding")
    back = parse(ago, "sliding: ago", zero=True)
    body: dict[str, Json] = {
        "by": [*keys],
        "sizes": [span.us for span in spans],
        **({"ago": back.us} if back.us else {}),
        "closed": closed,
        "include_current": bool(include_current),
        "emit": emit,
        "allowed_lateness": lateness.us,
        "null_key": null_key,
    }
    call = call_text(
        "sliding",
        [[span.text for span in spans] if many else spans[0].text],
        by=by_text(keys),
        ago=back.text if back.us else None,
        closed=closed if closed != "right" else None,
        include_current=None if include_current else False,
        emit=emit if emit != "arrival" else None,
        allowed_lateness=lateness.text if lateness.us else None,
        names=names if names != NAMES else None,
        null_key=null_key if null_key != "null" else None,
    )
    return Window("sliding", keys, dumps(body), call)


def history(
    node: Node,
    by: By,
    *,
    rows: int | None,
    expire_after: Duration | None,
    ago: Duration,
    closed: str,
    include_current: bool,
    emit: str,
    allowed_lateness: Duration,
    null_key: str,
) -> Window:
    """The window of `sliding` without a length: since the beginning, or the last `rows`."""
    no_revisions_before(node, "sliding")
    flag(include_current, "sliding: include_current")
    one_of(closed, ("right", "left", "both", "none"), "sliding: closed")
    one_of(null_key, ("null", "group"), "sliding: null_key")
    if emit != "arrival":
        what = "rows=" if rows is not None else "size=None"
        raise PlanError(f'sliding: emit="{emit}" is not there yet for {what}')
    count = None if rows is None else whole(rows, "sliding: rows", 1, ROWS_MAX)
    expire = None if expire_after is None else parse(expire_after, "sliding: expire_after")
    lateness = parse(allowed_lateness, "sliding: allowed_lateness", zero=True)
    back = parse(ago, "sliding: ago", zero=True)
    keys = key_columns(node, by, "sliding")
    body: dict[str, Json] = {
        "by": [*keys],
        "rows": count,
        "expire_after": None if expire is None else expire.us,
        **({"ago": back.us} if back.us else {}),
        "closed": closed,
        "include_current": bool(include_current),
        "allowed_lateness": lateness.us,
        "null_key": null_key,
    }
    call = call_text(
        "sliding",
        [] if count is not None else [None],
        by=by_text(keys),
        rows=count,
        ago=back.text if back.us else None,
        closed=closed if closed != "right" else None,
        include_current=None if include_current else False,
        allowed_lateness=lateness.text if lateness.us else None,
        null_key=null_key if null_key != "null" else None,
        expire_after=None if expire is None else expire.text,
    )
    return Window("history", keys, dumps(body), call)


def history_text(node: Mapping[str, Any]) -> str:
    """A window of a saved plan as a user would type it."""
    expire = node["expire_after"]
    window = history(
        ANY,
        node["by"],
        rows=node["rows"],
        expire_after=None if expire is None else short(expire),
        ago=short(node.get("ago", 0)),
        closed=node["closed"],
        include_current=node["include_current"],
        emit="arrival",
        allowed_lateness=short(node["allowed_lateness"]),
        null_key=node["null_key"],
    )
    return window.call + aggregates_text(aggregates_of(node))


def sizes_of(size: Duration | Iterable[Duration] | None) -> tuple[list[Span], bool]:
    """The sizes of a sliding window, none for all time; and whether they were given as a list."""
    if size is None:
        return [], False
    if isinstance(size, Iterable) and not isinstance(size, str):
        given = several(size, "sliding: size", "durations")
        spans = [required(one, "sliding: size") for one in given]
        if not spans:
            raise PlanError(with_hint("sliding: no size", 'write sliding(["1m", "1h"], ...)'))
        return spans, True
    return [required(size, "sliding: size")], False


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
    if not spans:
        return [(name, i, 0) for i, name in enumerate(aggregates)]
    return [
        (names.format(name=name, size=span.text) if many else name, i, j)
        for i, name in enumerate(aggregates)
        for j, span in enumerate(spans)
    ]


def sliding_text(node: Mapping[str, Any]) -> str:
    """A window of a saved plan as a user would type it."""
    made = [(each["name"], each["aggregate"], each["size"]) for each in node["columns"]]
    kinds = [each["name"] for each in node["aggregates"]]
    names, spans, many = _sizes(made, kinds, node["sizes"])
    window = sliding(
        ANY,
        spans,
        many,
        node["by"],
        ago=short(node.get("ago", 0)),
        closed=node["closed"],
        include_current=node["include_current"],
        emit=node["emit"],
        allowed_lateness=short(node["allowed_lateness"]),
        names=names,
        null_key=node["null_key"],
    )
    call = window.call + aggregates_text(aggregates_of(node))
    known = feature_names(names, spans, many, kinds)
    return call if known == made else f"{call}  # {', '.join(name for name, _, _ in made)}"


def _sizes(
    made: Sequence[tuple[str, int, int]], kinds: Sequence[str], sizes: Sequence[int]
) -> tuple[str, list[Span], bool]:
    """`names=`, the sizes and whether they are a list, as the names of the columns show them."""
    spans = [parse(short(us), "size") for us in sizes]
    if len(sizes) == 1 and [name for name, _, _ in made] == [*kinds]:
        return NAMES, spans, False
    # the names of the columns have the sizes as they were written: 60m and not 1h
    for name, _, j in made:
        found = (parse(each[0], "size") for each in _SPANS.finditer(name))
        spans[j] = next((span for span in found if span.us == sizes[j]), spans[j])
    name, i, j = made[0]
    derived = name.replace(spans[j].text, "{size}").replace(kinds[i], "{name}", 1)
    for names in (NAMES, derived):
        try:
            if feature_names(names, spans, True, kinds) == [*made]:
                return names, spans, True
        except (MuntinError, LookupError, ValueError):
            pass
    return NAMES, spans, True
