"""Values in the reference machine: expressions, exact sums, what overflows, the ranges of keys."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from oracle import FOREVER, Feed, key_range, stamp
from oracle.expressions import evaluate
from oracle.values import GOLDEN, NEVER, Origin, Overflow, Row, hash_value, mix64
from small_plans import SUM, at, check_identity, machine, plan, tumbling


def test_overflow_makes_a_row_invalid_and_a_sum_null() -> None:
    double = {"fn": "mul", "args": [{"col": "v"}, {"lit": 2, "type": "i64"}]}
    m = machine(plan({"op": "filter", "from": 0, "where": {"fn": "gt", "args": [double, double]}}))
    assert [r["reason"] for r in m.step([Feed(0, [at(1, v=2**62)])]).invalid[0]] == ["overflow"]
    check_identity(m)
    m = machine(plan(tumbling(10, aggregates=[SUM])))
    out = m.step([Feed(0, [at(1, v=2**62), at(2, v=2**62), at(11, v=1)])])
    assert [r["sum"] for r in out.outputs[0]] == [None]
    assert [(r["reason"], r["at"]) for r in out.invalid[0]] == [("sum_overflow", None)]
    check_identity(m)


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1e40, 1e20, 0.01, -1e40, -1e20], 0.01),
        ([1.7e308, 1.7e308, -1.7e308], 1.7e308),
        ([1.7e308, 1.7e308], FOREVER),
        ([FOREVER, 1.0], FOREVER),
        ([float("nan"), 1.0], 1.0),
        ([None], None),
    ],
)
def test_float_sums_are_exact(values: list, total: float | None) -> None:
    m = machine(plan(tumbling(10, aggregates=[SUM])))
    m.step([Feed(0, [at(1, v=v) for v in values])])
    assert [r["sum"] for r in m.finish().outputs[0]] == [total]


@pytest.mark.parametrize(
    ("name", "arguments", "value"),
    [
        ("and", [False, None], False),
        ("and", [True, None], None),
        ("or", [True, None], True),
        ("eq", [float("nan"), float("nan")], False),
        ("gt", [float("nan"), FOREVER], False),
        ("eq", [0.0, -0.0], True),
        ("in", [1, 2, None], None),
        ("in", [1, 1, None], True),
        ("div", [1, 0], None),
        ("div", [1, 2], 0.5),
        ("mod", [-7, 3], -1),
        ("mod", [7, 0], None),
        ("coalesce", [None, 3], 3),
        ("epoch_ns", [-1], stamp(-1, zoned=True)),
        ("sub", [stamp(5), stamp(3)], stamp(2) - stamp(0)),
        ("abs", [Decimal("-1.5")], Decimal("1.5")),
    ],
)
def test_expressions(name: str, arguments: list, value: object) -> None:
    row = Row({f"c{i}": a for i, a in enumerate(arguments)}, 0, NEVER, False, Origin(0))
    columns = [{"col": f"c{i}"} for i in range(len(arguments))]
    assert evaluate({"fn": name, "args": columns}, row) == value


def test_overflow_counts_where_it_decides() -> None:
    row = Row({"v": -(2**63)}, 0, NEVER, False, Origin(0))
    negated = {"fn": "neg", "args": [{"col": "v"}]}
    positive = {"fn": "gt", "args": [negated, {"lit": 0, "type": "i64"}]}
    no, one = {"lit": False, "type": "bool"}, {"lit": 1, "type": "i64"}
    for e in (negated, positive, {"fn": "abs", "args": [{"col": "v"}]}):
        with pytest.raises(Overflow):
            evaluate(e, row)
    assert evaluate({"fn": "and", "args": [no, positive]}, row) is False
    assert evaluate({"fn": "coalesce", "args": [one, negated]}, row) == 1
    assert evaluate({"case": [[no, negated]], "else": one}, row) == 1
    with pytest.raises(Overflow):
        evaluate({"fn": "and", "args": [positive, no]}, row)


# ── ranges ──────────────────────────────────────────────────────────────────────────────────────


def test_the_finaliser_is_that_of_splitmix64() -> None:
    # the first outputs of splitmix64 from seed 0
    assert mix64(GOLDEN) == 0xE220A8397B1DCDAF
    assert mix64(2 * GOLDEN % 2**64) == 0x6E789E6AA1B965F4


def test_keys_hash_by_value() -> None:
    assert hash_value(5) == mix64(5 ^ GOLDEN)
    assert hash_value(True) == hash_value(1)
    assert hash_value(-1) == mix64((2**64 - 1) ^ GOLDEN)
    assert hash_value(date(1970, 1, 6)) == hash_value(5)
    assert hash_value(stamp(5_000_000), "timestamp[s]") == hash_value(5)
    assert hash_value(Decimal("1.5"), "decimal(10, 2)") == hash_value(Decimal("1.50"))
    assert hash_value("") == mix64(0 ^ GOLDEN)
    assert hash_value("ab") == mix64(mix64(2 ^ GOLDEN) ^ 0x6261)
    assert key_range(()) == 0
