"""A request to stop, by a signal or another thread. The loop checks it between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeAlias

import pyarrow as pa

Condition: TypeAlias = Callable[[], bool]
"""Whether something is so now."""


class Stop:
    """One request ends a run between two steps; a second signal ends it at once.

    >>> stop = Stop()
    >>> stop.request(); stop.requested
    True
    """

    def __init__(self, event: threading.Event | None = None, also: Condition | None = None) -> None:
        """No stop is requested yet."""
        self._event = event or threading.Event()
        self._also = also

    @property
    def requested(self) -> bool:
        """True once a stop was requested, or while the other condition holds."""
        return self._event.is_set() or (self._also is not None and self._also())

    def or_if(self, also: Condition) -> Stop:
        """The same request, or another condition.

        >>> stop = Stop()
        >>> stop.or_if(lambda: True).requested, stop.requested
        (True, False)
        """
        return Stop(self._event, also)

    def request(self) -> None:
        """Request a stop, from any thread."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Treat Ctrl-C and SIGTERM as requests, if this is the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handle(number: int, _frame: FrameType | None) -> None:
            if self.requested:
                if number == signal.SIGTERM:
                    raise SystemExit(128 + number)
                raise KeyboardInterrupt
            self.request()

        # while it reads CSV, pyarrow would install its own handlers and consume the signal
        pa.enable_signal_handlers(False)
        for number in before:
            signal.signal(number, handle)
        try:
            yield
        finally:
            pa.enable_signal_handlers(True)
            for number, handler in before.items():
                # None: the handler was not set from Python
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
