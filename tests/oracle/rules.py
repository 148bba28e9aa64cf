"""Rules on the rows of one output: verdicts, cooldown, alerts.

Decided here: a rule whose expression overflows on a row has no verdict; `values` holds every column
of the row; a null in a message reads `null`, whatever its format.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .expressions import evaluate
from .values import Overflow, Row, stamp


class Rules:
    """The rules of one output with the time at which each fired last for each key."""

    def __init__(self, output: dict, masks: list[Callable[[dict], Any]]) -> None:
        self.output, self.masks = output["name"], masks
        self.rules: list[dict] = output.get("rules", [])
        self.last: dict[tuple[int, tuple], int] = {}

    def alerts(self, rows: list[Row], clock: float) -> list[dict[str, Any]]:
        """The alerts of the rows of one seq; `clock` is the output's clock before it."""
        return [
            self.alert(rule, row)
            for row in rows
            if row.revision == 0
            for index, rule in enumerate(self.rules)
            if self.verdict(rule, row) and self.may_fire(index, rule, row, clock)
        ]

    def verdict(self, rule: dict, row: Row) -> bool:
        """Whether the rule holds; null does not."""
        if "mask" in rule["when"]:
            return self.masks[rule["when"]["mask"]](row.columns) is True
        try:
            return evaluate(rule["when"], row) is True
        except Overflow:
            return False

    def may_fire(self, index: int, rule: dict, row: Row, clock: float) -> bool:
        """Applies the cooldown, and remembers the time if the rule fires."""
        place = (index, row.key(rule["by"]))
        if rule.get("cooldown") is not None and place in self.last:
            until = self.last[place] + rule["cooldown"]
            if row.time < until and clock < until:
                return False
        self.last[place] = row.time
        return True

    def alert(self, rule: dict, row: Row) -> dict[str, Any]:
        """The alert of `rule` on `row`, without its id."""
        start, end = row.window or (None, None)
        return {
            "time": stamp(row.time, row.zoned),
            "rule": rule["name"],
            "version": rule["version"],
            "severity": rule["severity"],
            "message": rule["message"].format_map({c: Shown(v) for c, v in row.columns.items()}),
            "score": rule["score"],
            "shadow": rule["shadow"],
            "output": self.output,
            "key": {name: row.columns[name] for name in rule["by"]},
            "window_start": None if start is None else stamp(start, row.zoned),
            "window_end": None if end is None else stamp(end, row.zoned),
            "values": dict(row.columns),
            "partition": row.origin.partition,
            "position": row.origin.position,
        }


class Shown:
    """A value in a message: a null has no format of its own."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __format__(self, spec: str) -> str:
        return "null" if self.value is None else format(self.value, spec)

    def __str__(self) -> str:
        return "null" if self.value is None else str(self.value)

    def __repr__(self) -> str:
        return repr(self.value)
