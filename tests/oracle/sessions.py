"""Sessions, and silence: the close of a session of which nobody wants the rows.

A row of a key joins the open sessions that are no more than the gap away, however old it is. A
session closes when the clock is behind `last + gap + L`. What may not happen is that two sessions
of a key overlap, so a row must not join an open session and reach a closed one as well. What is
remembered of closed sessions, by the clock alone:

    clock <= last + 2 gap + L      a marker: a row that touches it is late
    after that                     `sealed` where the key has another session then, else `floor`:
                                   the greatest `last` that was forgotten
    clock > floor + 4 gap + L      nothing, if the key has no session and no marker

A key of which nothing is remembered may have had sessions up to `clock - 4 gap - L - 1`, so that is
the floor of its next session. A row at or before `sealed + gap` is late; one that joins an open
session must be behind `floor + gap`, too (one that joins none is late there anyway).

Decided here: the window of a late row is that of the row alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .aggregates import Entry
from .node import Clock, Node, in_range
from .values import FOREVER, I64_MAX, NEVER, Row, stamp

REPEATS_MAX = 100  # rows of one silent key at one rise of the clock


@dataclass
class Group:
    """A session: its first and last event time, its rows, and the row that set `last`."""

    first: int
    last: int
    entries: list[Entry]
    zoned: bool
    last_order: int


@dataclass
class Key:
    """The sessions of one key: open ones, markers of closed ones, and how far back is forbidden."""

    open: list[Group] = field(default_factory=list)
    closed: list[Group] = field(default_factory=list)
    sealed: float = NEVER
    floor: float = NEVER


class Session(Node):
    """session: rows within `gap` of one another; fired once, when no row can open it any more."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.gap = spec["gap"]
        self.reach = self.gap if spec.get("gap_closed", True) else self.gap - 1
        self.delay = self.lateness + 1
        self.keys: dict[tuple, Key] = {}

    def limit(self, last: int) -> int:
        """A session that ends in `last` is closed once the clock is behind this."""
        return last + self.reach + self.lateness

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """Rows join sessions, sessions the clock passed are fired."""
        for row in rows:
            self.accept(row)
        return self.in_order(self.closed_by(clock))

    def closed_by(self, clock: float) -> list[tuple[tuple, Row]]:
        """What the step to `clock` fires; markers that it leaves behind are forgotten."""
        fired = []
        for key, known in self.keys.items():
            for group in [g for g in known.open if self.passes(self.limit(g.last), clock)]:
                known.open.remove(group)
                known.closed.append(group)
                fired.append(self.fire(key, group))
            fired += self.fired_again(key, known, clock)
            self.forget(known, clock)
        return fired

    def fired_again(self, key: tuple, known: Key, clock: float) -> list[tuple[tuple, Row]]:
        """What a key fires again; sessions fire once."""
        return []

    def forget(self, known: Key, clock: float) -> None:
        """Markers that the clock has left behind, the oldest first."""
        for marker in sorted(known.closed, key=lambda g: g.last):
            until = self.limit(marker.last) + self.reach
            if clock > until:
                known.closed.remove(marker)
                others = [*known.open, *known.closed]
                if any(self.limit(other.last) >= until for other in others):
                    known.sealed = max(known.sealed, marker.last)
                known.floor = max(known.floor, marker.last)
        if not known.open and not known.closed:
            known.sealed = NEVER

    def accept(self, row: Row) -> None:
        """Puts `row` into its session, merging those it joins."""
        values = self.values_of(row)
        if values is None:
            return None
        time = row.time
        if not in_range(time - self.gap, time + self.gap):
            return self.refuse(row, "window_out_of_range")
        known = self.keys.setdefault(row.key(self.by), Key())
        if reason := self.why_late(known, time, self.bound(row)):
            self.counters["late"] += 1
            self.counters["late_windows"] += 1
            behind = max(self.bound(row) - self.limit(time), 0)
            return self.tell_late(row, reason, (time, time + self.gap), behind, 1)
        self.counters["counted"] += 1
        if not known.open and not known.closed:
            known.floor = max(known.floor, self.clock - 4 * self.reach - self.lateness - 1)
        self.join(known, Entry(time, self.next_order(), values, row.zoned))
        return None

    def near(self, groups: list[Group], time: int) -> list[Group]:
        """The sessions that a row of that time would touch."""
        return [g for g in groups if g.first - self.reach <= time <= g.last + self.reach]

    def why_late(self, known: Key, time: int, bound: float) -> str | None:
        """Why a row cannot be taken."""
        joins = bool(self.near(known.open, time))
        sealed = max(known.sealed, known.floor if joins else NEVER) + self.reach
        if self.near(known.closed, time) or time <= sealed:
            return "session_closed"
        return "late" if not joins and bound > self.limit(time) else None

    def join(self, known: Key, entry: Entry) -> None:
        """One session of the row and of those it joins."""
        joined = self.near(known.open, entry.time)
        alone = Group(entry.time, entry.time, [entry], entry.zoned, entry.order)
        newest = max([*joined, alone], key=lambda g: g.last)  # of equal ones, the first to set it
        entries = [e for g in joined for e in g.entries] + [entry]
        first = min(g.first for g in (*joined, alone))
        known.open = [g for g in known.open if g not in joined]
        known.open.append(Group(first, newest.last, entries, newest.zoned, newest.last_order))

    def fire(self, key: tuple, group: Group) -> tuple[tuple, Row]:
        """A fired row and its place: end, start, range of the key, arrival of the first row."""
        touch = min(e.order for e in group.entries)
        place = (group.last + self.gap, group.first, self.range_of(key), touch)
        return self.row_of(key, group, place, self.answers(group.entries, place))

    def row_of(self, key: tuple, group: Group, place: tuple, answers: dict) -> tuple[tuple, Row]:
        """A fired row, and its place."""
        (end, start, *_), zoned = place, group.zoned
        columns = self.key_columns(key) | {
            "window_start": stamp(start, zoned),
            "window_end": stamp(end, zoned),
            "last_event_time": stamp(group.last, zoned),
        }
        return place, self.fired_row(columns | answers, start, end, zoned)


