"""previous and deduplicate on cases small enough to check by hand, for the reference machine and
the engine alike, and what a user meets.

Times in the timelines are seconds; `W` is the watermark after the row.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from engine import Engine
from oracle import Feed, Machine
from small_plans import at, deduplicate, plan, previous, source, tumbling
from strategies import S

SCHEMA = [["at", "timestamp[us]"], ["k", "str"], ["v", "i64"]]


@pytest.fixture(params=[Machine, Engine])
def run(request: pytest.FixtureRequest) -> Any:
    """Makes what runs a verb: the reference machine, or the engine."""

    def made(*nodes: dict, bound: float = 0, partitions: tuple[int, ...] = (0,)) -> Any:
        spec = plan(*nodes, inputs=[source(out_of_order=int(bound * S), schema=SCHEMA)])
        return request.param(spec, {0: list(partitions)})

    return made


def told(machine: Any, rows: list[tuple], column: str = "last", partition: int = 0) -> list[Any]:
    """A column of what comes out for rows (time, key), numbered from 1 across calls."""
    feed = []
    for second, key in rows:
        machine.given = getattr(machine, "given", 0) + 1
        feed.append(at(second, k=key, v=machine.given))
    return [row[column] for row in machine.step([Feed(0, feed, partition)]).outputs[0]]


def late(machine: Any, row: tuple, partition: int = 0) -> tuple[list[Any], list[Any]]:
    """The values of one row that comes out, and by how many seconds it is late."""
    machine.given += 1
    feed = Feed(0, [at(row[0], k=row[1], v=machine.given)], partition)
    out = machine.step([feed])
    values = [row.get("last", row["v"]) for row in out.outputs[0]]
    return values, [record["late_by"] / S for record in out.late[0]]


# ── previous ────────────────────────────────────────────────────────────────────────────────────


def test_the_row_before_is_that_of_the_same_key_by_time(run: Any) -> None:
    # v  1   2   3   4      5 lies between 1 and 3: it is told 1, and 4 was told 3 already
    # a  0       5   9  2
    # b      1
    m = run(previous(), bound=10)
    assert told(m, [(0, "a"), (1, "b"), (5, "a"), (9, "a"), (2, "a")]) == [None, None, 1, 3, 1]
    assert told(m, [(4, "a"), (9, "a"), (9, "a")]) == [5, 4, 7]


def test_rows_of_one_time_are_in_order_of_arrival(run: Any) -> None:
    assert told(run(previous()), [(3, "a"), (3, "a"), (3, "a")]) == [None, 1, 2]


def test_ago_is_the_newest_row_at_least_so_much_older(run: Any) -> None:
    # v  1 . 2 . . 3 . . . 4
    # t  0 . 2 . . 5 . . . 9      with ago = 3: exactly 3 older will do, and rows may be missing
    m = run(previous(3), bound=10)
    assert told(m, [(0, "a"), (2, "a"), (5, "a"), (9, "a")]) == [None, None, 2, 3]
    assert told(m, [(8, "a"), (3, "a")]) == [3, 1]


def test_a_null_in_the_key_is_no_key(run: Any) -> None:
    m = run(previous(), deduplicate(1, source=1))
    assert told(m, [(0, None), (0, None), (1, "a"), (2, None)]) == [None] * 4
    assert told(m, [(3, "a")]) == [3]


def test_a_late_row_is_told_the_row_before_if_that_is_certain(run: Any) -> None:
    # v  1 . . . 2 . . . . . 3      W = 10 - 2 = 8: of 1 and 2 only 2 is certain to be kept
    # t  0 . . . 4 . . . . . 10
    m = run(previous(), bound=2)
    assert told(m, [(0, "a"), (4, "a"), (10, "a")]) == [None, 1, 2]
    assert late(m, (5, "a")) == ([2], [3])
    assert late(m, (3, "a")) == ([None], [5])
    assert late(m, (7, "a")) == ([4], [1])
    assert told(m, [(8, "a")]) == [6]


def test_a_late_row_is_judged_by_its_own_partition(run: Any) -> None:
    m = run(previous(), bound=0, partitions=(0, 1))
    assert told(m, [(0, "a"), (5, "a")]) == [None, 1]
    assert told(m, [(3, "a")], partition=1) == [1]
    assert late(m, (4, "a")) == ([None], [1])


def test_the_window_before_and_that_of_a_while_ago(run: Any) -> None:
    # windows of 10: n = 2, 1, none, 3 of a
    before = previous(source=1, columns=[["before", "n"]])
    again = previous(20, source=2, columns=[["ago", "n"]])
    m = run(tumbling(10, by=("k",)), before, again)
    rows = [at(s, k="a", v=0) for s in (0, 1, 12, 31, 32, 33)]
    out = [m.step([Feed(0, rows)]), m.finish()]
    found = [(r["n"], r["before"], r["ago"]) for o in out for r in o.outputs[0]]
    assert found == [(2, None, None), (1, 2, None), (3, 1, 1)]


# ── deduplicate ─────────────────────────────────────────────────────────────────────────────────


def test_the_first_to_arrive_is_kept_and_measures(run: Any) -> None:
    # a  0 . . 3 4 . . 7     within 3: 3 is a duplicate of 0, 4 is none, 7 is one of 4
    # b      2
    m = run(deduplicate(3))
    rows = [(0, "a"), (2, "b"), (3, "a"), (4, "a"), (7, "a"), (8, "a")]
    assert told(m, rows, "v") == [1, 2, 4, 6]
    assert m.stats["operators" if isinstance(m, Engine) else slice(None)][1]["filtered"] == 2


def test_a_row_before_the_one_that_was_kept_is_a_duplicate_too(run: Any) -> None:
    m = run(deduplicate(3), bound=10)
    assert told(m, [(5, "a"), (2, "a"), (1, "a"), (8, "a"), (9, "a")], "v") == [1, 3, 5]


def test_a_row_without_a_key_is_no_duplicate(run: Any) -> None:
    assert told(run(deduplicate(9)), [(0, None), (0, None), (1, None)], "v") == [1, 2, 3]


def test_a_row_is_late_when_a_duplicate_of_it_may_be_forgotten(run: Any) -> None:
    # W = 20; a row at 17 is 3 behind: it may lie within 3 of one at 14, which is kept
    m = run(deduplicate(3))
    assert told(m, [(14, "a"), (20, "b")], "v") == [1, 2]
    assert late(m, (17, "a")) == ([], [])
    assert late(m, (18, "a")) == ([4], [])
    assert late(m, (16, "c")) == ([], [1])
    assert late(m, (15, None)) == ([], [2])
    assert told(m, [(20, "c")], "v") == [7]


# ── what is kept ────────────────────────────────────────────────────────────────────────────────


def held(engine: Engine) -> tuple[int, int]:
    """Keys and bytes of a verb's state."""
    stats = engine.stats["operators"][1]
    return stats["keys"], stats["bytes"]


