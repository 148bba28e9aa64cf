"""How a consumer stands: whether its partitions are quiet or out of reach, and how far behind.

The evidence is librdkafka's statistics, once a second. A partition is quiet if all its records have
been read and its broker has answered a fetch just now; while the broker does not answer nothing is
known, however long that lasts.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from muntin.clients.kafka import Events
from muntin.sources.base import Lag
from muntin.sources.brokers.offsets import Place

INTERVAL_MS = 1_000
"""The time between two statistics."""

_FRESH_US = 2_000_000
"""How long after its last answer a broker counts as reachable, besides what a fetch may wait."""

_OLD_S = 1.5


class _Broker(msgspec.Struct):
    nodeid: int = -1
    state: str = ""
    rxidle: int = -1


class _Partition(msgspec.Struct):
    leader: int = -1
    hi_offset: int = -1
    ls_offset: int = -1


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition] = {}


class _Statistics(msgspec.Struct):
    ts: int = 0
    brokers: dict[str, _Broker] = {}
    topics: dict[str, _Topic] = {}


_DECODER = msgspec.json.Decoder(_Statistics)


class Standing:
    """What is known of the partitions of one consumer."""

    def __init__(self, events: Events, fetch_wait_ms: int) -> None:
        """Read the statistics that `events` gets; a fetch may wait `fetch_wait_ms` for records."""
        self._events = events
        self._fresh_us = _FRESH_US + fetch_wait_ms * 1000
        self._seen_at = 0.0
        self._least: float | None = None
        self._end: dict[Place, tuple[int, int]] = {}

    def news(
        self, next: Mapping[Place, int], ends: Mapping[Place, int]
    ) -> tuple[list[Place], list[Place]] | None:
        """The partitions that are quiet, and those out of reach; None without new statistics.

        Args:
            next: the offset at which each goes on.
            ends: the offset at which each had been read to its end, so far as that happened.
        """
        if self._events.stats_at == self._seen_at:
            return None
        self._seen_at = self._events.stats_at
        found = _DECODER.decode(self._events.stats)
        if self._is_old(found.ts):
            return None
        brokers = {each.nodeid: each for each in found.brokers.values()}
        quiet: list[Place] = []
        lost: list[Place] = []
        for place, offset in next.items():
            topic = found.topics.get(place[0])
            own = None if topic is None else topic.partitions.get(str(place[1]))
            broker = None if own is None else brokers.get(own.leader)
            if own is None or broker is None or not self._answers(broker):
                lost.append(place)
                continue
            self._end[place] = (own.ls_offset, own.hi_offset)
            if ends.get(place) == offset == own.ls_offset == own.hi_offset:
                quiet.append(place)
        if len(lost) < len(next):
            self._events.well()
        return quiet, lost

    def lag(
        self, next: Mapping[Place, int], ends: Mapping[Place, int], read: Mapping[Place, int]
    ) -> dict[Place, Lag]:
        """How far each partition is behind."""
        return {
            place: Lag(*place, self._rows(place, offset, ends.get(place)), read.get(place))
            for place, offset in next.items()
        }

    def _rows(self, place: Place, offset: int, end: int | None) -> int | None:
        if end == offset:
            return 0
        known = self._end.get(place)
        return None if known is None or max(known) < 0 else max(max(known) - offset, 0)

    def _answers(self, broker: _Broker) -> bool:
        return broker.state == "UP" and 0 <= broker.rxidle < self._fresh_us

    def _is_old(self, ts: int) -> bool:
        """Whether statistics waited to be read, by the least delay of any so far."""
        delay = self._seen_at - ts / 1e6
        self._least = delay if self._least is None else min(self._least, delay)
        return delay - self._least > _OLD_S
