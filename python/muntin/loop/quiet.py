"""Decides when partitions without rows are idle, and advances the watermark then.

A partition is quiet if its source was polled and had no rows of it. After `idle_after` it no
longer holds the watermark back. While all of an input's partitions are idle, its watermark is that
of the newest partition (as in Flink) and advances with the clock, so that windows close on a stream
without rows. The results of this are published, like all others, only after a checkpoint that
contains it, so a restart cannot contradict them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from muntin.engine.operator import Operator
from muntin.engine.result import Result
from muntin.sources.base import LagState

Clock = Callable[[], float]
"""A monotonic clock, in seconds."""

Clocked = tuple[str, int | None]
"""An input and the partition that has a watermark of its own; None where all share one."""

_TICK_S = 1.0


class QuietPartitions:
    """The partitions of all inputs, and since when each has been quiet."""

    def __init__(self, op: Operator, clock: Clock) -> None:
        """All partitions start as active."""
        self._op = op
        self._after = {name: _seconds(op.input_plan(name)["idle_after"]) for name in op.inputs}
        self._clock = clock
        self._since: dict[tuple[str, int], float] = {}
        self._idle: set[tuple[str, int]] = set()
        self._lost: set[tuple[str, int]] = set()
        self._went_idle: dict[Clocked, tuple[float, int]] = {}
        self._moved: dict[Clocked, float] = {}

    def has_rows(self, name: str, partition: Any) -> None:
        """Note rows of a partition, or of several: an array with the partition of each row."""
        partitions = {partition} if isinstance(partition, int) else _distinct(partition)
        partitions &= set(self._op.partitions[name])  # rows of undeclared partitions are invalid
        for each in partitions:
            self._begins_anew(name, each)

    def has_none(self, name: str, partition: int) -> list[Result]:
        """Note that a partition was polled and had no rows; returns the results of that."""
        after, key, now = self._after[name], (name, partition), self._clock()
        self._lost.discard(key)
        if after is None:
            return []
        if key in self._idle:
            return self._time_passes(name, partition, after, now)
        if now - self._since.setdefault(key, now) < after:
            return []
        self._idle.add(key)
        verdict = self._op.idle(input=name, partition=partition)
        return [verdict, *self._time_passes(name, partition, after, now)]

    def is_lost(self, name: str, partition: int) -> None:
        """Note that nothing is known of a partition for now: its silence begins anew."""
        self._begins_anew(name, partition)
        self._lost.add((name, partition))

    def state(self, name: str, partition: int) -> LagState | None:
        """Whether a partition is idle or out of reach; None if neither."""
        key = (name, partition)
        return "lost" if key in self._lost else "idle" if key in self._idle else None

    def _begins_anew(self, name: str, partition: int) -> None:
        self._lost.discard((name, partition))
        self._went_idle.pop((name, self._op.own_clock(partition)), None)
        self._since.pop((name, partition), None)
        self._idle.discard((name, partition))

    def is_gone(self, name: str, partition: int) -> None:
        """Forget a partition that another process has."""
        self.is_lost(name, partition)
        self._moved.pop((name, self._op.own_clock(partition)), None)

    def _time_passes(self, name: str, partition: int, after: float, now: float) -> list[Result]:
        """If all that shares a watermark is idle, advance it from that of its newest partition."""
        which = self._op.own_clock(partition)
        clock: Clocked = (name, which)
        sharing = self._op.partitions[name] if which is None else (which,)
        if any((name, each) not in self._idle for each in sharing):
            return []
        if clock not in self._went_idle:
            at = self._op.newest_watermark(name, which)
            if at is None:
                return []
            self._went_idle[clock] = (now, at)
            self._moved[clock] = now
            return [self._op.advance(at, input=name, partition=which)]
        if now - self._moved[clock] < min(after, _TICK_S):
            return []
        self._moved[clock] = now
        since, at = self._went_idle[clock]
        passed = int((now - since) * 1e6)
        return [self._op.advance(at + passed, input=name, partition=which)]


def _distinct(partitions: Any) -> set[int]:
    return set(pc.unique(pa.array(partitions)).to_pylist())


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / 1e6
