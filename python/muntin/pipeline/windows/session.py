"""Session windows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muntin.base.arguments import flag
from muntin.base.durations import Duration, parse, short
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY, aggregates_of
from muntin.pipeline.windows.base import Window, aggregates_text, required
from muntin.values.literals import Json


def session(
    node: Node, gap: Duration, by: By, *, gap_closed: bool, allowed_lateness: Duration
) -> Window:
    """The window of `session`."""
    no_revisions_before(node, "session")
    flag(gap_closed, "session: gap_closed")
    keys = key_columns(node, by, "session")
    span = required(gap, "session: gap")
    lateness = parse(allowed_lateness, "session: allowed_lateness", zero=True)
    body: dict[str, Json] = {
        "by": [*keys],
        "gap": span.us,
        "gap_closed": bool(gap_closed),
        "allowed_lateness": lateness.us,
    }
    call = call_text(
        "session",
        [span.text],
        by=by_text(keys),
        gap_closed=None if gap_closed else False,
        allowed_lateness=lateness.text if lateness.us else None,
    )
    return Window("session", keys, dumps(body), call)


def session_text(node: Mapping[str, Any]) -> str:
    """A window of a saved plan as a user would type it."""
    made = session(
        ANY,
        short(node["gap"]),
        node["by"],
        gap_closed=node["gap_closed"],
        allowed_lateness=short(node["allowed_lateness"]),
    )
    return made.call + aggregates_text(aggregates_of(node))
