"""Finds the columns of a plan that are computed from masked ones and must be hidden, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_VERDICTS = frozenset(
    "eq ne lt le gt ge and or not is_null is_not_null is_nan in starts_with ends_with contains "
    "is_late".split()
)
_COUNTS = frozenset({"count", "count_distinct"})


def derived(plan: Mapping[str, Any], masked: Iterable[str]) -> frozenset[str]:
    """The masked columns, and all columns computed from them by name, expression or aggregate.

    Conditions on a value and counts are not included.

    >>> columns = [["c", {"col": "card"}], ["big", {"fn": "gt", "args": [{"col": "pin"}]}]]
    >>> plan = {"nodes": [{"op": "input"}, {"op": "select", "from": 0, "columns": columns}]}
    >>> sorted(derived(plan, ["card", "pin"]))
    ['c', 'card', 'pin']
    """
    found = frozenset(masked)
    for node in plan["nodes"]:
        if node["op"] in ("select", "with_columns"):
            found |= {name for name, expr in node["columns"] if _holds(expr, found)}
            continue
        aggregates = node.get("aggregates", ())
        hidden = [
            one["kind"] not in _COUNTS and any(_holds(arg, found) for arg in one["args"])
            for one in aggregates
        ]
        found |= {one["name"] for one, hide in zip(aggregates, hidden, strict=True) if hide}
        found |= {
            one["name"]
            for one in node.get("columns", ())
            if isinstance(one, dict) and hidden[one["aggregate"]]
        }
    return found


def _holds(expr: Any, masked: frozenset[str]) -> bool:
    """True if the expression's result shows a value of a masked column."""
    if isinstance(expr, Mapping):
        if "col" in expr:
            return expr["col"] in masked
        if expr.get("fn") in _VERDICTS:
            return False
        return any(_holds(each, masked) for each in expr.values())
    return isinstance(expr, list) and any(_holds(each, masked) for each in expr)
