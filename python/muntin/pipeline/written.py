"""Writes the verbs of a saved plan as a user would type them, and diffs two plans."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any, NamedTuple

from muntin.base.durations import short
from muntin.base.errors import MuntinError
from muntin.expr.tree import Expr
from muntin.pipeline.calls import call_text
from muntin.pipeline.inputs import ONLY_INPUT, input_node
from muntin.pipeline.keyed import TEXTS as KEYED_TEXTS
from muntin.pipeline.saved import brief
from muntin.pipeline.top import top_text
from muntin.pipeline.windows import TEXTS
from muntin.values.literals import quote

_UNSAVED = ("idle_after", "schema")
"""What may differ between two inputs that mean the same to the state behind them."""


class Line(NamedTuple):
    """A verb: all that its state depends on, and its text."""

    key: str
    text: str


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How a plan differs from another, as lines that begin with `- ` and `+ `.

    What may change without a loss of state is left out: rules, except for their keys and
    cooldowns, `idle_after` and declared columns. With several outputs, each change stands below
    the names of those that have it.
    """
    names = dict.fromkeys([*_outputs(before), *_outputs(now)])
    found: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        old, new = _outputs(before).get(name), _outputs(now).get(name)
        lines = _difference(_lines(before, old), _lines(now, new))
        if old and new:
            lines += _rules(old["rules"], new["rules"])
        if lines:
            sign = "+ " if old is None else "- " if new is None else "  "
            found.setdefault((sign, *lines), []).append(name)
    listed = []
    for (sign, *lines), owners in found.items():
        if len(names) > 1:
            listed.append(f"{sign}output {', '.join(map(quote, owners))}")
        listed += lines
    order = [list(_outputs(plan)) for plan in (before, now)]
    if not listed and order[0] != order[1]:
        listed = [
            f"{sign} outputs {', '.join(map(quote, each))}"
            for sign, each in zip("-+", order, strict=True)
        ]
    return listed


def written(plan: Mapping[str, Any], node: int) -> list[str]:
    """The pipeline up to a node of a plan, a line for each verb."""
    return [line.text for line in _path(plan, node)]


def _outputs(plan: Mapping[str, Any]) -> dict[str, Any]:
    return {output["name"]: output for output in plan["outputs"]}


def _lines(plan: Mapping[str, Any], output: Mapping[str, Any] | None) -> list[Line]:
    return [] if output is None else list(_path(plan, output["node"]))


def _difference(old: Sequence[Line], new: Sequence[Line]) -> list[str]:
    keys = [line.key for line in old], [line.key for line in new]
    lines: list[str] = []
    for _, a, b, c, d in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if keys[0][a:b] != keys[1][c:d]:
            lines += [f"- {line.text}" for line in old[a:b]]
            lines += [f"+ {line.text}" for line in new[c:d]]
    return lines


def _rules(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    known = {rule["name"]: rule for rule in new}
    for rule in old:
        other = known.get(rule["name"], rule)
        if (rule["by"], rule["cooldown"]) != (other["by"], other["cooldown"]):
            yield f"- {_rule(rule)}"
            yield f"+ {_rule(other)}"


def _rule(rule: Mapping[str, Any]) -> str:
    cooldown = None if rule["cooldown"] is None else short(rule["cooldown"])
    call = call_text("rule", [rule["name"]], by=rule["by"] or None, cooldown=cooldown)
    return call.removeprefix(".")


def _path(plan: Mapping[str, Any], at: int) -> Iterator[Line]:
    node = plan["nodes"][at]
    match node["op"]:
        case "input":
            spec = plan["inputs"][node["input"]]
            yield Line(_key(spec, *_UNSAVED), _text(spec, _input))
        case "union":
            yield Line("union(", "union(")
            for i, above in enumerate(node["from"]):
                last = i + 1 == len(node["from"]) and node["tag"] is None
                lines = list(_path(plan, above))
                comma = [""] * (len(lines) - 1) + ["" if last else ","]
                for line, end in zip(lines, comma, strict=True):
                    yield Line(line.key + end, f"    {line.text}{end}")
            tag = "" if node["tag"] is None else f"    tag={quote(node['tag'])}"
            yield Line(_key(node, "from"), tag + ")")
        case _:
            yield from _path(plan, node["from"])
            yield Line(_key(node, "from"), _text(node, _verb))


def _key(node: Mapping[str, Any], *without: str) -> str:
    # the engine writes out what is off, or not there, where a plan may leave it out
    kept = {k: v for k, v in node.items() if v is not None and v is not False}
    return json.dumps({k: v for k, v in kept.items() if k not in without}, sort_keys=True)


def _text(node: Mapping[str, Any], message: Callable[[Any], str]) -> str:
    try:
        return message(node)
    except (MuntinError, LookupError, TypeError, ValueError):
        # a plan of another version, or a forged one: as it stands there
        return _key(node, "from")


def _input(spec: Mapping[str, Any]) -> str:
    idle, skew = spec["idle_after"], spec["max_future_skew"]
    return input_node(
        None if spec["name"] == ONLY_INPUT else spec["name"],
        time=brief(spec["time"]),
        out_of_order=short(spec["out_of_order"]),
        idle_after=None if idle is None else short(idle),
        max_future_skew=None if skew is None else short(skew),
        schema=None,
    ).call


def _verb(node: Mapping[str, Any]) -> str:
    match node["op"]:
        case "filter":
            return call_text("filter", [brief(node["where"])])
        case "with_columns":
            return call_text("with_columns", [], **_columns(node["columns"]))
        case "select":
            return _select(node["columns"])
        case "top":
            return top_text(node)
    return {**TEXTS, **KEYED_TEXTS}[node["op"]](node)


def _select(columns: Sequence[Any]) -> str:
    kept = 0
    while kept < len(columns) and columns[kept][1] == {"col": columns[kept][0]}:
        kept += 1
    names = [name for name, _ in columns[:kept]]
    return call_text("select", names, **_columns(columns[kept:]))


def _columns(columns: Sequence[Any]) -> dict[str, Expr | str]:
    return {name: brief(value) for name, value in columns}
