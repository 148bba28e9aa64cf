"""What each peer must do. Peers run in environments that have pyarrow, and not numpy or muntin."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pyarrow as pa

from benches.workloads import Workload

Emit = Callable[[Any], None]


class Clock:
    """Wall and CPU seconds spent inside `with clock:`; CPU of all threads and ended children."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.children_peak = 0

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), cpu_seconds()

    def __exit__(self, *_: object) -> None:
        self.cpu += cpu_seconds() - self._cpu
        self.wall += time.perf_counter() - self._wall


def cpu_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Peer:
    """A library or engine.

    Attributes:
        package: the distribution whose version is shown.
        settings: how it is configured; kept beside its figures.
        beyond: what it does that muntin does not, for the reader of a ratio.
        starts: about how many seconds it takes to start; with it, figures are marginal.
    """

    package = ""
    settings: dict[str, str] = {}  # noqa: RUF012
    beyond = ""
    starts = 0.0

    def version(self) -> str:
        return version(self.package)

    def refuses(self, workload: Workload) -> str | None:
        """Why it cannot do the workload; None if it can."""
        return None

    def run(self, workload: Workload, table: pa.Table, clock: Clock, emit: Emit) -> None:
        """Process the events; what counts happens in `with clock:`, outputs go to `emit`.

        The output has the columns `workload.identity` and `workload.values`; a session has its
        first and last event in `start` and `last`.
        """
        raise NotImplementedError


class TablePeer(Peer):
    """One that gets the finished table at once.

    Attributes:
        no_distinct: why it cannot count different values over a moving frame; empty if it can.
    """

    no_distinct = ""

    def refuses(self, workload: Workload) -> str | None:
        if workload.only_changed:
            return "no window that comes only if it changed"
        if workload.kind == "sliding":
            if workload.data.late:
                return "no answers on arrival: it sees the finished table"
            if "d" in workload.aggregates and self.no_distinct:
                return self.no_distinct
        return None
