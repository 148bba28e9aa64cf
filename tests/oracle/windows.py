"""Windows of time: tumbling, hopping and cumulative; where they lie is in `grids`.

Decided here: `fired` rows of one seq are in one order (end, start, range, touch), revisions and
running values among them; a row that overflows is invalid before it can be late; "changed" compares
the rows that count in a window with those that count in the window before it; `late_windows` counts
pairs of row and window. A row that names no time zone is invalid.
"""

from __future__ import annotations

from collections import Counter
from typing import Any
from zoneinfo import available_timezones

from .aggregates import Entry
from .grids import OutOfRange, Window, grid_of
from .node import Node, in_range
from .values import FOREVER, Row, stamp

ZONES = available_timezones()


class Aligned(Node):
    """tumbling, hopping and cumulative."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.emit = spec["emit"]
        zone = spec.get("time_zone")
        self.zone_column = zone["col"] if isinstance(zone, dict) else None
        self.zone = zone if isinstance(zone, str) else None
        self.grids: dict[str | None, Any] = {}
        self.emit_every = spec.get("emit_every")
        self.revises = self.lateness > 0 and spec.get("revisions", True)
        self.has_revision = self.revises or self.emit == "each" or self.emit_every is not None
        self.delay = self.lateness
        self.held: dict[Window, dict[tuple, list[Entry]]] = {}
        self.firings: Counter[tuple[Window, tuple]] = Counter()
        self.changed: set[tuple[Window, tuple]] = set()

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """Rows enter their windows, windows the clock reached are fired."""
        fired: list[tuple[tuple, Row]] = []
        for row in rows:
            for window in self.accept(row):
                running = self.emit == "each" or (self.revises and self.clock >= window[1])
                if running:
                    fired.append(self.fire(window, row.key(self.by)))
        fired += self.fire_closed(clock) + self.fire_early(clock)
        return self.in_order(fired)

    def grid(self, key: tuple) -> Any:
        """The windows of a key."""
        if self.zone_column is not None:
            name = key[self.by.index(self.zone_column)]
        else:
            name = self.zone or self.machine.time_zone(self.index)
        if name not in self.grids:
            self.grids[name] = grid_of(self.spec, name)
        return self.grids[name]

    def accept(self, row: Row) -> list[Window]:
        """The windows in which `row` counts."""
        values = self.values_of(row)
        if values is None:
            return []
        key = row.key(self.by)
        if self.zone_column is not None and row.columns[self.zone_column] not in ZONES:
            self.refuse(row, "unknown_time_zone")
            return []
        try:
            windows = self.grid(key).windows_of(row.time)
        except OutOfRange:
            windows = [(row.time, FOREVER)]
        if not all(in_range(*window) for window in windows):
            self.refuse(row, "window_out_of_range")
            return []
        if not windows:
            self.counters["in_gap"] += 1
            return []
        bound = self.bound(row)
        late = [(start, end) for start, end in windows if bound >= end + self.lateness]
        self.counters["late_windows"] += len(late)
        if late:
            reason = "late" if len(late) == len(windows) else "late_window"
            last = late[-1]
            self.tell_late(row, reason, last, bound - (last[1] + self.lateness), len(late))
        if len(late) == len(windows):
            self.counters["late"] += 1
            return []
        self.counters["counted"] += 1
        entry = Entry(row.time, self.next_order(), values, row.zoned)
        open_windows = windows[len(late) :]
        for window in open_windows:
            self.held.setdefault(window, {}).setdefault(key, []).append(entry)
            self.changed.add((window, key))
        return open_windows

    def closes_at(self, window: Window) -> int:
        """The clock at which `window` is fired for good: at once, or when nothing can be late."""
        return window[1] if self.revises else window[1] + self.lateness

    def fire_closed(self, clock: float) -> list[tuple[tuple, Row]]:
        """Every window that the clock reaches in this step."""
        fired = []
        for window, keys in self.held.items():
            if self.reaches(self.closes_at(window), clock):
                for key in keys:
                    self.changed.discard((window, key))
                    if self.emit == "final" or (self.emit == "changed" and self.moved(window, key)):
                        fired.append(self.fire(window, key))
        return fired

    def moved(self, window: Window, key: tuple) -> bool:
        """Whether other rows count in `window` than in the window before it."""
        before = self.grid(key).before(window)
        return self.held[window][key] != self.held.get(before, {}).get(key)

    def fire_early(self, clock: float) -> list[tuple[tuple, Row]]:
        """At a new multiple of `emit_every`: what changed since it was last fired."""
        if self.emit_every is None or not abs(clock) < FOREVER:
            return []
        if clock // self.emit_every * self.emit_every <= self.clock:
            return []
        pending = [(w, key) for w, key in self.changed if clock < self.closes_at(w)]
        return [self.fire(window, key) for window, key in pending]

    def fire(self, window: Window, key: tuple) -> tuple[tuple, Row]:
        """A fired row and its place: end, start, range of the key, first touch (pane, arrival)."""
        entries, (start, end) = self.held[window][key], window
        zoned = entries[0].zoned
        columns = self.key_columns(key) | {
            "window_start": stamp(start, zoned),
            "window_end": stamp(end, zoned),
        }
        touch = min((self.grid(key).pane_of(e.time), e.order) for e in entries)
        place = (end, start, self.range_of(key), touch)
        columns |= self.answers(entries, place)
        revision = self.firings[window, key]
        self.firings[window, key] += 1
        self.changed.discard((window, key))
        if self.has_revision:
            columns["revision"] = revision
        return place, self.fired_row(columns, start, end, zoned, revision)
