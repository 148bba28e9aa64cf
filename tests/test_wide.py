"""More text in one step than one batch can hold: outputs are cut into several, and nothing else
changes. Where the core was built with tiny limits, every output here is.
"""

from __future__ import annotations

import pyarrow as pa
import pytest

import muntin as mt
from muntin.base import limits

WORDS = {"at": "timestamp[us]", "k": "str", "s": "str"}
KINDS = pa.schema([("at", pa.timestamp("us")), ("k", pa.string()), ("s", pa.string())])
LEFT = mt.stream("left", time="at", out_of_order="2us", schema=WORDS)
RIGHT = mt.stream("right", time="at", out_of_order="2us", schema=WORDS)
LONGEST = {"n": mt.count(), "longest": mt.max("s")}
ROWS = 60


def rows(start: int = 0) -> pa.Table:
    times = [start + i - (7 if i % 11 == 10 else 0) for i in range(ROWS)]
    texts = [None if i % 9 == 8 else f"text {i % 13} " * (i % 4) for i in range(ROWS)]
    return pa.table([pa.array(times), [f"key {i % 5}" for i in range(ROWS)], texts], KINDS)


PIPELINES = {
    "tumbling": LEFT.tumbling("10us", by="k").agg(**LONGEST),
    "hopping": LEFT.hopping("10us", every="5us", by=["k", "s"]).agg(n=mt.count()),
    "session": LEFT.session("3us", by="k").agg(**LONGEST),
    "sliding": LEFT.sliding("10us", by="k").agg(**LONGEST),
    "windows behind sliding": LEFT.sliding("10us", by="k")
    .agg(**LONGEST)
    .with_columns(both="coalesce(longest, k)")
    .filter("n > 1")
    .tumbling("20us", by="both")
    .agg(m=mt.count(), last=mt.last("longest")),
    "running windows behind sessions": LEFT.session("3us", by=["k", "s"])
    .agg(**LONGEST)
    .tumbling("20us", by="k", emit="each")
    .agg(n=mt.count(), longest=mt.max("longest")),
    "sliding that waits": LEFT.sliding("10us", by="k", emit="watermark").agg(**LONGEST),
    "union": mt.union(LEFT, RIGHT, tag="of").sliding("9us", by="of").agg(**LONGEST),
}


def batches(table: mt.Table) -> list[pa.RecordBatch]:
    return pa.table(table).to_batches()


@pytest.mark.parametrize("name", PIPELINES)
def test_one_step_gives_what_many_give(name: str) -> None:
    pipeline = PIPELINES[name]
    columns = mt.operator(pipeline).schema or {}
    rules = [mt.rule("any", f"{'m' if 'm' in columns else 'n'} > 0", cooldown="5us")]
    whole, single = (mt.operator(pipeline, rules=rules) for _ in range(2))
    feeds = {input: rows(i) for i, input in enumerate(whole.inputs)}
    at_once = [whole.step([mt.Feed(i, table) for i, table in feeds.items()])]
    one_by_one = [
        single.push(table.slice(n, 1), input=i) for i, table in feeds.items() for n in range(ROWS)
    ]
    at_once.append(whole.finish())
    one_by_one.append(single.finish())

    def all_of(results: list[mt.Result]) -> list[object]:
        tables = [[each.rows, each.alerts, *each.late.values()] for each in results]
        return [[row for t in of for row in t.to_dicts()] for of in zip(*tables, strict=True)]

    assert all_of(at_once) == all_of(one_by_one)
    for table in [at_once[0].rows, at_once[0].alerts]:
        found = batches(table)
        assert sum(map(len, found)) == len(table)
        if limits.SMALL and len(table) > 3:
            assert len(found) > 1


@pytest.mark.parametrize("name", ["tumbling", "sliding that waits"])
def test_a_snapshot_holds_what_was_cut(name: str) -> None:
    op = mt.operator(PIPELINES[name])
    op.push(rows())
    again = mt.operator(PIPELINES[name], snapshot=op.snapshot())
    assert again.finish().rows.to_dicts() == op.finish().rows.to_dicts()
