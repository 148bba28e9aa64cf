"""Plans with one output, written by hand: small enough to check on paper. Times are in seconds."""

from __future__ import annotations

from oracle import Machine, stamp
from plans import S

COUNT = {"name": "n", "kind": "count", "args": [], "where": None}
SUM = {"name": "sum", "kind": "sum", "args": [{"col": "v"}], "where": None}


def source(name: str = "input", **options: object) -> dict:
    """An input whose time is the column `at`."""
    defaults = {"out_of_order": 0, "idle_after": None, "max_future_skew": None, "schema": None}
    return {"name": name, "time": {"col": "at"}} | defaults | options


def plan(*nodes: dict, inputs: list[dict] | None = None, rules: list[dict] | None = None) -> dict:
    """A plan with one output, the last node; node i is input i for the first ones."""
    inputs = inputs or [source()]
    heads = [{"op": "input", "input": i} for i in range(len(inputs))]
    output = {"name": "out", "node": len(heads) + len(nodes) - 1, "rules": rules or []}
    return {"version": 1, "inputs": inputs, "nodes": [*heads, *nodes], "outputs": [output]}


def tumbling(size: float, source: int = 0, by: tuple = (), **options: object) -> dict:
    """A tumbling count."""
    node = {"op": "tumbling", "from": source, "by": list(by), "size": int(size * S), "offset": 0}
    node |= {"emit": "final", "emit_every": None, "allowed_lateness": 0, "revisions": True}
    return node | {"aggregates": [COUNT]} | options


def hopping(size: float, every: float, **options: object) -> dict:
    """A hopping count."""
    node = tumbling(size) | {"op": "hopping", "every": int(every * S), "allow_gaps": False}
    return node | options


def session(gap: float, **options: object) -> dict:
    """A session count."""
    node = {"op": "session", "from": 0, "by": [], "gap": int(gap * S), "gap_closed": True}
    return node | {"allowed_lateness": 0, "aggregates": [COUNT]} | options


def sliding(size: float, source: int = 0, **options: object) -> dict:
    """A sliding count by `k`."""
    node = {"op": "sliding", "from": source, "by": ["k"], "sizes": [int(size * S)]}
    node |= {"closed": "right", "include_current": True, "emit": "arrival", "null_key": "null"}
    node |= {"allowed_lateness": 0, "aggregates": [COUNT]}
    return node | {"columns": [{"name": "n", "aggregate": 0, "size": 0}]} | options


def previous(ago: float | None = None, source: int = 0, **options: object) -> dict:
    """The row before, by `k`."""
    node = {"op": "previous", "from": source, "by": ["k"], "columns": [["last", "v"]]}
    return node | {"ago": None if ago is None else int(ago * S)} | options


def deduplicate(within: float, source: int = 0, **options: object) -> dict:
    """No duplicates, by `k`."""
    node = {"op": "deduplicate", "from": source, "by": ["k"], "within": int(within * S)}
    return node | options


def at(seconds: float, **columns: object) -> dict:
    """A row at that second."""
    return {"at": stamp(int(seconds * S)), **columns}


def machine(plan: dict, partitions: int = 1) -> Machine:
    """A machine with that many partitions an input."""
    return Machine(plan, {i: list(range(partitions)) for i in range(len(plan["inputs"]))})


def check_identity(m: Machine) -> None:
    """Nothing vanishes, at any operator."""
    for node in m.stats:
        parts = ("counted", "late", "invalid", "filtered", "in_gap")
        assert node["rows_in"] == sum(node[p] for p in parts), node
