"""The watcher that serves the page: it keeps what the loop hands over."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from muntin.base import limits
from muntin.engine.result import Result
from muntin.monitor.dashboard.inbox import Inbox
from muntin.monitor.dashboard.options import Dashboard
from muntin.monitor.dashboard.server import Server
from muntin.monitor.dashboard.view import View
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Undecodable

_log = logging.getLogger("muntin.dashboard")


class Page:
    """A watcher with a web server on a thread of its own.

    Calls of the loop only store references; the server's thread does all further work.
    """

    def __init__(self, options: Dashboard) -> None:
        """Start serving.

        Raises:
            SinkError: the address cannot be listened on.
        """
        self._options = options
        self._inbox = Inbox(limits.PAGE_ROWS_MAX, limits.PAGE_STEPS_MAX)
        self._view = View(self._inbox, options)
        self._server = Server(self._view, options)
        _log.info("dashboard at %s", self.url)
        if not logging.getLogger("muntin").handlers:
            print(f"dashboard: {self.url}", file=sys.stderr)

    @property
    def url(self) -> str:
        """The page's address; a visitor adds `?token=` if there is a token."""
        return self._server.url

    def begin(self, scene: Scene) -> None:
        if self._view.scene is not None:
            # another run on the same page: browsers reconnect and see nothing of the last one
            self._inbox = Inbox(limits.PAGE_ROWS_MAX, limits.PAGE_STEPS_MAX)
            self._view = View(self._inbox, self._options)
            self._server.show(self._view)
        self._view.scene = scene

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        self._inbox.put(result, undecodable)

    def moment(self, moment: Moment) -> None:
        self._inbox.moment = moment

    def end(self, error: BaseException | None) -> None:
        self._view.ended = ("ended", None) if error is None else ("failed", error)

    def close(self) -> None:
        """Stop serving; ends the thread and closes the socket."""
        self._server.close()
