"""A request to stop, by a signal or another thread. The loop checks it between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pyarrow as pa


class Stop:
    """Asked once, a run ends between two steps; asked twice by a signal, it ends at once.

    >>> stop = Stop()
    >>> stop.ask(); stop.asked
    True
    """

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._event = threading.Event()

    @property
    def asked(self) -> bool:
        """True once somebody has asked."""
        return self._event.is_set()

    def ask(self) -> None:
        """Ask; from any thread."""
        self._event.set()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Take Ctrl-C and SIGTERM as the wish, where this is the thread that gets signals."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def heard(number: int, _frame: FrameType | None) -> None:
            if self.asked:
                if number == signal.SIGTERM:
                    raise SystemExit(128 + number)
                raise KeyboardInterrupt
            self.ask()

        # pyarrow would put handlers of its own in place while it reads CSV, and take the signal
        pa.enable_signal_handlers(False)
        for number in before:
            signal.signal(number, heard)
        try:
            yield
        finally:
            pa.enable_signal_handlers(True)
            for number, handler in before.items():
                # None stands for a handler that was not set from Python
                signal.signal(number, signal.SIG_DFL if handler is None else handler)
