"""What is refused and in which words, which rows are invalid and why; and that it goes on after."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt

WORDS = {"at": "timestamp[us]", "card": "str", "amount": "i64", "price": "f64"}
TYPED = mt.stream(time="at", out_of_order="0s", schema=WORDS)
UNTYPED = mt.stream(time="at", out_of_order="0s")
N: dict[str, Any] = {"n": mt.count()}
MINUTE = 60_000_000
LAST = 2**63 - 1


def minutes(stream: mt.Stream, **aggregates: Any) -> mt.Stream:
    return stream.tumbling("1m", by="card").agg(**(aggregates or N))


def table(
    at: list[int | None] | None = None,
    amount: list[int] | None = None,
    price: list[float] | None = None,
) -> pa.Table:
    size = len(at or amount or price or [0])
    return pa.table(
        {
            "at": pa.array(at or [0] * size, pa.timestamp("us")),
            "card": pa.array(["a"] * size),
            "amount": pa.array(amount or [1] * size, pa.int64()),
            "price": pa.array(price or [1.0] * size, pa.float64()),
        }
    )


def refused(error: type[Exception], message: str, call: Callable[[], Any]) -> None:
    """The call raises exactly this error, and all parts of the message, `|` between, are in it."""
    with pytest.raises(mt.MuntinError) as caught:
        call()
    assert type(caught.value) is error
    for part in message.split("|"):
        assert part in str(caught.value)


def reasons(result: mt.Result) -> list[tuple[str, str]]:
    rows = result.invalid["input"].to_arrow().select(["reason", "operator"])
    return [(row["reason"], row["operator"]) for row in rows.to_pylist()]


def counted(op: mt.Operator) -> int:
    """How many rows the open windows hold, by ending all."""
    return sum(row["n"] for row in op.finish().rows.to_dicts())


# ── pipelines ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (
            mt.ColumnError,
            'filter: unknown column "amout"|hint: did you mean "amount"?',
            lambda: TYPED.filter("amout > 1"),
        ),
        (
            mt.ColumnError,
            'with_columns: |unknown column "amout"|hint: did you mean "amount"?',
            lambda: TYPED.with_columns(twice="amout * 2"),
        ),
        (
            mt.ColumnError,
            'tumbling: by: unknown column "crad"|hint: did you mean "card"?',
            lambda: TYPED.tumbling("1m", by="crad").agg(**N),
        ),
        (
            mt.ColumnError,
            'n=sum("amout"): unknown column "amout"|hint: did you mean "amount"?',
            lambda: minutes(TYPED, n=mt.sum("amout")),
        ),
        (
            mt.ColumnError,
            'unknown column "att"|hint: did you mean "at"?',
            lambda: mt.stream(time="att", out_of_order="0s", schema=WORDS),
        ),
        (
            mt.PlanError,
            'tumbling: aggregate "n": sum of str|hint: sum takes numbers',
            lambda: mt.operator(minutes(TYPED, n=mt.sum("card"))),
        ),
        (
            mt.ExpressionError,
            "filter: |cannot compare str with i64 in: card > 1|hint: cast one side",
            lambda: mt.operator(TYPED.filter("card > 1")),
        ),
        (
            mt.PlanError,
            'tumbling: column "price" of type f64 cannot be a key|hint: keys are integers, text',
            lambda: mt.operator(TYPED.tumbling("1m", by="price").agg(**N)),
        ),
        (
            mt.SchemaError,
            'time of stream "input": at is str, not a timestamp|hint: cast it',
            lambda: mt.operator(
                mt.stream(time="at", out_of_order="0s", schema={"at": "str"}).filter("true")
            ),
        ),
        (
            mt.PlanError,
            'input "a" has no schema; several inputs each need one|hint: mt.stream(..., schema=',
            lambda: mt.operator(
                mt.union(*(mt.stream(name, time="at", out_of_order="0s") for name in "ab"))
            ),
        ),
    ],
)
def test_a_pipeline_that_means_nothing(
    error: type[Exception], message: str, call: Callable[[], Any]
) -> None:
    refused(error, message, call)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("0s", '"0s" is zero|hint: it must be longer'),
        ("-1m", '"-1m" is negative|hint: durations here count forward'),
        (dt.timedelta(0), "datetime.timedelta(0) is zero|hint: "),
        (dt.timedelta(-1), "datetime.timedelta(days=-1) is negative|hint: "),
    ],
)
@pytest.mark.parametrize(
    ("place", "verb"),
    [
        ("tumbling: size: ", lambda size: TYPED.tumbling(size)),
        ("hopping: size: ", lambda size: TYPED.hopping(size, "1s")),
        ("hopping: every: ", lambda size: TYPED.hopping("1m", size)),
        ("session: gap: ", lambda size: TYPED.session(size)),
        ("sliding: size: ", lambda size: TYPED.sliding(size)),
        ("sliding: size: ", lambda size: TYPED.sliding(["1m", size])),
        ("silent: after: ", lambda size: TYPED.silent(size, by="card")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_size_must_be_positive(
    place: str, verb: Callable[[Any], Any], size: Any, message: str
) -> None:
    refused(mt.DurationError, f"{place}|{message}", lambda: verb(size))


def test_windows_with_gaps_must_be_meant() -> None:
    message = 'every="2m" is longer than size="1m"|hint: say allow_gaps=True'
    refused(mt.PlanError, message, lambda: TYPED.hopping("1m", "2m"))
    op = mt.operator(TYPED.hopping("1m", "2m", allow_gaps=True).agg(**N))
    op.push(table(at=[0, MINUTE, 2 * MINUTE]))
    assert op.stats["operators"][-1]["in_gap"] == 1


# ── batches ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("error", "message", "pipeline", "batch"),
    [
        (
            mt.ColumnError,
            'tumbling: by: unknown column "crad"|did you mean "card"?',
            UNTYPED.tumbling("1m", by="crad").agg(**N),
            table(),
        ),
        (
            mt.PlanError,
            'aggregate "n": sum of str|hint: sum takes numbers',
            minutes(UNTYPED, n=mt.sum("card")),
            table(),
        ),
        (
            mt.PlanError,
            'column "price" of type f64 cannot be a key|hint: keys are',
            UNTYPED.tumbling("1m", by="price").agg(**N),
            table(),
        ),
        *(
            (
                mt.SchemaError,
                f'time of stream "input": at is {word}, not a timestamp|hint: cast it',
                UNTYPED.tumbling("1m").agg(**N),
                pa.table({"at": column}),
            )
            for word, column in [("str", ["x"]), ("i64", [1]), ("null", pa.nulls(1))]
        ),
    ],
)
def test_a_first_batch_that_does_not_fit(
    error: type[Exception], message: str, pipeline: mt.Stream, batch: pa.Table
) -> None:
    op = mt.operator(pipeline)
    for _ in range(2):
        refused(error, message, lambda: op.push(batch))
    assert counted(op) == 0


def test_a_first_batch_may_follow_a_refused_one() -> None:
    op = mt.operator(minutes(UNTYPED))
    refused(mt.SchemaError, "at is str", lambda: op.push(table().set_column(0, "at", [["x"]])))
    op.push(table())
    assert counted(op) == 1


CHANGES: dict[str, tuple[str, Callable[[pa.Table], pa.Table]]] = {
    "new column": (
        'column "city" was not in the first batch of stream "input"|hint: declare schema=',
        lambda t: t.append_column("city", [["x"]]),
    ),
    "missing column": (
        'column "amount" of stream "input" is not in the batch|hint: the batch has at, card, price',
        lambda t: t.drop_columns("amount"),
    ),
    "other type": (
        'column "amount" of stream "input" is str in this batch, not i64|hint: cast it',
        lambda t: t.set_column(2, "amount", [["1"]]),
    ),
    "other time": (
        'column "at" of stream "input" is str|hint: cast it',
        lambda t: t.set_column(0, "at", [["x"]]),
    ),
}


@pytest.mark.parametrize(("message", "change"), CHANGES.values(), ids=CHANGES.keys())
def test_a_schema_may_not_change_in_mid_stream(
    message: str, change: Callable[[pa.Table], pa.Table]
) -> None:
    op = mt.operator(minutes(UNTYPED))
    op.push(table())
    refused(mt.SchemaError, message, lambda: op.push(change(table())))
    op.push(table())
    assert counted(op) == 2


def test_the_order_of_columns_and_a_narrower_integer_are_no_change() -> None:
    op = mt.operator(minutes(UNTYPED))
    op.push(table())
    op.push(table().select(["price", "amount", "card", "at"]))
    op.push(table().set_column(2, "amount", pa.array([1], pa.int32())))
    assert counted(op) == 3


def test_a_declared_schema_leaves_out_what_it_does_not_name() -> None:
    op = mt.operator(minutes(TYPED))
    op.push(table())
    op.push(table().append_column("city", [["x"]]))
    assert counted(op) == 2


def test_a_partition_must_be_declared() -> None:
    op = mt.operator(minutes(TYPED), partitions=(0, 1))
    message = "partition 3 was not declared, only 0, 1|hint: name it in partitions="
    refused(mt.PartitionError, message, lambda: op.idle(partition=3))
    invalid = op.push(table(), partition=3).invalid.to_dicts()
    assert [(each["reason"], each["partition"]) for each in invalid] == [
        ("undeclared_partition", 3)
    ]
    op.push(table(), partition=1)
    op.open(partition=3)
    assert len(op.push(table(), partition=3).invalid) == 0
    assert counted(op) == 2


def test_rows_after_the_end_are_refused() -> None:
    op = mt.operator(minutes(TYPED), partitions=(0, 1))
    op.push(table())
    op.finish(partition=0)
    refused(mt.PartitionError, "partition 0 is finished", lambda: op.push(table()))
    op.push(table(), partition=1)
    assert counted(op) == 2
    refused(mt.PartitionError, "partition 1 is finished", lambda: op.push(table(), partition=1))
    assert counted(op) == 0


# ── rows ────────────────────────────────────────────────────────────────────────────────────────


def test_a_null_time_is_an_invalid_row() -> None:
    op = mt.operator(minutes(TYPED))
    result = op.push(table(at=[None, 0]))
    assert reasons(result) == [("null_time", "input#0")]
    record = result.invalid["input"].to_dicts()[0]
    assert (record["partition"], record["position"], record["amount"]) == (0, 0, 1)
    assert counted(op) == 1


FLOATS: dict[str, Any] = {
    "n": mt.count("price"),
    "total": mt.sum("price"),
    "mean": mt.mean("price"),
    "low": mt.min("price"),
    "high": mt.max("price"),
}


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ([1.0, math.nan, 2.0], [3, 3.0, 1.5, 1.0, 2.0]),
        ([math.nan], [1, None, None, None, None]),
        ([1.0, math.inf], [2, math.inf, math.inf, 1.0, math.inf]),
        ([1.0, -math.inf], [2, -math.inf, -math.inf, -math.inf, 1.0]),
        ([math.inf, -math.inf], [2, "nan", "nan", -math.inf, math.inf]),
        ([math.nan, math.inf], [2, math.inf, math.inf, math.inf, math.inf]),
    ],
)
def test_nan_is_skipped_and_infinity_is_a_number(price: list[float], expected: list[Any]) -> None:
    op = mt.operator(minutes(TYPED, **FLOATS))
    op.push(table(price=price))
    row = op.finish().rows.to_dicts()[0]
    got = ["nan" if row[name] != row[name] else row[name] for name in FLOATS]
    assert got == expected
    skipped = sum(map(math.isnan, price)) * (len(FLOATS) - 1)
    assert op.stats["operators"][-1]["nan"] == skipped


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_that_overflows_is_null_and_says_so(sign: int) -> None:
    op = mt.operator(minutes(TYPED, n=mt.count(), total=mt.sum("amount")))
    op.push(table(amount=[sign * LAST, sign * 2]))
    result = op.push(table(at=[MINUTE], amount=[5]))
    assert [(row["n"], row["total"]) for row in result.rows.to_dicts()] == [(2, None)]
    assert reasons(result) == [("sum_overflow", "tumbling#1")]
    record = result.invalid["input"].to_dicts()[0]
    start = dt.datetime(1970, 1, 1)
    assert (record["window_start"], record["window_end"]) == (start, start + dt.timedelta(0, 60))
    assert [(row["n"], row["total"]) for row in op.finish().rows.to_dicts()] == [(1, 5)]


def test_a_sum_that_comes_back_did_not_overflow() -> None:
    op = mt.operator(minutes(TYPED, total=mt.sum("amount")))
    op.push(table(amount=[LAST, LAST, -LAST]))
    result = op.finish()
    assert result.rows.to_dicts()[0]["total"] == LAST
    assert reasons(result) == []


def test_a_sliding_sum_recovers_when_the_large_rows_have_left() -> None:
    op = mt.operator(TYPED.sliding("1m", by="card").agg(total=mt.sum("amount")))
    result = op.push(table(at=[0, 1, 1 + MINUTE], amount=[LAST, 1, 7]))
    assert [row["total"] for row in result.rows.to_dicts()] == [LAST, None, 7]
    assert reasons(result) == [("sum_overflow", "sliding#1")]


@pytest.mark.parametrize("expression", ["amount + 1", "amount * 2", "-amount - 2"])
def test_a_row_whose_expression_overflows_is_invalid(expression: str) -> None:
    op = mt.operator(minutes(TYPED.with_columns(amount=expression)))
    result = op.push(table(amount=[1, LAST, 2]))
    assert reasons(result) == [("overflow", "with_columns#1")]
    record = result.invalid["input"].to_dicts()[0]
    assert (record["position"], record["amount"]) == (1, LAST)
    assert counted(op) == 2


# ── the ends of time ────────────────────────────────────────────────────────────────────────────

WINDOWS = {
    "tumbling": TYPED.tumbling("1m", by="card"),
    "hopping": TYPED.hopping("2m", "1m", by="card"),
    "session": TYPED.session("1m", by="card"),
}
by_window = pytest.mark.parametrize(("name", "window"), WINDOWS.items(), ids=WINDOWS.keys())


@by_window
@pytest.mark.parametrize("at", [[0, LAST - 1], [1 - LAST, 0]], ids=["last", "first"])
def test_a_window_beyond_64_bits_makes_its_row_invalid(
    name: str, window: Any, at: list[int | None]
) -> None:
    op = mt.operator(window.agg(**N))
    result = op.push(table(at=at))
    assert reasons(result) == [("window_out_of_range", f"{name}#1")]
    rows = result.rows.to_dicts() + op.finish().rows.to_dicts()
    assert {row["n"] for row in rows} == {1}


@by_window
@pytest.mark.parametrize("at", [LAST, -LAST - 1], ids=["last", "first"])
def test_the_two_ends_of_time_are_no_times(name: str, window: Any, at: int) -> None:
    op = mt.operator(window.agg(**N))
    assert reasons(op.push(table(at=[at]))) == [("time_out_of_range", "input#0")]
    op.push(table())
    assert op.stats["operators"][-1]["counted"] == 1


@pytest.mark.parametrize("emit", ["arrival", "watermark"])
@pytest.mark.parametrize("at", [[0, LAST - 1], [1 - LAST, 0]], ids=["last", "first"])
def test_a_sliding_window_looks_back_over_the_end(emit: Any, at: list[int | None]) -> None:
    op = mt.operator(TYPED.sliding("1m", by="card", emit=emit).agg(**N))
    result = op.push(table(at=at))
    assert reasons(result) == []
    parts = [result.rows.to_arrow(), op.finish().rows.to_arrow()]
    assert pa.concat_tables(parts)["n"].to_pylist() == [1, 1]


def test_a_silence_that_would_end_beyond_64_bits() -> None:
    op = mt.operator(TYPED.silent("1m", by="card"))
    assert reasons(op.push(table(at=[LAST - 1]))) == [("window_out_of_range", "silent#1")]


# ── snapshots ───────────────────────────────────────────────────────────────────────────────────


def snapshot() -> bytes:
    op = mt.operator(minutes(TYPED))
    op.push(table())
    return op.snapshot()


def flipped(data: bytes, place: int) -> bytes:
    copy = bytearray(data)
    copy[place] ^= 1 << place % 8
    return bytes(copy)


@pytest.mark.parametrize(
    ("message", "damage"),
    [
        ("the snapshot is empty", lambda data: b""),
        ("the snapshot is cut off", lambda data: data[:1]),
        ("the snapshot is cut off", lambda data: data[: len(data) // 2]),
        ("the snapshot is cut off", lambda data: data[:-1]),
        ("has bytes behind its end", lambda data: data + b"x"),
        ("this is not a snapshot of muntin", lambda data: flipped(data, 0)),
        ("has format version 3, known is 1", lambda data: data[:8] + b"\3" + data[9:]),
        ("is damaged", lambda data: flipped(data, len(data) // 2)),
    ],
)
def test_a_malformed_snapshot(message: str, damage: Callable[[bytes], bytes]) -> None:
    data = damage(snapshot())
    refused(mt.SnapshotError, message, lambda: mt.operator(minutes(TYPED), snapshot=data))


@pytest.mark.slow
def test_any_flipped_bit_is_noticed() -> None:
    data = snapshot()
    for place in range(len(data)):
        with pytest.raises(mt.SnapshotError):
            mt.operator(minutes(TYPED), snapshot=flipped(data, place))


@pytest.mark.parametrize(
    "other",
    [
        TYPED.tumbling("2m", by="card").agg(**N),
        TYPED.tumbling("1m").agg(**N),
        minutes(TYPED, n=mt.sum("amount")),
        minutes(TYPED.filter("amount > 0")),
        TYPED.session("1m", by="card").agg(**N),
    ],
    ids=repr,
)
def test_a_snapshot_of_another_pipeline(other: mt.Stream) -> None:
    message = "the snapshot is of another pipeline|hint: start without it, with the pipeline"
    refused(mt.PipelineChanged, message, lambda: mt.operator(other, snapshot=snapshot()))


def test_a_good_snapshot_goes_on() -> None:
    op = mt.operator(minutes(TYPED), snapshot=snapshot())
    op.push(table())
    assert counted(op) == 2
