"""CPU per row through `op.push`, beside DuckDB and Polars on the same Arrow data.

    python benches/floor.py [--rows 10000000] [--json]

Keys are a Zipf distribution (s = 1.1) over a million ids, mixed, so neither dense nor sorted;
values are cents from 0 to 500. Outputs are compared with DuckDB before anything is timed. Figures
are thread CPU time, the least of five runs; nothing here fails for being slow.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

os.environ.setdefault("POLARS_MAX_THREADS", "1")

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa

import muntin as mt

KEYS = 1_000_000
BATCH = 65_536
RUNS = 5
STREAM = mt.stream(time="ts", out_of_order="0s")
COUNT_AND_SUM = {"n": mt.count(), "s": mt.sum("val")}
TUMBLING = STREAM.tumbling("1m", by="key").agg(**COUNT_AND_SUM)
SLIDING = STREAM.sliding("1h", by="key").agg(**COUNT_AND_SUM)

TUMBLING_SQL = """
    select key, time_bucket(interval '1 minute', ts) as start, count(*) as n, sum(val) as s
    from data group by all"""
SLIDING_SQL = """
    select *, count(*) over w as n, sum(val) over w as s from data window w as (
        partition by key order by ts
        range between interval '3599999999 microseconds' preceding and current row)"""


def data(rows: int, span_s: int) -> pa.Table:
    """Events evenly over `span_s` seconds."""
    rng = np.random.default_rng(7)
    weights = np.cumsum(1 / np.arange(1, KEYS + 1) ** 1.1)
    ids = np.searchsorted(weights / weights[-1], rng.random(rows)).astype(np.uint64) + np.uint64(1)
    with np.errstate(over="ignore"):
        ids = (ids ^ (ids >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        ids = (ids ^ (ids >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    key = ((ids ^ (ids >> np.uint64(31))) | np.uint64(1)).view(np.int64)
    ts = (np.arange(rows) * (span_s * 1_000_000 / rows)).astype(np.int64).view("M8[us]")
    return pa.table({"ts": ts, "key": key, "val": rng.integers(0, 50_001, rows) / 100})


@dataclass(frozen=True)
class Run:
    """What pushing a table cost and gave; `finish` is the end, where the last windows fire."""

    seconds: float
    finish: float
    gave: tuple[int, int, int]
    bytes_per_key: float


def pushed(pipeline: mt.Stream, table: pa.Table) -> Run:
    """Pushes the table batch by batch."""
    op = mt.operator(pipeline)
    seconds, gave = 0.0, (0, 0, 0)
    for batch in table.to_batches(max_chunksize=BATCH):
        start = time.thread_time()
        out = op.push(batch).rows
        seconds += time.thread_time() - start
        gave = added(gave, out)
    state = op.stats["operators"][1]
    start = time.thread_time()
    out = op.finish().rows
    finish = time.thread_time() - start
    return Run(seconds, finish, added(gave, out), state["bytes"] / max(state["keys"], 1))


def added(gave: tuple[int, int, int], rows: mt.Table) -> tuple[int, int, int]:
    """Number of rows, sum of `n`, and sum of `s` in cents, with those of `rows`."""
    if not len(rows):
        return gave
    n, s = pl.DataFrame(rows).select(pl.col("n").sum(), (pl.col("s") * 100).round().sum()).row(0)
    return gave[0] + len(rows), gave[1] + int(n), gave[2] + int(s)


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of the process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(name: str, floor: float, pipeline: mt.Stream, table: pa.Table, sql: str) -> dict:
    """Compares, then times."""
    sample = table.slice(0, min(len(table), 500_000))
    connection = duckdb.connect(config={"threads": 1})
    connection.register("data", sample)
    totals = "count(*), sum(n)::bigint, sum(round(s * 100))::bigint"
    want = connection.sql(f"select {totals} from ({sql})").fetchall()[0]
    gave = pushed(pipeline, sample).gave
    if gave != want:
        raise SystemExit(f"{name}: rows, n and cents are {gave}; DuckDB has {want}")
    connection.register("data", table)
    runs = [pushed(pipeline, table) for _ in range(RUNS)]
    query = f"select count(*), sum(s) from ({sql})"
    theirs = min(cpu(lambda: connection.sql(query).fetchall()) for _ in range(RUNS))
    frames = min(polars(name, table) for _ in range(RUNS))
    best = min(run.seconds for run in runs)
    return {
        "name": name,
        "rows": len(table),
        "million_rows_per_second": len(table) / best / 1e6,
        "floor": floor,
        "ns_per_row": best / len(table) * 1e9,
        "ns_per_row_median": statistics.median(r.seconds for r in runs) / len(table) * 1e9,
        "finish_seconds": min(run.finish for run in runs),
        "bytes_per_key": runs[0].bytes_per_key,
        "duckdb_ratio": theirs / best,
        "polars_ratio": frames / best,
    }


def show(told: dict) -> None:
    """One workload as a line."""
    print(
        "{name:9} {million_rows_per_second:6.2f} M rows/s (floor {floor})  {ns_per_row:6.1f} ns/row"
        " (median {ns_per_row_median:.1f})  DuckDB {duckdb_ratio:.2f} x"
        "  Polars {polars_ratio:.2f} x  {bytes_per_key:.0f} bytes/key".format(**told)
    )


def polars(name: str, table: pa.Table) -> float:
    """CPU seconds of the same in Polars."""
    frame = pl.DataFrame(table)
    what = [pl.len().alias("n"), pl.sum("val").alias("s")]
    if name == "tumbling":
        return cpu(lambda: frame.group_by("key", pl.col("ts").dt.truncate("1m")).agg(what))
    return cpu(lambda: frame.rolling("ts", period="1h", group_by="key").agg(what))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    told = [
        measure("tumbling", 10, TUMBLING, data(asked.rows, 600), TUMBLING_SQL),
        measure("sliding", 6, SLIDING, data(asked.rows, 7200), SLIDING_SQL),
    ]
    if asked.json:
        print(json.dumps(told))
    else:
        for each in told:
            show(each)


if __name__ == "__main__":
    main()
