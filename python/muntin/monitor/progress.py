"""Shows one line of progress while a run goes on, if there is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from muntin.engine.result import Result
from muntin.monitor.moment import Moment, Scene
from muntin.sources import Undecodable


class Progress:
    """Shows rows, rate, delay and alerts on standard error, if that is a terminal."""

    def __init__(self) -> None:
        """Show nothing before the run begins."""
        self._bar: Any = None
        self._task: Any = None
        self._scene: Scene | None = None
        self._filling = False

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
            BarColumn(),
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
            self._bar.update(self._task, completed=rows, more=_more(rows, moment))

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


def _more(rows: int, moment: Moment) -> str:
    parts = [f"{rows / moment.seconds / 1e6:.2f} M rows/s"] if moment.seconds else []
    if alerts := sum(moment.alerts.values()):
        parts.append(f"{alerts:,} alerts")
    if moment.behind:
        parts.append(f"{moment.behind:,} behind")
    if moment.late:
        parts.append(f"{moment.late:,} late")
    if moment.saved is not None:
        parts.append(f"checkpoint {moment.saved.number}")
    return ", ".join(parts)
