"""Points at which a worker of the tests is killed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Points:
    """Ends this process, as a power cut would, when it reaches a point for the n-th time."""

    def __init__(self, point: str | None, nth: int = 1) -> None:
        self.point, self.nth, self.seen = point, nth, Counter[str]()

    def reached(self, point: str) -> None:
        self.seen[point] += 1
        if point == self.point and self.seen[point] == self.nth:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def around(self, what: str) -> Iterator[None]:
        """A point before and one after what is done within; none after if that fails."""
        self.reached(f"before {what}")
        yield
        self.reached(f"after {what}")
