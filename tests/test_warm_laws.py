"""A changed pipeline that goes on from a snapshot, for any stream, verb and cut: what is unchanged
answers as if nothing had happened; what is new as if it had been there all along, but for nulls,
and from some time on without them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import Engine, plain
from oracle import Out, micros
from plans import SHAPES
from strategies import Case, cases, joined, play

pytestmark = pytest.mark.slow

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
BOUNDS = {"window_start", "window_end"}
WINDOWS = ("tumbling", "hopping", "session", "silent")


def part_of(whole: dict, nodes: int) -> dict:
    """The first nodes of a plan, and the outputs that are among them; at least the last node."""
    outputs = [out for out in whole["outputs"] if out["node"] < nodes]
    outputs = outputs or [{"name": "last", "node": nodes - 1, "rules": []}]
    return whole | {"nodes": whole["nodes"][:nodes], "outputs": outputs}


def cut_of(case: Case, data: st.DataObject) -> int:
    assume(len(case.ops) > 1)
    return data.draw(st.integers(1, len(case.ops) - 1), label="cut")


def inputs_of(plan: dict) -> int:
    return sum(node["op"] == "input" for node in plan["nodes"])


def on(case: Case, engine: Engine, plan: dict, on_change: str = "warm") -> Engine:
    """Another plan behind the snapshot of an engine."""
    marks = engine.stats["inputs"]
    assert len(marks) == len(plan["inputs"])
    return Engine(plan, case.partitions, snapshot=engine.core.snapshot(), on_change=on_change)


def undisturbed(case: Case, cut: int) -> Out:
    """What the plan of a case gives behind a cut, having seen all before it."""
    engine = Engine(case.plan, case.partitions)
    play(engine, case.ops[:cut])
    return joined(play(engine, case.ops[cut:]))


def begun(case: Case, plan: dict, cut: int) -> Engine:
    engine = Engine(plan, case.partitions)
    play(engine, case.ops[:cut])
    return engine


# ── what is answered is right ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", SHAPES)
@CALM
@given(data=st.data())
def test_what_is_not_null_is_what_the_whole_stream_gives(shape: str, data: st.DataObject) -> None:
    case = data.draw(cases(verbs=(shape,)))
    cut = cut_of(case, data)
    nodes = st.integers(inputs_of(case.plan), len(case.plan["nodes"]))
    before = part_of(case.plan, data.draw(nodes, label="nodes before"))
    want = undisturbed(case, cut)
    engine = on(case, begun(case, before, cut), case.plan)
    outs = []
    for op in case.ops[cut:]:
        outs += play(engine, [op])
        if data.draw(st.integers(0, 3), label="restore") == 0:
            engine = on(case, engine, case.plan, "refuse")
    check(joined(outs), want, case.plan, before)


def check(got: Out, want: Out, plan: dict, before: dict) -> None:
    """Old outputs are what they would have been; new ones too, but for nulls."""
    old = [output["name"] for output in before["outputs"]]
    for i, output in enumerate(plan["outputs"]):
        rows, wanted = plain(got.outputs[i]), plain(want.outputs[i])
        if output["name"] in old:
            assert rows == wanted
            assert alerts(got, output) == alerts(want, output)
        else:
            names = set(rows[0]) if rows else set()
            check_rows(rows, wanted, known_of(plan, output["node"], names))


def alerts(out: Out, output: dict) -> list[dict]:
    return plain([alert for alert in out.alerts if alert["output"] == output["name"]])


def check_rows(got: list[dict], want: list[dict], known: set[str]) -> None:
    """Each row is one of those wanted, but for nulls, or has no answer at all."""
    left = list(want)
    for row in got:
        if known and all(row[name] is None for name in row if name not in known):
            continue
        match = next((other for other in left if fits(row, other)), None)
        assert match is not None, (row, left)
        left.remove(match)


def fits(row: dict, other: dict) -> bool:
    return all(value is None or value == other[name] for name, value in row.items())


def known_of(plan: dict, node: int, names: set[str]) -> set[str]:
    """The columns, of these, that are given also in a row whose answers are left open."""
    spec = plan["nodes"][node]
    if spec["op"] in WINDOWS:
        return {*spec["by"], *BOUNDS}
    if spec["op"] == "input":
        return set()
    if spec.get("emit") == "watermark":
        # a union that is new may take a row in that was late before
        return names - {column["name"] for column in spec["columns"]}
    if spec["op"] == "union":
        known = (known_of(plan, side, names) for side in spec["from"])
        return set().union(*known) | {"tag"}
    if "aggregates" in spec and "columns" not in spec:
        return {*spec["by"], *BOUNDS}
    known = known_of(plan, spec["from"], names)
    if spec["op"] not in ("select", "with_columns"):
        return known
    made = {name for name, value in spec["columns"] if reads(value) <= known}
    kept = set() if spec["op"] == "select" else known - {name for name, _ in spec["columns"]}
    return made | kept


def reads(value: Any) -> set[str]:
    """The columns that an expression reads."""
    if isinstance(value, dict) and set(value) == {"col"}:
        return {value["col"]}
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return set().union(*map(reads, inner))
    return set()


# ── and nothing is left open for longer than it must ────────────────────────────────────────────


@pytest.mark.parametrize("shape", ["tumbling", "hopping", "session", "sliding", "silent"])
@CALM
@given(data=st.data())
def test_behind_what_was_not_seen_nothing_is_left_open(shape: str, data: st.DataObject) -> None:
    case = data.draw(cases(verbs=(shape,)))
    cut = cut_of(case, data)
    before = part_of(case.plan, inputs_of(case.plan))
    want = undisturbed(case, cut)
    first = begun(case, before, cut)
    full = 1 + newest(case, cut, first)
    got = joined(play(on(case, first, case.plan), case.ops[cut:]))
    node = next(node for node in case.plan["nodes"] if node["op"] == shape)
    for rows, wanted in zip(got.outputs, want.outputs, strict=True):
        kept = [behind(plain(each), node, full) for each in (rows, wanted)]
        assert kept[0] == kept[1]


@CALM
@given(data=st.data())
def test_a_row_before_that_was_seen_is_shown(data: st.DataObject) -> None:
    case = data.draw(cases(verbs=("previous",)))
    node = next(node for node in case.plan["nodes"] if node["op"] == "previous")
    node["columns"].append(["at before", "at"])
    got, want, full = gone_on(case, cut_of(case, data))
    for one, other in zip(got, want, strict=True):
        # a select behind it may leave the column out
        seen = [
            [r for r in rows if (r.get("at before") or full - 1) >= full] for rows in (one, other)
        ]
        assert seen[0] == seen[1]


@CALM
@given(data=st.data())
def test_a_key_that_came_long_after_what_was_not_seen_is_not_left_out(data: st.DataObject) -> None:
    case = data.draw(cases(verbs=("deduplicate",)))
    node = next(node for node in case.plan["nodes"] if node["op"] == "deduplicate")
    cut = cut_of(case, data)
    got, want, full = gone_on(case, cut)
    fed = [feed for op in case.ops[cut:] if op[0] == "step" for feed in op[1]]
    sent = plain([row for feed in fed for row in feed.rows if row["at"] is not None])

    def key(row: dict) -> list:
        return [row[name] for name in node["by"]]

    early = [key(row) for row in sent if row["at"] < full + node["within"]]
    for one, other in zip(got, want, strict=True):
        kept = [[row for row in rows if key(row) not in early] for rows in (one, other)]
        assert kept[0] == kept[1]


def gone_on(case: Case, cut: int) -> tuple[list, list, int]:
    """The rows of each output where all verbs are new, those of the whole stream, and the time
    from which all rows were seen."""
    before = part_of(case.plan, inputs_of(case.plan))
    want = undisturbed(case, cut)
    first = begun(case, before, cut)
    full = 1 + newest(case, cut, first)
    got = joined(play(on(case, first, case.plan), case.ops[cut:]))
    return [plain(rows) for rows in got.outputs], [plain(rows) for rows in want.outputs], full


def newest(case: Case, cut: int, engine: Engine) -> int:
    """No row before the cut was newer, as far as rows and watermarks tell."""
    ops = case.ops[:cut]
    feeds = [feed for op in ops if op[0] == "step" for feed in op[1]]
    times = [micros(row["at"]) for feed in feeds for row in feed.rows if row["at"] is not None]
    bounds = [each["out_of_order"] for each in case.plan["inputs"]]
    times += [op[3] + bounds[op[1]] for op in ops if op[0] == "advance"]
    times += [each["newest"] for each in engine.stats["inputs"] if each["newest"] is not None]
    return max(times, default=-(2**62))


def behind(rows: list[dict], node: dict, full: int) -> list[dict]:
    """The rows whose windows no earlier row can have touched."""
    if node["op"] == "sliding":
        closed = node["closed"] in ("left", "both")
        from_ = full - 1 + node.get("ago", 0) + max(node["sizes"]) + closed
        return [row for row in rows if row.get("at") is not None and row["at"] >= from_]
    reach = node.get("gap", 0) - (not node.get("gap_closed", True))
    ahead = node["every"] if node.get("emit") == "changed" else 0
    return [r for r in rows if r.get("window_start", -(2**62)) >= full + reach + ahead]
