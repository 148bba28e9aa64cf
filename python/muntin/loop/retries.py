"""How often and when a run begins again after a lost commit."""

from __future__ import annotations

import logging
import time

from muntin.base.errors import SinkError, with_hint
from muntin.checkpoint import CommitLost
from muntin.loop.stop import Stop
from muntin.monitor.counters import Counters

_log = logging.getLogger("muntin.run")

_FIRST_S = 0.1
_LONGEST_S = 10.0
_IN_A_ROW_MAX = 30
_STOPPING_MAX = 3
_STEP_S = 0.05


class Retries:
    """Counts lost commits, and waits longer after each that follows another.

    Attributes:
        lost: commits lost since the start.
    """

    def __init__(self, stop: Stop, counters: Counters) -> None:
        """Nothing was lost yet; a requested stop ends the waiting."""
        self.lost = 0
        self._counters = counters
        self._stop = stop
        self._in_a_row = 0

    def committed(self) -> None:
        """A commit took effect."""
        self._in_a_row = 0

    def wait(self, error: CommitLost) -> None:
        """Wait before the run begins again.

        Raises:
            SinkError: another try cannot succeed, or too many commits in a row were lost; few are
                enough once a stop is requested.
        """
        self.lost += 1
        self._counters.aborted(error.cause)
        self._in_a_row += 1
        if error.remedy is not None:
            message = f"the last rows cannot be committed: {error}"
            raise SinkError(with_hint(message, error.remedy)) from error
        if self._in_a_row > (_STOPPING_MAX if self._stop.requested else _IN_A_ROW_MAX):
            hint = "nothing is lost: the next run resumes from the last checkpoint that counts"
            times = "" if self._in_a_row == 1 else f", {self._in_a_row} times in a row"
            message = f"the last rows could not be committed{times}: {error}"
            raise SinkError(with_hint(message, hint)) from error
        seconds = min(_FIRST_S * 2 ** (self._in_a_row - 1), _LONGEST_S)
        facts = {"event": "commit_lost", "lost": self.lost, "in_a_row": self._in_a_row}
        facts["cause"] = error.cause
        message = "a commit was lost; the run resumes from the last checkpoint in %.1f s: %s"
        _log.warning(message, seconds, error, extra=facts)
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stop.requested:
            time.sleep(_STEP_S)
