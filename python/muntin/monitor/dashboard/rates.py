"""Rates, computed from the status of the last seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from muntin.monitor.dashboard.cells import Cell
from muntin.monitor.moment import Moment

_OVER = 3.0
_SPARKS = 120
_SPARK_EVERY = 0.5


class Rates:
    """The last few status snapshots of a run."""

    def __init__(self) -> None:
        self._moments: deque[Moment] = deque()
        self._sparks: deque[float] = deque(maxlen=_SPARKS)
        self._sparked: Moment | None = None

    def add(self, moment: Moment) -> None:
        """Add the newest status."""
        self._moments.append(moment)
        while len(self._moments) > 2 and moment.seconds - self._moments[1].seconds >= _OVER:
            self._moments.popleft()
        before = self._sparked
        if before is None:
            self._sparked = moment
        elif moment.seconds - before.seconds >= _SPARK_EVERY:
            rows = sum(moment.sources.values()) - sum(before.sources.values())
            self._sparks.append(rows / (moment.seconds - before.seconds))
            self._sparked = moment

    def to_json(self, unseen: int) -> dict[str, Any]:
        """The newest status with its rates, as JSON values."""
        now, then = self._moments[-1], self._moments[0]
        span = now.seconds - then.seconds

        def rate(new: float, old: float) -> float:
            return (new - old) / span if span > 0 else 0.0

        def counts(new: Mapping[str, int], old: Mapping[str, int]) -> dict[str, list[float]]:
            return {name: [n, rate(n, old.get(name, 0))] for name, n in new.items()}

        before = then.spent if len(then.spent) == len(now.spent) else now.spent
        spent = [new - old for new, old in zip(now.spent, before, strict=True)]
        return {
            "at": now.at,
            "spent": spent,
            "seconds": now.seconds,
            "rows": sum(now.sources.values()),
            "rate": rate(sum(now.sources.values()), sum(then.sources.values())),
            "sources": counts(now.sources, then.sources),
            "outputs": counts(now.outputs, then.outputs),
            "alerts": counts(now.alerts, then.alerts),
            "late": now.late,
            "invalid": now.invalid,
            "operators": self._operators(now, then, span),
            "watermarks": {name: _delay(now, name) for name in now.watermarks},
            "stages": {n: rate(s, then.stages.get(n, 0.0)) for n, s in now.stages.items()},
            "saved": now.saved and _fields(now.saved),
            "behind": now.behind,
            "behind_seconds": now.behind_seconds,
            "commit": now.commit and _fields(now.commit),
            "commits": now.commits,
            "aborts": dict(now.aborts),
            "failures": now.failures,
            "fenced": now.fenced,
            "rebalances": now.rebalances,
            "restore": now.restore and _fields(now.restore),
            "dead": dict(now.dead),
            "waiting": dict(now.waiting),
            "dropped": dict(now.dropped),
            "unseen": unseen,
            "sparks": list(self._sparks),
        }

    def _operators(self, now: Moment, then: Moment, span: float) -> list[dict[str, Cell]]:
        before = then.operators if len(then.operators) == len(now.operators) else now.operators
        return [
            {**new, "rate": (new["rows_in"] - old["rows_in"]) / span if span > 0 else 0.0}
            for new, old in zip(now.operators, before, strict=True)
        ]


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _delay(now: Moment, name: str) -> dict[str, float | None]:
    at, newest = now.watermarks[name], now.newest.get(name)
    return {
        "at": None if at is None else at / 1e6,
        "newest": None if newest is None else newest / 1e6,
        "delay": None if at is None or newest is None else (newest - at) / 1e6,
    }
