"""The engine equals the row-at-a-time machine: any stream, any cut, any restore point, any thread
count, order included; and every row is accounted for at every moment."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import Engine, comparable
from oracle import Machine, Out
from plans import SHAPES
from strategies import Case, alone, cases, joined, play, recut

CALM = settings(deadline=None, suppress_health_check=list(HealthCheck))
COUNTS = ("counted", "late", "invalid", "filtered", "in_gap")


def check_counters(engine: Engine) -> None:
    """rows_in = counted + late + invalid + filtered + in_gap, for every operator."""
    for op in engine.stats["operators"]:
        assert op["rows_in"] == sum(op[c] for c in COUNTS), op


def played(engine: Engine, case_ops: list, data: st.DataObject | None = None) -> Out:
    """All operations done to an engine, which now and then is taken through a snapshot."""
    outs = []
    for op in case_ops:
        outs += play(engine, [op])
        check_counters(engine)
        if data is not None and data.draw(st.integers(0, 3), label="restore") == 0:
            engine = engine.restored()
    return joined(outs)


def expected(case: Case) -> tuple[Machine, Out]:
    """The oracle after all operations, and what it gave."""
    machine = Machine(case.plan, case.partitions)
    return machine, joined(play(machine, case.ops))


@pytest.mark.parametrize("shape", SHAPES)
@CALM
@given(data=st.data())
def test_the_engine_equals_the_machine(shape: str, data: st.DataObject) -> None:
    case = data.draw(cases(verbs=(shape,)))
    machine, want = expected(case)
    engine = Engine(case.plan, case.partitions)
    got = played(engine, case.ops)
    assert comparable(got, case.plan) == comparable(want, case.plan)
    for op, counters in zip(engine.stats["operators"], machine.stats, strict=True):
        assert {c: op[c] for c in COUNTS} == {c: counters[c] for c in COUNTS}, op


@pytest.mark.parametrize("shape", SHAPES)
@CALM
@given(data=st.data())
def test_cuts_threads_and_restores_do_not_show(shape: str, data: st.DataObject) -> None:
    case = data.draw(cases(verbs=(shape,)))
    want = played(Engine(case.plan, case.partitions), alone(case.ops))
    engine = Engine(case.plan, case.partitions, threads=data.draw(st.sampled_from([1, 2])))
    got = played(engine, recut(case.ops, data), data)
    assert comparable(got, case.plan) == comparable(want, case.plan)
