"""Windows of time: tumbling and hopping.

Decided here: `fired` rows of one seq are in one order (end, start, range, touch), revisions and
running values among them; a row that overflows is invalid before it can be late; "changed" compares
the rows that count in a window with those that count in the window before it; `late_windows` counts
pairs of row and window.
"""

from __future__ import annotations

from collections import Counter
from math import gcd

from .aggregates import Entry
from .node import Node, in_range
from .values import FOREVER, Row, stamp

Window = tuple[int, int]  # start, end: the window is [start, end)


class Aligned(Node):
    """tumbling and hopping: windows [s, s + size), s = offset modulo every."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.size, self.emit = spec["size"], spec["emit"]
        self.every = spec.get("every", self.size)
        self.offset = spec.get("offset", 0)
        self.pane = gcd(self.size, self.every)
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

    def windows_of(self, time: int) -> list[Window]:
        """Every window that holds `time`, the earliest end first."""
        start = (time - self.offset) // self.every * self.every + self.offset
        found = []
        while start + self.size > time:
            found.append((start, start + self.size))
            start -= self.every
        return found[::-1]

    def accept(self, row: Row) -> list[Window]:
        """The windows in which `row` counts."""
        values = self.values_of(row)
        if values is None:
            return []
        windows = self.windows_of(row.time)
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
            self.held.setdefault(window, {}).setdefault(row.key(self.by), []).append(entry)
            self.changed.add((window, row.key(self.by)))
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
        before = (window[0] - self.every, window[1] - self.every)
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
        touch = min(((e.time - self.offset) // self.pane, e.order) for e in entries)
        place = (end, start, self.range_of(key), touch)
        columns |= self.answers(entries, place)
        revision = self.firings[window, key]
        self.firings[window, key] += 1
        self.changed.discard((window, key))
        if self.has_revision:
            columns["revision"] = revision
        return place, self.fired_row(columns, start, end, zoned, revision)
