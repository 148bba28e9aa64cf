"""What the callbacks of a client report: errors of its connections, statistics, log lines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from muntin.clients.kafka.errors import hint_of

Text: TypeAlias = Callable[[Any], str]
"""Makes the text of an error of librdkafka."""

_REFUSED = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL"})

_log = logging.getLogger("muntin.kafka")
_lines = logging.getLogger("muntin.kafka.librdkafka")


class Events:
    """What one client has reported so far. Its callbacks never raise: that would get lost.

    Attributes:
        trouble: the newest error of a connection; an empty text after `well`.
        refused: whether that error does not pass by itself: a wrong password or certificate.
        hint: what to do about it, if that is known.
        down: whether no broker can be reached, as far as is known.
        fatal: the text of an error after which the client is of no use; None if there is none.
        stats: the newest statistics, as JSON; empty before the first.
        stats_at: when they came, by `time.monotonic`.
    """

    def __init__(self, place: str, text: Text, *, warns: bool = False) -> None:
        """Report for a client.

        Args:
            place: the source or sink, for messages.
            text: writes an error.
            warns: log when no broker can be reached, and when one answers again.
        """
        self.trouble = ""
        self.refused = False
        self.hint: str | None = None
        self.down = False
        self.fatal: str | None = None
        self.stats = b""
        self.stats_at = 0.0
        self._place = place
        self._warns = warns
        self._text = text

    def well(self) -> None:
        """A broker has answered."""
        if self.down and self._warns:
            _log.info("%s: connected again", self._place, extra={"event": "kafka_connected"})
        self.trouble, self.hint, self.refused, self.down = "", None, False, False

    def error(self, error: Any) -> None:
        """The callback `error_cb`."""
        name = error.name()
        if name != "_ALL_BROKERS_DOWN" or not self.trouble:  # which says less than the one before
            self.trouble, self.hint = self._text(error), hint_of(error)
            self.refused = name in _REFUSED
        if error.fatal():
            self.fatal = self.trouble
        if name == "_ALL_BROKERS_DOWN" and not self.down:
            self.down = True
            if not self._warns:
                return
            _log.warning(
                "%s: no broker can be reached; it goes on when one answers",
                self._place,
                extra={"event": "kafka_down"},
            )

    def statistics(self, text: str) -> None:
        """The callback `stats_cb`."""
        self.stats = text.encode()
        self.stats_at = time.monotonic()


class Lines:
    """Takes librdkafka's log lines: at level DEBUG, since `Events` warns of what matters."""

    def __init__(self, hidden: Callable[[str], str]) -> None:
        """Pass lines on after `hidden` has removed secrets."""
        self._hidden = hidden

    def log(self, level: int, form: str, *args: Any) -> None:
        """As `logging.Logger.log`."""
        if _lines.isEnabledFor(logging.DEBUG):
            _lines.debug("%s", self._hidden(form % args if args else form))
