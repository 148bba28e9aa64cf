"""Per-event windows with many aggregates of all classes side by side."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pyarrow as pa

import muntin as mt

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
