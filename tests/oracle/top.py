"""top: the first rows of each window.

Decided here: the rows of a window come out in one seq; of equal rows the first to come out is the
first; null and NaN have no place.
"""

from __future__ import annotations

from typing import Any

from .aggregates import rank
from .expressions import evaluate
from .node import Node
from .values import Overflow, Row


class Top(Node):
    """top: `n` rows of each window and value of `by`, or more that are equal to the last."""

    def step(self, rows: list[Row], clock: float) -> list[Row]:
        """The rows that come through, window by window, the greatest first."""
        groups: dict[Any, list[tuple[Any, Row]]] = {}
        for row in rows:
            try:
                value = evaluate(self.spec["order"], row)
            except Overflow as lost:
                self.refuse(row, lost.reason)
                continue
            if value is None or value != value:
                self.counters["filtered"] += 1
                continue
            start, end = row.window
            groups.setdefault((end, start, row.key(self.by)), []).append((rank(value), row))
        out = []
        for ranked in groups.values():
            ranked.sort(key=lambda pair: pair[0], reverse=True)
            last = ranked[: self.spec["n"]][-1][0]
            more = [pair for pair in ranked[self.spec["n"] :] if pair[0] == last]
            kept = ranked[: self.spec["n"]] + (more if self.spec["ties"] else [])
            self.counters["counted"] += len(kept)
            self.counters["filtered"] += len(ranked) - len(kept)
            out += [row for _, row in kept]
        return out
