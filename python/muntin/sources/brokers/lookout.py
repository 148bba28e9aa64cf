"""Looks at something every now and then on a thread of its own, so that nobody waits for it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from muntin.base.errors import MuntinError

_log = logging.getLogger("muntin.kafka")

T = TypeVar("T")


class Lookout(Generic[T]):
    """Calls a function every so many seconds; a call that fails is tried again the next time.

    >>> lookout = Lookout(lambda: "seen", every=0.0)
    >>> lookout.news() is None
    True
    >>> while (found := lookout.news()) is None: time.sleep(0.001)
    >>> found
    'seen'
    """

    def __init__(self, look: Callable[[], T], every: float) -> None:
        """Call `look` for the first time after `every` seconds."""
        self._look = look
        self._every = every
        self._at = time.monotonic()
        self._thread: threading.Thread | None = None
        self._found: T | None = None

    def news(self) -> T | None:
        """What was found, once each time; None if there is nothing new."""
        if self._thread is not None:
            if self._thread.is_alive():
                return None
            self._thread = None
            found, self._found = self._found, None
            return found
        now = time.monotonic()
        if now - self._at >= self._every:
            self._at = now
            self._thread = threading.Thread(target=self._run, name="muntin-kafka", daemon=True)
            self._thread.start()
        return None

    def close(self) -> None:
        """Look no more; a call that is under way ends by itself."""
        self._every = float("inf")

    def _run(self) -> None:
        try:
            self._found = self._look()
        except MuntinError as error:
            _log.debug("the topics cannot be looked up: %s", error)
