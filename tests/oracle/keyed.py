"""Verbs that look at a row beside the rows of its key: previous, deduplicate.

Decided here: both answer on arrival, and what was answered is never taken back. A row is before
another of its key if its time is earlier, or the same and it arrived first. `ago` and `within`
measure event time; rows exactly that far apart belong. Lateness is judged before the key is looked
at; a null in the key is no key.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .node import Node
from .values import NEVER, Row

NO_WINDOW = (NEVER, NEVER)


class Keyed(Node):
    """A verb that keeps what it knows of each key."""

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """The rows that come through, in order."""
        taken = [self.take(row) for row in rows]
        return [row for row in taken if row is not None]

    def take(self, row: Row) -> Row | None:
        """The row that comes out, or None."""
        raise NotImplementedError

    def has_key(self, row: Row) -> bool:
        """Whether no column of the key is null."""
        return None not in row.key(self.by)


class Previous(Keyed):
    """previous: columns of the key's row before, or of its newest row at least `ago` older."""

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.ago: int = spec["ago"] or 0
        self.rows: dict[tuple, list[tuple[int, int, dict[str, Any]]]] = {}

    def take(self, row: Row) -> Row:
        """Every row, with its columns."""
        bound = self.bound(row)
        late = row.time < bound
        self.counters["late" if late else "counted"] += 1
        if late and not row.late:
            self.tell_late(row, "late", NO_WINDOW, bound - row.time)
        found = self.found(row, bound) if self.has_key(row) else {}
        if self.has_key(row):
            mine = self.rows.setdefault(row.key(self.by), [])
            mine.append((row.time, self.next_order(), row.columns))
        added = {name: found.get(old) for name, old in self.spec["columns"]}
        return replace(row, columns=row.columns | added, late=row.late or late)

    def found(self, row: Row, bound: float) -> dict[str, Any]:
        """The columns of the row before.

        No row stands between a late row and the bound unless it may have replaced the row before:
        only the newest row up to the bound is certain to be kept. So if that one is behind the late
        row, the row before is not known.
        """
        mine = self.rows.get(row.key(self.by), [])
        until = row.time - self.ago
        newest = max(
            (each for each in mine if each[0] <= max(until, bound - self.ago)),
            key=lambda each: each[:2],
            default=None,
        )
        return {} if newest is None or newest[0] > until else newest[2]


class Deduplicate(Keyed):
    """deduplicate: the first row to arrive of those of a key that lie within `within`.

    So no two rows of a key that come out are `within` or less apart. A row is late when one that
    lies within `within` of it might be forgotten: when the bound is more than `within` ahead.
    """

    def __init__(self, index: int, spec: dict, machine: object) -> None:
        super().__init__(index, spec, machine)
        self.within: int = spec["within"]
        self.kept: dict[tuple, list[int]] = {}

    def take(self, row: Row) -> Row | None:
        """The row, unless it is late or a duplicate."""
        late_by = self.bound(row) - self.within - row.time
        if late_by > 0:
            self.counters["late"] += 1
            self.tell_late(row, "late", NO_WINDOW, late_by)
            return None
        if self.has_key(row):
            kept = self.kept.setdefault(row.key(self.by), [])
            if any(abs(row.time - time) <= self.within for time in kept):
                self.counters["filtered"] += 1
                return None
            kept.append(row.time)
        self.counters["counted"] += 1
        return row
