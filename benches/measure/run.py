"""A run: for each workload compare, then time, peer beside peer."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from benches.compare import difference, totals_differ
from benches.data.files import read, write
from benches.measure.child import Child, Failed
from benches.measure.lines import Line
from benches.peers import KNOWN, Known
from benches.workloads import Workload

SLOW_START = 3.0  # seconds; such peers are
SLOW_RUNS = 2  # timed so often,
SLOW_SECONDS = 40.0  # for so long beside their start: else it would hide the rest

Say = Callable[[str], None]


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Attributes:
        steps: numbers of events: outputs are compared at the first; a peer is timed at the last
            one that fits its `seconds`.
        runs: how often each is timed.
        seconds: how long one run may take, about.
        fresh: a new process for each workload, so that memory is not that of the one before.
    """

    steps: tuple[int, ...]
    runs: int
    seconds: float
    fresh: bool = True


SIZES = {
    "small": Size((2_000, 20_000), 2, 1.0, fresh=False),
    "medium": Size((20_000, 100_000, 1_000_000), 3, 3.0),
    "large": Size((20_000, 100_000, 1_000_000, 10_000_000), 5, 10.0),
}


def present(names: list[str]) -> tuple[list[Known], list[Known]]:
    """The peers of the names, or all: those that are there, and those that are not."""
    wanted = [KNOWN[name] for name in names] if names else list(KNOWN.values())
    there = [each for each in wanted if each.is_there() and each.name != "muntin"]
    return [KNOWN["muntin"], *there], [each for each in wanted if not each.is_there()]


class Run:
    """Measures workloads in a folder for its data."""

    def __init__(self, size: Size, peers: list[Known], folder: Path, say: Say) -> None:
        self.size, self.peers, self.folder, self.say = size, peers, folder, say
        self.facts: dict[str, dict[str, Any]] = {}
        self._children: dict[str, Child] = {}

    def lines(self, workloads: list[Workload]) -> Iterator[Line]:
        """Measure; the lines of a workload come when it is done."""
        try:
            for workload in workloads:
                yield from self._workload(workload)
                if self.size.fresh:
                    self._stop()
                for path in self.folder.glob("*.arrow"):
                    path.unlink()
        finally:
            self._stop()

    def _stop(self) -> None:
        for child in self._children.values():
            child.stop()
        self._children = {}

    def _child(self, known: Known) -> Child:
        if known.name not in self._children:
            child = Child(known, self.folder / f"{known.name}.log")
            self._children[known.name] = child
            self.facts[known.name] = child.facts
        return self._children[known.name]

    def _workload(self, workload: Workload) -> Iterator[Line]:
        self.say(workload.title)
        timed: list[tuple[Line, int]] = []
        lines = [Line(workload, each.name, each.title) for each in self.peers]
        ours = self.folder / "muntin.arrow"
        want: pa.Table | None = None
        for known, line in zip(self.peers, lines, strict=True):
            line.load = os.getloadavg()[0]
            if known.own and not workload.engines:
                line.note = "not run: engines do one workload of each kind"
                continue
            try:
                child = self._child(known)
                line.version = child.facts["version"]
                first = self._compared(known, child, workload, line, want)
                if known.name == "muntin":
                    want = read(ours)
                if first is not None:
                    timed.append((line, self._level(child, workload, first, line)))
            except Failed as failed:
                line.note = f"failed: {failed}"
                self._children.pop(known.name, None)
            if known.name == "muntin" and not line.equal:
                raise Failed(f"muntin: {line.note}")
        yield from self._timed(workload, lines, timed)

    def _compared(
        self, known: Known, child: Child, workload: Workload, line: Line, want: pa.Table | None
    ) -> dict[str, Any] | None:
        """Run the first step and compare; None where nothing is to be timed."""
        rows = self.size.steps[0]
        path = write(workload.of(rows).data, self.folder)
        keep = self.folder / f"{known.name}.arrow"
        found = child.run(workload.of(rows), path, keep)
        if "refuses" in found:
            line.note = f"no such window: {found['refuses']}"
            return None
        if want is not None:
            line.note = difference(workload, want, read(keep))
        line.equal = line.note is None
        if not line.equal:
            line.note = f"differs from muntin: {line.note}"
        return found if line.equal else None

    def _level(self, child: Child, workload: Workload, first: dict[str, Any], line: Line) -> int:
        """The largest step that fits the time, going up step by step."""
        rows, last, before = self.size.steps[0], first["wall"], 0
        if child.facts["starts"]:
            before = rows // 10
            tiny = self._once(child.known.name, workload, before)
            if isinstance(tiny, str):
                raise Failed(tiny)
            line.start_events, line.start_cpu, line.start_wall = before, tiny["cpu"], tiny["wall"]
        each = max(last - line.start_wall, 0.0) / (rows - before)
        if child.facts["starts"] > SLOW_START:
            return max([step for step in self.size.steps if each * step < SLOW_SECONDS] or [rows])
        for step in self.size.steps[1:]:
            each = max(last - line.start_wall, 0.0) / (rows - before)
            if each * step > self.size.seconds:
                break
            found = child.run(workload.of(step), write(workload.of(step).data, self.folder))
            rows, last = step, found["wall"]
        return rows

    def _timed(
        self, workload: Workload, lines: list[Line], timed: list[tuple[Line, int]]
    ) -> Iterator[Line]:
        """Time all, one beside the other; muntin also at the numbers of events of slower peers."""
        muntin = {rows: [] for _, rows in timed}
        runs = {line.peer: [] for line, _ in timed}
        for turn in range(self.size.runs):
            for rows, found in muntin.items():
                found.append(self._once("muntin", workload, rows))
            for line, rows in timed:
                slow = self.facts[line.peer]["starts"] > SLOW_START and turn >= SLOW_RUNS
                if line.peer != "muntin" and not slow:
                    runs[line.peer].append(self._once(line.peer, workload, rows))
        for line, rows in timed:
            mine, found = muntin[rows], runs[line.peer]
            self._fill(line, rows, mine if line.peer == "muntin" else found, mine)
        yield from lines

    def _once(self, peer: str, workload: Workload, rows: int) -> dict[str, Any] | str:
        if peer not in self._children:
            return "its process has ended"
        try:
            of = workload.of(rows)
            return self._children[peer].run(of, write(of.data, self.folder))
        except Failed as failed:
            self._children.pop(peer).stop()
            return str(failed)

    def _fill(self, line: Line, rows: int, runs: list[Any], mine: list[Any]) -> None:
        for run in (*runs, *mine):
            if isinstance(run, str):
                line.note = f"failed: {run}"
                return
        wrong = totals_differ(mine[0]["totals"], runs[0]["totals"])
        if wrong:
            line.note, line.equal = f"differs from muntin at {rows:,} events: {wrong}", False
            return
        if line.start_events and min(run["cpu"] for run in runs) < 1.2 * line.start_cpu:
            line.note = f"no figure: it starts in {line.start_cpu:.1f} CPU s, and {rows:,} events"
            line.note += " add less than a fifth"
            return
        line.events, line.rows = rows, runs[0]["totals"]["rows"]
        line.cpu, line.wall = [run["cpu"] for run in runs], [run["wall"] for run in runs]
        line.peak, line.state = max(run["peak"] for run in runs), runs[-1]["state"]
        line.keys = min(line.workload.data.keys, rows)
        if line.start_events:
            line.start = max(line.start_cpu - line.ns * line.start_events / 1e9, 0.0)
        if line.peer != "muntin":
            ours = min(run["cpu"] for run in mine) / rows * 1e9
            line.ratio = line.ns / ours
