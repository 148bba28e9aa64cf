"""Verbs that keep rows (filter, with_columns, select, union, sliding), and silent.

Decided here: lateness of a row is judged before its key is looked at, so a late row with a null key
is late; a union leaves out inputs whose partitions are all idle, as an input leaves out partitions;
a time that equals `last` of a silent key does not set it anew; known keys come before those that
were heard, in the order of their list; a row with several sums that overflow leaves one record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .aggregates import Entry
from .expressions import evaluate
from .node import Clock, Node, in_range
from .values import FOREVER, Overflow, Row, shift, stamp


class PerRow(Node):
    """A verb that looks at one row alone."""

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """The rows that come through, in order."""
        out = []
        for row in rows:
            try:
                kept = self.each(row)
            except Overflow:
                self.refuse(row, "overflow")
                continue
            self.counters["filtered" if kept is None else "counted"] += 1
            out += [] if kept is None else [kept]
        return out

    def each(self, row: Row) -> Row | None:
        """The row that comes out, or None where it is filtered."""
        raise NotImplementedError

    def computed(self, row: Row) -> dict[str, Any]:
        """The columns of this verb, all computed on the row as it came."""
        return {name: evaluate(e, row) for name, e in self.spec["columns"]}


class Input(PerRow):
    """The rows of an input, which the machine has decoded and judged."""

    def each(self, row: Row) -> Row:
        """Every row."""
        return row


class Filter(PerRow):
    """filter: rows for which the predicate is true."""

    def each(self, row: Row) -> Row | None:
        """The row, or None."""
        return row if evaluate(self.spec["where"], row) is True else None


class WithColumns(PerRow):
    """with_columns: columns replaced in place, new ones at the end."""

    def each(self, row: Row) -> Row:
        """The row with its columns."""
        return replace(row, columns=row.columns | self.computed(row))


class Select(PerRow):
    """select: these columns alone."""

    def each(self, row: Row) -> Row:
        """The row with its columns."""
        return replace(row, columns=self.computed(row))


class Union(PerRow):
    """union: rows of several nodes, columns by name; the tag comes last.

    Numbers keep their Python type where the engine widens them; they compare equal.
    """

    def merge(self, results: list[tuple[list[Row], Clock]]) -> tuple[list[Row], Clock]:
        """The rows of one seq in the order of the inputs, and the clock of all."""
        names = list(dict.fromkeys(c for s in self.sources for c in self.machine.columns_of(s)))
        rows = []
        for name, (branch, _) in zip(
            self.spec["names"] or [None] * len(results), results, strict=True
        ):
            for row in branch:
                columns = {c: row.columns.get(c) for c in names}
                if self.spec.get("tag"):
                    columns[self.spec["tag"]] = name
                rows.append(replace(row, columns=columns))
        clocks = [clock for _, clock in results]
        open_ = [clock for clock in clocks if clock.value != FOREVER]
        active = [clock.value for clock in open_ if not clock.idle]
        lowest = min(active or [clock.value for clock in open_], default=FOREVER)
        return rows, Clock(max(self.clock, lowest), idle=bool(open_) and not active)

    def each(self, row: Row) -> Row:
        """Every row."""
        return row


class Sliding(Node):
    """sliding: one row out for each row in, with aggregates over the key's rows before it."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.sizes: list[int] = spec["sizes"]
        self.log: dict[tuple, list[Entry]] = {}
        self.waiting: list[tuple[Row, Entry]] = []

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """Answers on arrival, or when the clock is behind the row."""
        out = []
        for row in rows:
            values = self.values_of(row)
            if values is None:
                continue
            entry = Entry(row.time, self.next_order(), values, row.zoned)
            if self.spec["emit"] == "arrival":
                out.append(self.answer_now(row, entry))
            else:
                self.wait(row, entry)
        return out + self.answer_waiting(clock)

    def has_no_key(self, row: Row) -> bool:
        """Whether a null in the key leaves `row` without state and features."""
        return self.spec.get("null_key", "null") == "null" and None in row.key(self.by)

    def enter(self, row: Row, entry: Entry) -> None:
        """Puts `row` among the rows of its key."""
        if not self.has_no_key(row):
            self.log.setdefault(row.key(self.by), []).append(entry)

    def answer_now(self, row: Row, entry: Entry) -> Row:
        """The answer as of the row's time, or as of its bound if it is older."""
        floor = shift(self.bound(row), -self.lateness)
        at = max(row.time, floor)
        late = row.time < floor
        self.counters["late" if late else "counted"] += 1
        if late and not row.late:
            self.tell_late(row, "late", (at - max(self.sizes), at), floor - row.time)
        self.enter(row, entry)
        return replace(self.answered(row, entry, at), late=row.late or late)

    def wait(self, row: Row, entry: Entry) -> None:
        """Keeps `row` until the clock is behind it; a row the clock has passed is late."""
        bound = self.bound(row)
        if bound > row.time:
            self.counters["late"] += 1
            window = (row.time - max(self.sizes), row.time)
            self.tell_late(row, "late", window, bound - row.time)
            return
        self.counters["counted"] += 1
        self.enter(row, entry)
        self.waiting.append((row, entry))

    def answer_waiting(self, clock: float) -> list[Row]:
        """Rows the clock passed, by time, then arrival."""
        due = [(r, e) for r, e in self.waiting if self.passes(r.time, clock)]
        due.sort(key=lambda pair: (pair[1].time, pair[1].order))
        self.counters["fired"] += len(due)
        return [replace(self.answered(r, e, r.time), judge=r.time) for r, e in due]

    def answered(self, row: Row, entry: Entry, at: float) -> Row:
        """`row` with its features, as of `at`."""
        spec = self.spec
        if self.has_no_key(row):
            features = dict.fromkeys(c["name"] for c in spec["columns"])
            return replace(row, columns=row.columns | features)
        mine = self.log[row.key(self.by)]
        if not spec.get("include_current", True):
            mine = [e for e in mine if e is not entry]
        features, overflows = {}, False
        for column in spec["columns"]:
            low = at - self.sizes[column["size"]]
            inside = [e for e in mine if self.inside(e.time, low, at)]
            features[column["name"]], overflowed = self.value(column["aggregate"], inside)
            overflows = overflows or overflowed
        if overflows:
            self.invalid.append(self.record("sum_overflow", row.origin))
        return replace(row, columns=row.columns | features)

    def inside(self, time: int, low: float, high: float) -> bool:
        """Whether `time` lies between the bounds, of which `closed` says which belong to it."""
        closed = self.spec.get("closed", "right")
        above = time >= low if closed in ("left", "both") else time > low
        below = time <= high if closed in ("right", "both") else time < high
        return above and below


