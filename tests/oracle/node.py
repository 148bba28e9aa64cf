"""What every operator shares: its clock, its counters, its records of late and invalid rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .aggregates import Entry, SumOverflow, result, values_of
from .values import (
    FOREVER,
    I64_MAX,
    I64_MIN,
    NEVER,
    Origin,
    Overflow,
    Row,
    key_range,
    shift,
    stamp,
)

COUNTERS = (
    *("rows_in", "counted", "late", "invalid", "filtered", "in_gap"),
    *("late_windows", "fired", "nan"),
)


@dataclass(frozen=True)
class Clock:
    """What a node hands on beside its rows: its watermark, whether all above it is idle, and how
    far event time has come, which is what counts where the data end."""

    value: float = NEVER
    idle: bool = False
    newest: float = NEVER


@dataclass(frozen=True)
class Record:
    """A late or invalid row on its way out."""

    input: int
    columns: dict[str, Any]


VERBS = {"history": "sliding"}
"""What a node is called, if not by its own word."""


class Node:
    """An operator; `step` is called once a seq, with the rows of that seq and the clock after."""

    delay = 0

    def __init__(self, index: int, spec: dict, machine: Any) -> None:
        self.index, self.spec, self.machine = index, spec, machine
        self.by: list[str] = spec.get("by", [])
        self.aggregates: list[dict] = spec.get("aggregates", [])
        self.lateness: int = spec.get("allowed_lateness", 0)
        self.sources = self._sources()
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.clock: float = NEVER
        self.output_clock: float = NEVER
        self.arrived = 0
        self.late: list[Record] = []
        self.invalid: list[Record] = []
        self.of_fired: list[tuple[tuple, Record]] = []
        """Records about fired rows, each with the row's place."""

    def _sources(self) -> list[int]:
        """The nodes that feed this one."""
        source = self.spec.get("from", [])
        return source if isinstance(source, list) else [source]

    def run(self, rows: list[Row], clock: Clock) -> tuple[list[Row], Clock]:
        """Rows first, then the clock: what comes out, and the clock that goes with it."""
        self.counters["rows_in"] += len(rows)
        out = self.step(rows, clock.value)
        self.clock = clock.value
        self.output_clock = max(self.output_clock, shift(clock.value, -self.delay))
        newest = shift(clock.newest, -self.delay)
        return out, replace(clock, value=self.output_clock, newest=newest)

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """The rows out, given the rows in and the clock after them (`self.clock` is before)."""
        raise NotImplementedError

    def bound(self, row: Row) -> float:
        """What decides whether `row` is late: its own watermark, or what was already fired."""
        return max(row.judge, self.clock)

    def reaches(self, at: int, clock: float) -> bool:
        """Whether the step to `clock` is the first with a clock at or behind `at`."""
        return self.clock < at <= clock

    def passes(self, at: int, clock: float) -> bool:
        """Whether the step to `clock` is the first with a clock strictly behind `at`."""
        return self.clock <= at < clock

    def next_order(self) -> int:
        """The ordinal of a row's arrival here: rows of one seq keep their order."""
        self.arrived += 1
        return self.arrived

    # ── what comes out ──────────────────────────────────────────────────────────────────────────

    def key_columns(self, key: tuple) -> dict[str, Any]:
        """The key as columns."""
        return dict(zip(self.by, key, strict=True))

    def range_of(self, key: tuple) -> int:
        """The range that owns `key`."""
        return key_range(key, tuple(self.machine.words.get(name, "") for name in self.by))

    def fired_row(self, columns: dict, start: int, end: int, zoned: bool, revision: int = 0) -> Row:
        """A row of window `[start, end)`; its time is one microsecond before the end."""
        self.counters["fired"] += 1
        return Row(
            columns, end - 1, end - 1, zoned, self.fired_origin(), False, revision, (start, end)
        )

    def fired_origin(self) -> Origin:
        """Fired rows belong to the first input above them, to no partition and no position."""
        return Origin(self.machine.first_input(self.index))

    def values_of(self, row: Row) -> list[Any] | None:
        """What `row` gives to each aggregate; None, and the row is invalid, if that overflows."""
        try:
            values, nans = values_of(self.aggregates, row)
        except Overflow as lost:
            self.refuse(row, lost.reason)
            return None
        self.counters["nan"] += nans
        return values

    def value(self, index: int, entries: list[Entry]) -> tuple[Any, bool]:
        """An aggregate over `entries`, and whether it is a sum that overflows, hence null."""
        try:
            return result(self.aggregates[index], index, entries), False
        except SumOverflow:
            return None, True

    def answers(self, entries: list[Entry], place: tuple) -> dict[str, Any]:
        """The columns of the aggregates over the window of a row that fires at `place`; sums that
        overflow leave one record.
        """
        window = (place[1], place[0])
        pairs = [self.value(index, entries) for index in range(len(self.aggregates))]
        if any(overflowed for _, overflowed in pairs):
            record = self.record("sum_overflow", self.fired_origin(), window, entries[0].zoned)
            self.of_fired.append((place, record))
        names = (aggregate["name"] for aggregate in self.aggregates)
        return dict(zip(names, (value for value, _ in pairs), strict=True))

    def in_order(self, fired: list[tuple[tuple, Row]]) -> list[Row]:
        """Fired rows by their places; records about them come in the same order."""
        self.invalid += [record for _, record in sorted(self.of_fired, key=lambda f: f[0])]
        self.of_fired.clear()
        return [row for _, row in sorted(fired, key=lambda f: f[0])]

    # ── late and invalid ────────────────────────────────────────────────────────────────────────

    def record(
        self,
        reason: str,
        origin: Origin,
        window: tuple | None = None,
        zoned: bool = False,
        windows: int | None = None,
        late_by: float | None = None,
    ) -> Record:
        """One record, with the columns of the source row (null for a fired row)."""
        start, end = window or (NEVER, NEVER)
        source = origin.source or {}
        return Record(
            origin.input,
            {
                "reason": reason,
                "operator": VERBS.get(self.spec["op"], self.spec["op"]),
                "node": self.index,
                "input": self.machine.plan["inputs"][origin.input]["name"],
                "partition": origin.partition,
                "position": origin.position,
                "window_start": stamp(start, zoned),
                "window_end": stamp(end, zoned),
                "windows": windows,
                "late_by": None if late_by in (None, FOREVER) else min(late_by, I64_MAX),
            }
            | {name: source.get(name) for name in self.machine.columns[origin.input] or source},
        )

    def refuse(self, row: Row, reason: str) -> None:
        """Counts `row` as invalid."""
        self.counters["invalid"] += 1
        self.invalid.append(self.record(reason, row.origin))

    def tell_late(
        self, row: Row, reason: str, window: tuple, late_by: float, windows: int | None = None
    ) -> None:
        """Lists `row` in `late`; counting it is the caller's business."""
        self.late.append(self.record(reason, row.origin, window, row.zoned, windows, late_by))


def in_range(start: int, end: int) -> bool:
    """Whether both bounds of a window fit into 64 bits."""
    return start >= I64_MIN and end <= I64_MAX
