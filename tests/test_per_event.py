"""Per-event windows: many aggregates side by side, and keys whose rows come in disorder."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import muntin as mt
from oracle import key_range

KINDS = [
    mt.count(),
    mt.count("v"),
    mt.sum("v"),
    mt.mean("x"),
    mt.sum("x"),
    mt.sum("money"),
    mt.min("money"),
    mt.count_distinct("s"),
    mt.max("s"),
    mt.first("x"),
    mt.last("s"),
    mt.sum("x", where="v > 1"),
    mt.count_distinct("money"),
]
STREAM = mt.stream(time="at", out_of_order="60s")
SIZES = ["10s", "1m"]


def rows(n: int) -> pa.Table:
    rng = random.Random(5)
    start = dt.datetime(2024, 5, 1)
    cents = [None, Decimal("1.25"), Decimal("-7.10")]

    def some(*values: Any) -> list[Any]:
        return [rng.choice(values) for _ in range(n)]

    return pa.table(
        {
            "at": [start + dt.timedelta(seconds=rng.randrange(n * 3 // 4)) for _ in range(n)],
            "k": some("a", "b", "c"),
            "v": some(None, 1, 2, 3),
            "x": some(None, 0.1, 1e20, -2.5),
            "money": pa.array(some(*cents), pa.decimal128(9, 2)),
            "s": some(None, "p", "q", ""),
        }
    )


def answers(table: pa.Table, **asked: Any) -> list[dict[str, Any]]:
    """Batch by batch, each behind a snapshot of its own."""
    pipeline = STREAM.sliding(SIZES, by="k").agg(**asked)
    op, found = mt.operator(pipeline), []
    for batch in table.to_batches(max_chunksize=37):
        found += op.push(batch).rows.to_dicts()
        op = mt.operator(pipeline, snapshot=op.snapshot())
    return found


def test_forty_aggregates_answer_as_each_alone() -> None:
    table = rows(400)
    asked = {f"c{i}": KINDS[i % len(KINDS)] for i in range(40)}
    together = answers(table, **asked)
    for name, aggregate in asked.items():
        alone = answers(table, **{name: aggregate})
        for size in SIZES:
            column = f"{name}_{size}"
            assert [row[column] for row in together] == [row[column] for row in alone], column


KEYS: dict[str, Any] = {
    "text": lambda i: {"k": f"card{i}"},
    "integer": lambda i: {"k": i},
    "several": lambda i: {"k": f"card{i}", "shop": i % 7},
}


@pytest.mark.parametrize("make", KEYS.values(), ids=KEYS.keys())
def test_a_key_that_is_gone_leaves_nothing_in_a_snapshot(make: Any) -> None:
    """A key's newest row is freed while an older one of it, which came later, is still there."""
    segment = 1024
    names = [make(i) for i in range(500)]

    def slot(name: dict[str, Any]) -> int:
        return key_range(tuple(name.values()))

    gone = names[0]
    same = [name for name in names[1:] if slot(name) == slot(gone)]
    other, newcomer = same[:2]
    rows = [(5, gone)] + [(5, other)] * (segment - 1) + [(4, gone), (100, other)]

    def table(rows: list[tuple[int, dict[str, Any]]]) -> pa.Table:
        at = pa.array([at * 1_000_000 for at, _ in rows], pa.timestamp("us"))
        return pa.table({"at": at} | {c: [name[c] for _, name in rows] for c in gone})

    stream = mt.stream(time="at", out_of_order="10s")
    pipeline = stream.sliding("10s", by=list(gone)).agg(n=mt.count())
    op = mt.operator(pipeline)
    assert len(op.push(table(rows)).late) == 0
    restored = mt.operator(pipeline, snapshot=op.snapshot())
    behind = [(101, newcomer), (101, gone), (102, gone), (102, other), (103, newcomer)]
    for at, name in behind:
        expected = op.push(table([(at, name)])).rows.to_dicts()
        assert restored.push(table([(at, name)])).rows.to_dicts() == expected
        restored = mt.operator(pipeline, snapshot=op.snapshot())


def test_a_late_row_counts_behind_the_rows_of_its_time_that_came_before() -> None:
    pipeline = STREAM.sliding("10s").agg(first=mt.first("v"), last=mt.last("v"))
    given = [(5, 1), (7, 2), (5, 3)]
    start = dt.datetime(2024, 5, 1)
    rows = [{"at": start + dt.timedelta(seconds=second), "v": v} for second, v in given]
    told = [(row["first"], row["last"]) for row in mt.operator(pipeline).push(rows).rows.to_dicts()]
    assert told == [(1, 1), (1, 2), (1, 3)]
