"""Decides when partitions without rows are idle, and advances the watermark then.

A partition is quiet by the evidence of its source, which was asked and had nothing. After
`idle_after` it no longer holds the watermark back. While all of an input's partitions are idle, its
watermark is that of the newest partition (as in Flink) and goes on with the time that has passed
since, so that windows close on a stream that has fallen silent. What follows from such a verdict is
shown only after a checkpoint that holds it, like everything a run shows, so a restart cannot
contradict it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.engine.operator import Operator
from muntin.engine.result import Result

Clock = Callable[[], float]
"""Seconds that only go forward."""

_TICK_S = 1.0


class QuietPartitions:
    """The partitions of all inputs, and since when each has been quiet."""

    def __init__(self, op: Operator, clock: Clock) -> None:
        """All partitions count as heard."""
        self._op = op
        self._after = {name: _seconds(op.input_plan(name)["idle_after"]) for name in op.inputs}
        self._partitions = op.partitions
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}
        self._idle: set[tuple[str, int]] = set()
        self._went_idle: dict[str, tuple[float, int]] = {}
        self._moved: dict[str, float] = {}

    def heard(self, name: str, partition: Any) -> None:
        """Rows came of a partition, or of several that an array names, one a row."""
        heard = {partition} if isinstance(partition, int) else _distinct(partition)
        heard &= set(self._partitions[name])  # the others are of nobody
        if heard:
            self._went_idle.pop(name, None)
        for key in [(name, each) for each in heard]:
            self._since.pop(key, None)
            self._idle.discard(key)

    def silent(self, name: str, partition: int) -> list[Result]:
        """A partition was asked and had nothing; gives what that completes."""
        after, key, now = self._after[name], (name, partition), self._clock()
        if after is None:
            return []
        if key in self._idle:
            return self._time_passes(name, after, now)
        if now - self._since.setdefault(key, now) < after:
            return []
        self._idle.add(key)
        verdict = self._op.idle(input=name, partition=partition)
        return [verdict, *self._time_passes(name, after, now)]

    def _time_passes(self, name: str, after: float, now: float) -> list[Result]:
        """All of an input is idle: its watermark goes on from its newest partition's."""
        if any((name, each) not in self._idle for each in self._partitions[name]):
            return []
        if name not in self._went_idle:
            at = self._op.newest_watermark(name)
            if at is None:
                return []
            self._went_idle[name] = (now, at)
            self._moved[name] = now
            return [self._op.advance(at, input=name, partition=None)]
        if now - self._moved[name] < min(after, _TICK_S):
            return []
        self._moved[name] = now
        since, at = self._went_idle[name]
        passed = int((now - since) * 1e6)
        return [self._op.advance(at + passed, input=name, partition=None)]


def _distinct(partitions: Any) -> set[int]:
    return set(pc.unique(pa.array(partitions)).to_pylist())


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6
