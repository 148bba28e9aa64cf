"""What crosses the border to Python, for pytest-benchmark.

    pytest benches/boundary.py --benchmark-save=before
    pytest benches/boundary.py --benchmark-compare=before

Its own name is not test_*.py, so that a run of all tests leaves it out.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

import muntin as mt
from benches.data.make import make
from benches.measure.alone import CARDS, DATA, MINUTES

ROWS = 65_536
TABLE = make(replace(DATA, rows=ROWS)).combine_chunks()
MESSAGES = [
    b'{"ts": "2024-05-01T10:00:00Z", "key": %d, "val": %d.25}' % (i % 1_000, i)
    for i in range(10_000)
]
SCHEMA = {"ts": "timestamp[us, UTC]", "key": "i64", "val": "f64"}


def operator(pipeline: mt.Stream, rules: list[mt.Rule] | None = None) -> mt.Operator:
    """An operator that has seen the table."""
    op = mt.operator(pipeline, rules=rules or [])
    op.push(TABLE)
    return op


@pytest.mark.parametrize("rows", [1, 100, 1_000, ROWS])
def test_push(benchmark, rows: int) -> None:
    batch = TABLE.slice(0, rows)
    benchmark.pedantic(
        lambda op: op.push(batch).rows, setup=lambda: ((mt.operator(CARDS),), {}), rounds=30
    )


def test_push_tumbling(benchmark) -> None:
    benchmark.pedantic(
        lambda op: op.push(TABLE).rows, setup=lambda: ((mt.operator(MINUTES),), {}), rounds=30
    )


def test_ask(benchmark) -> None:
    op, row = operator(CARDS), TABLE.slice(ROWS - 1).to_pylist()[0]
    benchmark(op.ask, row)


def test_peek(benchmark) -> None:
    op, row = operator(CARDS), TABLE.slice(ROWS - 1).to_pylist()[0]
    benchmark(op.peek, row)


def test_decode(benchmark) -> None:
    benchmark(mt.decode, "json", SCHEMA, MESSAGES)


@pytest.mark.parametrize("many", [1, 10, 100, 300])
def test_rules(benchmark, many: int) -> None:
    rules = [mt.rule(f"r{i}", f"n >= {1_000_000 + i}", by="key") for i in range(many)]
    benchmark.pedantic(
        lambda op: op.push(TABLE).alerts,
        setup=lambda: ((mt.operator(CARDS, rules=rules),), {}),
        rounds=10,
    )


def test_snapshot(benchmark) -> None:
    benchmark(operator(CARDS).snapshot)


def test_restore(benchmark) -> None:
    snapshot = operator(CARDS).snapshot()
    benchmark(mt.operator, CARDS, snapshot=snapshot)


def test_rows_to_python(benchmark) -> None:
    rows = operator(CARDS).push(TABLE.set_column(0, "ts", later(TABLE["ts"]))).rows
    benchmark(rows.to_dicts)


def later(ts: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.compute.add(ts, pa.scalar(7_200_000_000, pa.duration("us")))