VERBS = {"previous": previous(), "ago": previous(5), "deduplicate": deduplicate(5)}


def begun(node: dict) -> Engine:
    return Engine(plan(node, inputs=[source(out_of_order=0, schema=SCHEMA)]), {0: [0]})


@pytest.mark.parametrize("node", VERBS.values(), ids=VERBS)
def test_a_key_that_no_row_on_time_can_reach_is_forgotten(node: dict) -> None:
    engine = begun(node)
    told(engine, [(0, "a"), (9, "b"), (10, "b"), (15, None)], "v")
    assert (
        held(engine)[0] == held(engine.restored())[0] == (1 if node is VERBS["deduplicate"] else 2)
    )
    engine = engine.restored()
    engine.advance(0, None, 10**9 * S)
    assert held(engine)[0] == (0 if node is VERBS["deduplicate"] else 2)


@pytest.mark.parametrize("node", VERBS.values(), ids=VERBS)
def test_a_long_run_holds_no_more_than_it_needs(node: dict) -> None:
    engine, most = begun(node), []
    for start in range(0, 2000, 100):
        told(engine, [(each, f"key {each % 7}") for each in range(start, start + 100)], "v")
        most.append(held(engine)[1])
    assert max(most) < 1.5 * most[1] < 60_000


# ── every type ──────────────────────────────────────────────────────────────────────────────────

