"""Shows one line of progress while a run goes on, if there is a terminal."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from muntin.engine.result import Result
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Undecodable

_OVER_S = 3.0


class Progress:
    """Shows rows, rate, lag, commits and alerts on standard error, if that is a terminal."""

    def __init__(self) -> None:
        """Show nothing before the run begins."""
        self._bar: Any = None
        self._task: Any = None
        self._scene: Scene | None = None
        self._filling = False
        self._pace = Pace()

    @property
    def is_shown(self) -> bool:
        """Whether standard error is a terminal and rich (`muntin[cli]`) is installed."""
        return sys.stderr.isatty() and find_spec("rich") is not None

    def begin(self, scene: Scene) -> None:
        """Show the line, with a bar if the number of rows is known."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}"),
            *([] if scene.total is None and scene.history is None else [BarColumn()]),
            TextColumn("{task.completed:,.0f} rows"),
            TextColumn("{task.fields[more]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._bar.start()
        self._scene, self._filling = scene, False
        self._task = self._bar.add_task(scene.name, total=scene.total, more="")

    def gave(self, result: Result, undecodable: Sequence[tuple[str, Undecodable]]) -> None:
        """Do nothing: counts come with the status."""

    def moment(self, moment: Moment) -> None:
        """Show the new status."""
        if self._bar is not None:
            self._show_stage(moment)
            rows = sum((moment.filled if moment.filling else moment.sources).values())
            said = in_words(self._pace.of(rows, moment), moment)
            self._bar.update(self._task, completed=rows, more=said)

    def _show_stage(self, moment: Moment) -> None:
        """Begin the bar anew where the state is full and live rows begin, or the other way."""
        if moment.filling == self._filling or self._scene is None:
            return
        self._filling = moment.filling
        word = f"{self._scene.name}: history" if moment.filling else self._scene.name
        total = self._scene.history if moment.filling else self._scene.total
        self._bar.reset(self._task, total=total, description=word)

    def end(self, error: BaseException | None) -> None:
        """Take the line away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def close(self) -> None:
        """Remove the line, if it is still shown."""
        self.end(None)


class Pace:
    """Rows a second over the last seconds: counts go on over restarts, a mean would not do."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, rows: int, moment: Moment) -> float | None:
        """The pace now that there are so many rows; None at the first moment."""
        if self._seen and rows < self._seen[-1][1]:
            self._seen.clear()  # from the history to live rows
        self._seen.append((moment.seconds, rows))
        while len(self._seen) > 2 and self._seen[-1][0] - self._seen[1][0] >= _OVER_S:
            self._seen.popleft()
        (start, before), (now, rows) = self._seen[0], self._seen[-1]
        return (rows - before) / (now - start) if now > start else None


def in_words(pace: float | None, moment: Moment) -> str:
    """How a run is getting on, what matters first, since terminals cut the end.

    >>> from muntin.monitor.counters import Commit
    >>> commit = Commit(at=99.6, seconds=0.02, outcome="committed")
    >>> moment = Moment(100.0, 9.0, {}, {}, {"big": 3}, 2, 0, (), {}, {}, {}, commit=commit)
    >>> in_words(1240.0, moment)
    '1,240 rows/s, committed 0.4 s ago, 3 alerts, 2 late'
    """
    parts = [] if pace is None else [f"{pace:,.0f} rows/s"]
    parts += [*_behind(moment), *_commit(moment)]
    for count, word in ((sum(moment.alerts.values()), "alerts"), (moment.late, "late")):
        if count:
            parts.append(f"{count:,} {word}")
    return ", ".join(parts)


def _behind(moment: Moment) -> list[str]:
    behind, seconds = moment.behind, moment.behind_seconds
    if behind is None:
        return []
    if not behind:
        return ["caught up"]
    said = f"{behind:,} {'row' if behind == 1 else 'rows'} behind"
    return [f"{said} by {_span(seconds)}" if seconds else said]


def _commit(moment: Moment) -> list[str]:
    commit = moment.commit
    if commit is None:
        return []
    age = _span(max(moment.at - commit.at, 0.0))
    match commit.outcome:
        case "none":
            return ["not yet committed"]
        case "committed":
            return [f"committed {age} ago"]
        case "aborted":
            return [f"last commit aborted ({commit.cause}), the one before {age} ago"]
        case _:
            return [f"checkpoint failed, the one before {age} ago"]


def _span(seconds: float) -> str:
    """A span of time as people say it.

    >>> [_span(each) for each in (0.04, 59, 90, 7200, 200_000)]
    ['0.0 s', '59 s', '2 min', '2 h', '2 days']
    """
    for most, unit, word in ((10, 1, ""), (90, 1, "s"), (5400, 60, "min"), (172_800, 3600, "h")):
        if seconds < most:
            return f"{seconds / unit:.0f} {word}" if word else f"{seconds:.1f} s"
    return f"{seconds / 86_400:.0f} days"
