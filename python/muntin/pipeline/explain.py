"""Explains a plan as text: its nodes, their columns, and notes on their behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from muntin.base.durations import short
from muntin.pipeline.plan import Node, check, scope_of
from muntin.values.literals import quote


def explain(node: Node, partitioned_by: Sequence[str] | None = None) -> str:
    """The typed plan of a node, a line each for the nodes above it and itself.

    A node that several others read is listed once, and read by its number. `partitioned_by` are
    the columns by which its source is partitioned.
    """
    facts = check(node, partitioned_by)
    path = list(node.path())
    numbers = {one.key: i for i, one in enumerate(path)}
    lines = [f"plan {node.fingerprint[:16]}"]
    for i, one in enumerate(path):
        reads = ", ".join(str(numbers[parent.key]) for parent in one.parents)
        readers = sum(one.key == parent.key for other in path for parent in other.parents)
        shared = f"  (shared by {readers})" if readers > 1 else ""
        title = _title(one) + (f"  <- {reads}" if reads else "")
        lines += [f"{i:>3}  {title}{shared}", f"     {_columns(one, facts[i])}"]
    lines.append(f"scope          {scope_of(node, partitioned_by)}")
    lines.append(f"replay stable  {_stable(path, facts)}")
    lines.append(
        f"revisions      {'yes: sinks upsert by key and window' if node.revisions else 'no'}"
    )
    lines += [f"silence        {waits}" for waits in waiting_silences([node])]
    return "\n".join(lines)


def waiting_silences(nodes: Sequence[Node]) -> list[str]:
    """A sentence for each verb that fires by the clock and has inputs without `idle_after`."""
    known = {
        one.key: (one, fact["waits_for"])
        for node in nodes
        for one, fact in zip(node.path(), check(node), strict=True)
    }
    return [
        f"{one.call.removeprefix('.')} waits for rows: time moves only with the rows of "
        f"{', '.join(map(quote, waits_for))} (idle_after= lets it go on with the clock)"
        for one, waits_for in known.values()
        if waits_for
    ]


def _title(node: Node) -> str:
    if node.op == "union":
        tag = node.fields()["tag"]
        return "union" if tag is None else f'union, tag="{tag}"'
    if node.op == "input":
        body = node.fields()
        idle = body["idle_after"]
        parts = [f'input "{body["name"]}", out of order {short(body["out_of_order"])}']
        parts += [] if idle is None else [f"idle after {short(idle)}"]
        return ", ".join(parts)
    return node.call.removeprefix(".")


def _columns(node: Node, fact: Mapping[str, Any] | None) -> str:
    if fact is not None and fact["schema"] is not None:
        return ", ".join(f"{name} {word}" for name, word in fact["schema"])
    if node.columns is not None:
        return ", ".join(node.columns)
    return "columns known at the first batch"


def _stable(path: list[Node], facts: list[dict[str, Any]]) -> str:
    if facts[-1]["replay_stable"]:
        return "yes: the result does not depend on how partitions interleave"
    first = next(one for one, fact in zip(path, facts, strict=True) if not fact["replay_stable"])
    return f"no: {first.call.removeprefix('.')} depends on how partitions interleave"


def titles(nodes: Sequence[Node]) -> list[str]:
    """Each node of the plan of some outputs as a few words, in the plan's order."""
    unique = {one.key: one for node in nodes for one in node.path()}
    return [_title(one) for one in unique.values()]