VALUES = {
    "text": pa.array(["a", None, "long enough for two words", ""]),
    "large": pa.array(["a", None, "b", ""], pa.large_string()),
    "view": pa.array(["a", None, "b", ""], pa.string_view()),
    "binary": pa.array([b"\x00\xff", None, b"", b"x"]),
    "dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "decimal": pa.array([Decimal("1.25"), None, Decimal("-7.10"), Decimal(0)]),
    "bool": pa.array([True, None, False, True]),
    "f32": pa.array([0.1, None, float("nan"), -0.0], pa.float32()),
    "u8": pa.array([255, None, 0, 1], pa.uint8()),
    "date": pa.array([dt.date(1960, 2, 29), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "zoned": pa.array([0, None, -1, 2**62], pa.timestamp("ns", "Europe/Berlin")),
    "duration": pa.array([1, None, -5, 0], pa.duration("ms")),
    "list": pa.array([[1, None], None, [], [3]]),
    "struct": pa.array([{"x": 1, "y": ["a"]}, None, {"x": None, "y": None}, {"x": 2, "y": []}]),
    "null": pa.nulls(4),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_a_column_of_any_type_comes_back(values: pa.Array) -> None:
    times = [dt.datetime(1960, 1, 1) + dt.timedelta(seconds=i) for i in range(5)]
    table = pa.table({"at": times, "v": pa.concat_arrays([values, values[:1]])})
    stream = mt.stream(time="at", out_of_order="1s")
    op, found = mt.operator(stream.previous(by=[], last="v")), []
    for row in range(5):
        result = op.push(table.slice(row, 1)).rows.to_arrow()
        assert result["last"].type == result["v"].type
        found += result["last"].to_pylist()
        op = mt.operator(stream.previous(by=[], last="v"), snapshot=op.snapshot())
    given = pa.chunked_array([values]).cast(result["v"].type).to_pylist()
    assert repr(found) == repr([None, *given])
    whole = mt.collect(stream.previous(by=[], last="v"), table).rows.to_arrow()["last"]
    assert repr(whole.to_pylist()) == repr(found)


# ── what a user meets ───────────────────────────────────────────────────────────────────────────

PAID = mt.stream(
    time="at",
    out_of_order="10s",
    schema={"at": "timestamp[us, UTC]", "card": "str", "amount": "f64"},
)
BAD = {
    "no column": (
        lambda: PAID.previous(by="card"),
        mt.PlanError,
        'previous: no column\nhint: name the columns to add: previous(by="card", last_amount',
    ),
    "an unknown column": (
        lambda: PAID.previous(by="card", last="amout"),
        mt.ColumnError,
        'did you mean "amount"',
    ),
    "an unknown key": (lambda: PAID.deduplicate("crad", "1h"), mt.ColumnError, 'mean "card"'),
    "a column twice": (
        lambda: PAID.previous(by="card", amount="amount"),
        mt.ColumnError,
        'previous: two columns are called "amount"\nhint: give one of them another name',
    ),
    "an expression": (
        lambda: PAID.previous(by="card", last=mt.col("amount") * 2),  # type: ignore[arg-type]
        mt.PlanError,
        'is not the name of a column\nhint: write last="amount"',
    ),
    "no name": (
        lambda: PAID.previous("amount", by="card"),  # type: ignore[arg-type]
        mt.PlanError,
        "has no name",
    ),
    "no time": (lambda: PAID.deduplicate("card", "0s"), mt.DurationError, "within"),
    "no time ago": (
        lambda: PAID.previous(by="card", ago="0s", a="amount"),
        mt.DurationError,
        "ago",
    ),
    "a float as key": (lambda: PAID.deduplicate("amount", "1s"), mt.PlanError, "cannot be a key"),
    "revisions": (
        lambda: PAID.tumbling("1h", allowed_lateness="1h").agg(n=mt.count()).previous(by=[], m="n"),
        mt.PlanError,
        "revisions=False",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_meant_is_refused(call: Any, error: type, message: str) -> None:
    with pytest.raises(mt.MuntinError) as caught:
        call()
    assert message in str(caught.value)
    assert isinstance(caught.value, error)


def test_one_row_is_answered_and_peeked_at() -> None:
    pipeline = PAID.deduplicate(["card", "at"], "1m").previous(by="card", last="amount")
    op = mt.operator(pipeline)
    first = {"at": "2024-05-01T10:00:00Z", "card": "a", "amount": None}
    assert op.ask(first).row["last"] is None
    second = {"at": "2024-05-01T10:00:01Z", "card": "a", "amount": None}
    assert op.peek(second).row["last"] is None
    assert op.ask(second).row is not None
    text = str(pipeline.explain())
    assert 'deduplicate(["card", "at"], "1m")' in text
    assert "replay stable  no" in text
