"""Verbs that keep rows: filter, with_columns, select, union, sliding.

Decided here: lateness of a row is judged before its key is looked at, so a late row with a null key
is late; a union leaves out inputs whose partitions are all idle, as an input leaves out partitions;
a row with several sums that overflow leaves one record.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .aggregates import Entry
from .expressions import evaluate
from .node import Clock, Node
from .values import FOREVER, I64_MIN, Overflow, Row, shift


class PerRow(Node):
    """A verb that looks at one row alone."""

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """The rows that come through, in order."""
        out = []
        for row in rows:
            try:
                kept = self.each(row)
            except Overflow as lost:
                self.refuse(row, lost.reason)
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
        newest = max(clock.newest for clock in clocks)
        return rows, Clock(max(self.clock, lowest), bool(open_) and not active, newest)

    def each(self, row: Row) -> Row:
        """Every row."""
        return row


class Sliding(Node):
    """sliding: one row out for each row in, with aggregates over the key's rows before it."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.sizes: list[int] = spec["sizes"]
        self.ago: int = spec.get("ago", 0)
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
        """The answer as of the row's time, or as of its bound, itself included, if it is older."""
        floor = shift(self.bound(row), -self.lateness)
        at = max(row.time, floor)
        late = row.time < floor
        self.counters["late" if late else "counted"] += 1
        if late and not row.late:
            self.tell_late(row, "late", self.longest_window(at), floor - row.time)
        self.enter(row, entry)
        return replace(self.answered(row, entry, at, late), late=row.late or late)

    def wait(self, row: Row, entry: Entry) -> None:
        """Keeps `row` until the clock is behind it; a row the clock has passed is late."""
        bound = self.bound(row)
        if bound > row.time:
            self.counters["late"] += 1
            self.tell_late(row, "late", self.longest_window(row.time), bound - row.time)
            return
        self.counters["counted"] += 1
        self.enter(row, entry)
        self.waiting.append((row, entry))

    def longest_window(self, at: int) -> tuple[int, int]:
        """The longest window that ends at `at`, as far as 64 bits can say where it begins."""
        end = max(at - self.ago, I64_MIN)
        return max(end - max(self.sizes), I64_MIN), end

    def answer_waiting(self, clock: float) -> list[Row]:
        """Rows the clock passed, by time, then arrival."""
        due = [(r, e) for r, e in self.waiting if self.passes(r.time, clock)]
        due.sort(key=lambda pair: (pair[1].time, pair[1].order))
        self.counters["fired"] += len(due)
        return [replace(self.answered(r, e, r.time), judge=r.time) for r, e in due]

    def answered(self, row: Row, entry: Entry, at: float, late: bool = False) -> Row:
        """`row` with its features, as of `at`; one that is late counts in them wherever it lies,
        unless the windows end before the row.
        """
        spec = self.spec
        if self.has_no_key(row):
            features = dict.fromkeys(c["name"] for c in spec["columns"])
            return replace(row, columns=row.columns | features)
        mine = self.log[row.key(self.by)]
        if not spec.get("include_current", True):
            mine = [e for e in mine if e is not entry]
        features, overflows = {}, False
        for column in spec["columns"]:
            high = at - self.ago
            low = high - self.sizes[column["size"]]
            itself = late and not self.ago
            self.itself = entry if itself else None
            inside = [e for e in mine if self.inside(e.time, low, high) or (itself and e is entry)]
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


class History(Sliding):
    """sliding without a length: over all rows of the key, or its last ones.

    A row whose key's newest row is more than `expire_after` behind the time for which it is
    answered begins its key anew. A late row is among the last ones in its own answer.
    """

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec | {"sizes": [FOREVER], "emit": "arrival"}, machine)
        self.rows: int | None = spec["rows"]

    def longest_window(self, at: int) -> tuple[int, int]:
        """All time up to the end of the window."""
        return I64_MIN, max(at - self.ago, I64_MIN)

    def answer_now(self, row: Row, entry: Entry) -> Row:
        """As for every window; forgets what has expired."""
        after = self.spec["expire_after"]
        mine = self.log.get(row.key(self.by))
        if after is not None and mine:
            at = max(row.time, shift(self.bound(row), -self.lateness))
            if at > max(e.time for e in mine) + after:
                mine.clear()
        return super().answer_now(row, entry)

    def value(self, index: int, entries: list[Entry]) -> tuple[object, bool]:
        """The aggregate over the last of the entries."""
        return super().value(index, self.last(entries))

    def last(self, entries: list[Entry]) -> list[Entry]:
        """The last rows by time, then arrival; with the row itself, if it is late."""
        if self.rows is None:
            return entries
        ordered = sorted(entries, key=lambda e: (e.time, e.order))
        kept = ordered[-self.rows :]
        if self.itself in entries and self.itself not in kept:
            return [self.itself, *kept[1:]]
        return kept
