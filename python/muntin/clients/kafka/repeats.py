"""Notices requests that a producer has sent again without saying so.

librdkafka repeats a request after a lost connection or a timeout by itself, and reports that the
call worked. The first request may still be on its way then. What shows it are its statistics; and
a call that took less than the shortest wait before a repetition had none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from muntin.clients.kafka.events import Events

INTERVAL_MS = 200
"""The time between two statistics of a producer."""

_BACKOFF_MS = 100.0
_FRESH_S = 2.0
_STEP_S = 0.02


class _Broker(msgspec.Struct):
    txretries: int = 0
    req_timeouts: int = 0
    disconnects: int = 0


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker] = {}


_DECODER = msgspec.json.Decoder(_Statistics)


class Repeats:
    """Watches one producer."""

    def __init__(
        self, events: Events, poll: Callable[[float], Any], settings: Mapping[str, Any]
    ) -> None:
        """Watch by the statistics in `events`, which `poll` serves."""
        self._events = events
        self._poll = poll
        # librdkafka waits at least 0.8 of it
        self._least = float(settings.get("retry.backoff.ms", _BACKOFF_MS)) / 2e3
        self._slow = False
        self._count = 0

    def begin(self) -> None:
        """Count from now on."""
        self._slow = False
        self._count = self._counted() or 0

    def took(self, seconds: float) -> None:
        """Note how long a call took."""
        self._slow = self._slow or seconds >= self._least

    def seen(self) -> bool:
        """Whether a request was repeated since `begin`, or may have been."""
        if not self._slow:
            return False
        self._slow = False
        count = self._counted()
        return count is None or count != self._count

    def _counted(self) -> int | None:
        """Repetitions and lost connections so far; None if there are no statistics in time."""
        asked = time.monotonic()
        self._poll(0)  # statistics that have waited to be read may be older than the question
        seen = self._events.stats_at
        while self._events.stats_at == seen:
            if time.monotonic() - asked > _FRESH_S:
                return None
            self._poll(_STEP_S)
        brokers = _DECODER.decode(self._events.stats).brokers.values()
        return sum(each.txretries + each.req_timeouts + each.disconnects for each in brokers)
