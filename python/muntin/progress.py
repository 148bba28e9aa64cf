"""A bar on a terminal while a run goes on; nothing anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self


class Progress:
    """Shows how many rows are through, on standard error, if that is a terminal."""

    def __init__(self, name: str, total: Callable[[], int | None]) -> None:
        """Get ready; `total` gives the number of rows, None if unknown."""
        self._name = name
        self._total = total
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        """Show the bar."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f} rows"),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._name, total=self._total(), rate="")
        return self

    def show(self, rows: int, seconds: float) -> None:
        """Say how many rows have been taken in how many seconds."""
        if self._bar is not None:
            rate = f"{rows / seconds / 1e6:.2f} M rows/s" if seconds else ""
            self._bar.update(self._task, completed=rows, rate=rate)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
