"""Queue from the loop to the page: the loop appends without waiting.

Each counter is written by only one of the two threads, so no lock is needed and neither ever waits.
If the page does not keep up, the oldest results are dropped, and their rows are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from muntin.engine.result import Result
from muntin.monitor.moment import Moment
from muntin.sources import Undecodable

Given = tuple[int, Result, Sequence[tuple[str, Undecodable]]]


class Inbox:
    """Results since the last read, and the newest status."""

    def __init__(self, rows_max: int, steps_max: int) -> None:
        self._rows_max = rows_max
        self._steps_max = steps_max
        self._steps: deque[Given] = deque()
        self._came = 0
        self._dropped = 0
        self._taken = 0
        self.moment: Moment | None = None

    @property
    def unseen(self) -> int:
        """Rows of outputs that the page never saw."""
        return self._dropped

    def put(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """Called by the loop."""
        rows = sum(map(len, result.outputs.values()))
        self._came += rows
        self._steps.append((rows, result, undecodable))
        while self._is_full():
            try:
                self._dropped += self._steps.popleft()[0]
            except IndexError:
                return

    def take(self) -> list[Given]:
        """Called by the page: everything queued, oldest first."""
        steps = []
        while self._steps:
            try:
                step = self._steps.popleft()
            except IndexError:
                break
            self._taken += step[0]
            steps.append(step)
        return steps

    def _is_full(self) -> bool:
        waiting = self._came - self._dropped - self._taken
        return len(self._steps) > self._steps_max or (
            waiting > self._rows_max and len(self._steps) > 1
        )
