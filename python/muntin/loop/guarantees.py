"""Says in plain sentences what a run guarantees to those who read what it writes, and who decides
which of its checkpoints counts."""

from __future__ import annotations

from collections.abc import Collection

from muntin.checkpoint import Checkpoint
from muntin.loop.authority import sharing
from muntin.loop.routes import Destinations
from muntin.sinks import Durable, Sink
from muntin.sinks.base import Transactional
from muntin.sinks.channels.outbox import OutboxSink

_COMMITTED = "exactly once for readers of read_committed"
_ONCE = "exactly once"
_SAME_ID = "at least once with a stable id"
_AGAIN = "at least once"
_KINDS = {"late": "late rows", "invalid": "invalid rows", "bad": "undecodable records"}


def guarantee(to: Destinations, *, checkpoints: bool) -> str:
    """The guarantee of each kind of row, one sentence.

    >>> from muntin.sinks import Console, JsonLines, Webhook
    >>> to = Destinations({"rows": [JsonLines("a.jsonl"), Console()]},
    ...                   [Webhook("https://localhost/alerts")], (), ())
    >>> guarantee(to, checkpoints=True)
    'rows in JsonLines exactly once; rows in Console at least once; alerts in Webhook at least once with a stable id'
    >>> guarantee(to, checkpoints=False)
    'without checkpoints a restart starts from the beginning and writes all rows again'
    """  # noqa: E501
    if not checkpoints:
        return "without checkpoints a restart starts from the beginning and writes all rows again"
    shared = {id(sink) for sink in sharing(to)}
    kinds: dict[tuple[str, str], list[str]] = {}
    for place, sink in to.places():
        kind = _KINDS.get(place.partition("/")[0], place.partition("/")[0])
        found = kinds.setdefault((type(sink).__name__, _how(sink, shared)), [])
        if kind not in found:
            found.append(kind)
    said = [f"{' and '.join(found)} in {sink} {how}" for (sink, how), found in kinds.items()]
    return "; ".join(said) or "nothing"


def authority(
    to: Destinations, checkpoint: Checkpoint | None, name: str, *, shared: bool = False
) -> str:
    """Which authority says that a checkpoint counts, and how often, one sentence.

    >>> from muntin.sinks import Console
    >>> to = Destinations({"rows": [Console()]}, (), (), ())
    >>> authority(to, Checkpoint("state", every="10s"), "fraud")
    "the newest complete checkpoint in Directory('state') counts; one every 10s"
    >>> authority(to, None, "fraud")
    'none: the run keeps no state'
    """
    if checkpoint is None:
        return "none: the run keeps no state"
    if sharing(to):
        whose = "an id of this process" if shared else f'the id "{name}"'
        what = f"a transaction of Kafka with {whose}"
        return f"{what} commits rows, offsets and checkpoint together; one every {checkpoint.every}"
    if getattr(checkpoint.store, "authority", None) is not None:
        what = f"the checkpoint that the pointer in {checkpoint.store!r} names counts"
    else:
        what = f"the newest complete checkpoint in {checkpoint.store!r} counts"
    return f"{what}; one every {checkpoint.every}"


def _how(sink: Sink, shared: Collection[int]) -> str:
    if isinstance(sink, Transactional):
        return _COMMITTED if id(sink) in shared else _AGAIN
    if isinstance(sink, OutboxSink):
        return _SAME_ID
    return _ONCE if isinstance(sink, Durable) else _AGAIN
