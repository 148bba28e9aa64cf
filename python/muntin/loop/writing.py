"""Writes a checkpoint on a thread of its own, while the run goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable

from muntin.checkpoint.saved import Saved


class Writing:
    """One checkpoint on its way. Only one at a time uses the store and the authority."""

    def __init__(self, write: Callable[[], Saved]) -> None:
        """Start to write."""
        self._write = write
        self._saved: Saved | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="muntin-checkpoint", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._saved = self._write()
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        """Whether it is written, or has failed."""
        return not self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it is done, or for so many seconds; whether it is done."""
        self._thread.join(seconds)
        return self.done

    def result(self) -> Saved:
        """Wait until it is done; raises what the writing raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        assert self._saved is not None
        return self._saved
