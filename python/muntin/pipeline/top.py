"""The verb `top`: the first rows of each window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from muntin.base.arguments import flag, whole
from muntin.base.errors import PlanError, with_hint
from muntin.expr.build import Column, IntoExpr, resolve
from muntin.pipeline.calls import by_text, call_text
from muntin.pipeline.keys import By, key_columns, no_revisions_before
from muntin.pipeline.plan import Node, dumps
from muntin.pipeline.saved import ANY, brief
from muntin.values.literals import Json

_TOGETHER = ("tumbling", "hopping", "cumulative")
_KEEP = ("filter", "with_columns", "select", "top")
N_MAX = 2**63 - 1


def top(node: Node, n: int, order: IntoExpr, by: By, ties: bool) -> Node:
    """The node of `top`."""
    no_revisions_before(node, "top")
    if node is not ANY:
        _together(node)
    count = whole(n, "top: n", least=1, most=N_MAX, error=PlanError)
    flag(ties, "top: ties")
    keys = key_columns(node, by, "top")
    body: dict[str, Json] = {
        "by": [*keys],
        "n": count,
        "order": resolve(order, node.columns, "top: order").to_json(),
        "ties": bool(ties),
    }
    shown = order.name if isinstance(order, Column) else order
    call = call_text("top", [count, shown], by=by_text(keys), ties=True if ties else None)
    return Node("top", (node,), dumps(body), call, node.columns, node.typed)


def top_text(node: Mapping[str, Any]) -> str:
    """The verb of a saved plan as a user would type it."""
    return top(ANY, node["n"], brief(node["order"]), node["by"], node["ties"]).call


def _together(node: Node) -> None:
    """Refuse rows that do not come out window by window."""
    above = node
    while above.op in _KEEP:
        [above] = above.parents
    if above.op not in _TOGETHER:
        message = f"top: the rows behind {above.op} do not come out window by window"
        hint = (
            'write it behind a window: .tumbling("1h", by="shop").agg(sold=mt.sum("amount"))'
            '.top(3, "sold")'
        )
        raise PlanError(with_hint(message, hint))
