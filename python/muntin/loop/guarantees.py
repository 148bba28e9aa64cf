"""Says in one sentence what a run guarantees to those who read what it writes."""

from __future__ import annotations

from collections.abc import Iterator

from muntin.loop.routes import Destinations
from muntin.sinks import Durable, Sink
from muntin.sinks.base import Transactional
from muntin.sinks.channels.outbox import OutboxSink

_COMMITTED = "exactly once for readers of read_committed"
_ONCE = "exactly once"
_SAME_ID = "at least once, each with an id that stays the same"
_AGAIN = "at least once"


def guarantee(to: Destinations, *, checkpoints: bool) -> str:
    """The guarantee of each kind of row, one sentence.

    >>> from muntin.sinks import Console, JsonLines
    >>> to = Destinations({"rows": [JsonLines("a.jsonl"), Console()]}, (), (), ())
    >>> guarantee(to, checkpoints=True)
    'rows in JsonLines exactly once; rows in Console at least once'
    >>> guarantee(to, checkpoints=False)
    'without checkpoints a restart starts from the beginning and writes all rows again'
    """
    if not checkpoints:
        return "without checkpoints a restart starts from the beginning and writes all rows again"
    named = [f"{what} {how}" for what, how in dict.fromkeys(_named(to))]
    return "; ".join(named) or "nothing"


def _named(to: Destinations) -> Iterator[tuple[str, str]]:
    for place, sink in to.places():
        kind, _, _ = place.partition("/")
        yield f"{kind} in {type(sink).__name__}", _how(sink)


def _how(sink: Sink) -> str:
    if isinstance(sink, Transactional):
        return _COMMITTED if sink.joined else _AGAIN
    if isinstance(sink, OutboxSink):
        return _SAME_ID
    return _ONCE if isinstance(sink, Durable) else _AGAIN
