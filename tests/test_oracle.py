"""The engine equals the row-at-a-time machine: any stream, any cut, any restore point, any thread
count, order included; and every row is accounted for at every moment."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine import Engine, check_same, comparable
from kinds import arrow
from muntin.base import core
from muntin.engine.answer import why_not_row_by_row
from oracle import Machine, Out
from plans import SHAPES
from strategies import Case, Op, alone, cases, joined, play, recut

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
COUNTS = ("counted", "late", "invalid", "filtered", "in_gap")


def check_counters(engine: Engine) -> None:
    """rows_in = counted + late + invalid + filtered + in_gap, for every operator."""
    for op in engine.stats["operators"]:
        assert op["rows_in"] == sum(op[c] for c in COUNTS), op


def check_types(engine: Engine, case: Case) -> None:
    """Every column of every output has its type, also where it has no rows."""
    assert engine.types == [
        {name: arrow(word) for name, word in types.items()} for types in case.types
    ]


def played(engine: Engine, case: Case, ops: list, data: st.DataObject | None = None) -> Out:
    """All operations done to an engine, which now and then is taken through a snapshot."""
    outs = []
    for op in ops:
        outs += play(engine, [op])
        check_counters(engine)
        check_types(engine, case)
        if data is not None and data.draw(st.integers(0, 3), label="restore") == 0:
            engine = engine.restored()
    return joined(outs)


def expected(case: Case) -> tuple[Machine, Out]:
    """The oracle after all operations, and what it gave."""
    machine = Machine(case.plan, case.partitions)
    return machine, joined(play(machine, case.ops))


@CALM
@given(case=cases())
def test_the_engine_equals_the_machine(case: Case) -> None:
    check_equal(case)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@CALM
@given(data=st.data())
def test_each_shape_equals_the_machine(shape: str, data: st.DataObject) -> None:
    check_equal(data.draw(cases(verbs=(shape,))))


def check_equal(case: Case) -> None:
    machine, want = expected(case)
    engine = Engine(case.plan, case.partitions)
    got = played(engine, case, case.ops)
    check_same(comparable(got, case.plan, case.types), comparable(want, case.plan, case.types))
    for op, counters in zip(engine.stats["operators"], machine.stats, strict=True):
        assert {c: op[c] for c in COUNTS} == {c: counters[c] for c in COUNTS}, op


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@CALM
@given(data=st.data())
def test_cuts_threads_and_restores_do_not_show(shape: str, data: st.DataObject) -> None:
    case = data.draw(cases(verbs=(shape,)))
    want = played(Engine(case.plan, case.partitions), case, alone(case.ops))
    engine = Engine(case.plan, case.partitions, threads=data.draw(st.integers(1, 3)))
    got = played(engine, case, recut(case.ops, data), data)
    check_same(comparable(got, case.plan, case.types), comparable(want, case.plan, case.types))
    assert [alert["id"] for alert in got.alerts] == [alert["id"] for alert in want.alerts]


def why_not(plan: dict) -> str | None:
    """Why the plan does not answer each row of its first input; None if it does."""
    facts = json.loads(core.check(json.dumps(plan)))["nodes"]
    return why_not_row_by_row(facts, {each["name"]: each["node"] for each in plan["outputs"]}, 0)


ROW_BY_ROW = ["filter", "with_columns", "select", "sliding", "sliding-sliding", "history"]
ROW_BY_ROW += ["previous", "deduplicate", "deduplicate-sliding"]


@pytest.mark.slow
@pytest.mark.parametrize("shape", ROW_BY_ROW)
@CALM
@given(data=st.data())
def test_a_row_peeked_at_is_answered_as_when_it_is_counted(shape: str, data: st.DataObject) -> None:
    """Rows, alerts with their ids, late and invalid records; and a look changes nothing."""
    case = data.draw(cases(verbs=(shape,)))
    assume(why_not(case.plan) is None)
    engine, twin = (Engine(case.plan, case.partitions) for _ in range(2))
    for op in alone(case.ops):
        peeked = None
        if is_one_row(op) and data.draw(st.integers(0, 2), label="peek") > 0:
            before = engine.core.snapshot()
            peeked = engine.peek(op[1][0])
            assert engine.core.snapshot() == before
        (out,) = play(engine, [op])
        assert repr(out) == repr(play(twin, [op])[0])
        if peeked is not None:
            check_same(answer_of(peeked, case), answer_of(out, case))


def is_one_row(op: Op) -> bool:
    return op[0] == "step" and [len(feed.rows) for feed in op[1]] == [1]


def answer_of(out: Out, case: Case) -> dict:
    """All that a row gives, with the ids of its alerts."""
    return comparable(out, case.plan, case.types) | {"ids": [alert["id"] for alert in out.alerts]}
