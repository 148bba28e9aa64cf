"""How much time a run spends in each of its stages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from muntin.loop.intake import Reading
from muntin.loop.quiet import Clock

STAGES = ("source", "engine", "sink", "checkpoint")


class Stages:
    """Seconds by stage, since the start."""

    def __init__(self, clock: Clock) -> None:
        """Start at zero."""
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)
        self._clock = clock

    @contextmanager
    def spent(self, stage: str) -> Iterator[None]:
        """Count the time of a block to a stage."""
        start = self._clock()
        try:
            yield
        finally:
            self.seconds[stage] += self._clock() - start

    def timed(self, rounds: Iterator[Reading]) -> Iterator[Reading]:
        """The same rounds; counts the time spent reading, but not the time spent waiting."""
        while True:
            start = self._clock()
            reading = next(rounds, None)
            if reading is None:
                return
            self.seconds["source"] += max(0.0, self._clock() - start - reading.waited)
            yield reading