@dataclass
class Silence:
    """A key that is silent since its session `group`: when that is to be told again."""

    group: Group
    due: int


class Silent(Session):
    """silent: a row when a key was not heard for more than `after`, and again each `every`.

    Known keys come before those that were heard, in the order of their list. The end of the data is
    no passing of time: what the newest event time (or watermark) had not passed does not fire. Of
    the repeats of a key that fall due at one rise of the clock the last REPEATS_MAX fire; a record
    tells how many did not.
    """

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec | {"gap": spec["after"]}, machine)
        self.every: int | None = spec.get("every")
        self.silences: dict[tuple, list[Silence]] = {}
        self.newest: float = NEVER

    def run(self, rows: list[Row], clock: Clock) -> tuple[list[Row], Clock]:
        """As for every node; notes how far event time had come."""
        self.newest = clock.newest
        return super().run(rows, clock)

    def passes(self, at: int, clock: float) -> bool:
        """As for every node, but the end of the data passes only what event time had passed."""
        return super().passes(at, self.newest if clock == FOREVER else clock)

    def closed_by(self, clock: float) -> list[tuple[tuple, Row]]:
        """As sessions; known keys that were not heard before count from the first finite clock."""
        if not abs(self.clock) < FOREVER and abs(clock) < FOREVER:
            self.expect_known(clock)
        return super().closed_by(clock)

    def expect_known(self, clock: int) -> None:
        """Known keys without an open session count as heard at `clock`."""
        rows = self.spec.get("known") or []
        zoned = self.machine.zoned.get(self.fired_origin().input, False)
        for index, key in enumerate(map(tuple, rows)):
            known = self.keys.setdefault(key, Key())
            if not known.open and in_range(clock, clock + self.gap):
                known.open.append(Group(clock, clock, [], zoned, index - len(rows)))

    def fire(self, key: tuple, group: Group) -> tuple[tuple, Row]:
        """A fired row and its place: end, start, range of the key, the row that set `last`."""
        end = group.last + self.gap
        if self.every is not None:
            self.silences.setdefault(key, []).append(Silence(group, end + self.every))
        return self.row_of(key, group, self.place(key, group, end), {})

    def place(self, key: tuple, group: Group, end: int) -> tuple:
        """The place of a row that fires at `end`."""
        return (end, group.last, self.range_of(key), group.last_order)

    def fired_again(self, key: tuple, known: Key, clock: float) -> list[tuple[tuple, Row]]:
        """A key is silent again at each `due` that the clock passes before the key's next row."""
        fired = []
        for silence in list(self.silences.get(key, [])):
            group, due = silence.group, []
            later = [g.first for g in (*known.open, *known.closed) if g.first > group.last]
            heard = min(later, default=FOREVER)
            while self.passes(silence.due, clock) and silence.due < min(heard, I64_MAX + 1):
                due.append(silence.due)
                silence.due += self.every
            if silence.due >= min(heard, I64_MAX + 1):
                self.silences[key].remove(silence)
            told = due[-REPEATS_MAX:]
            if len(due) > len(told):
                self.tell_skipped(key, group, due[: -len(told)])
            fired += [self.row_of(key, group, self.place(key, group, end), {}) for end in told]
        return fired

    def tell_skipped(self, key: tuple, group: Group, due: list[int]) -> None:
        """A record of repeats that do not fire, in place of the last of them."""
        window, origin = (group.last, due[-1]), self.fired_origin()
        record = self.record("repeats_skipped", origin, window, group.zoned, len(due))
        self.of_fired.append((self.place(key, group, due[-1]), record))
