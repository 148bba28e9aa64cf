"""A run on a thread of its own, for notebooks and programs that do other work meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from html import escape

from muntin.base.errors import MuntinError
from muntin.engine.result import Result
from muntin.loop.stop import Stop
from muntin.monitor.moment import Moment, Scene, Watcher
from muntin.monitor.report import Report
from muntin.sources import Undecodable

Play = Callable[[Stop, Sequence[Watcher]], Report]


class _Latest:
    """Keeps the latest status."""

    def __init__(self) -> None:
        self.moment_seen: Moment | None = None

    def begin(self, scene: Scene) -> None:
        """Nothing to prepare."""

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """Rows are not kept."""

    def moment(self, moment: Moment) -> None:
        """Keep it."""
        self.moment_seen = moment

    def end(self, error: BaseException | None) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""


class Running:
    """A run in the background. Made by `mt.run(..., background=True)`.

    >>> import muntin as mt, pyarrow as pa, datetime as dt
    >>> table = pa.table({"at": [dt.datetime(2024, 5, 1, 10)], "store": ["a"]})
    >>> sales = mt.stream(time="at", out_of_order="10s").tumbling("1m").agg(n=mt.count())
    >>> running = mt.run(mt.sources.Arrow(table), sales, background=True)
    >>> running.wait().rows
    1
    """

    def __init__(self, play: Play) -> None:
        """Start; call `mt.run(..., background=True)` instead."""
        self._stop = Stop()
        self._latest = _Latest()
        self._report: Report | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(play,), name="muntin-run")
        self._thread.daemon = True
        self._thread.start()

    def _run(self, play: Play) -> None:
        try:
            self._report = play(self._stop, [self._latest])
        except BaseException as error:
            self._error = error

    @property
    def alive(self) -> bool:
        """True until it ends.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> running = mt.run([{"day": "2024-05-01"}], days, background=True)
        >>> report = running.wait()
        >>> running.alive
        False
        """
        return self._thread.is_alive()

    @property
    def moment(self) -> Moment | None:
        """The latest status; None before the first step.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> running = mt.run([{"day": "2024-05-01"}], days, background=True)
        >>> report = running.wait()
        >>> dict(running.moment.sources)
        {'input': 1}
        """
        return self._latest.moment_seen

    def stop(self, timeout: float | None = None) -> Report:
        """Stop after the current step, as Ctrl-C does, and wait for the end.

        Args:
            timeout: how long to wait, in seconds; None waits without limit.

        It raises what `wait` raises.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> running = mt.run(lambda: iter([{"day": "2024-05-01"}]), days, background=True)
        >>> running.stop(timeout=10).rows <= 1
        True
        """
        self._stop.request()
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> Report:
        """Wait for its end.

        Raises:
            TimeoutError: it has not ended in time.
            MuntinError: what ended the run.

        >>> import muntin as mt
        >>> days = mt.stream(time="day", out_of_order="0s", schema={"day": "date"})
        >>> mt.run([{"day": "2024-05-01"}], days, background=True).wait(timeout=10).rows
        1
        """
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(f"the run has not ended within {timeout} s")
        if self._error is not None:
            raise self._error
        if self._report is None:
            raise MuntinError("the run has ended without a report")
        return self._report

    def __repr__(self) -> str:
        """What it does, in a line, or its report."""
        if self._report is not None:
            return repr(self._report)
        if self._error is not None:
            return f"run, failed: {self._error}"
        moment = self.moment
        if moment is None:
            return "run, starting"
        rows, late = sum(moment.sources.values()), moment.late
        alerts = sum(moment.alerts.values())
        return f"run, {rows:,} rows in {moment.seconds:.1f} s, {alerts:,} alerts, {late:,} late"

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        if self._report is not None:
            return self._report._repr_html_()
        return f"<p>{escape(repr(self))}</p>"