@dataclass
class LastSeen:
    """When a key was last heard of, by the row of that ordinal."""

    last: int
    order: int
    zoned: bool


class Silent(Node):
    """silent: a row for a key that sent nothing for `after`."""

    delay = 1

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.after = spec["after"]
        self.seen: dict[tuple, LastSeen] = {}

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """Rows arm their key; keys the clock left behind are fired."""
        for row in rows:
            self.accept(row)
        fired = []
        for key, seen in self.seen.items():
            if self.passes(seen.last + self.after, clock):
                fired.append(self.fire(key, seen))
        if not abs(self.clock) < FOREVER and abs(clock) < FOREVER:
            self.expect_known(clock)
        return [row for _, row in sorted(fired, key=lambda f: f[0])]

    def expect_known(self, clock: int) -> None:
        """Known keys that were not heard of count from the first finite clock."""
        known = self.spec.get("known") or []
        for index, key in enumerate(map(tuple, known)):
            if key not in self.seen:
                zoned = self.machine.zoned.get(self.fired_origin().input, False)
                self.seen[key] = LastSeen(clock, index - len(known), zoned)

    def accept(self, row: Row) -> None:
        """Moves `last` of the row's key."""
        if not in_range(row.time, row.time + self.after):
            return self.refuse(row, "window_out_of_range")
        key, time = row.key(self.by), row.time
        seen = self.seen.get(key)
        armed = seen is not None and self.clock <= seen.last + self.after
        last = max(time, seen.last) if armed else time
        if self.bound(row) > last + self.after:
            self.counters["late"] += 1
            self.counters["late_windows"] += 1
            late_by = self.bound(row) - (last + self.after)
            return self.tell_late(row, "late", (time, time + self.after), late_by, 1)
        self.counters["counted"] += 1
        order = self.next_order()
        if not armed or time > seen.last:
            self.seen[key] = LastSeen(last, order, row.zoned)
        return None

    def fire(self, key: tuple, seen: LastSeen) -> tuple[tuple, Row]:
        """A fired row and its place: end, start, range of the key, the row that set `last`."""
        start, end = seen.last, seen.last + self.after
        columns = self.key_columns(key) | {
            "window_start": stamp(start, seen.zoned),
            "window_end": stamp(end, seen.zoned),
            "last_event_time": stamp(start, seen.zoned),
        }
        place = (end, start, self.range_of(key), seen.order)
        return place, self.fired_row(columns, start, end, seen.zoned)
